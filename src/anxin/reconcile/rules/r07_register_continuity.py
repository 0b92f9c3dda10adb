"""R07: the register of a meter must go on where it stopped: rollback, energy nobody billed, gaps over-billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.links import LEAST_TRUSTED, telling
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Suspicious links between neighbouring sessions of one meter, less what lost records account for."""
    # An untrusted record proves no gap: what is wrong with it is said by R17 and R18.
    links = ground.links.filter(ground.links.answer_rank <= LEAST_TRUSTED)
    brackets = ground.brackets
    back = links.filter(links.register_gap < -links.tolerance)
    rest = links.filter(links.register_gap > links.tolerance)
    overdue = ground.facts.as_of_utc_ms - policy.int("late.record_window")
    rest = rest.filter(rest.to_utc_ms < overdue)
    held = brackets.select(record_no="gap_record_no", gap_energy="gap_energy", balanced="balanced").distinct()
    empty = rest.anti_join(held, "record_no")
    # An order of the gap whose record is of another meter: the energy went through this one.
    covered = ground.sessions.filter((ground.sessions.orders > 0) & (ground.sessions.records > 0)).select(
        "session_no", "order_no", "connector_id", "order_start_utc_ms", "order_end_utc_ms", other_record_no="record_no"
    )
    slack = policy.int("time.clock_synchronised")
    elsewhere = empty.join(covered, "connector_id")
    elsewhere = elsewhere.filter(
        (elsewhere.order_start_utc_ms >= elsewhere.from_utc_ms - slack)
        & (elsewhere.order_end_utc_ms <= elsewhere.to_utc_ms + slack)
    )
    # Not where any record of the session is of the meter itself.
    meters = ground.records.select(other_record_no="record_no", other_meter="meter_id")
    of_session = elsewhere.select("session_no", "other_record_no", own_meter="meter_id")
    more = ground.members.select("session_no", other_record_no="record_no")
    more = more.join(of_session.select("session_no", "own_meter").distinct(), "session_no")
    of_session = of_session.union(more.select(of_session.columns), distinct=True).join(meters, "other_record_no")
    own = of_session.filter(of_session.other_meter == of_session.own_meter).select("session_no", meter_id="own_meter")
    elsewhere = elsewhere.anti_join(own, ["session_no", "meter_id"]).join(meters, "other_record_no")
    elsewhere = elsewhere.filter(elsewhere.other_meter.notnull())
    empty = empty.anti_join(elsewhere, "record_no")
    told = telling(brackets)
    unbalanced = told.filter(~told.balanced & (told.to_utc_ms < overdue))
    # An order that another gap accounts for needs no second one.
    unbalanced = unbalanced.anti_join(brackets.filter(brackets.balanced), "session_no")
    unbalanced = unbalanced.mutate(allowed=unbalanced.tolerance + unbalanced.gap_quantum)
    over = unbalanced.filter(unbalanced.gap_energy > unbalanced.register_gap)
    under = unbalanced.filter(unbalanced.gap_energy < unbalanced.register_gap)
    of_order = {
        "quantity": "energy", "expected": "register_gap", "found": "gap_energy", "tolerance": "allowed",
        "session_no": "session_no", "order_no": "order_no", "record_no": "gap_record_no",
        "other_record_no": "gap_next_record_no", "at_utc_ms": "from_utc_ms",
    }  # fmt: skip
    return [
        raised(
            elsewhere,
            "R07",
            "gap_recorded_elsewhere",
            quantity="energy",
            expected="register_milli_wh",
            found="next_register_milli_wh",
            tolerance="tolerance",
            detail="other_meter",
            session_no="session_no",
            order_no="order_no",
            record_no="record_no",
            other_record_no="next_record_no",
            at_utc_ms="from_utc_ms",
        ),
        raised(
            back,
            "R07",
            "rollback",
            quantity="energy",
            expected="register_milli_wh",
            found="next_register_milli_wh",
            tolerance="tolerance",
            record_no="record_no",
            other_record_no="next_record_no",
            at_utc_ms="to_utc_ms",
        ),
        raised(
            empty,
            "R07",
            "gap_unbilled",
            quantity="energy",
            expected="register_milli_wh",
            found="next_register_milli_wh",
            tolerance="tolerance",
            record_no="record_no",
            other_record_no="next_record_no",
            at_utc_ms="from_utc_ms",
        ),
        raised(over, "R07", "gap_overbilled", **of_order),
        raised(under, "R07", "gap_underbilled", **of_order),
    ]


RULE = Rule(
    id="R07",
    name="register_continuity",
    title_zh="表底数不连续",
    title_en="Register not continuous",
    explain_zh="同一电能表前一次充电的止数应等于后一次的起数：倒退、无人计费的缺口、缺口内多计的电量均须说明。",
    explain_en=(
        "A meter's register at the end of one session must be its register at the begin of the next: rollback, a gap "
        "that nobody billed, and orders that bill more than their gap holds must be explained."
    ),
    basis=(
        Basis("OCMF 1.4.1, duties of the checker: nothing removed or added between records", "confirmed"),
        Basis("Meter begin/end registers of consecutive sessions (YKC 0x3B 电表总起值/总止值)", "confirmed"),
    ),
    causes=(
        Cause(
            "rollback",
            Severity.GRAVE,
            False,
            "电能表 {meter} 的表底数倒退：上次止数 {expected} kWh，下次起数 {found} kWh。",
            "Meter {meter} went back: it stopped at {expected} kWh and began again at {found} kWh.",
        ),
        Cause(
            "gap_unbilled",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 两次记录之间走了 {difference} kWh，没有任何订单（上次止数 {expected}，下次起数 {found} kWh）。",
            "Meter {meter} advanced by {difference} kWh between two records and no order bills it (stopped at "
            "{expected}, began at {found} kWh).",
        ),
        Cause(
            "gap_recorded_elsewhere",
            Severity.GRAVE,
            False,
            "接口 {connector} 的电能表 {meter} 两次记录之间走了 {difference} kWh；其间订单 {orders} 的记录却出自电能表 {detail}。",
            "Meter {meter} of connector {connector} advanced by {difference} kWh between two records; the order of that "
            "time, {orders}, is covered by a record of meter {detail}.",
        ),
        Cause(
            "gap_overbilled",
            Severity.VIOLATION,
            True,
            "订单 {orders} 没有电能表记录；前后两份签名记录之间该表只走了 {expected} kWh，而订单计费 {found} kWh，多计 {difference} kWh。",
            "Order {orders} has no meter record; between the signed records around it the meter advanced by "
            "{expected} kWh only, while {found} kWh were billed: {difference} kWh too much.",
        ),
        Cause(
            "gap_underbilled",
            Severity.WARNING,
            True,
            "订单 {orders} 没有电能表记录；前后两份签名记录之间该表走了 {expected} kWh，而订单计费 {found} kWh，相差 {difference} kWh。",
            "Order {orders} has no meter record; between the signed records around it the meter advanced by "
            "{expected} kWh, while {found} kWh were billed: {difference} kWh apart.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1 page=1
        order  O2 C1 12:00-13:00 20.00
        record R2 C1 12:00-13:00 115.000-135.000 tx=O2 page=2
        later  10d
        expect R07 rollback R1 R2
    """,
    needs=("records",),
    on_facts=on_facts,
)
