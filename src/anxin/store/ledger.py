"""The failed-write ledger: entries one by one, several at once, and marked when they were put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anxin.domain.message import Refused
from anxin.store.database import Database, set_tenant


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `corrected_by` is the message that its correction became, None while it stands open."""

    refused_id: int
    at_utc_ms: int
    refused: Refused
    corrected_by: int | None
    corrected_utc_ms: int | None


def entry(database: Database, refused_id: int, tenant: str | None) -> Entry | None:
    """Return one entry with its payload, None where there is none, or none that the tenant may read (None: all)."""
    with database.transaction(tenant) as connection:
        row = connection.execute(
            "select door, sender, message_id, rule, detail, payload, field, envelope, at_utc_ms, corrected_by,"
            " corrected_utc_ms from refused where refused_id = %s",
            (refused_id,),
        ).fetchone()
    if row is None:
        return None
    envelope = None if row[7] is None else bytes(row[7])
    refused = Refused(row[0], row[1], row[2], row[3], row[4], bytes(row[5]), row[6], envelope)
    return Entry(refused_id, row[8], refused, row[9], row[10])


def refuse(database: Database, refused: Refused, at_utc_ms: int, kept: int) -> int:
    """Enter a refusal and return its number; the sender's oldest beyond `kept` go."""
    with database.transaction(refused.sender) as connection:
        number = _insert(connection, refused, at_utc_ms)
        _trim(connection, refused.sender, kept)
    return number


def refuse_each(database: Database, refusals: Sequence[Refused], at_utc_ms: int, kept: int) -> list[int]:
    """Enter several refusals in one transaction; return their numbers.

    One whose door, sender and message id stand there already is not entered again and has the number that it had: a
    file that is sent again leaves one entry a row.
    """
    numbers = []
    with database.transaction() as connection:
        for refused in refusals:
            set_tenant(connection, refused.sender)
            known = connection.execute(
                "select refused_id from refused where sender = %s and message_id = %s and door = %s"
                " order by refused_id limit 1",
                (refused.sender, _stored(refused.message_id), refused.door),
            ).fetchone()
            numbers.append(int(known[0]) if known else _insert(connection, refused, at_utc_ms))
        for sender in sorted({refused.sender for refused in refusals}):
            set_tenant(connection, sender)
            _trim(connection, sender, kept)
    return numbers


def mark_corrected(database: Database, corrected: Entry, index: int, at_utc_ms: int) -> None:
    """Note which message an entry's correction became; the first one stays noted."""
    with database.transaction(corrected.refused.sender) as connection:
        connection.execute(
            "update refused set corrected_by = %s, corrected_utc_ms = %s where refused_id = %s"
            " and corrected_by is null",
            (index, at_utc_ms, corrected.refused_id),
        )


def _insert(connection: Any, refused: Refused, at_utc_ms: int) -> int:
    row = connection.execute(
        "insert into refused (at_utc_ms, door, sender, message_id, rule, field, detail, payload, envelope)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning refused_id",
        (
            at_utc_ms, refused.door, refused.sender, _stored(refused.message_id), refused.rule,
            _stored(refused.field), _stored(refused.detail), refused.payload, refused.envelope,
        ),
    ).fetchone()  # fmt: skip
    return int(row[0])


def _trim(connection: Any, sender: str, kept: int) -> None:
    connection.execute(
        "delete from refused where sender = %s and refused_id <= ("
        " select refused_id from refused where sender = %s order by refused_id desc offset %s limit 1)",
        (sender, sender, kept),
    )


def _stored(text: str | None) -> str | None:
    """Text that PostgreSQL can hold: it knows no NUL and no lone surrogates."""
    return None if text is None else text.replace("\0", "").encode("utf-8", "replace").decode()
