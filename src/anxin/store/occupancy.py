"""Roll-ups of what connectors were doing: hours by block, groups by day, and what has to be counted anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anxin.store.database import Database

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Present:
    """The present state of one connector: since when, when it was last heard, who said it in which message."""

    connector_no: int
    connector_id: str
    status: str
    at_utc_ms: int
    heard_utc_ms: int
    sender: str
    message_index: int


def runs_between(
    connection: Any, from_utc_ms: int, to_utc_ms: int, connector_nos: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return runs that begin in a span and the last one of each connector before it, as columns in the order of
    connector and time; of some connectors, or of all that are not kept apart."""
    some = "" if connector_nos is None else " and l.connector_no = any(%(nos)s)"
    rows = connection.execute(
        # Who has not changed since the span began: the latest run says it all.
        "select connector_no, at_utc_ms, heard_utc_ms, state from connector_status l"
        f" where not apart and at_utc_ms < %(from)s{some}"
        " union all select p.* from connector_status l cross join lateral (select connector_no, at_utc_ms,"
        "   heard_utc_ms, state from status_change c where c.connector_no = l.connector_no and at_utc_ms < %(from)s"
        f"   order by at_utc_ms desc limit 1) p where not apart and l.at_utc_ms >= %(from)s{some}"
        " union all select c.connector_no, c.at_utc_ms, case when l.at_utc_ms = c.at_utc_ms then l.heard_utc_ms"
        "   else c.heard_utc_ms end, c.state from status_change c join connector_status l using (connector_no)"
        f" where not apart and c.at_utc_ms >= %(from)s and c.at_utc_ms < %(to)s{some} order by 1, 2".encode(),
        {"from": from_utc_ms, "to": to_utc_ms, "nos": None if connector_nos is None else list(connector_nos)},
        binary=True,
    ).fetchall()
    columns = np.array(rows, np.int64).reshape(len(rows), 4).T
    return dict(zip(("connector", "at", "heard", "state"), columns, strict=True))


def marks(connection: Any) -> tuple[int, int]:
    """Return the first hour that is not being closed, and the first that is not counted."""
    row = connection.execute(
        "select (select value from counter where name = 'status_closing'),"
        " (select value from counter where name = 'status_closed')"
    ).fetchone()
    return int(row[0]), int(row[1])


def set_mark(connection: Any, name: str, hour: int) -> None:
    """Move a mark on: `status_closing` or `status_closed`."""
    connection.execute("update counter set value = greatest(value, %s) where name = %s", (hour, name))


def hours(
    connection: Any, from_hour: int, to_hour: int, blocks: Sequence[int] | None = None
) -> list[tuple[int, int, bytes | None, bytes | None]]:
    """Return (hour, block, segments, trade) of hours from one to before another, of some blocks or all."""
    rows = connection.execute(
        "select hour, block, segments, trade from occupancy_hour where hour >= %(from)s and hour < %(to)s"
        " and (%(blocks)s::integer[] is null or block = any(%(blocks)s))",
        {"from": from_hour, "to": to_hour, "blocks": None if blocks is None else list(blocks)},
        binary=True,
    )
    return [(r[0], r[1], r[2], r[3]) for r in rows]


def put_hours(connection: Any, entries: Sequence[tuple[int, int, bytes | None, bytes | None]]) -> None:
    """Enter (hour, block, segments, trade)."""
    if entries:
        connection.execute(
            "insert into occupancy_hour (hour, block, segments, trade)"
            " select * from unnest(%s::integer[], %s::integer[], %s::bytea[], %s::bytea[])"
            " on conflict (hour, block) do update set segments = excluded.segments, trade = excluded.trade",
            tuple(list(c) for c in zip(*entries, strict=True)),
        )


def group_days(
    connection: Any, kind: str, keys: Sequence[str] | None, from_day: int, to_day: int
) -> list[tuple[str, int, bytes]]:
    """Return (key, day, hours) of groups of one kind, from one UTC day to before another; None: of all keys."""
    rows = connection.execute(
        "select key, day, hours from occupancy_group where kind = %(kind)s and day >= %(from)s and day < %(to)s"
        " and (%(keys)s::text[] is null or key = any(%(keys)s))",
        {"kind": kind, "from": from_day, "to": to_day, "keys": None if keys is None else list(keys)},
        binary=True,
    )
    return [(r[0], r[1], r[2]) for r in rows]


def put_group_days(connection: Any, entries: Sequence[tuple[str, str, int, bytes]]) -> None:
    """Enter (kind, key, day, hours)."""
    if entries:
        connection.execute(
            "insert into occupancy_group (kind, key, day, hours)"
            " select * from unnest(%s::text[], %s::text[], %s::integer[], %s::bytea[])"
            " on conflict (kind, key, day) do update set hours = excluded.hours",
            tuple(list(c) for c in zip(*entries, strict=True)),
        )


def take_late(connection: Any, count: int) -> list[tuple[int, int, int]]:
    """Take (connector, from, to) that late words have changed off the list, at most `count`."""
    rows = connection.execute(
        "delete from status_late where late_id in (select late_id from status_late order by late_id limit %s)"
        " returning connector_no, from_utc_ms, to_utc_ms",
        (count,),
    )
    return [(r[0], r[1], r[2]) for r in rows]


def take_traded(connection: Any, count: int) -> list[tuple[str, int, int]]:
    """Take (place, from, to) where verdicts have changed off the list, at most `count`."""
    rows = connection.execute(
        "delete from trade_touched where touched_id in (select touched_id from trade_touched order by touched_id"
        " limit %s) returning place, from_utc_ms, to_utc_ms",
        (count,),
    )
    return [(r[0], r[1], r[2]) for r in rows]


def sessions(
    connection: Any, places: Sequence[str], from_utc_ms: int, to_utc_ms: int
) -> list[tuple[str, int, int, int, int]]:
    """Return (place, start, end, mWh, turnover) of present sessions at places that start in a span. The energy is the
    meter's, else the order's."""
    rows = connection.execute(
        "select place, start_utc_ms, greatest(start_utc_ms, coalesce(end_utc_ms, start_utc_ms)),"
        " coalesce(record_energy_milli_wh, order_energy_milli_wh, 0), coalesce(amount_e4, 0) from verdict"
        " where present and place = any(%s) and start_utc_ms >= %s and start_utc_ms < %s",
        (list(places), from_utc_ms, to_utc_ms),
        binary=True,
    )
    return [tuple(r) for r in rows]


def present(database: Database, after: int, limit: int) -> list[Present]:
    """Return present states of registered connectors by their number, above `after`, at most `limit`."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select connector_no, connector_id, status, at_utc_ms, heard_utc_ms, sender, message_index"
            " from connector_status where not apart and connector_no > %s order by connector_no limit %s",
            (after, limit),
            binary=True,
        ).fetchall()
    return [Present(*r) for r in rows]


def bytes_stored(database: Database, tables: Iterable[str]) -> dict[str, int]:
    """Return how many bytes tables take, with their indexes and what stands beside them."""
    with database.transaction() as connection:
        return {
            t: int(connection.execute("select pg_total_relation_size(%s::regclass)", (t,)).fetchone()[0])  # type: ignore[index]
            for t in tables
        }
