"""R02: a meter record that no order accounts for, after the late window: energy that nobody billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Records without an order whose late window has passed and that measured energy."""
    sessions = ground.sessions
    lone = sessions.filter((sessions.orders == 0) & (sessions.record_energy_milli_wh.fill_null(1) != 0))
    ended = lone.record_end_utc_ms.fill_null(lone.record_begin_utc_ms).fill_null(0)
    overdue = lone.filter(ended + policy.int("late.record_window") < ground.facts.as_of_utc_ms)
    return [
        raised(
            overdue,
            "R02",
            "no_order",
            quantity="energy",
            expected="record_energy_milli_wh",
            session_no="session_no",
            record_no="record_no",
            at_utc_ms="record_begin_utc_ms",
        )
    ]


RULE = Rule(
    id="R02",
    name="record_without_order",
    title_zh="有计量记录无订单",
    title_en="Meter record without order",
    explain_zh="电能表上传了充电记录，但补传期限过后运营商仍没有上传对应的消费订单。",
    explain_en="A meter measured a session, but the operator uploaded no order for it within the late window.",
    basis=(
        Basis(
            "Hangzhou market regulator, description of its platform (2022): orders are compared with the meter's own records",
            "confirmed",
        ),
        Basis("Revenue assurance, completeness control (TM Forum GB941)", "secondary"),
    ),
    causes=(
        Cause(
            "no_order",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 记录了 {expected} kWh 的充电，补传期限过后仍没有对应订单。",
            "Meter {meter} recorded {expected} kWh; no order for it came within the late window.",
        ),
    ),
    example="""
        record R1 C1 10:00-11:00 100.000-120.000
        order  O2 C2 10:00-11:00 20.00
        record R2 C2 10:00-11:00 100.000-120.000 tx=O2
        later  10d
        expect R02 no_order R1
    """,
    needs=("orders", "records"),
    on_facts=on_facts,
)
