"""Events in the order of their commits: written with what they tell of, read from a number on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from anxin.store.database import Database

#: Any constant: writers of events wait for one another on it, so that a number never appears after a higher one.
_LOCK = 0x616E6576


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `operator_id`: who outside may read it, None for nobody; `regulator`: whether those inside do."""

    kind: str
    body: dict[str, Any]
    operator_id: str | None = None
    district: str | None = None
    regulator: bool = True
    event_id: int = 0
    at_utc_ms: int = 0


def put_events(connection: Any, events: Sequence[Event], now_utc_ms: int) -> None:
    """Write events at the end of a transaction: its lock is held to the commit."""
    if not events:
        return
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    connection.cursor().executemany(
        "insert into event (at_utc_ms, kind, operator_id, district, regulator, body) values (%s, %s, %s, %s, %s, %s)",
        [(now_utc_ms, e.kind, e.operator_id, e.district, e.regulator, Jsonb(e.body, dumps=_dumps)) for e in events],
    )


def events_after(database: Database, event_id: int, limit: int) -> list[Event]:
    """Return events with a higher number, in order, at most `limit`."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select kind, body, operator_id, district, regulator, event_id, at_utc_ms from event where event_id > %s"
            " order by event_id limit %s",
            (event_id, limit),
        ).fetchall()
    return [Event(*row) for row in rows]


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
