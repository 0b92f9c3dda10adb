"""The failed-write ledger in use: its sender reads an entry, corrects it, and sends it again from there.

    1  the entry is his
    2  the corrected payload passes the check of the kind that it was meant as, the same as at its door
    3  it is kept through the intake: the receipt is the answer
    4  the entry notes which message put it right

If the process dies between 3 and 4, the sender has no answer, corrects again with the same bytes, gets the receipt that
was written, and the entry is marked then.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

from anxin.domain.errors import FormatError
from anxin.domain.message import Accepted, Kind, Message
from anxin.domain.party import OF_OPERATOR, REGULATOR, Party, Role
from anxin.flow.admission import Grounds, NotAdmittedError, admit
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Directory, Platform
from anxin.flow.refusal_words import place_of, sentences
from anxin.flow.uploads import corrected_row
from anxin.store import ledger as store
from anxin.store import messages
from anxin.store.ledger import Entry


class CorrectedBeforeError(FormatError):
    """The entry was put right before, by another payload. `index` is the message that did."""

    def __init__(self, index: int) -> None:
        super().__init__("correction.done", f"this entry was corrected before, by message {index}")
        self.index = index


def entry_of(platform: Platform, party: Party, refused_id: int) -> Entry | None:
    """Return an entry that a party may read; None for an absent one and another's alike."""
    tenant = None if party.role in REGULATOR else _sends_as(party)
    found = store.entry(platform.database, refused_id, tenant) if 0 < refused_id < 1 << 62 else None
    return found if found is not None and _may_read(platform.directory, party, found.refused.sender) else None


def _may_read(directory: Directory, party: Party, sender: str) -> bool:
    """The regulator reads all, or those of his districts; a party its own, and an operator those of its chargers,
    benches and meters too."""
    if party.role in REGULATOR:
        return not party.districts or sender in directory.senders_in(party.districts)
    if sender == _sends_as(party):
        return True
    if party.role not in OF_OPERATOR or party.operator_id is None:
        return False
    known = directory.parties.get(sender)
    if known is not None and known.role is Role.METER:
        places = (m.connector_id for m in directory.register.meters if m.meter_id == sender)
        return any(directory.operator_of_connector(place) == party.operator_id for place in places)
    return known is not None and known.operator_id == party.operator_id


def _sends_as(party: Party) -> str:
    return party.operator_id if party.role in OF_OPERATOR and party.operator_id else party.party_id


def entry_document(entry: Entry) -> dict[str, Any]:
    """Return an entry as its sender reads it: what was wrong, in words, where, and the payload as he sent it."""
    refused = entry.refused
    document: dict[str, Any] = {
        "refused_id": entry.refused_id,
        "at_utc_ms": entry.at_utc_ms,
        "door": refused.door,
        "sender": refused.sender,
        "message_id": refused.message_id,
        "corrected_by": entry.corrected_by,
        "corrected_utc_ms": entry.corrected_utc_ms,
    }
    document |= fault_document(refused.rule, refused.detail, refused.field, refused.payload)
    document |= {"payload_encoding": "utf-8", "payload": _text(refused.payload)}
    if document["payload"] is None:
        document |= {"payload_encoding": "base64", "payload": base64.b64encode(refused.payload).decode()}
    return document


def fault_document(rule: str, detail: str, field: str | None, payload: bytes) -> dict[str, Any]:
    """Return what is wrong with a payload, and where in it, as JSON values."""
    zh, en = sentences(rule, detail, field)
    place = place_of(payload, detail, field)
    where = None if place is None else {"line": place.line, "column": place.column}
    return {"rule": rule, "field": field, "detail": detail, "zh": zh, "en": en, "where": where}


async def correct(platform: Platform, entry: Entry, payload: bytes) -> Accepted:
    """Return what became of an entry's correction. Raises FormatError where it is wrong still: the entry then stays.

    Raises CorrectedBeforeError where another payload put the entry right; the same payload again has the same receipt.
    """
    if entry.corrected_by is not None:
        receipt = await asyncio.to_thread(messages.receipt, platform.database, entry.corrected_by)
        if receipt is None or receipt.payload_sha256 != hashlib.sha256(payload).digest():
            raise CorrectedBeforeError(entry.corrected_by)
        return Accepted(receipt, repeated=True)
    message = await asyncio.to_thread(_message, platform, entry, payload)
    accepted = await platform.intake.accept(message)
    await asyncio.to_thread(store.mark_corrected, platform.database, entry, accepted.receipt.index, now_utc_ms())
    return accepted


def _message(platform: Platform, entry: Entry, payload: bytes) -> Message:
    sender = entry.refused.sender
    try:
        kind = Kind(entry.refused.door)
    except ValueError:
        detail = f"what was sent to {entry.refused.door} says no kind: send it again at its door"
        raise NotAdmittedError("correction.kind", detail) from None
    if kind in (Kind.TABLE_ORDERS, Kind.TABLE_RECORDS):
        return corrected_row(platform, entry.refused, payload)
    admitted = admit(kind, payload, Grounds(sender, platform.directory, platform.settings.zone))
    message_id = admitted.message_id
    if kind in (Kind.TCEC_STATUS, Kind.TCEC_STATION):
        # A state is named by when it was sent; one of the ledger by its entry.
        message_id = f"{message_id}@ledger{entry.refused_id}"
    return Message(kind, sender, message_id, admitted.payload)


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
