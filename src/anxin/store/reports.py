"""What test benches and seals reported, as facts. The directory puts them beside the register's own entries."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

from anxin.domain.register import Seal, Verification
from anxin.domain.seal_event import SealAct, SealEvent
from anxin.store.database import Database
from anxin.store.parties import register_changed

_VERIFICATION = tuple(f.name for f in dataclasses.fields(Verification))
# A bench's own word falls with the certificate that was made of the same verification.
_NOT_REVOKED = (
    "not exists (select from certificate c where c.charger_id = f.charger_id"
    " and c.verified_utc_ms = f.verified_utc_ms and c.revoked_utc_ms is not null)"
)
# A specimen is of a charger of a virtual city, and says nothing once that is no longer one.
_COUNTS = (
    "(not specimen or exists (select from register_entry c join register_entry o on o.kind = 'operator'"
    " and o.entry_id = c.body ->> 'operator_id' and o.body @> '{\"virtual\": true}'"
    " where c.kind = 'connector' and c.body ->> 'charger_id' = certificate.charger_id))"
)
_EVENT = tuple(f.name for f in dataclasses.fields(SealEvent))


def put_reports(
    connection: Any, verified: Iterable[tuple[int, Verification]], events: Iterable[tuple[int, SealEvent]]
) -> None:
    """Enter results and events, each with its message, and let every process read the register anew."""
    for table, names, rows in (
        ("fact_verification", _VERIFICATION, [(i, *(getattr(v, n) for n in _VERIFICATION)) for i, v in verified]),
        ("fact_seal_event", _EVENT, [(i, *(getattr(e, n) for n in _EVENT)) for i, e in events]),
    ):
        marks = ", ".join(["%s"] * (len(names) + 1))
        connection.cursor().executemany(
            f"insert into {table} (message_index, {', '.join(names)}) values ({marks})"
            " on conflict (message_index) do nothing".encode(),
            rows,
        )
    register_changed(connection)


def load_reports(database: Database) -> tuple[list[Verification], list[SealEvent]]:
    """Return all results and events, in the order in which they were kept."""
    with database.transaction() as connection:
        verified = connection.execute(
            f"select {', '.join(_VERIFICATION)} from fact_verification f where {_NOT_REVOKED}"
            " union all select charger_id, number, verified_utc_ms, coalesce(valid_to_utc_ms, verified_utc_ms),"
            f" kind = 'certificate' from certificate where revoked_utc_ms is null and {_COUNTS} order by 3, 2".encode()
        ).fetchall()
        events = connection.execute(
            f"select {', '.join(_EVENT)} from fact_seal_event order by message_index".encode()
        ).fetchall()
    return [Verification(*r) for r in verified], [SealEvent(r[0], r[1], r[2], SealAct(r[3]), r[4]) for r in events]


def seal_events(connection: Any, chargers: Collection[str]) -> list[SealEvent]:
    """Return the events of these chargers' seals."""
    rows = connection.execute(
        f"select {', '.join(_EVENT)} from fact_seal_event where charger_id = any(%s)".encode(), (list(chargers),)
    )
    return [SealEvent(r[0], r[1], r[2], SealAct(r[3]), r[4]) for r in rows]


def entered_seals(connection: Any, chargers: Collection[str]) -> list[Seal]:
    """Return these chargers' seals as the authority itself entered them."""
    rows = connection.execute(
        "select body from register_entry where kind = 'seal' and body ->> 'charger_id' = any(%s)", (list(chargers),)
    )
    return [Seal(**row[0]) for row in rows]
