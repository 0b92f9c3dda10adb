"""Matching by place and time: what is left over by id, on the same connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.reconcile.grouping import all_or_null, total

if TYPE_CHECKING:
    from anxin.reconcile.engine import Engine
    from anxin.reconcile.policy import Policy

MS_PER_DAY = 86_400_000
#: What lasts longer is a clock that was never set, not a session, and takes no part: it would overlap everything.
MAX_SPAN_DAYS = 62


def overlaps(
    orders: Any, records: Any, joined: Any, lone_orders: Any, lone_records: Any, policy: Policy, engine: Engine
) -> Any:
    """Pairs (order_no, record_no) of values left over by id that overlap on one connector.

    - A pair counts where it overlaps for at least `match.overlap_share` of the shorter interval.
    - Where order and record agree in start, end and energy, and neither agrees so with another, they are one session:
      what else they overlap is another car's (ledgers of shared places overlap by minutes).
    - A record's clock may be off: where an order has no partner yet, the record's interval is widened by its clock's
      limit, and the pair then counts only if its energies agree (the last minutes of an order split at midnight).
    - A value that is matched by id takes part only if the newcomer does not overlap its partner by id: two orders at
      the same time on one connector are two claims, not two halves of one session.
    """
    o, r = _order_intervals(orders), _record_intervals(records, policy)
    new_orders = engine.stage("new_orders", o.semi_join(lone_orders, "order_no"))
    new_records = engine.stage("new_records", r.semi_join(lone_records, "record_no"))
    slack = policy.int("time.clock_synchronised")
    from_orders = _candidates(new_orders, "a", "b", r, "c", _spans(engine, r, "c", "d", slack))
    from_records = _candidates(new_records, "c", "d", o, "a", _spans(engine, o, "a", "b", slack))
    found = engine.stage(
        "overlap_candidates", from_orders.union(from_records.select(from_orders.columns), distinct=True)
    )
    found = engine.stage("overlap_measured", _measured(found, policy.int("match.overlap_share")))
    by_id = joined.filter(joined.record_no.notnull())
    free = engine.stage("overlap_free", _without_rivals(found, by_id))
    settled = engine.stage("overlap_settled", _settled(free))
    open_ = free.anti_join(settled, "order_no").anti_join(settled, "record_no")
    strong = open_.filter(open_.strong)
    weak = open_.filter(~open_.strong).anti_join(strong, "order_no")
    weak = _balancing(weak, by_id)
    pairs = [t.select("order_no", "record_no") for t in (settled, strong, weak)]
    return ibis.union(*pairs, distinct=True)


def _order_intervals(orders: Any) -> Any:
    rows = orders.filter(orders.connector_id.notnull() & orders.start_utc_ms.notnull())
    intervals = rows.select(
        "order_no",
        "connector_id",
        "energy_milli_wh",
        "energy_quantum_milli_wh",
        a="start_utc_ms",
        b=_end(rows.start_utc_ms, rows.end_utc_ms, rows.time_quantum_ms),
        order_step="time_quantum_ms",
        order_ended=rows.end_utc_ms.notnull(),
    )
    return intervals.filter(intervals.b - intervals.a <= MAX_SPAN_DAYS * MS_PER_DAY)


def _record_intervals(records: Any, policy: Policy) -> Any:
    rows = records.filter(records.connector_id.notnull() & records.begin_utc_ms.notnull())
    allowed = policy.int("time.clock_synchronised")
    intervals = rows.select(
        "record_no",
        "connector_id",
        record_energy_milli_wh="energy_milli_wh",
        record_quantum_milli_wh="energy_quantum_milli_wh",
        slack=rows.clock.cases(("S", allowed), ("I", allowed), else_=0),
        c="begin_utc_ms",
        d=_end(rows.begin_utc_ms, rows.end_utc_ms, rows.time_quantum_ms),
        record_step="time_quantum_ms",
        record_ended=rows.end_utc_ms.notnull(),
    )
    return intervals.filter(intervals.d - intervals.c <= MAX_SPAN_DAYS * MS_PER_DAY)


def _measured(found: Any, share_ppm: int) -> Any:
    """Candidates that overlap: `strong` by themselves, the others at all within the clock's limit (then the energies
    decide: what remains of an order after midnight may be shorter than the clock is off)."""
    both = ibis.least(found.b, found.d) - ibis.greatest(found.a, found.c)
    widened = ibis.least(found.b, found.d + found.slack) - ibis.greatest(found.a, found.c - found.slack)
    shorter = ibis.least(found.b - found.a, found.d - found.c)
    return found.mutate(
        strong=(both > 0) & (both * 1_000_000 >= shorter * share_ppm),
        weak=widened > 0,
    ).filter(ibis._.weak)


def _without_rivals(found: Any, by_id: Any) -> Any:
    """Candidates less those whose newcomer overlaps the other end's partner by id."""
    partners = by_id.semi_join(found, "record_no").select("record_no", p="order_start_utc_ms", q="order_end_utc_ms")
    rivals = found.join(partners, "record_no")
    orders_clash = rivals.filter((rivals.a < rivals.q) & (rivals.p < rivals.b)).select("order_no", "record_no")
    partners = by_id.semi_join(found, "order_no").select("order_no", p="record_begin_utc_ms", q="record_end_utc_ms")
    rivals = found.join(partners, "order_no")
    records_clash = rivals.filter((rivals.c < rivals.q) & (rivals.p < rivals.d)).select("order_no", "record_no")
    return found.anti_join(orders_clash.union(records_clash, distinct=True), ["order_no", "record_no"])


def _settled(free: Any) -> Any:
    """Pairs that agree in start, end and energy, where neither side agrees so with another."""
    step = free.slack + free.order_step + free.record_step
    same_end = ((free.b - free.d).abs() <= step) | ~free.order_ended | ~free.record_ended
    digits = free.energy_quantum_milli_wh + free.record_quantum_milli_wh
    same_energy = (free.energy_milli_wh - free.record_energy_milli_wh).abs() <= digits
    same = free.filter(((free.a - free.c).abs() <= step) & same_end & same_energy)
    of_order = same.group_by("order_no").agg(n=same.count()).filter(ibis._.n == 1)
    of_record = same.group_by("record_no").agg(n=same.count()).filter(ibis._.n == 1)
    return same.semi_join(of_order, "order_no").semi_join(of_record, "record_no").select("order_no", "record_no")


def _balancing(weak: Any, by_id: Any) -> Any:
    """Pairs whose energies agree, counting what orders matched by id already take of the record."""
    partners = by_id.semi_join(weak, "record_no").select("record_no", "order_no", "order_energy_milli_wh")
    # A partner may have several records (a power failure): what counts is all that its records measured.
    theirs = by_id.semi_join(partners, "order_no")
    measured = theirs.group_by("order_no").agg(
        given=all_or_null(theirs.record_energy_milli_wh, total(theirs.record_energy_milli_wh))
    )
    partners = partners.join(measured, "order_no")
    balance = partners.group_by("record_no").agg(
        partners=partners.count(),
        taken=all_or_null(partners.order_energy_milli_wh, total(partners.order_energy_milli_wh)),
        given=partners.given.max(),
    )
    weak = weak.left_join(balance, "record_no")
    # Without partners the record's own energy; with them, an unknown among them balances nothing.
    alone = weak.partners.isnull()
    given = ibis.ifelse(alone, weak.record_energy_milli_wh, weak.given)
    rest = given - ibis.ifelse(alone, 0, weak.taken) - weak.energy_milli_wh
    return weak.filter(rest.abs() <= 2 * (weak.record_quantum_milli_wh + weak.energy_quantum_milli_wh))


def _spans(engine: Engine, table: Any, start: str, end: str, slack_ms: int) -> Any:
    """Days that the longest interval of `table`, with its clock's limit, reaches beyond its first day: one value."""
    longest = ibis.coalesce((table[end] - table[start]).max(), 0)
    days = ((longest + slack_ms) // MS_PER_DAY + 1).cast("int64")
    return engine.stage(f"span_{start}", table.agg(days=days)).days.as_scalar()


def _end(start: Any, end: Any, quantum: Any) -> Any:
    """The end of an interval; a missing or an equal end counts as one step of the times shown."""
    return ibis.greatest(ibis.coalesce(end, start), start + quantum)


def _candidates(new: Any, new_start: str, new_end: str, others: Any, other_start: str, span_days: Any) -> Any:
    """`new` with all `others` on the same connector that may overlap it, by the day on which the other starts."""
    first = new[new_start] // MS_PER_DAY - span_days
    last = new[new_end] // MS_PER_DAY + 1
    days = new.mutate(day=ibis.range(first, last + 1).unnest())
    dated = others.mutate(day=others[other_start] // MS_PER_DAY)
    both = days.join(dated, ["connector_id", "day"])
    return both.drop("day")
