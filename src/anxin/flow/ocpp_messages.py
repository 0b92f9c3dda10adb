"""What of a charger's OCPP calls is evidence, under which name, and what it says once it is kept.

A charger sends a call again until it is answered: after a reconnect under another call id, or the same. What stays is
the payload, byte by byte; so the payload is the message, the frame around it the envelope, and the name is made of what
the payload itself says (transaction, moment). The same payload again finds its first receipt; another payload under the
same transaction and moment is a conflict.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from anxin.domain.batch import Batch
from anxin.domain.connector_status import StatusReport
from anxin.domain.message import Kind, Message
from anxin.domain.register import Connector
from anxin.domain.source import Deviation, Source
from anxin.flow.platform import Directory
from anxin.formats import ocpp, ocpp_frame
from anxin.formats.ocpp_frame import Frame

#: Calls that are kept before they are answered. All others leave nothing but their answer.
KEPT = frozenset({"StartTransaction", "StopTransaction", "TransactionEvent", "MeterValues", "StatusNotification"})
#: A state that its charger dates further ahead of our clock than this is dated by its arrival.
MAX_AHEAD_MS = 300_000
_PLAIN = re.compile(r"[\x21-\x7e]{1,80}")


def evidence_of(frame: Frame, raw: bytes, charger_id: str, received_utc_ms: int) -> Message | None:
    """Return the message that a call is to be kept as, None where it is none of those that are kept."""
    if frame.action not in KEPT or frame.payload is None:
        return None
    kind = Kind.OCPP_STATUS if frame.action == "StatusNotification" else Kind.OCPP_RECORD
    return Message(kind, charger_id, _name(frame, received_utc_ms), frame.payload_bytes, raw)


def contents_of(
    message: Message, source: str, received_utc_ms: int, directory: Directory
) -> tuple[Batch, list[StatusReport]]:
    """Return what a kept call says, its places as the register's connectors. Raises FormatError where it is no call."""
    frame = ocpp_frame.parse(message.envelope or b"")
    contents = ocpp.decode(frame.action, frame.payload or {}, Source(source, 1), message.sender)
    places = Places(directory, message.sender)
    said = Batch(deviations=list(contents.deviations))
    for place, record in contents.records:
        connector_id = places.connector(place)
        if connector_id is None and place is not None:
            _note(said, source, "ocpp.place_unknown", f"the register has no connector {place[:20]} of this charger")
        said.signed_records.append(replace(record, connector_id=record.connector_id or connector_id))
    statuses = []
    for stated in contents.states:
        at = stated.at_utc_ms
        if at is not None and at > received_utc_ms + MAX_AHEAD_MS:
            _note(said, source, "ocpp.clock_ahead", f"dated {(at - received_utc_ms) // 1_000} s ahead; taken as now")
            at = None
        found = places.all() if stated.place is None else [places.connector(stated.place)]
        if found == [None]:
            _note(said, source, "ocpp.place_unknown", f"the register has no connector {stated.place} of this charger")
        moment = received_utc_ms if at is None else at
        statuses += [StatusReport(c, stated.state, moment) for c in found if c is not None]
    return said, statuses


class Places:
    """How a charger's own numbers name the register's connectors.

    1  a mapping entered with the charger's credential (`1`, or `1/2` for EVSE and connector) decides
    2  else place n is the n-th of the charger's connectors, digits in their ids compared as numbers
    3  a message that names no place is about the only connector of a charger that has one
    """

    def __init__(self, directory: Directory, charger_id: str) -> None:
        own = directory.connectors_of_charger.get(charger_id, ())
        self._ids = [c.connector_id for c in sorted(own, key=_order)]
        self._stated: dict[str, str] = {}
        for credential in directory.credentials_of.get((charger_id, "basic"), ()):
            self._stated |= {k: v for k, v in credential.public.items() if v in self._ids}

    def all(self) -> list[str | None]:
        """Return all connectors of the charger."""
        return list(self._ids)

    def connector(self, place: str | None) -> str | None:
        """Return the connector at a place, None where the register has none."""
        if place is None:
            return self._ids[0] if len(self._ids) == 1 else None
        if place in self._stated or not place.isdecimal():
            return self._stated.get(place)
        number = int(place)
        return self._ids[number - 1] if 1 <= number <= len(self._ids) else None


def _order(connector: Connector) -> list[tuple[int, str]]:
    """Sort key: runs of digits by their value, all else by its characters."""
    parts = re.split(r"([0-9]+)", connector.connector_id)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part]


def _name(frame: Frame, received_utc_ms: int) -> str:
    payload = frame.payload or {}
    stamp = payload.get("timestamp")
    if stamp is None and frame.action == "MeterValues":
        values = payload.get("meterValue")
        first = values[0] if isinstance(values, list) and values else None
        stamp = first.get("timestamp") if isinstance(first, dict) else None
    # A state without a time cannot be told from the same state tomorrow: each arrival is a message of its own.
    moment = _part(stamp) if stamp is not None else f"received-{received_utc_ms}"
    place = _part(ocpp.place_of(payload))
    transaction = _part(ocpp.transaction_of(payload))
    digest = hashlib.sha256(frame.payload_bytes).hexdigest()[:16]
    match frame.action:
        case "TransactionEvent":
            told = f"{transaction}/{_part(payload.get('eventType'))}/{_part(payload.get('seqNo'))}@{moment}"
        case "StopTransaction":
            told = f"{transaction}@{moment}"
        case "StartTransaction":
            told = f"{place}@{moment}"
        case "MeterValues":
            # A charger may well send several at one moment: the digest keeps them apart.
            told = f"{place}/{transaction}@{moment}#{digest}"
        case _:
            told = f"{place}@{moment}#{digest}"
    return f"{frame.action}/{told}"


def _part(value: object) -> str:
    """Return one part of a name: short plain text as it is, anything else by its digest (a name is not a place for
    what a charger may have put there)."""
    if value is None:
        return "-"
    text = str(getattr(value, "text", value))
    if _PLAIN.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _note(batch: Batch, source: str, kind: str, detail: str) -> None:
    batch.deviations.append((Source(source, 1), Deviation(kind, "docs/formats/ocpp-door.md", detail, None)))
