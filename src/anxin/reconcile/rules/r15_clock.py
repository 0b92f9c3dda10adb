"""R15: times that no clock can have meant: never set, in the future, end before start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks import r15
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


MS_PER_YEAR = 31_556_952_000


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders and records whose times are unset, beyond the reference date, or reversed."""
    unset = (policy.int("time.clock_unset_before_year") - 1970) * MS_PER_YEAR
    future = ground.facts.as_of_utc_ms + policy.int("time.clock_future")
    found = []
    for table, number, start in (
        (ground.orders, "order_no", "start_utc_ms"),
        (ground.records, "record_no", "begin_utc_ms"),
    ):
        end = table.end_utc_ms
        on = {number: number, "at_utc_ms": start, "quantity": "time"}
        found += [
            raised(table.filter(table[start] < unset), "R15", "clock_unset", found=start, **on),
            raised(table.filter(table[start] > future), "R15", "in_future", found=start, **on),
            raised(
                table.filter(end < table[start]), "R15", "end_before_start", expected=start, found="end_utc_ms", **on
            ),
        ]
    return found


RULE = Rule(
    id="R15",
    name="clock",
    title_zh="时间不可信",
    title_en="Times not credible",
    explain_zh="时间为出厂值（1970 年）、在将来、结束早于开始，或时钟未同步、跳变。",
    explain_en="A time is the factory's (1970), in the future, or ends before it starts; or a clock is not set or jumps.",
    basis=(
        Basis("JJG 1148/1149-2022: clock moment error", "confirmed"),
        Basis("KEBA records and MicroOcpp #354 carry 1970; Perth & Kinross exchanged day and month", "confirmed"),
    ),
    causes=(
        Cause(
            "clock_unset",
            Severity.WARNING,
            False,
            "{orders}{records} 的时间 {found} 早于任何公共充电桩，时钟未设置。",
            "{orders}{records}: {found} is before any public charger: the clock was never set.",
        ),
        Cause(
            "in_future",
            Severity.WARNING,
            False,
            "{orders}{records} 的时间 {found} 在将来。",
            "{orders}{records}: {found} is in the future.",
        ),
        Cause(
            "end_before_start",
            Severity.WARNING,
            False,
            "{orders}{records} 在 {found} 结束，早于开始时间 {expected}。",
            "{orders}{records} ends at {found}, before its start at {expected}.",
        ),
        *r15.CAUSES,
    ),
    example="""
        order  O1 C1 11:00-10:00 20.00
        expect R15 end_before_start O1
    """,
    needs=(),
    on_facts=on_facts,
    same_on_facts=("record_clock_unset", "record_time_reversed"),
    on_record=r15.on_record,
)
