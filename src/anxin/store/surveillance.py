"""Surveillance's tables: days that are due, days computed, operators' sums, subjects with their reasons.

One writer of days and subjects, `watch` (advisory lock). Days become due in the transactions of the judge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from anxin.domain.errors import StoreError
from anxin.store.database import Database

DAY_MS = 86_400_000
#: Any constants: one watch a database; and who notes or strikes off due days goes before the other.
WATCH_LOCK, _NOTE_LOCK = 0x77617463, 0x6E6F7465
#: Days of one place noted for one change: a span beyond it is a report about years, whose verdicts note themselves.
MAX_NOTED_DAYS = 400

#: Columns that add up, in the order of the tables; the same as surveillance.days.COUNTS.
COUNTS = (
    "sessions", "paired", "one_sided", "lost", "disagreeing", "inconsistent", "orders", "uploads", "late_orders",
    "late_records", "lean_count", "lean_sum_milli_wh", "gap_count", "gap_sum_milli_wh",
)  # fmt: skip
_DAY = (
    "place", "day", "operator_id", *COUNTS, "hours", "first_start_utc_ms", "last_start_utc_ms", "lean_up", "lean_down",
    "gap_up", "gap_down", "first", "last", "behind",
)  # fmt: skip
_OPERATOR_DAY = ("operator_id", "day", *COUNTS, "hours")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """A day of a place that has to be computed; `noted` tells whether it changed again meanwhile."""

    place: str
    day: int
    noted: int


@contextmanager
def watch_lock(database: Database) -> Iterator[None]:
    """Hold the lock of the one watch. Raises StoreError where another one works on this database."""
    with database.transaction() as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", (WATCH_LOCK,)).fetchone()
        if row is None or not row[0]:
            raise StoreError("another watch works on this database")
        try:
            yield
        finally:
            connection.execute("select pg_advisory_unlock(%s)", (WATCH_LOCK,))


def watched(database: Database) -> bool:
    """Return whether some process holds the watch's lock."""
    with database.transaction() as connection:
        row = connection.execute("select pg_try_advisory_xact_lock(%s)", (WATCH_LOCK,)).fetchone()
    return row is None or not row[0]


def note(connection: Any, changed: Iterable[tuple[str | None, int | None, int | None]]) -> None:
    """Note that something of a place changed between two moments (None: unknown; nothing is noted without a place)."""
    days = set()
    for place, from_utc_ms, to_utc_ms in changed:
        start = to_utc_ms if from_utc_ms is None else from_utc_ms
        if place is None or start is None:
            continue
        first, last = start // DAY_MS, (start if to_utc_ms is None else to_utc_ms) // DAY_MS
        days |= {(place, day) for day in range(max(first, last - MAX_NOTED_DAYS), last + 1)}
    if not days:
        return
    _hold(connection)
    ordered = sorted(days)
    connection.execute(
        "insert into surveillance_due (place, day) select * from unnest(%s::text[], %s::int[])"
        " on conflict (place, day) do update set noted = nextval('surveillance_noted')",
        ([p for p, _ in ordered], [d for _, d in ordered]),
    )


def _hold(connection: Any) -> None:
    connection.execute("select pg_advisory_xact_lock(%s)", (_NOTE_LOCK,))


def seed(database: Database, count: int) -> int:
    """Note the days of the next `count` verdicts that stood before surveillance did; return how many rows were left."""
    with database.transaction() as connection:
        found = dict(
            connection.execute("select name, value from counter where name like 'surveillance_seed%'").fetchall()
        )
        low, end = found["surveillance_seeded"], found["surveillance_seed_to"]
        if low >= end:
            return 0
        high = min(low + count, end)
        rows = connection.execute(
            "select distinct place, start_utc_ms, coalesce(end_utc_ms, start_utc_ms) from verdict"
            " where verdict_id > %s and verdict_id <= %s and present",
            (low, high),
        ).fetchall()
        note(connection, rows)
        connection.execute("update counter set value = %s where name = 'surveillance_seeded'", (high,))
    return int(end - high)


def ask_again(database: Database) -> None:
    """Ask whoever watches to count everything anew."""
    with database.transaction() as connection:
        connection.execute("update counter set value = 1 where name = 'surveillance_again'")


def asked_again(database: Database) -> bool:
    """Return whether somebody asked for that."""
    with database.transaction() as connection:
        row = connection.execute("select value from counter where name = 'surveillance_again'").fetchone()
    return row is not None and bool(row[0])


def begin_again(database: Database) -> None:
    """Forget all that was computed; everything that stands present is gone through anew, in steps. For the watch."""
    with database.transaction() as connection:
        _hold(connection)
        for table in ("surveillance_day", "surveillance_operator_day", "surveillance_subject"):
            connection.execute(f"delete from {table}".encode())
        connection.execute(
            "insert into surveillance_due (place, day) select distinct place, at_utc_ms / %s from finding"
            " where present and session_key is null and place is not null and at_utc_ms is not null"
            " on conflict do nothing",
            (DAY_MS,),
        )
        connection.execute("update counter set value = 0 where name in ('surveillance_seeded', 'surveillance_again')")
        connection.execute(
            "update counter set value = (select coalesce(max(verdict_id), 0) from verdict)"
            " where name = 'surveillance_seed_to'"
        )


def due(database: Database, places: int, days: int) -> list[Due]:
    """Return due days of the places that wait longest: at most so many places, and so many days in all."""
    with database.transaction() as connection:
        rows = connection.execute(
            "with oldest as materialized (select place from surveillance_due order by noted limit %s)"
            " select d.place, d.day, d.noted from surveillance_due d where d.place in (select place from oldest)"
            " order by d.place, d.day limit %s",
            (places, days),
        )
        return [Due(*r) for r in rows]


def due_count(database: Database) -> int:
    """Return how many days wait (counted up to a million)."""
    with database.transaction() as connection:
        row = connection.execute("select count(*) from (select from surveillance_due limit 1000000) waiting").fetchone()
    return 0 if row is None else int(row[0])


def session_rows(connection: Any, some: Sequence[Due]) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    """Return present verdicts by place and day: the fields of surveillance.days.SessionRow, in their order."""
    rows = connection.execute(
        "select d.place, d.day, v.session_key, v.state, v.operator_id, v.start_utc_ms, v.order_id is not null,"
        " v.record_id is not null, v.order_energy_milli_wh, v.record_energy_milli_wh, v.order_quantum_milli_wh,"
        " v.record_quantum_milli_wh,"
        " (select min(o.received_utc_ms - o.end_utc_ms) from fact_order o where o.order_id = v.order_id"
        "   and o.operator_id is not distinct from v.operator_id),"
        " (select min(r.received_utc_ms - r.end_utc_ms) from fact_record r where r.record_id = v.record_id)"
        " from unnest(%s::text[], %s::int[]) as d (place, day) join verdict v on v.present and v.place = d.place"
        "  and v.start_utc_ms >= d.day::bigint * 86400000 and v.start_utc_ms < (d.day::bigint + 1) * 86400000"
        " order by v.start_utc_ms, v.session_key",
        ([d.place for d in some], [d.day for d in some]),
    )
    return _by_day(rows)


def reading_rows(connection: Any, some: Sequence[Due]) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    """Return readings by place and day in which their record ends: meter, register at begin and end, last digit; by
    meter, then by time. A record that came twice counts once; a forged or malformed one proves nothing."""
    rows = connection.execute(
        "select place, day, meter_id, begin_register_milli_wh, end_register_milli_wh, energy_quantum_milli_wh from ("
        "select distinct on (d.place, d.day, r.meter_id, r.begin_utc_ms, r.begin_register_milli_wh,"
        " r.end_register_milli_wh) d.place, d.day, r.*"
        " from unnest(%s::text[], %s::int[]) as d (place, day) join fact_record r on r.connector_id = d.place"
        "  and r.end_utc_ms >= d.day::bigint * 86400000 and r.end_utc_ms < (d.day::bigint + 1) * 86400000"
        " where r.meter_id is not null and r.begin_utc_ms is not null and r.begin_register_milli_wh is not null"
        "  and r.end_register_milli_wh is not null and r.answer in ('authentic', 'cannot_judge')) r"
        " order by meter_id, begin_utc_ms, begin_register_milli_wh, end_register_milli_wh",
        ([d.place for d in some], [d.day for d in some]),
    )
    return _by_day(rows)


def contradiction_rows(
    connection: Any, some: Sequence[Due], rules: Iterable[str]
) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    """Return (session key or finding:DIGEST, operator) of present findings of these rules, once each, notes apart."""
    rows = connection.execute(
        "select d.place, d.day, coalesce(f.session_key, 'finding:' || encode(f.digest, 'hex')) as key,"
        " min(f.operator_id) from unnest(%s::text[], %s::int[]) as d (place, day) join finding f on f.present"
        "  and f.place = d.place and f.at_utc_ms >= d.day::bigint * 86400000"
        "  and f.at_utc_ms < (d.day::bigint + 1) * 86400000"
        " where f.rule = any(%s) and f.severity <> 'note' group by 1, 2, 3 order by 1, 2, 3",
        ([d.place for d in some], [d.day for d in some], sorted(rules)),
    )
    return _by_day(rows)


def _by_day(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    found: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    for place, day, *rest in rows:
        found.setdefault((place, day), []).append(tuple(rest))
    return found


def exchange_days(connection: Any, days: Sequence[Due], made: Sequence[Row]) -> None:
    """Put these days in the place of those that stood, and move the operators' sums by the difference.

    `made` has the columns of surveillance_day; a day of `days` that it lacks is empty now and goes.
    """
    keys = ([d.place for d in days], [d.day for d in days])
    old = connection.cursor(row_factory=dict_row).execute(
        f"delete from surveillance_day using unnest(%s::text[], %s::int[]) as d (p, n) where place = p and day = n"
        f" returning {', '.join(_OPERATOR_DAY)}".encode(),
        keys,
    ).fetchall()  # fmt: skip
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy surveillance_day ({', '.join(_DAY)}) from stdin".encode()) as copy,
    ):
        for row in made:
            copy.write_row(
                tuple(Jsonb(row[n]) if n in ("first", "last", "behind") and row[n] is not None else row[n]
                      for n in _DAY)
            )  # fmt: skip
    moved: dict[tuple[str, int], list[int]] = {}
    for sign, rows in ((-1, old), (1, made)):
        for row in rows:
            values = [*(row[n] for n in COUNTS), *row["hours"]]
            sums = moved.setdefault((row["operator_id"], row["day"]), [0] * len(values))
            moved[row["operator_id"], row["day"]] = [a + sign * b for a, b in zip(sums, values, strict=True)]
    _add(connection, moved)


def _add(connection: Any, moved: Mapping[tuple[str, int], list[int]]) -> None:
    sets = ", ".join(f"{n} = t.{n} + excluded.{n}" for n in COUNTS)
    hours = ", ".join(f"t.hours[{n}] + excluded.hours[{n}]" for n in range(1, 25))
    columns = ", ".join(_OPERATOR_DAY)
    connection.cursor().executemany(
        f"insert into surveillance_operator_day as t ({columns}) values ({', '.join(['%s'] * len(_OPERATOR_DAY))})"
        f" on conflict (operator_id, day) do update set {sets}, hours = array[{hours}]".encode(),
        [(*key, *values[: len(COUNTS)], values[len(COUNTS) :]) for key, values in sorted(moved.items()) if any(values)],
    )


def strike_off(connection: Any, done: Sequence[Due]) -> None:
    """Take computed days off the list, those apart that changed since they were taken."""
    _hold(connection)
    connection.execute(
        "delete from surveillance_due d using unnest(%s::text[], %s::int[], %s::bigint[]) as t (p, n, m)"
        " where d.place = t.p and d.day = t.n and d.noted = t.m",
        ([d.place for d in done], [d.day for d in done], [d.noted for d in done]),
    )


def days_of(connection: Any, places: Sequence[str], after_day: int) -> list[Row]:
    """Return the days of these places after a day, by place and day."""
    return list(
        connection.cursor(row_factory=dict_row).execute(
            f"select {', '.join(_DAY)} from surveillance_day where place = any(%s) and day > %s"
            " order by place, day".encode(),
            (list(places), after_day),
        )
    )


def operator_days(connection: Any, after_day: int, operator_id: str | None = None) -> list[Row]:
    """Return operators' sums after a day; of one operator where one is given."""
    return list(
        connection.cursor(row_factory=dict_row).execute(
            f"select {', '.join(_OPERATOR_DAY)} from surveillance_operator_day where day > %s"
            " and (%s::text is null or operator_id = %s) order by operator_id, day".encode(),
            (after_day, operator_id, operator_id),
        )
    )


def put_subjects(connection: Any, subjects: Sequence[Row]) -> None:
    """Enter what chargers or operators come to; a reason of silence that stands is kept until the next sweep."""
    connection.cursor().executemany(
        "insert into surveillance_subject (kind, subject_id, operator_id, district, first_utc_ms, last_utc_ms, starts,"
        " reasons, silence, score, at_utc_ms) values (%(kind)s, %(subject_id)s, %(operator_id)s, %(district)s,"
        " %(first_utc_ms)s, %(last_utc_ms)s, %(starts)s, %(reasons)s, %(silence)s, %(score)s, %(at_utc_ms)s)"
        " on conflict (kind, subject_id) do update set operator_id = excluded.operator_id,"
        " district = excluded.district, first_utc_ms = excluded.first_utc_ms, last_utc_ms = excluded.last_utc_ms,"
        " starts = excluded.starts, reasons = excluded.reasons, silence = excluded.silence, score = excluded.score,"
        " at_utc_ms = excluded.at_utc_ms",
        [s | {"reasons": Jsonb(s["reasons"]), "silence": s["silence"] and Jsonb(s["silence"])} for s in subjects],
    )


def subjects(connection: Any, kind: str, after: str = "", limit: int | None = None) -> list[Row]:
    """Return all subjects of a kind by id, after one."""
    return list(
        connection.cursor(row_factory=dict_row).execute(
            "select * from surveillance_subject where kind = %s and subject_id > %s order by subject_id limit %s",
            (kind, after, limit),
        )
    )


def aged(connection: Any, before_utc_ms: int, limit: int) -> list[str]:
    """Return chargers with reasons that were weighed before a moment, at most `limit`."""
    rows = connection.execute(
        "select subject_id from surveillance_subject where score > 0 and kind = 'charger' and reasons <> '[]'"
        " and at_utc_ms < %s order by at_utc_ms limit %s",
        (before_utc_ms, limit),
    )
    return [r[0] for r in rows]


def ranked(
    database: Database, operator_id: str | None, districts: Sequence[str] | None, reason: str | None, limit: int,
    offset: int,
) -> list[Row]:  # fmt: skip
    """Return what is listed, highest score first; of an operator, of districts, with a kind of reason, where given."""
    kinds = "(reasons @> %(kind)s or (silence is not null and silence @> %(only)s))"
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=dict_row)
            .execute(
                "select * from surveillance_subject where score > 0"
                " and (%(operator)s::text is null or operator_id = %(operator)s)"
                " and (%(districts)s::text[] is null or district = any(%(districts)s))"
                f" and (%(reason)s::text is null or {kinds})"
                " order by score desc, kind, subject_id limit %(limit)s offset %(offset)s".encode(),
                {
                    "operator": operator_id, "districts": None if districts is None else list(districts),
                    "reason": reason, "kind": Jsonb([{"kind": reason}]), "only": Jsonb({"kind": reason}),
                    "limit": limit, "offset": offset,
                },
            )
            .fetchall()
        )  # fmt: skip


def subject(database: Database, kind: str, subject_id: str) -> Row | None:
    """Return one subject, listed or not."""
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=dict_row)
            .execute("select * from surveillance_subject where kind = %s and subject_id = %s", (kind, subject_id))
            .fetchone()
        )


def rows_behind(
    database: Database, operator_id: str, dimension: str, after_day: int, before: tuple[int, str] | None, days: int
) -> list[Row]:
    """Return places and days with rows behind lost points of a dimension, newest first: place, day and keys, each with
    its present verdict's figures; at most so many days of places."""
    # Each dimension has an index of its own, which is found only where its name stands in the statement.
    column = {n: f"behind ? '{n}'" for n in ("completeness", "accuracy", "consistency", "timeliness")}[dimension]
    day, place = before or (1 << 30, "")
    with database.transaction() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute(
            f"select place, day, behind -> %s as keys from surveillance_day where operator_id = %s and {column}"
            " and day > %s and (day, place) < (%s, %s) order by day desc, place desc limit %s".encode(),
            (dimension, operator_id, after_day, day, place, days),
        ).fetchall()


def verdicts_of(database: Database, keys: Sequence[str]) -> dict[str, Row]:
    """Return the present verdicts of these sessions in short."""
    with database.transaction() as connection:
        rows = connection.cursor(row_factory=dict_row).execute(
            "select session_key, state, method, place, order_id, record_id, start_utc_ms, end_utc_ms,"
            " order_energy_milli_wh, record_energy_milli_wh, findings from verdict"
            " where present and session_key = any(%s)",
            (list(keys),),
        )
        return {r["session_key"]: r for r in rows}


def as_row(value: Any) -> Row:
    """Return a dataclass as plain values."""
    return dataclasses.asdict(value)
