"""R25: what an operator says he uploaded is not what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


MS_PER_S = 1_000


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Operator totals (`check_charge_orders`) whose count, energy or money differs from the orders that came."""
    totals = ground.facts.operator_totals
    stated = totals.select(
        "operator_id", "check_id", "order_count", "energy_milli_wh", "amount_e4",
        span_from="start_utc_ms", span_to="end_utc_ms",
    ).distinct()  # fmt: skip
    orders = ground.orders.select(
        "operator_id", started="start_utc_ms", energy=ibis.coalesce(ground.orders.energy_milli_wh, 0),
        amount=ibis.coalesce(ground.orders.amount_e4, 0),
    )  # fmt: skip
    within = stated.join(orders, "operator_id")
    within = within.filter((within.started >= within.span_from) & (within.started < within.span_to + MS_PER_S))
    # One check id may come with other content; each statement is held to the orders of its own span.
    check = ["operator_id", "check_id", "span_from", "span_to"]
    came = within.group_by(check).agg(
        came_count=within.count(),
        came_energy=within.energy.sum().cast("int64"),
        came_amount=within.amount.sum().cast("int64"),
    )
    both = stated.left_join(came, check)
    both = both.select(
        "operator_id", "check_id", "order_count", "energy_milli_wh", "amount_e4", "span_from",
        came_count=ibis.coalesce(both.came_count, 0), came_energy=ibis.coalesce(both.came_energy, 0),
        came_amount=ibis.coalesce(both.came_amount, 0),
    )  # fmt: skip
    on = {"detail": "check_id", "at_utc_ms": "span_from"}
    return [
        raised(
            both.filter(both.order_count != both.came_count),
            "R25",
            "count_differs",
            quantity="count",
            expected="order_count",
            found="came_count",
            **on,
        ),
        raised(
            both.filter(both.energy_milli_wh != both.came_energy),
            "R25",
            "energy_total_differs",
            quantity="energy",
            expected="energy_milli_wh",
            found="came_energy",
            **on,
        ),
        raised(
            both.filter(both.amount_e4 != both.came_amount),
            "R25",
            "amount_total_differs",
            quantity="amount",
            expected="amount_e4",
            found="came_amount",
            **on,
        ),
    ]


RULE = Rule(
    id="R25",
    name="operator_totals",
    title_zh="运营商汇总不符",
    title_en="Operator totals do not add up",
    explain_zh="运营商对账信息（check_charge_orders）中的笔数、电量或金额，与收到的订单合计不符。按订单开始时间归入，起止时刻均含在内。",
    explain_en="The count, energy or money that an operator states for a span is not that of the orders that came (by start time, both ends of the span included).",
    basis=(Basis("T/CEC 102 check_charge_orders: the only standard message that proves completeness", "confirmed"),),
    causes=(
        Cause(
            "count_differs",
            Severity.WARNING,
            False,
            "运营商 {operator} 的对账单 {detail} 称有 {expected} 笔订单，收到 {found} 笔。",
            "Operator {operator} states {expected} orders in check {detail}; {found} came.",
        ),
        Cause(
            "energy_total_differs",
            Severity.WARNING,
            False,
            "运营商 {operator} 的对账单 {detail} 称合计 {expected} kWh，收到的订单合计 {found} kWh。",
            "Operator {operator} states {expected} kWh in check {detail}; the orders that came add up to {found} kWh.",
        ),
        Cause(
            "amount_total_differs",
            Severity.WARNING,
            False,
            "运营商 {operator} 的对账单 {detail} 称合计金额 {expected}，收到的订单合计 {found}。",
            "Operator {operator} states a total of {expected} in check {detail}; the orders that came add up to {found}.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00 amount=24.00 operator=OP1
        total  OP1 CHK1 00:00-23:59 count=2 energy=20.00 amount=24.00
        expect R25 count_differs
    """,
    needs=("orders", "operator_totals"),
    on_facts=on_facts,
)
