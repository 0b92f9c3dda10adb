"""R20: uploads after the late window, and records that were lost but are accounted for."""

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
    """Orders and records that came later than the window allows, and orders bracketed by registers."""
    window = policy.int("late.record_window")
    found = []
    for table, number, start in (
        (ground.orders, "order_no", "start_utc_ms"),
        (ground.records, "record_no", "begin_utc_ms"),
    ):
        late = table.mutate(delay=table.received_utc_ms - table.end_utc_ms)
        late = late.filter(late.delay > window).mutate(window=window)
        late = late.anti_join(_part_of_a_later_session(late, number, ground, window), number)
        found.append(
            raised(
                late,
                "R20",
                "late_upload",
                quantity="duration",
                expected="window",
                found="delay",
                at_utc_ms=start,
                **{number: number},
            )
        )
    lost = ground.brackets.filter(ground.brackets.balanced)
    found.append(
        raised(
            lost,
            "R20",
            "lost_record",
            quantity="energy",
            expected="register_gap",
            found="gap_energy",
            session_no="session_no",
            order_no="order_no",
            record_no="gap_record_no",
            other_record_no="gap_next_record_no",
            at_utc_ms="from_utc_ms",
        )
    )
    return found


def _part_of_a_later_session(late: Any, number: str, ground: Ground, window: int) -> Any:
    """Late values whose session went on after their own end: an order split at midnight is sent when all of it ended."""
    ends = ground.sessions.select("session_no", session_end=ibis.greatest(
        ibis.coalesce(ground.sessions.order_end_utc_ms, 0), ibis.coalesce(ground.sessions.record_end_utc_ms, 0)
    ))  # fmt: skip
    members = ground.members.select(number, "session_no").distinct()
    joint = late.select(number, "received_utc_ms").join(members, number).join(ends, "session_no")
    return joint.filter(joint.received_utc_ms - joint.session_end <= window).select(number)


RULE = Rule(
    id="R20",
    name="late",
    title_zh="迟报与丢失",
    title_en="Late or lost uploads",
    explain_zh="上传超过补传期限；或记录丢失，但前后两份签名记录的表底数证明了这笔电量（仅提示）。",
    explain_en=(
        "An upload came after the late window; or a record was lost, but the signed registers before and after it "
        "account for the energy billed (only noted)."
    ),
    basis=(
        Basis("Revenue assurance: late-arrival window (TM Forum GB941)", "secondary"),
        Basis("OCMF 1.4.1: registers of consecutive records prove what lies between", "derived"),
    ),
    causes=(
        Cause(
            "late_upload",
            Severity.WARNING,
            False,
            "{orders}{records} 在充电结束 {found} 后才上传，期限为 {expected}。",
            "{orders}{records} was uploaded {found} after the session; the window is {expected}.",
        ),
        Cause(
            "lost_record",
            Severity.NOTE,
            False,
            "订单 {orders} 的电能表记录丢失；前后签名记录之间走了 {expected} kWh，与计费 {found} kWh 相符。",
            "The meter record of order {orders} was lost; the registers around it moved by {expected} kWh, which "
            "agrees with the {found} kWh billed.",
        ),
    ),
    example="""
        record R0 C1 08:00-09:00 90.000-100.000 page=1
        order  O1 C1 10:00-11:00 20.00
        record R2 C1 12:00-13:00 120.000-140.000 page=3
        order  O0 C1 08:00-09:00 10.00
        order  O2 C1 12:00-13:00 20.00
        later  10d
        expect R20 lost_record O1 R0 R2
    """,
    needs=(),
    on_facts=on_facts,
)
