"""Matching: which orders and which meter records are about the same charging session.

    1  copies      a value sent twice with the same bytes counts once; the first one sent stands
    2  by id       orders and records that share a transaction id
    3  by overlap  what is left, on the same connector, by time
    4  groups      one order to many records and many to one become one session; one-to-one is never forced
    5  links       neighbouring sessions of one meter: register and page must go on where they stopped
    6  brackets    orders whose record was lost, accounted for by the signed registers on both sides

All of it is set-based and runs on any engine; nothing is decided by the order in which an engine returns rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis

from anxin.reconcile.grouping import groups, is_empty, joined_by_id, sessions, tangled_edges
from anxin.reconcile.links import brackets_of, links_between
from anxin.reconcile.overlap import overlaps

if TYPE_CHECKING:
    from anxin.reconcile.engine import Engine
    from anxin.reconcile.facts import Facts
    from anxin.reconcile.policy import Policy


@dataclass(frozen=True, slots=True)
class Ground:
    """Facts and what matching made of them: everything that a rule may look at.

    orders, records   effective values (copies left out)
    order_periods, record_periods   their tariff periods, once each
    order_copies, record_copies   (number, kept number, differs): values sent again
    sessions          one row a session; figures are sums over its orders and over its records
    members           (session_no, order_no, record_no) of sessions that are not one-to-one
    links             suspicious neighbours of one meter: (record_no, next_record_no, register_gap, page_gap, ...)
    brackets          (order_no, record_no, next_record_no) of orders accounted for by a link
    """

    facts: Facts
    orders: Any
    records: Any
    order_copies: Any
    record_copies: Any
    order_periods: Any
    record_periods: Any
    sessions: Any
    members: Any
    links: Any
    brackets: Any


def match(facts: Facts, policy: Policy, engine: Engine) -> Ground:
    """Return the ground for the rule book. Stages its steps on `engine`."""
    # 1 Copies.
    order_copies = engine.stage("order_copies", _copies(engine, facts.orders, "order_id", "order_no", "content_digest"))
    record_copies = engine.stage(
        "record_copies", _copies(engine, facts.records, "record_id", "record_no", "transaction_id")
    )
    orders = _without(engine, facts.orders, order_copies, "order_no")
    records = _without(engine, facts.records, record_copies, "record_no")
    # 2 By id.
    joined = engine.stage("joined", joined_by_id(orders, records, engine))
    lone_orders = joined.filter(joined.record_no.isnull()).select("order_no")
    lone_records = engine.stage("lone_records", records.select("record_no").anti_join(joined, "record_no"))
    # 3 By overlap.
    overlapping = engine.stage("overlaps", overlaps(orders, records, joined, lone_orders, lone_records, policy, engine))
    # 4 Groups.
    edges = engine.stage("edges", tangled_edges(orders, joined, overlapping, engine))
    members = engine.stage("members", groups(edges, lone_records, engine))
    found = sessions(orders, records, joined, lone_records, members, overlapping, engine)
    # 5 Links.
    links = engine.stage("links", links_between(records, policy))
    # 6 Brackets.
    brackets = engine.stage("brackets", brackets_of(found, links, policy))
    return Ground(
        facts,
        orders,
        records,
        order_copies,
        record_copies,
        _once(engine, facts.order_periods, facts.orders, order_copies, "order_no", "order_id"),
        _once(engine, facts.record_periods, facts.records, record_copies, "record_no", "record_id"),
        found,
        members,
        links,
        brackets,
    )


def _copies(engine: Engine, table: Any, key: str, number: str, differs_by: str) -> Any:
    """Rows that share `key` with an earlier row: their number, the number that stands, and whether they differ."""
    # Counting hashes is cheaper than counting long ids; what shares a hash is then compared by id.
    hashed = table.group_by(mark=table[key].hash()).agg(copies=ibis._.count()).filter(ibis._.copies > 1)
    alike = table.filter(table[key].hash().isin(hashed.mark)).select(
        number, key, differs_by, sent=ibis.coalesce(table.received_utc_ms, ibis.literal(0))
    )
    alike = engine.stage(f"alike_{number}", alike)
    repeated = alike.group_by(key).agg(copies=ibis._.count()).filter(ibis._.copies > 1)
    rows = alike.semi_join(repeated, key)
    ranked = rows.mutate(
        place=ibis.row_number().over(group_by=key, order_by=[rows.sent, rows[number]]),
    )
    kept = ranked.filter(ranked.place == 0).select(key, kept_no=number, kept_mark=differs_by)
    again = ranked.filter(ranked.place > 0)
    both = again.join(kept, key)
    return both.select(
        number,
        "kept_no",
        differs=ibis.coalesce(both[differs_by], "") != ibis.coalesce(both.kept_mark, ""),
    )


def _without(engine: Engine, table: Any, copies: Any, number: str) -> Any:
    """`table` less its copies; the anti join is left out where there is nothing to leave out."""
    return table if is_empty(engine, copies) else table.anti_join(copies, number)


def _once(engine: Engine, periods: Any, table: Any, copies: Any, number: str, key: str) -> Any:
    """Tariff periods without those that came again with a copy of their order or record."""
    if is_empty(engine, copies):
        return periods
    again = table.semi_join(copies, number).select(key).distinct()
    return periods.anti_join(again, key).union(periods.semi_join(again, key).distinct())
