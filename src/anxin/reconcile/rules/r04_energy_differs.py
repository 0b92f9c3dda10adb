"""R04: the energy billed is not the energy that the meter measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy

from anxin.reconcile.rules import r11_unit_slip


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Sessions whose orders and records differ by more than the digits that both displays show.

    tolerance = digits each side x (last digit of each order + last digit of each record). A per cent of the class
    would be wrong here: the same meter should yield the same number; class limits belong to verification.
    """
    sessions = ground.sessions
    both = sessions.filter((sessions.orders > 0) & (sessions.records > 0))
    off = both.order_energy_milli_wh - both.record_energy_milli_wh
    tolerance = (both.order_quantum_milli_wh + both.record_quantum_milli_wh) * policy.int(
        "energy.display_digits_each_side"
    )
    both = both.mutate(off=off, tolerance=tolerance)
    wrong = both.filter((both.off.abs() > both.tolerance) & ~r11_unit_slip.is_slip(both, policy))
    figures = {
        "quantity": "energy",
        "expected": "record_energy_milli_wh",
        "found": "order_energy_milli_wh",
        "tolerance": "tolerance",
        "session_no": "session_no",
        "order_no": "order_no",
        "record_no": "record_no",
        "at_utc_ms": "order_start_utc_ms",
    }
    return [
        raised(wrong.filter(wrong.off > 0), "R04", "billed_more", **figures),
        raised(wrong.filter(wrong.off < 0), "R04", "billed_less", **figures),
    ]


RULE = Rule(
    id="R04",
    name="energy_differs",
    title_zh="电量不一致",
    title_en="Energy differs",
    explain_zh="订单电量与电能表签名记录的电量之差，超过双方显示末位之和。",
    explain_en="Billed energy and the meter's recorded energy differ by more than the last digits that both show.",
    basis=(
        Basis(
            "Hangzhou market regulator, description of its platform (2022): order against meter record; its tolerance is not published",
            "confirmed",
        ),
        Basis("Resolution-based tolerance: the same meter should yield the same number", "derived"),
    ),
    causes=(
        Cause(
            "billed_more",
            Severity.VIOLATION,
            True,
            "订单 {orders} 计费 {found} kWh，电能表记录 {expected} kWh，多计 {difference} kWh（允差 {tolerance} kWh）。",
            "Order {orders} bills {found} kWh where the meter recorded {expected} kWh: {difference} kWh too much "
            "(tolerance {tolerance} kWh).",
        ),
        Cause(
            "billed_less",
            Severity.WARNING,
            True,
            "订单 {orders} 计费 {found} kWh，电能表记录 {expected} kWh，少计 {difference} kWh（允差 {tolerance} kWh）。",
            "Order {orders} bills {found} kWh where the meter recorded {expected} kWh: {difference} kWh too little "
            "(tolerance {tolerance} kWh).",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.02
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1
        order  O2 C1 12:00-13:00 20.01
        record R2 C1 12:00-13:00 120.000-140.000 tx=O2
        expect R04 billed_more O1 R1
    """,
    needs=("orders", "records"),
    on_facts=on_facts,
)
