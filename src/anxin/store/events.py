"""Events in the order of their commits: written with what they tell of, read from a number on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from anxin.store.database import Database

#: What a writer of events notifies, and who waits for them listens to. A poll finds them without it, a little later.
CHANNEL = "anxin_event"
#: Any constant: writers of events wait for one another on it, so that a number never appears after a higher one.
_LOCK = 0x616E6576
_COLUMNS = "kind, body, operator_id, district, regulator, event_id, at_utc_ms"


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


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events somebody reads.

    operator_id   whose events alone; None: those for the regulator
    districts     of these districts alone (an event without a district is none of theirs); empty: of all
    kinds         `alarm.opened`, or `alarm.*` for all that begin with `alarm.`; empty: all
    """

    operator_id: str | None = None
    districts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def sees(self, event: Event) -> bool:
        """Return whether an event is one of them."""
        if self.operator_id is not None:
            mine = event.operator_id == self.operator_id
        else:
            mine = event.regulator and (not self.districts or event.district in self.districts)
        return mine and (not self.kinds or any(_matches(k, event.kind) for k in self.kinds))


def put_events(connection: Any, events: Sequence[Event], now_utc_ms: int) -> None:
    """Write events at the end of a transaction: its lock is held to the commit."""
    if not events:
        return
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    connection.cursor().executemany(
        "insert into event (at_utc_ms, kind, operator_id, district, regulator, body) values (%s, %s, %s, %s, %s, %s)",
        [(now_utc_ms, e.kind, e.operator_id, e.district, e.regulator, Jsonb(e.body, dumps=_dumps)) for e in events],
    )
    connection.execute(f"notify {CHANNEL}")


def events_after(database: Database, event_id: int, limit: int) -> list[Event]:
    """Return events with a higher number, in order, at most `limit`."""
    with database.transaction() as connection:
        rows = connection.execute(
            f"select {_COLUMNS} from event where event_id > %s order by event_id limit %s", (event_id, limit)
        ).fetchall()
    return [Event(*row) for row in rows]


def scoped_events(
    database: Database, scope: Scope, event_id: int, up_to: int | None, limit: int
) -> tuple[list[Event], int] | None:
    """Return events of a scope after a number, in order, at most `limit`, and the number that was read up to.

    None where events after that number are no longer kept: what is missing must not look like silence.
    """
    clause, values = _where(scope)
    with database.transaction() as connection:
        kept_after, newest = _span(connection)
        if event_id < kept_after:
            return None
        last = newest if up_to is None else up_to
        rows = connection.execute(
            f"select {_COLUMNS} from event where event_id > %s and event_id <= %s and {clause}"
            " order by event_id limit %s",
            (event_id, last, *values, limit),
        ).fetchall()
    found = [Event(*row) for row in rows]
    return found, found[-1].event_id if len(found) == limit else max(last, event_id)


def counted_events(database: Database, scope: Scope, event_id: int, up_to: int) -> dict[str, int]:
    """Return how many events of a scope there are after a number and up to another, by kind."""
    clause, values = _where(scope)
    with database.transaction() as connection:
        rows = connection.execute(
            f"select kind, count(*) from event where event_id > %s and event_id <= %s and {clause}"
            " group by 1 order by 1",
            (event_id, up_to, *values),
        ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


def kept_span(database: Database) -> tuple[int, int]:
    """Return (the number after which every event is kept, the newest number); 0 where there never was one."""
    with database.transaction() as connection:
        return _span(connection)


def forget_events(database: Database, before_utc_ms: int) -> int:
    """Delete the events before a moment; return how many. What was deleted is remembered by its highest number."""
    with database.transaction() as connection:
        (highest,) = connection.execute(
            "select max(event_id) from event where at_utc_ms < %s", (before_utc_ms,)
        ).fetchone() or (None,)
        if highest is None:
            return 0
        connection.execute("update counter set value = greatest(value, %s) where name = 'events_forgotten'", (highest,))
        return connection.execute("delete from event where event_id <= %s", (highest,)).rowcount


def _span(connection: Any) -> tuple[int, int]:
    row = connection.execute(
        "select (select value from counter where name = 'events_forgotten'),"
        " coalesce((select max(event_id) from event), 0)"
    ).fetchone()
    return int(row[0]), max(int(row[0]), int(row[1]))


def _where(scope: Scope) -> tuple[str, list[Any]]:
    """The scope as a condition; the same as `Scope.sees`."""
    parts, values = [], list[Any]()
    if scope.operator_id is not None:
        parts.append("operator_id = %s")
        values.append(scope.operator_id)
    else:
        parts.append("regulator")
        if scope.districts:
            parts.append("district = any(%s)")
            values.append(list(scope.districts))
    if scope.kinds:
        parts.append("(kind = any(%s) or exists (select from unnest(%s::text[]) p where starts_with(kind, p)))")
        values.append([k for k in scope.kinds if not k.endswith("*")])
        values.append([k[:-1] for k in scope.kinds if k.endswith("*")])
    return " and ".join(parts), values


def _matches(pattern: str, kind: str) -> bool:
    return kind.startswith(pattern[:-1]) if pattern.endswith("*") else kind == pattern


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
