"""Deeds of people as leaves of the evidence log: written in the transaction of what they changed.

A deed names its doer by the id of his party and never holds a name, an address or a session's driver.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any

from anxin.domain.message import Kind, Message, Receipt
from anxin.domain.party import Party
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import messages


def keep_deed(connection: Any, kind: Kind, by: str, deed_id: str, said: dict[str, Any], now_utc_ms: int) -> Receipt:
    """Append a deed to the log inside a transaction that the caller commits; return its receipt.

    `deed_id` is unique among the deeds of this kind and doer. The log's head is locked from here to the commit: call
    it as late as can be.
    """
    body = {"deed": kind.value.removeprefix("deed."), "by": by, "at_utc_ms": now_utc_ms, **said}
    payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    (accepted,) = messages.append_in(connection, [Message(kind, by, deed_id, payload)], now_utc_ms, committed_entry)
    return accepted.receipt


def note_reading(platform: Platform, party: Party, what: str, ids: Iterable[str | int]) -> None:
    """Note in the log, before the answer is given, that a party read what is said of a person: one leaf a request.

    `what` is the kind of thing (`refused`, `message`, `complaint`), `ids` its numbers, never what was read. Nothing is
    written where nothing was read. Raises StoreError: what cannot be noted must not be shown.
    """
    read = sorted(set(ids), key=str)
    if not read:
        return
    now = now_utc_ms()
    with platform.database.transaction() as connection:
        deed_id = f"{what}/{now}-{secrets.token_hex(4)}"
        keep_deed(connection, Kind.DEED_READING, party.party_id, deed_id, {"what": what, "ids": read}, now)
