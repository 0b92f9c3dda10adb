"""Erasure of a message (GDPR article 17, PIPL article 47): what it said goes, that it was there stays.

    1  the message is there, was judged, and is no deed
    2  a deed of erasure enters the log: which message, who, when, why
    3  payload, envelope and salt go, and what the facts hold of the person; one transaction with 2

The entry in the log says nothing without its salt. The verdict stays: it names no person. Who kept his receipt can
still show what he handed in.
"""

from __future__ import annotations

import json

from anxin.domain.errors import InputError
from anxin.domain.message import Kind, Message, Receipt
from anxin.flow.intake import committed_entry
from anxin.store import erasure, messages
from anxin.store.database import Database

#: Characters of a reason: a sentence with a file number. It is never erased: it must name no person concerned.
MAX_REASON_CHARS = 400
#: Characters of who erases: an office or an officer.
MAX_BY_CHARS = 80


def erase(database: Database, index: int, by: str, reason: str, now_utc_ms: int) -> Receipt:
    """Erase a message and return the receipt of the deed. Raises InputError where it cannot be erased, StoreError."""
    for name, text, most in (("by", by, MAX_BY_CHARS), ("reason", reason, MAX_REASON_CHARS)):
        if not text.strip() or len(text) > most or not text.isprintable():
            raise InputError(f"{name}: 1 to {most} characters on one line")
    said = {"deed": "erasure", "index": index, "by": by, "reason": reason, "at_utc_ms": now_utc_ms}
    payload = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    deed = Message(Kind.DEED_ERASURE, by, str(index), payload)
    with database.transaction() as connection:
        found = erasure.look(connection, index) if 0 <= index < 1 << 62 else None
        if found is None:
            raise InputError(f"no message {index}")
        if found.erased:
            raise InputError(f"message {index} was erased before")
        if found.kind.startswith("deed."):
            raise InputError(f"message {index} is a deed: deeds are not erased")
        if not found.judged:
            raise InputError(f"message {index} waits to be judged; erase it when that is done")
        (accepted,) = messages.append_in(connection, [deed], now_utc_ms, committed_entry)
        erasure.erase(connection, index)
    return accepted.receipt
