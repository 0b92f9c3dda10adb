"""The history of connectors' states: numbers of connectors, runs, and the latest word on each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anxin.domain.connector_status import STATE_CODES, STATES, StatusRun, StatusSpan
from anxin.store.database import Database

#: A connector and, where the register does not know it, the sender whose word it is; else an empty text.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Late:
    """A span of a connector in which a late word has changed something that was counted already."""

    connector_no: int
    from_utc_ms: int
    to_utc_ms: int


def numbers(connection: Any, keys: Sequence[Key], owners: Mapping[str, str]) -> dict[Key, int]:
    """Return the number of each connector; who has none is given one.

    `owners` says whose a registered connector is: what he said of it before it was registered becomes its history.
    """
    found = known_numbers(connection, keys)
    new = [key for key in dict.fromkeys(keys) if key not in found]
    if new:
        adopted = [(i, owners[i]) for i, apart in new if not apart and i in owners]
        connection.execute(
            "with owned as (update connector_number n set apart_of = ''"
            "   from unnest(%s::text[], %s::text[]) as w (id, owner) where n.connector_id = w.id and apart_of = w.owner"
            "   returning connector_no)"
            " update connector_status s set apart = false from owned where s.connector_no = owned.connector_no",
            ([i for i, _ in adopted], [o for _, o in adopted]),
        )
        connection.execute(
            "insert into connector_number (connector_id, apart_of) select * from unnest(%s::text[], %s::text[])"
            " on conflict do nothing",
            ([i for i, _ in new], [a for _, a in new]),
        )
        found |= known_numbers(connection, new)
    return found


def known_numbers(connection: Any, keys: Sequence[Key]) -> dict[Key, int]:
    """Return the number of each connector that has one."""
    rows = connection.execute(
        "select connector_id, apart_of, connector_no from connector_number where connector_id = any(%s)",
        (list({i for i, _ in keys}),),
    )
    wanted = set(keys)
    return {(r[0], r[1]): r[2] for r in rows if (r[0], r[1]) in wanted}


def latest_runs(connection: Any, connector_nos: Sequence[int]) -> dict[int, StatusRun]:
    """Return the latest run of each connector that has one."""
    rows = connection.execute(
        "select connector_no, state, at_utc_ms, heard_utc_ms, received_utc_ms, message_index, sender"
        " from connector_status where connector_no = any(%s)",
        (list(connector_nos),),
        binary=True,
    )
    return {r[0]: StatusRun(STATES[r[1]], *r[2:]) for r in rows}


def runs_around(connection: Any, wanted: Sequence[tuple[int, int]]) -> dict[int, list[StatusRun]]:
    """Return for each (connector, moment) its runs from two before the moment on, as they stand in status_change."""
    rows = connection.execute(
        "select s.connector_no, state, at_utc_ms, heard_utc_ms, received_utc_ms, message_index, sender"
        " from unnest(%s::integer[], %s::bigint[]) as w (connector_no, moment)"
        " cross join lateral (select coalesce((select at_utc_ms from status_change c where c.connector_no ="
        "   w.connector_no and at_utc_ms <= w.moment order by at_utc_ms desc offset 1 limit 1), 0) as low) l"
        " join status_change s on s.connector_no = w.connector_no and at_utc_ms >= low"
        " join status_sender using (sender_no) order by s.connector_no, at_utc_ms",
        ([n for n, _ in wanted], [m for _, m in wanted]),
        binary=True,
    )
    found: dict[int, list[StatusRun]] = {n: [] for n, _ in wanted}
    for r in rows:
        found[r[0]].append(StatusRun(STATES[r[1]], *r[2:]))
    return found


def put_runs(connection: Any, gone: Iterable[tuple[int, int]], put: Sequence[tuple[int, StatusRun]]) -> None:
    """Take away runs by (connector, moment) and enter others; a run of the same connector and moment is exchanged."""
    gone = list(gone)
    if gone:
        connection.execute(
            "delete from status_change c using unnest(%s::integer[], %s::bigint[]) as g (connector_no, at_utc_ms)"
            " where c.connector_no = g.connector_no and c.at_utc_ms = g.at_utc_ms",
            ([n for n, _ in gone], [at for _, at in gone]),
        )
    if not put:
        return
    senders = _senders(connection, sorted({r.sender for _, r in put}))
    connection.execute(
        "insert into status_change (connector_no, state, at_utc_ms, heard_utc_ms, received_utc_ms, message_index,"
        " sender_no) select * from unnest(%s::integer[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::integer[]) on conflict (connector_no, at_utc_ms) do update set state = excluded.state,"
        " heard_utc_ms = excluded.heard_utc_ms, received_utc_ms = excluded.received_utc_ms,"
        " message_index = excluded.message_index, sender_no = excluded.sender_no",
        (*_columns(put), [senders[r.sender] for _, r in put]),
    )


def put_latest(connection: Any, latest: Sequence[tuple[int, Key, StatusRun]]) -> None:
    """Enter the latest run of connectors."""
    if not latest:
        return
    connection.execute(
        "insert into connector_status (connector_no, state, at_utc_ms, heard_utc_ms, received_utc_ms, message_index,"
        " sender, connector_id, apart) select * from unnest(%s::integer[], %s::smallint[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::boolean[])"
        " on conflict (connector_no) do update set state = excluded.state, at_utc_ms = excluded.at_utc_ms,"
        " heard_utc_ms = excluded.heard_utc_ms, received_utc_ms = excluded.received_utc_ms,"
        " message_index = excluded.message_index, sender = excluded.sender",
        (
            *_columns([(n, r) for n, _, r in latest]),
            [r.sender for _, _, r in latest],
            [key[0] for _, key, _ in latest],
            [key[1] != "" for _, key, _ in latest],
        ),
    )


def put_late(connection: Any, late: Sequence[Late]) -> None:
    """Note spans that have to be counted anew."""
    if late:
        connection.execute(
            "insert into status_late (connector_no, from_utc_ms, to_utc_ms)"
            " select * from unnest(%s::integer[], %s::bigint[], %s::bigint[])",
            ([t.connector_no for t in late], [t.from_utc_ms for t in late], [t.to_utc_ms for t in late]),
        )


def closing_utc_ms(connection: Any) -> int:
    """Return the moment before which a word is a late one. It stays so until the end of the transaction, so that no
    hour is closed over a word that is under way."""
    row = connection.execute("select value from counter where name = 'status_closing' for share").fetchone()
    return int(row[0]) * 3_600_000


def history(database: Database, connector_id: str, from_utc_ms: int, to_utc_ms: int, limit: int) -> list[StatusRun]:
    """Return the runs of a registered connector that touch a span, in the order of time, at most `limit`."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select c.state, c.at_utc_ms, greatest(c.heard_utc_ms, case when l.at_utc_ms = c.at_utc_ms then"
            " l.heard_utc_ms end), c.received_utc_ms, c.message_index, s.sender"
            " from connector_number n join status_change c using (connector_no) join status_sender s using (sender_no)"
            " left join connector_status l using (connector_no)"
            " where n.connector_id = %(id)s and n.apart_of = '' and c.at_utc_ms < %(to)s"
            " and c.at_utc_ms >= coalesce((select max(p.at_utc_ms) from status_change p where"
            "   p.connector_no = n.connector_no and p.at_utc_ms <= %(from)s), 0)"
            " order by c.at_utc_ms limit %(limit)s",
            {"id": connector_id, "from": from_utc_ms, "to": to_utc_ms, "limit": limit},
        ).fetchall()
    return [StatusRun(STATES[r[0]], *r[1:]) for r in rows]


def spans_around(database: Database, wanted: Mapping[str, tuple[int, int]], silence_ms: int) -> list[StatusSpan]:
    """Return what registered connectors were called within a span each; silence beyond `silence_ms` is left out."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select n.connector_id, c.state, greatest(c.at_utc_ms, w.low), least(w.high,"
            "   lead(c.at_utc_ms) over (partition by n.connector_id order by c.at_utc_ms),"
            "   greatest(c.heard_utc_ms, case when l.at_utc_ms = c.at_utc_ms then l.heard_utc_ms end) + %(silence)s),"
            "   c.message_index"
            " from unnest(%(ids)s::text[], %(lows)s::bigint[], %(highs)s::bigint[]) as w (id, low, high)"
            " join connector_number n on n.connector_id = w.id and n.apart_of = ''"
            " cross join lateral (select coalesce((select max(at_utc_ms) from status_change p"
            "   where p.connector_no = n.connector_no and p.at_utc_ms <= w.low), w.low) as since) s"
            " join status_change c on c.connector_no = n.connector_no"
            "   and c.at_utc_ms >= s.since and c.at_utc_ms < w.high"
            " left join connector_status l on l.connector_no = n.connector_no order by 1, 3",
            {
                "ids": list(wanted),
                "lows": [low for low, _ in wanted.values()],
                "highs": [high for _, high in wanted.values()],
                "silence": silence_ms,
            },
            binary=True,
        ).fetchall()
    return [StatusSpan(r[0], STATES[r[1]].value, *r[2:]) for r in rows if r[2] < r[3]]


def records_ended_after(connection: Any, words: Sequence[tuple[str, str | None, int]]) -> list[tuple[str, int, int]]:
    """Return (place, earliest begin, latest end) of records that end after a moment, for (place, meter, moment).

    A row with a meter looks for records of the meter alone, one without for those of the place."""
    rows = connection.execute(
        "select w.place, min(coalesce(r.begin_utc_ms, r.end_utc_ms)), max(r.end_utc_ms)"
        " from unnest(%s::text[], %s::text[], %s::bigint[]) as w (place, meter, moment) cross join lateral ("
        "   select begin_utc_ms, end_utc_ms from fact_record where connector_id = w.place and w.meter is null"
        "   and end_utc_ms >= w.moment"
        "   union all select begin_utc_ms, end_utc_ms from fact_record where meter_id = w.meter"
        "   and end_utc_ms >= w.moment) r group by w.place",
        ([p for p, _, _ in words], [m for _, m, _ in words], [at for _, _, at in words]),
    )
    return [(r[0], r[1], r[2]) for r in rows]


def _columns(runs: Sequence[tuple[int, StatusRun]]) -> tuple[list[int], ...]:
    return (
        [n for n, _ in runs],
        [STATE_CODES[r.state] for _, r in runs],
        [r.at_utc_ms for _, r in runs],
        [r.heard_utc_ms for _, r in runs],
        [r.received_utc_ms for _, r in runs],
        [r.message_index for _, r in runs],
    )


def _senders(connection: Any, names: Sequence[str]) -> dict[str, int]:
    connection.execute(
        "insert into status_sender (sender) select * from unnest(%s::text[]) as n"
        " where not exists (select from status_sender where sender = n) on conflict do nothing",
        (list(names),),
    )
    rows = connection.execute("select sender, sender_no from status_sender where sender = any(%s)", (list(names),))
    return {r[0]: r[1] for r in rows}
