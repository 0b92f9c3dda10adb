"""R14: zero or negative energy on a bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders of negative energy, orders that charge money for none, and orders of none at all."""
    orders = ground.orders
    charged = ibis.coalesce(orders.amount_e4, 0) > 0
    on = {"quantity": "energy", "found": "energy_milli_wh", "order_no": "order_no", "at_utc_ms": "start_utc_ms"}
    return [
        raised(orders.filter(orders.energy_milli_wh < 0), "R14", "negative_energy", **on),
        raised(orders.filter((orders.energy_milli_wh == 0) & charged), "R14", "charged_for_nothing", **on),
        raised(orders.filter((orders.energy_milli_wh == 0) & ~charged), "R14", "zero_energy", **on),
    ]


RULE = Rule(
    id="R14",
    name="no_energy",
    title_zh="零电量或负电量",
    title_en="Zero or negative energy",
    explain_zh="订单电量为负，或电量为零却收费。电量与金额均为零的订单只作提示。",
    explain_en="An order of negative energy, or of no energy but with a charge. Empty orders are only noted.",
    basis=(Basis("Perth & Kinross ledger: -1394.7 kWh; Dundee: 24 such rows", "confirmed"),),
    causes=(
        Cause(
            "negative_energy",
            Severity.VIOLATION,
            False,
            "订单 {orders} 的电量为负：{found} kWh。",
            "Order {orders} has negative energy: {found} kWh.",
        ),
        Cause(
            "charged_for_nothing",
            Severity.VIOLATION,
            False,
            "订单 {orders} 电量为零却收费。",
            "Order {orders} charges money for no energy.",
        ),
        Cause("zero_energy", Severity.NOTE, False, "订单 {orders} 电量为零。", "Order {orders} has no energy."),
    ),
    example="""
        order  O1 C1 10:00-11:00 -5.00
        order  O2 C1 12:00-12:01 0.00 amount=1.00
        order  O3 C1 13:00-13:01 0.00
        expect R14 negative_energy O1
        expect R14 charged_for_nothing O2
        expect R14 zero_energy O3
    """,
    on_facts=on_facts,
)
