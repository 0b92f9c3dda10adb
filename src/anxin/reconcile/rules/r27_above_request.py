"""R27: more energy delivered than the driver asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders that state what was requested and deliver more than that, beyond a small overrun."""
    allowed = policy.int("energy.request_overrun")
    orders = ground.orders.mutate(allowed=allowed)
    above = orders.filter(orders.energy_milli_wh > orders.requested_energy_milli_wh + allowed)
    return [
        raised(
            above,
            "R27",
            "above_request",
            quantity="energy",
            expected="requested_energy_milli_wh",
            found="energy_milli_wh",
            tolerance="allowed",
            order_no="order_no",
            at_utc_ms="start_utc_ms",
        )
    ]


RULE = Rule(
    id="R27",
    name="above_request",
    title_zh="超出请求电量",
    title_en="More than was requested",
    explain_zh="订单注明了用户请求的电量，实际电量却更多。仅作提示：用户可能在充电途中改变了要求。",
    explain_en="An order states what its driver asked for and delivers more. Only noted: he may have changed his mind.",
    basis=(Basis("ACN-Data: 1,254 of 27,407 sessions deliver more than 0.05 kWh above the request", "confirmed"),),
    causes=(
        Cause(
            "above_request",
            Severity.NOTE,
            False,
            "订单 {orders} 请求 {expected} kWh，实际 {found} kWh，多出 {difference} kWh。",
            "Order {orders} asked for {expected} kWh and delivered {found} kWh: {difference} kWh more.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00 requested=15.00
        order  O2 C1 12:00-13:00 20.00 requested=20.00
        expect R27 above_request O1
    """,
    on_facts=on_facts,
)
