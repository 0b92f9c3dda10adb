"""R10: energy or power that the connector cannot deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks import r10
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


MS_PER_HOUR = 3_600_000
MILLI_PER_UNIT = 1_000
PPM = 1_000_000


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders and records whose mean power is above the connector's rating with its margin, or whose energy is absurd.

    Mean power = energy / (duration + one step of the time shown on each side), so that a session shown to the minute
    is never judged by a duration that it may not have had. Connectors whose power no register knows are held to
    `plausible.power_unregistered`.
    """
    ratings = ground.facts.connectors.select("connector_id", "rated_power_w")
    margin = PPM + policy.int("plausible.power_margin")
    default = policy.int("plausible.power_unregistered")
    found = []
    for table, number, start, end in (
        (ground.orders, "order_no", "start_utc_ms", "end_utc_ms"),
        (ground.records, "record_no", "begin_utc_ms", "end_utc_ms"),
    ):
        held = [c for c in ("operator_id", "meter_id") if c in table.columns]
        rows = table.filter((table.energy_milli_wh > 0) & (table[end] >= table[start]))
        rows = rows.select(
            number,
            "connector_id",
            "energy_milli_wh",
            *held,
            start=start,
            length=rows[end] - rows[start] + 2 * rows.time_quantum_ms,
        )
        rows = rows.left_join(ratings, "connector_id")
        # mWh/ms x 3,600,000 ms/h = mW; compared without division: energy x 3600 against W x ms.
        limit_w = ibis.coalesce(rows.rated_power_w.nullif(0) * margin // PPM, ibis.literal(default))
        rows = rows.mutate(
            limit_w=limit_w, mean_w=rows.energy_milli_wh * (MS_PER_HOUR // MILLI_PER_UNIT) // rows.length
        )
        strong = rows.filter(rows.mean_w > rows.limit_w)
        much = rows.filter(
            (rows.mean_w <= rows.limit_w) & (rows.energy_milli_wh > policy.int("plausible.energy_session"))
        )
        on = {number: number, "at_utc_ms": "start"}
        found.append(
            raised(strong, "R10", "power_impossible", quantity="power", expected="limit_w", found="mean_w", **on)
        )
        found.append(
            raised(
                much,
                "R10",
                "energy_impossible",
                quantity="energy",
                found="energy_milli_wh",
                expected=ibis.literal(policy.int("plausible.energy_session")),
                **on,
            )
        )
    return found


RULE = Rule(
    id="R10",
    name="impossible",
    title_zh="功率或电量不可能",
    title_en="Impossible power or energy",
    explain_zh="平均功率超过充电桩额定功率（含裕度），或一次充电的电量超过任何车辆的电池。",
    explain_en="Mean power above the charger's rating with its margin, or more energy than any vehicle takes.",
    basis=(
        Basis(
            "SAFE Transparenzsoftware accepts 20 MWh in 30 min: a signature alone proves no plausibility", "confirmed"
        ),
        Basis("T/CEC 102 ConnectorInfo.Power: rated power", "confirmed"),
    ),
    causes=(
        Cause(
            "power_impossible",
            Severity.VIOLATION,
            False,
            "{orders}{records} 的平均功率 {found} kW，超过该接口的上限 {expected} kW。",
            "{orders}{records}: mean power {found} kW, above the connector's limit of {expected} kW.",
        ),
        Cause(
            "energy_impossible",
            Severity.VIOLATION,
            False,
            "{orders}{records} 一次充电 {found} kWh，超过上限 {expected} kWh。",
            "{orders}{records}: {found} kWh in one session, above the limit of {expected} kWh.",
        ),
        *r10.CAUSES,
    ),
    example="""
        connector C1 60kW
        order  O1 C1 10:00-11:00 80.00
        expect R10 power_impossible O1
    """,
    needs=(),
    on_facts=on_facts,
    same_on_facts=("record_energy_impossible", "record_power_impossible"),
    on_record=r10.on_record,
)
