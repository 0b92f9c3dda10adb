"""R01: an order that no meter record accounts for, after the late window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.links import telling
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders without a record whose late window has passed and of which no registers around them tell anything.

    Where two trusted registers do, R20 says that the record was lost, or R07 that the gap holds other energy, as soon
    as the gap's own window has passed.
    """
    lone = ground.sessions.filter((ground.sessions.records == 0) & (ground.sessions.orders > 0))
    lone = lone.anti_join(telling(ground.brackets), "session_no")
    ended = lone.order_end_utc_ms.fill_null(lone.order_start_utc_ms).fill_null(0)
    overdue = lone.filter(ended + policy.int("late.record_window") < ground.facts.as_of_utc_ms)
    return [
        raised(
            overdue,
            "R01",
            "no_record",
            quantity="energy",
            found="order_energy_milli_wh",
            session_no="session_no",
            order_no="order_no",
            at_utc_ms="order_start_utc_ms",
        )
    ]


RULE = Rule(
    id="R01",
    name="order_without_record",
    title_zh="有订单无计量记录",
    title_en="Order without meter record",
    explain_zh="消费订单已上传，但补传期限过后仍没有电能表记录，且前后两次记录的表底数也不能证明这笔电量。",
    explain_en=(
        "An order was uploaded, but no meter record came within the late window, and the signed registers before and "
        "after do not account for its energy either."
    ),
    basis=(
        Basis(
            "Hangzhou market regulator, description of its platform (2022): orders are compared with the meter's own records",
            "confirmed",
        ),
        Basis("Revenue assurance, completeness control (TM Forum GB941)", "secondary"),
    ),
    causes=(
        Cause(
            "no_record",
            Severity.VIOLATION,
            False,
            "订单 {orders} 计费 {found} kWh，补传期限过后仍未收到电能表记录。",
            "Order {orders} bills {found} kWh; no meter record came within the late window.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00
        order  O2 C2 10:00-11:00 20.00
        record R2 C2 10:00-11:00 100.000-120.000 tx=O2
        later  10d
        expect R01 no_record O1
    """,
    needs=("orders", "records"),
    on_facts=on_facts,
)
