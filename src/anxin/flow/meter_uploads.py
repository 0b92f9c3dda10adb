"""What stands in one MQTT message of a meter: an envelope, or lines of them; each is taken or rejected by itself.

Answers go to those who proved who they are, and to nobody else:

    an envelope that opens         its own meter hears of it: receipt or problem
    a line that does not open      the topic's meter hears of it, where another line of the same message is its own
    otherwise a stranger's         nothing is answered and nothing is kept; it is counted
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message, Refused
from anxin.flow.meter_messages import envelope_message
from anxin.flow.mqtt_link import topic_id
from anxin.flow.platform import Directory
from anxin.formats import meter_envelope
from anxin.formats.meter_envelope import LINE_PREFIX


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or a whole upload, that was not taken.

    about     how its sender knows it: key id and counter, or the SHA-256 of its bytes where not even these can be read
    meter_id  whose answer it is, None for a stranger's
    opened    whether the envelope itself opened: such a refusal goes to the failed-write ledger
    """

    rule: str
    detail: str
    field: str | None
    about: dict[str, Any]
    payload: bytes
    meter_id: str | None = None
    opened: bool = False

    def refused(self) -> Refused:
        """The entry for the failed-write ledger."""
        name = f"{self.about['key_id']}/{self.about['counter']}" if "key_id" in self.about else None
        sender = self.meter_id or ""
        return Refused(Kind.METER_ENVELOPE.value, sender, name, self.rule, self.detail, self.payload, self.field)


@dataclass(slots=True)
class Upload:
    """What became of one MQTT message, before anything is kept."""

    messages: list[Message] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def read_upload(payload: bytes, level: str, directory: Directory, max_bytes: int, max_batch: int) -> Upload:
    """Return what stands in a payload that came under the topic of `level` (a meter's id as `topic_id` writes it)."""
    upload = Upload()
    if len(payload) > max_bytes:
        upload.rejected.append(_rejected(FormatError("body.size", f"a message has at most {max_bytes} bytes"), payload))
        return upload
    lines = [payload]
    if payload.startswith(LINE_PREFIX):
        lines = [line.strip() for line in payload.split(b"\n") if line.strip()]
    surplus = len(lines) > max_batch
    for line in lines[:1] if surplus else lines:
        _read_one(line, level, directory, upload)
    own = next((m.sender for m in upload.messages), None)
    if surplus:
        many = _rejected(FormatError("batch.size", f"{len(lines)} records; at most {max_batch}"), payload)
        return Upload([], [replace(many, meter_id=own)])
    upload.rejected = [r if r.opened else replace(r, meter_id=own) for r in upload.rejected]
    return upload


def _read_one(data: bytes, level: str, directory: Directory, upload: Upload) -> None:
    try:
        message = envelope_message(data, directory)
    except FormatError as error:
        upload.rejected.append(_rejected(error, data))
        return
    if topic_id(message.sender) != level:
        foreign = FormatError("topic.meter", "the topic is another meter's", "meter id")
        upload.rejected.append(replace(_rejected(foreign, data), meter_id=message.sender, opened=True))
        return
    upload.messages.append(message)


def _rejected(error: FormatError, data: bytes) -> Rejected:
    about: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest()}
    meter_id = None
    try:
        envelope = meter_envelope.parse(meter_envelope.from_line(data) if data.startswith(LINE_PREFIX) else data)
        about = {"key_id": envelope.key_id, "counter": envelope.counter}
        # The one rule of `envelope_message` that speaks after the envelope was opened.
        meter_id = envelope.meter_id if error.rule == "meter_suspended" else None
    except FormatError:
        pass
    return Rejected(error.rule, str(error), error.field, about, data, meter_id, opened=meter_id is not None)
