"""R05: the times billed are not the times that the meter recorded, by the class of the meter's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy

from anxin.reconcile.grouping import CLOCK_RANK


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Sessions whose start, end or duration differs beyond the limit of the record's clock.

    A synchronised clock is held to the limit of subsequent verification, an informative one to a wide limit, a
    relative one only by its duration; a clock of unknown state is held to nothing (R15 speaks of it).
    """
    sessions = ground.sessions
    both = sessions.filter((sessions.orders > 0) & (sessions.records > 0))
    limit = both.clock_rank.cases(
        (CLOCK_RANK["S"], policy.int("time.clock_synchronised")),
        (CLOCK_RANK["R"], policy.int("time.clock_synchronised")),
        (CLOCK_RANK["I"], policy.int("time.clock_informative")),
        else_=ibis.null("int64"),
    )
    both = both.mutate(allowed=limit + both.order_time_quantum_ms + both.record_time_quantum_ms)
    absolute = both.filter(both.clock_rank != CLOCK_RANK["R"])
    relative = both.filter(both.clock_rank == CLOCK_RANK["R"])
    start = absolute.filter((absolute.order_start_utc_ms - absolute.record_begin_utc_ms).abs() > absolute.allowed)
    end = absolute.filter((absolute.order_end_utc_ms - absolute.record_end_utc_ms).abs() > absolute.allowed)
    relative = relative.mutate(
        billed=relative.order_end_utc_ms - relative.order_start_utc_ms,
        measured=relative.record_end_utc_ms - relative.record_begin_utc_ms,
    )
    length = relative.filter((relative.billed - relative.measured).abs() > relative.allowed)
    rests_on = {"session_no": "session_no", "order_no": "order_no", "record_no": "record_no", "tolerance": "allowed"}
    return [
        raised(
            start,
            "R05",
            "start_differs",
            quantity="time",
            expected="record_begin_utc_ms",
            found="order_start_utc_ms",
            at_utc_ms="order_start_utc_ms",
            **rests_on,
        ),
        raised(
            end,
            "R05",
            "end_differs",
            quantity="time",
            expected="record_end_utc_ms",
            found="order_end_utc_ms",
            at_utc_ms="order_end_utc_ms",
            **rests_on,
        ),
        raised(
            length,
            "R05",
            "duration_differs",
            quantity="duration",
            expected="measured",
            found="billed",
            at_utc_ms="order_start_utc_ms",
            **rests_on,
        ),
    ]


RULE = Rule(
    id="R05",
    name="time_differs",
    title_zh="时间不一致",
    title_en="Time differs",
    explain_zh="订单时间与电能表记录时间之差，超过该表时钟等级的允差。",
    explain_en="Billed times differ from the recorded ones by more than the class of the meter's clock allows.",
    basis=(
        Basis("JJG 1148/1149-2022: clock moment error, first verification 5 s, subsequent 3 min", "confirmed"),
        Basis("OCMF 1.4.1, TM synchronisation status U, I, S, R", "confirmed"),
    ),
    causes=(
        Cause(
            "start_differs",
            Severity.WARNING,
            True,
            "订单 {orders} 起始时间 {found}，电能表记录 {expected}，相差 {difference}（允差 {tolerance}）。",
            "Order {orders} starts at {found}, the meter recorded {expected}: {difference} apart (limit {tolerance}).",
        ),
        Cause(
            "end_differs",
            Severity.WARNING,
            True,
            "订单 {orders} 结束时间 {found}，电能表记录 {expected}，相差 {difference}（允差 {tolerance}）。",
            "Order {orders} ends at {found}, the meter recorded {expected}: {difference} apart (limit {tolerance}).",
        ),
        Cause(
            "duration_differs",
            Severity.WARNING,
            True,
            "订单 {orders} 时长 {found}，电能表记录时长 {expected}，相差 {difference}（允差 {tolerance}）。",
            "Order {orders} lasts {found}, the meter recorded {expected}: {difference} apart (limit {tolerance}).",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00
        record R1 C1 10:10-11:00 100.000-120.000 tx=O1
        expect R05 start_differs O1 R1
    """,
    needs=("orders", "records"),
    on_facts=on_facts,
)
