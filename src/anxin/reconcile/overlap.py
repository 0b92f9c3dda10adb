"""Matching by place and time: what is left over by id, on the same connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

if TYPE_CHECKING:
    from anxin.reconcile.engine import Engine
    from anxin.reconcile.policy import Policy

MS_PER_DAY = 86_400_000
#: A session is looked for on as many days as the longest interval covers, but never more than this.
MAX_SPAN_DAYS = 62


def overlaps(
    orders: Any, records: Any, joined: Any, lone_orders: Any, lone_records: Any, policy: Policy, engine: Engine
) -> Any:
    """Pairs (order_no, record_no) of values left over by id that overlap on one connector.

    A pair counts where it overlaps for at least `match.overlap_share` of the shorter interval. A record's clock may
    be off: where an order has no such partner, the record's interval is widened by its clock's limit, and the pair
    then counts only if its energies agree (the last minutes of an order that was split at midnight).
    A value that is matched by id takes part only if the newcomer does not overlap its partner by id: two orders at
    the same time on one connector are two claims, not two halves of one session.
    """
    o = orders.select(
        "order_no",
        "connector_id",
        "energy_milli_wh",
        "energy_quantum_milli_wh",
        a=orders.start_utc_ms,
        b=_end(orders.start_utc_ms, orders.end_utc_ms, orders.time_quantum_ms),
    ).filter(ibis._.connector_id.notnull() & ibis._.a.notnull())
    slack = records.clock.cases(
        ("S", policy.int("time.clock_synchronised")), ("I", policy.int("time.clock_synchronised")), else_=0
    )
    r = records.select(
        "record_no",
        "connector_id",
        record_energy_milli_wh=records.energy_milli_wh,
        record_quantum_milli_wh=records.energy_quantum_milli_wh,
        slack=slack,
        c=records.begin_utc_ms,
        d=_end(records.begin_utc_ms, records.end_utc_ms, records.time_quantum_ms),
    ).filter(ibis._.connector_id.notnull() & ibis._.c.notnull())
    new_orders = engine.stage("new_orders", o.semi_join(lone_orders, "order_no"))
    new_records = engine.stage("new_records", r.semi_join(lone_records, "record_no"))
    from_orders = _candidates(new_orders, "a", "b", r, "c", _spans(engine, r, "c", "d"))
    from_records = _candidates(new_records, "c", "d", o, "a", _spans(engine, o, "a", "b"))
    columns = list(from_orders.columns)
    found = engine.stage("overlap_candidates", from_orders.union(from_records.select(columns), distinct=True))
    both = ibis.least(found.b, found.d) - ibis.greatest(found.a, found.c)
    widened = ibis.least(found.b, found.d + found.slack) - ibis.greatest(found.a, found.c - found.slack)
    shorter = ibis.least(found.b - found.a, found.d - found.c)
    share = policy.int("match.overlap_share")
    found = engine.stage(
        "overlap_measured",
        found.mutate(
            strong=(both > 0) & (both * 1_000_000 >= shorter * share),
            weak=(widened > 0) & (widened * 1_000_000 >= shorter * share),
        ).filter(ibis._.weak),
    )
    by_id = joined.filter(joined.record_no.notnull())
    # The partner by id of either end, and whether the newcomer overlaps it.
    partner_orders = by_id.semi_join(found, "record_no").select(
        "record_no", p="order_start_utc_ms", q="order_end_utc_ms", partner_energy="order_energy_milli_wh"
    )
    rivals = found.join(partner_orders, "record_no")
    clash_o = rivals.filter((rivals.a < rivals.q) & (rivals.p < rivals.b)).select("order_no", "record_no").distinct()
    partner_records = by_id.semi_join(found, "order_no").select(
        "order_no", p="record_begin_utc_ms", q="record_end_utc_ms"
    )
    rivals_r = found.join(partner_records, "order_no")
    clash_r = (
        rivals_r.filter((rivals_r.c < rivals_r.q) & (rivals_r.p < rivals_r.d))
        .select("order_no", "record_no")
        .distinct()
    )
    free = found.anti_join(clash_o, ["order_no", "record_no"]).anti_join(clash_r, ["order_no", "record_no"])
    strong = free.filter(free.strong)
    taken = partner_orders.group_by("record_no").agg(taken=partner_orders.partner_energy.sum())
    weak = free.filter(~free.strong).anti_join(strong, "order_no")
    weak = weak.left_join(taken, "record_no")
    rest = weak.record_energy_milli_wh - ibis.coalesce(weak.taken, 0) - weak.energy_milli_wh
    weak = weak.filter(rest.abs() <= weak.record_quantum_milli_wh + 2 * weak.energy_quantum_milli_wh)
    return strong.select("order_no", "record_no").union(weak.select("order_no", "record_no"), distinct=True)


def _spans(engine: Engine, table: Any, start: str, end: str) -> int:
    """Days that the longest interval of `table` reaches beyond its first day, bounded."""
    longest = engine.rows(table.agg(ms=(table[end] - table[start]).max()))["ms"][0].as_py() or 0
    return min(max(int(longest) // MS_PER_DAY + 1, 1), MAX_SPAN_DAYS)


def _end(start: Any, end: Any, quantum: Any) -> Any:
    """The end of an interval; a missing or an equal end counts as one step of the times shown."""
    return ibis.greatest(ibis.coalesce(end, start), start + quantum)


def _candidates(new: Any, new_start: str, new_end: str, others: Any, other_start: str, span_days: int) -> Any:
    """`new` with all `others` on the same connector that may overlap it, by the day on which the other starts."""
    first = new[new_start] // MS_PER_DAY - span_days
    last = new[new_end] // MS_PER_DAY + 1
    days = new.mutate(day=ibis.range(first, last + 1).unnest())
    dated = others.mutate(day=others[other_start] // MS_PER_DAY)
    both = days.join(dated, ["connector_id", "day"])
    return both.drop("day")
