"""Neighbours: the register and the page of a meter must go on where they stopped; lost records are bracketed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.meter_record import Answer
from anxin.reconcile.grouping import ANSWER_RANK, all_or_null, rank_of, total

if TYPE_CHECKING:
    from anxin.reconcile.policy import Policy

#: The weakest answer whose registers still prove something: a ledger's records are unsigned, but not refuted.
LEAST_TRUSTED = ANSWER_RANK[Answer.CANNOT_JUDGE.value]


def links_between(records: Any, policy: Policy) -> Any:
    """Neighbouring sessions of one meter whose register or page does not go on where it stopped.

    register_gap = next begin register - this end register; page_gap = pages missing between (0 where continuous,
    -1 where a page is used again, null where a side has no page or the context differs).
    """
    chain = records.filter(records.meter_id.notnull() & records.begin_register_milli_wh.notnull())
    window = ibis.window(group_by="meter_id", order_by=["begin_utc_ms", "page_first", "record_no"])
    allowed = policy.int("registers.gap")
    # The window carries as little as decides; the rest is looked up for the few links that are suspicious.
    linked = chain.select(
        "meter_id",
        "begin_register_milli_wh",
        "energy_quantum_milli_wh",
        "page_first",
        next_record_no="record_no",
        previous_no=chain.record_no.lag().over(window),
        previous_end=chain.end_register_milli_wh.lag().over(window),
        previous_page=chain.page_last.lag().over(window),
    )
    register_gap = linked.begin_register_milli_wh - linked.previous_end
    page_gap = linked.page_first - linked.previous_page - 1
    odd = linked.previous_no.notnull() & (
        (ibis.coalesce(register_gap, 0).abs() > linked.energy_quantum_milli_wh + allowed)
        | (ibis.coalesce(page_gap, 0) != 0)
    )
    linked = linked.filter(odd)
    after = records.select(
        next_record_no="record_no",
        to_utc_ms="begin_utc_ms",
        next_context="page_context",
        next_connector="connector_id",
        next_answer=rank_of(records.answer, ANSWER_RANK),
    )
    before = records.select(
        previous_no="record_no",
        from_utc_ms=ibis.coalesce(records.end_utc_ms, records.begin_utc_ms),
        context="page_context",
        connector="connector_id",
        quantum="energy_quantum_milli_wh",
        answer=rank_of(records.answer, ANSWER_RANK),
    )
    both = linked.join(after, "next_record_no").join(before, "previous_no")
    both = both.mutate(
        register_gap=both.begin_register_milli_wh - both.previous_end,
        page_gap=ibis.ifelse(
            ibis.coalesce(both.context, "T") == ibis.coalesce(both.next_context, "T"),
            both.page_first - both.previous_page - 1,
            ibis.null("int64"),
        ),
        tolerance=both.energy_quantum_milli_wh + both.quantum + allowed,
    )
    suspicious = (ibis.coalesce(both.register_gap, 0).abs() > both.tolerance) | (ibis.coalesce(both.page_gap, 0) != 0)
    both = both.filter(suspicious)
    return both.select(
        "meter_id",
        "register_gap",
        "page_gap",
        "tolerance",
        "next_record_no",
        "from_utc_ms",
        "to_utc_ms",
        connector_id=ibis.coalesce(both.connector, both.next_connector),
        record_no="previous_no",
        register_milli_wh="previous_end",
        next_register_milli_wh="begin_register_milli_wh",
        answer_rank=ibis.greatest(both.answer, both.next_answer),
    )


def brackets_of(sessions: Any, links: Any, policy: Policy) -> Any:
    """Orders without a record that lie in the gap of a link, with what the gap holds in all.

    balanced = the orders of the gap add up to the register's gap within their digits: a record was lost on its way,
    but the signed registers before and after prove its energy. A forged or malformed record proves nothing.
    """
    slack = policy.int("time.clock_synchronised")
    gaps = links.select(
        "register_gap",
        "tolerance",
        "from_utc_ms",
        "to_utc_ms",
        gap_record_no="record_no",
        gap_next_record_no="next_record_no",
        gap_answer="answer_rank",
        gap_connector="connector_id",
    )
    lone = sessions.filter((sessions.records == 0) & sessions.order_start_utc_ms.notnull()).select(
        "session_no", "order_no", "connector_id", "operator_id", "order_start_utc_ms", "order_end_utc_ms",
        "order_time_quantum_ms", "order_energy_milli_wh", "order_quantum_milli_wh",
    )  # fmt: skip
    inside = lone.join(gaps, lone.connector_id == gaps.gap_connector)
    inside = inside.filter(
        (inside.order_start_utc_ms >= inside.from_utc_ms - slack - inside.order_time_quantum_ms)
        & (ibis.coalesce(inside.order_end_utc_ms, inside.order_start_utc_ms) <= inside.to_utc_ms + slack)
    )
    totals = inside.group_by("gap_record_no").agg(
        gap_orders=inside.count(),
        gap_energy=all_or_null(inside.order_energy_milli_wh, total(inside.order_energy_milli_wh)),
        gap_quantum=total(inside.order_quantum_milli_wh),
    )
    both = inside.join(totals, "gap_record_no")
    off = both.register_gap - both.gap_energy
    within = ibis.coalesce(off.abs() <= both.tolerance + both.gap_quantum, False)
    return both.mutate(balanced=within & (both.gap_answer <= LEAST_TRUSTED))


def telling(brackets: Any) -> Any:
    """The brackets whose registers tell something of their orders: both known, neither forged nor malformed."""
    return brackets.filter(
        (brackets.gap_answer <= LEAST_TRUSTED) & brackets.gap_energy.notnull() & brackets.register_gap.notnull()
    )
