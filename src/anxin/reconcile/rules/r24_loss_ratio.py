"""R24: a loss ratio (计损比例) applied to the energy billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders that state a loss ratio other than none."""
    inflated = ground.orders.filter(ground.orders.loss_ratio_ppm > 0)
    return [
        raised(
            inflated,
            "R24",
            "loss_ratio_applied",
            detail=(inflated.loss_ratio_ppm / 10_000.0).round(4).cast("string"),
            order_no="order_no",
            at_utc_ms="start_utc_ms",
        )
    ]


RULE = Rule(
    id="R24",
    name="loss_ratio",
    title_zh="使用计损比例",
    title_en="Loss ratio applied",
    explain_zh="计损比例不为零时，桩会按比例放大上报电量，消费者为损耗付费。",
    explain_en="With a loss ratio other than zero the charger inflates the energy it reports, and drivers pay for losses.",
    basis=(Basis("YKC protocol V1.6, billing model: 计损比例; the text says platforms keep it 0", "confirmed"),),
    causes=(
        Cause(
            "loss_ratio_applied",
            Severity.VIOLATION,
            False,
            "订单 {orders} 使用了 {detail} % 的计损比例。",
            "Order {orders} applies a loss ratio of {detail} %.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00 loss=5%
        expect R24 loss_ratio_applied O1
    """,
    on_facts=on_facts,
)
