"""Facts: what was decoded from messages, and what has to be judged. One writer, the judge (advisory lock)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from anxin.domain.errors import StoreError
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.source import Deviation
from anxin.store import parties
from anxin.store.database import Database
from anxin.store.parties import Version

#: Any constant: two judges on one database exclude one another on it.
JUDGE_LOCK = 0x6A75646765
HOUR_MS = 3_600_000
#: Bytes of payload that are decoded in one go: four uploads of the largest size, or any number of orders.
MAX_TAKEN_BYTES = 64 * 1024 * 1024
#: What a place is called that is an operator's totals.
OPERATOR = "operator:"
_ORDER = tuple(f.name for f in dataclasses.fields(Order))
_PERIOD = tuple(f.name for f in dataclasses.fields(OrderPeriod))
_TOTAL = tuple(f.name for f in dataclasses.fields(OperatorTotal))
_RECORD = tuple(f.name for f in dataclasses.fields(MeterSession))
_RECORD_PERIOD = tuple(f.name for f in dataclasses.fields(RecordPeriod))


@dataclass(frozen=True, slots=True)
class SignedFact:
    """A signed record of a message with the answer on it; `transaction_key` says which records belong together."""

    message_index: int
    position: int
    transaction_key: str
    key_id: str | None
    answer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Touch:
    """A place where something changed, and when it was about; judged again at `due_utc_ms`, 0 for at once."""

    place: str
    from_utc_ms: int
    to_utc_ms: int
    due_utc_ms: int = 0

    @property
    def bucket(self) -> int:
        """Hour in which it is due, 0 for at once."""
        return 0 if not self.due_utc_ms else self.due_utc_ms // HOUR_MS + 1


@contextmanager
def judge_lock(database: Database) -> Iterator[None]:
    """Hold the judge's lock. Raises StoreError where another judge works on this database."""
    with database.transaction() as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", (JUDGE_LOCK,)).fetchone()
        if row is None or not row[0]:
            raise StoreError("another judge works on this database")
        try:
            yield
        finally:
            connection.execute("select pg_advisory_unlock(%s)", (JUDGE_LOCK,))


def has_judge(database: Database) -> bool:
    """Return whether some process holds the judge's lock."""
    with database.transaction() as connection:
        row = connection.execute(
            "select exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 1"
            " and classid = %s and objid = %s"
            " and database = (select oid from pg_database where datname = current_database()))",
            (JUDGE_LOCK >> 32, JUDGE_LOCK & 0xFFFFFFFF),
        ).fetchone()
    return row is not None and bool(row[0])


def next_messages(database: Database, count: int) -> tuple[list[int], list[int]]:
    """Return the indexes of messages not judged yet, and of those to be judged again: at most `count` of each, and no
    more once they hold MAX_TAKEN_BYTES together."""
    # The length of a payload stands in its head: none is read for it.
    bounded = (
        "select index from (select index, sum(size) over (order by index) - size as before from (select index,"
        " coalesce(octet_length(payload), 0) as size from {source} order by index limit %s) m) s"
        " where before < %s order by index"
    )
    new = "message where index >= (select value from counter where name = 'judged')"
    again = "message join requeued on message_index = index"
    with database.transaction() as connection:
        taken = [
            connection.execute(bounded.format(source=source).encode(), (count, MAX_TAKEN_BYTES)).fetchall()
            for source in (new, again)
        ]
    return [r[0] for r in taken[0]], [r[0] for r in taken[1]]


def hold_version(connection: Any, version: Version) -> bool:
    """Return whether parties, keys and register are still of this version; if so, they stay it until the commit."""
    return parties.version(connection, "for share") == version


def judged(database: Database) -> int:
    """Return how many messages have become facts: the index of the first that has not."""
    with database.transaction() as connection:
        row = connection.execute("select value from counter where name = 'judged'").fetchone()
    return int(row[0]) if row else 0


def requeue_records_of(database: Database, key_id: str) -> int:
    """Mark every message that rests on a meter's key as to be judged again; return their number."""
    with database.transaction() as connection:
        cursor = connection.execute(
            "insert into requeued select distinct message_index from fact_signed_record"
            " join message on index = message_index and payload is not null where key_id = %s"
            " on conflict do nothing",
            (key_id,),
        )
        return int(cursor.rowcount)


def requeue_all(database: Database) -> int:
    """Mark every message as to be judged again; return their number."""
    return requeue_between(database, None, None)


def requeue_between(database: Database, from_utc_ms: int | None, to_utc_ms: int | None) -> int:
    """Mark messages received in a span as to be judged again (None: no bound); return their number."""
    with database.transaction() as connection:
        cursor = connection.execute(
            "insert into requeued select index from message where payload is not null"
            " and received_utc_ms >= coalesce(%s, received_utc_ms) and (%s::bigint is null or received_utc_ms < %s)"
            " on conflict do nothing",
            (from_utc_ms, to_utc_ms, to_utc_ms),
        )
        return int(cursor.rowcount)


def left(database: Database, now_utc_ms: int) -> int:
    """Return how much is still to be judged: messages, new and again, and places that are due."""
    with database.transaction() as connection:
        row = connection.execute(
            "select (select size from log_head) - (select value from counter where name = 'judged')"
            " + (select count(*) from requeued) + (select count(*) from touched where due_utc_ms <= %s)",
            (now_utc_ms,),
        ).fetchone()
    return 0 if row is None else max(0, int(row[0]))


def messages_of_transactions(connection: Any, keys: Sequence[str], without: Sequence[int]) -> list[int]:
    """Return the messages that hold other records of these transactions."""
    rows = connection.execute(
        "select distinct message_index from fact_signed_record where transaction_key = any(%s)"
        " and not message_index = any(%s) order by 1",
        (list(keys), list(without)),
    )
    return [r[0] for r in rows]


def forget_messages(connection: Any, indexes: Sequence[int]) -> None:
    """Delete the facts of messages that are decoded again."""
    facts = ("fact_order", "fact_order_period", "fact_operator_total", "fact_signed_record", "fact_verification")
    for table in (*facts, "fact_seal_event", "deviation"):
        connection.execute(f"delete from {table} where message_index = any(%s)".encode(), (list(indexes),))


def put_orders(
    connection: Any,
    orders: Iterable[tuple[int, Order]],
    periods: Iterable[tuple[int, OrderPeriod]],
    totals: Iterable[tuple[int, OperatorTotal]],
) -> None:
    """Enter orders, their tariff periods, and operators' totals, each with its message."""
    _copy(connection, "fact_order", ("message_index", *_ORDER), ((i, *_values(v, _ORDER)) for i, v in orders))
    _copy(connection, "fact_order_period", ("message_index", *_PERIOD), ((i, *_values(v, _PERIOD)) for i, v in periods))
    _copy(connection, "fact_operator_total", ("message_index", *_TOTAL), ((i, *_values(v, _TOTAL)) for i, v in totals))


def put_signed(connection: Any, signed: Iterable[SignedFact]) -> None:
    """Enter signed records with their answers; a record judged again takes its new answer."""
    connection.cursor().executemany(
        "insert into fact_signed_record (message_index, position, transaction_key, key_id, answer, reason)"
        " values (%s, %s, %s, %s, %s, %s) on conflict (message_index, position) do update set"
        " key_id = excluded.key_id, answer = excluded.answer, reason = excluded.reason",
        [(s.message_index, s.position, s.transaction_key, s.key_id, s.answer, s.reason) for s in signed],
    )


def replace_records(
    connection: Any,
    keys: Sequence[str],
    sessions: Iterable[tuple[str, MeterSession]],
    periods: Iterable[tuple[str, RecordPeriod]],
    findings: Iterable[tuple[str, Any]],
) -> None:
    """Exchange the sessions of these transactions, with their periods and findings, for those given."""
    for table in ("fact_record", "fact_record_period", "fact_record_finding"):
        connection.execute(f"delete from {table} where transaction_key = any(%s)".encode(), (list(keys),))
    _copy(connection, "fact_record", ("transaction_key", *_RECORD), ((k, *_values(v, _RECORD)) for k, v in sessions))
    _copy(
        connection,
        "fact_record_period",
        ("transaction_key", *_RECORD_PERIOD),
        ((k, *_values(v, _RECORD_PERIOD)) for k, v in periods),
    )
    _copy(
        connection,
        "fact_record_finding",
        ("transaction_key", "record_id", "body"),
        ((k, v.record_ids, Jsonb(dataclasses.asdict(v))) for k, v in findings),
    )


def put_deviations(connection: Any, deviations: Iterable[tuple[int, str, int, Deviation]]) -> None:
    """Enter oddities: (message, sender, row, deviation)."""
    _copy(
        connection,
        "deviation",
        ("message_index", "sender", "row_no", "kind", "field", "clause", "detail"),
        ((i, s, r, d.kind, _clean(d.field), d.clause, _clean(d.detail)) for i, s, r, d in deviations),
    )


def touch(connection: Any, touches: Iterable[Touch]) -> None:
    """Note places as to be judged. A place that waits already waits for both spans."""
    merged: dict[tuple[str, int], Touch] = {}
    for t in touches:
        old = merged.get((t.place, t.bucket))
        merged[t.place, t.bucket] = (
            t
            if old is None
            else Touch(
                t.place,
                min(t.from_utc_ms, old.from_utc_ms),
                max(t.to_utc_ms, old.to_utc_ms),
                max(t.due_utc_ms, old.due_utc_ms),
            )
        )
    connection.cursor().executemany(
        "insert into touched (place, bucket, due_utc_ms, from_utc_ms, to_utc_ms) values (%s, %s, %s, %s, %s)"
        " on conflict (place, bucket) do update set from_utc_ms = least(touched.from_utc_ms, excluded.from_utc_ms),"
        " to_utc_ms = greatest(touched.to_utc_ms, excluded.to_utc_ms),"
        " due_utc_ms = greatest(touched.due_utc_ms, excluded.due_utc_ms)",
        [(t.place, t.bucket, t.due_utc_ms, t.from_utc_ms, t.to_utc_ms) for _, t in sorted(merged.items())],
    )


def due_places(database: Database, now_utc_ms: int, span_ms: int, count: int) -> list[Touch]:
    """Return the place that waits longest and those that wait with it for about the same time of charging, at most
    `count`: what just changed before what is looked at again because its window has closed."""
    with database.transaction() as connection:
        rows = connection.execute(
            "with waiting as materialized (select * from touched where due_utc_ms <= %(now)s"
            f"   and place not like '{OPERATOR}%%'),"
            " head as (select from_utc_ms from waiting order by (bucket <> 0), noted limit 1)"
            " select place, w.from_utc_ms, to_utc_ms, due_utc_ms from waiting w, head"
            " where w.from_utc_ms between head.from_utc_ms - %(span)s and head.from_utc_ms + %(span)s"
            " order by (bucket <> 0), noted limit %(count)s".encode(),
            {"now": now_utc_ms, "span": span_ms, "count": count},
        )
        return [Touch(*r) for r in rows]


def due_totals(database: Database, now_utc_ms: int, count: int) -> list[Touch]:
    """Return operators whose totals are due, at most `count`, longest waiting first."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select place, from_utc_ms, to_utc_ms, due_utc_ms from touched where due_utc_ms <= %s"
            f" and place like '{OPERATOR}%%' order by noted limit %s".encode(),
            (now_utc_ms, count),
        )
        return [Touch(*r) for r in rows]


def postpone(connection: Any, touch: Touch, due_utc_ms: int) -> None:
    """Let a place wait until a moment."""
    connection.execute(
        "update touched set due_utc_ms = %s where place = %s and bucket = %s", (due_utc_ms, touch.place, touch.bucket)
    )


def untouch(connection: Any, touches: Iterable[Touch]) -> None:
    """Strike places off the list."""
    connection.cursor().executemany(
        "delete from touched where place = %s and bucket = %s", [(t.place, t.bucket) for t in touches]
    )


def advance(connection: Any, judged_to: int, again: Sequence[int]) -> None:
    """Note that messages below `judged_to` have become facts, and those judged again too."""
    connection.execute("update counter set value = greatest(value, %s) where name = 'judged'", (judged_to,))
    connection.execute("delete from requeued where message_index = any(%s)", (list(again),))


def _values(value: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(value, n) for n in names)


def _clean(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "\ufffd")


def _copy(connection: Any, table: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)
