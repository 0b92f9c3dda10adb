"""R12: a session that was never closed, or lasted longer than any charging does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks import r12
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders without an end or an energy, records without an end, and either of them overlong."""
    orders, records = ground.orders, ground.records
    longest = policy.int("plausible.duration_session")
    open_orders = orders.filter(orders.end_utc_ms.isnull() | orders.energy_milli_wh.isnull())
    open_records = records.filter(~records.closed)
    long_orders = orders.mutate(length=orders.end_utc_ms - orders.start_utc_ms).filter(lambda t: t.length > longest)
    long_records = records.mutate(length=records.end_utc_ms - records.begin_utc_ms).filter(lambda t: t.length > longest)
    return [
        raised(open_orders, "R12", "order_not_closed", order_no="order_no", at_utc_ms="start_utc_ms"),
        raised(open_records, "R12", "record_not_closed", record_no="record_no", at_utc_ms="begin_utc_ms"),
        raised(
            long_orders,
            "R12",
            "overlong",
            quantity="duration",
            found="length",
            order_no="order_no",
            at_utc_ms="start_utc_ms",
        ),
        raised(
            long_records,
            "R12",
            "overlong",
            quantity="duration",
            found="length",
            record_no="record_no",
            at_utc_ms="begin_utc_ms",
        ),
    ]


RULE = Rule(
    id="R12",
    name="never_closed",
    title_zh="充电未结束或超长",
    title_en="Never closed or overlong",
    explain_zh="订单缺少结束时间或电量，记录缺少结束读数，或一次充电时间过长。",
    explain_en="An order lacks its end or its energy, a record its end reading, or a session lasts too long.",
    basis=(
        Basis("OCPI issues #524 and #332: sessions that are never closed", "confirmed"),
        Basis("OCMF 1.4.1, duties of the checker: first reading begin, last reading end", "confirmed"),
    ),
    causes=(
        Cause(
            "order_not_closed",
            Severity.WARNING,
            False,
            "订单 {orders} 没有结束时间或电量。",
            "Order {orders} has no end or no energy.",
        ),
        Cause(
            "overlong",
            Severity.WARNING,
            False,
            "{orders}{records} 持续 {found}，过长。",
            "{orders}{records} lasts {found}, which is too long.",
        ),
        *r12.CAUSES,
    ),
    example="""
        order  O1 C1 10:00- -
        expect R12 order_not_closed O1
    """,
    needs=(),
    on_facts=on_facts,
    same_on_facts=("record_not_closed", "record_overlong"),
    on_record=r12.on_record,
)
