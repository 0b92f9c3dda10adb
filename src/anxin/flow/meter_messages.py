"""What a meter hands in: an envelope that only it could seal becomes a message; anything else is a stranger's."""

from __future__ import annotations

from dataclasses import dataclass

from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.meter_record import Answer
from anxin.flow.platform import Directory
from anxin.formats import meter_envelope, ocmf
from anxin.formats.meter_envelope import LINE_PREFIX
from anxin.trust.verify import judge

#: What a door says of a signature at first sight.
HOLDS, DOES_NOT_HOLD, NOT_CHECKED = "holds", "does_not_hold", "not_checked"


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope's message, and the record that was sealed in it."""

    message: Message
    plain: bytes


def open_message(data: bytes, directory: Directory) -> Opened:
    """Return the message of one envelope, binary or as a line `AXE1.`, and what is inside.

    Opening it authenticates the meter; what is inside may be malformed and is evidence all the same. Backfill never
    expires: the time of sending is not looked at. Raises FormatError `envelope.*`, `unknown_key`, `tag_mismatch`,
    `suite_mismatch`, `key_of_another_meter` or `meter_suspended`.
    """
    binary = meter_envelope.from_line(data) if data.startswith(LINE_PREFIX) else data
    envelope = meter_envelope.parse(binary)
    key = directory.valid_content_key(envelope.key_id)
    plain = meter_envelope.open_envelope(envelope, () if key is None else (key,))
    party = directory.parties.get(envelope.meter_id)
    if party is None or party.suspended:
        raise FormatError("meter_suspended", "this meter is not admitted", "meter id")
    message = Message(Kind.METER_ENVELOPE, envelope.meter_id, f"{envelope.key_id}/{envelope.counter}", binary)
    return Opened(message, plain)


def envelope_message(data: bytes, directory: Directory) -> Message:
    """Return the message of one envelope; raises as `open_message` does."""
    return open_message(data, directory).message


def first_look(plain: bytes, directory: Directory) -> str:
    """Return whether a record's signature is its meter's registered key's: HOLDS, DOES_NOT_HOLD or NOT_CHECKED.

    For the maker, who hears at once what is wrong with his meter. It changes nothing of what is kept, and is no
    verdict: that has four answers and comes from the judge, who reads the whole record.
    """
    try:
        record = ocmf.decode_signature(plain)
    except FormatError:
        return NOT_CHECKED
    answer = judge(record, directory.ring)
    if Answer.AUTHENTIC in (answer.answer, answer.if_read_so):
        return HOLDS
    return DOES_NOT_HOLD if answer.answer is Answer.FORGED else NOT_CHECKED
