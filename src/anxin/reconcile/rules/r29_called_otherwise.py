"""R29: the public map calls a charger idle or broken while its meter delivers energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.connector_status import State
from anxin.domain.finding import Severity
from anxin.domain.meter_record import Answer, Clock
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy

#: What is said wrongly of a charger that delivers: kind -> states. Unknown, offline and silent say nothing.
WRONG = {"idle": (State.IDLE,), "broken": (State.FAULT, State.OUT_OF_SERVICE)}
MS_PER_HOUR, MILLI, PPM = 3_600_000, 1_000, 1_000_000


def margin_ms(policy: Policy, clock: Clock) -> int:
    """Return by how much a meter's time and the time of a status may differ: its clock's limit, and lateness."""
    limit = "time.clock_synchronised" if clock is Clock.SYNCHRONISED else "time.clock_informative"
    return policy.int(limit) + policy.int("status.lateness")


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Records with energy whose connector was called idle or broken in the midst of them.

        margin   = what the meter's clock may be wrong by + how late a status may come
        overlap  = time called wrongly within [begin + margin, end - margin], at least `status.shortest_overlap`
        rest     = end - begin - overlap       the longest time that the record leaves beside it
        proven   : called so from begin - margin to end + margin; or energy > rated power with its margin x rest

    Forged and malformed records, and clocks that are neither synchronised nor informative, are set against nothing.
    """
    records = _timed(ground, policy)
    statuses = ground.facts.statuses
    found = []
    for kind, states in WRONG.items():
        wrong = statuses.filter(statuses.state.isin([s.value for s in states])).select(
            "from_utc_ms", "to_utc_ms", "message_index", place="connector_id"
        )
        pairs = records.join(wrong, "place")
        within = _overlap(pairs, pairs.begin_utc_ms + pairs.margin, pairs.end_utc_ms - pairs.margin)
        around = _overlap(pairs, pairs.begin_utc_ms - pairs.margin, pairs.end_utc_ms + pairs.margin)
        sums = pairs.mutate(within=within, around=around).filter(ibis._.around > 0)
        sums = sums.group_by("record_no").agg(
            overlap=sums.within.sum().cast("int64"), around=sums.around.sum().cast("int64"),
            message=sums.message_index.min(),
        )  # fmt: skip
        rows = records.join(sums.filter(sums.overlap >= policy.int("status.shortest_overlap")), "record_no")
        proven = (rows.around == rows.length + 2 * rows.margin) | (
            rows.energy_milli_wh * (MS_PER_HOUR // MILLI) > (rows.length - rows.overlap) * rows.limit_w
        )
        for cause, mask in ((f"{kind}_while_delivering", proven), (f"called_{kind}_in_session", ~proven)):
            found.append(
                raised(
                    rows.filter(mask), "R29", cause, quantity="duration", expected="length", found="overlap",
                    tolerance="margin", record_no="record_no", connector_id="place", at_utc_ms="begin_utc_ms",
                    detail=rows.message.cast("string"),
                )
            )  # fmt: skip
    return found


def _timed(ground: Ground, policy: Policy) -> Any:
    """Records that can be set against statuses, with their place, its strongest power and the margin of their clock."""
    records = ground.records
    at_home = ground.facts.meters
    at_home = at_home.select(
        "meter_id", "installed_utc_ms", home="connector_id", removed=ibis.coalesce(at_home.removed_utc_ms, 2**62)
    )
    homes = records.select("record_no", "meter_id", "begin_utc_ms").join(at_home, "meter_id")
    homes = homes.filter((homes.installed_utc_ms <= homes.begin_utc_ms) & (homes.begin_utc_ms < homes.removed))
    homes = homes.group_by("record_no").agg(home=homes.home.min())
    records = records.left_join(homes, "record_no").drop("record_no_right")
    length = records.end_utc_ms - records.begin_utc_ms
    informative = ibis.literal(margin_ms(policy, Clock.INFORMATIVE))
    usable = records.filter(
        records.clock.isin([Clock.SYNCHRONISED.value, Clock.INFORMATIVE.value])
        & ~records.answer.isin([Answer.FORGED.value, Answer.MALFORMED.value])
        & (records.energy_milli_wh > records.energy_quantum_milli_wh)
        & (records.energy_milli_wh <= policy.int("plausible.energy_session"))
        & (length > 0)
        & (length <= policy.int("plausible.duration_session"))
    )
    usable = usable.select(
        "record_no", "meter_id", "begin_utc_ms", "end_utc_ms", "energy_milli_wh",
        place=ibis.coalesce(usable.connector_id, usable.home), length=usable.end_utc_ms - usable.begin_utc_ms,
        margin=ibis.ifelse(
            usable.clock == Clock.SYNCHRONISED.value, ibis.literal(margin_ms(policy, Clock.SYNCHRONISED)), informative
        ),
    )  # fmt: skip
    ratings = ground.facts.connectors.select("operator_id", "rated_power_w", place="connector_id")
    rated = usable.left_join(ratings, "place").drop("place_right")
    return rated.mutate(
        limit_w=ibis.coalesce(
            rated.rated_power_w * (PPM + policy.int("plausible.power_margin")) // PPM,
            ibis.literal(policy.int("plausible.power_unregistered")),
        )
    ).drop("rated_power_w")


def _overlap(pairs: Any, low: Any, high: Any) -> Any:
    """How long a status lies between two moments, ms."""
    return ibis.greatest(ibis.least(pairs.to_utc_ms, high) - ibis.greatest(pairs.from_utc_ms, low), 0)


RULE = Rule(
    id="R29",
    name="called_otherwise",
    title_zh="公开状态与计量不符",
    title_en="Called idle or broken while it delivers",
    explain_zh="电能表在输出电量，公开状态却称该接口空闲或故障。离线与未知不算：那时没有人说它空闲。",
    explain_en=(
        "A meter delivers energy while the public map calls its connector idle or broken. Offline and unknown are not "
        "meant: then nobody called it idle."
    ),
    basis=(
        Basis("T/CEC 102.2 notification of changed connector states: 0, 1, 2, 3, 4, 255", "secondary"),
        Basis("A signed record says when energy flowed: what else is said of that time is wrong", "derived"),
    ),
    causes=(
        Cause(
            "idle_while_delivering", Severity.WARNING, False,
            "电能表 {meter} 在 {at} 起的 {expected} 内输出电量，接口 {connector} 却有 {found} 被称为空闲（第 {detail} 号报文）；"
            "时钟与通知延迟不能解释（允差 {tolerance}）。",
            "Meter {meter} delivered energy in {expected} from {at}; connector {connector} was called idle for {found} "
            "of it (message {detail}). Clocks and late notices ({tolerance} each side) do not explain it.",
        ),
        Cause(
            "broken_while_delivering", Severity.WARNING, False,
            "电能表 {meter} 在 {at} 起的 {expected} 内输出电量，接口 {connector} 却有 {found} 被称为故障或停用（第 {detail} 号报文）；"
            "时钟与通知延迟不能解释（允差 {tolerance}）。",
            "Meter {meter} delivered energy in {expected} from {at}; connector {connector} was called broken for "
            "{found} of it (message {detail}). Clocks and late notices ({tolerance} each side) do not explain it.",
        ),
        Cause(
            "called_idle_in_session", Severity.NOTE, False,
            "{at} 起的充电持续 {expected}，其中接口 {connector} 有 {found} 被称为空闲（第 {detail} 号报文）；电量可能在其余时间输出。",
            "A session of {expected} from {at}: connector {connector} was called idle for {found} of it (message "
            "{detail}). The energy may have flowed in the rest.",
        ),
        Cause(
            "called_broken_in_session", Severity.NOTE, False,
            "{at} 起的充电持续 {expected}，其中接口 {connector} 有 {found} 被称为故障或停用（第 {detail} 号报文）；"
            "电量可能在其余时间输出。",
            "A session of {expected} from {at}: connector {connector} was called broken for {found} of it (message "
            "{detail}). The energy may have flowed in the rest.",
        ),
    ),
    example="""
        connector C1 60kW
        record R1 C1 10:00-11:00 100.000-140.000
        order  R1 C1 10:00-11:00 40.00
        status C1 fault 09:00-12:00
        # C2 was set right after five minutes; C3 says nothing of itself
        record R2 C2 10:00-11:00 100.000-140.000
        order  R2 C2 10:00-11:00 40.00
        status C2 idle 09:00-10:05
        status C2 charging 10:05-11:00
        record R3 C3 10:00-11:00 100.000-140.000
        order  R3 C3 10:00-11:00 40.00
        status C3 offline 09:00-12:00
        expect R29 broken_while_delivering R1
    """,
    needs=("records", "statuses"),
    on_facts=on_facts,
)  # fmt: skip
