"""From what was measured to pass or fail. Nothing here knows a limit: each comes in with its source and goes out again.

A conclusion on an error, in this order:

1 uncertainty   U above the allowed part of the limit: no conclusion, whatever the error
2 rounding      the exact mean, once, by the procedure's interval and mode; never a rounded value again
3 decision      simple: rounded value within the limit or not; guarded: none between limit - U and limit + U
4 guard         where U reaches over the value at which the conclusion turns, the result says so (`near_limit`)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from anxin.domain.verification import Item, ItemResult, LoadPoint, Outcome, PointResult, Reading
from anxin.verification.procedures import DecisionRule, Limit, Place, Procedure, Used
from anxin.verification.working_error import error_ppm, mean_error_ppm, rounded

MILLI_WH_PER_KWH = 1_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A conclusion with its ground.

    rounded      the value that was held against the limit, in the limit's unit
    near_limit   the expanded uncertainty reaches over the value at which the conclusion turns
    reason_zh, reason_en   why there is no conclusion, or that it is near; empty where nothing is to be said
    """

    outcome: Outcome
    rounded: Fraction
    near_limit: bool
    reason_zh: str = ""
    reason_en: str = ""


def judge(limit: Limit, error: Fraction, expanded_uncertainty: int) -> Judged:
    """Return the conclusion on one error, all in the limit's unit. MUST give none where U is above its allowed part."""
    value = rounded(error, limit.interval, limit.rounding)
    if expanded_uncertainty < 0 or expanded_uncertainty * limit.uncertainty_part > limit.maximum:
        return Judged(
            Outcome.INDETERMINATE, value, True,
            f"扩展不确定度 {expanded_uncertainty} 超过限值 {limit.maximum} 的 1/{limit.uncertainty_part}",
            f"expanded uncertainty {expanded_uncertainty} above 1/{limit.uncertainty_part} of {limit.maximum}",
        )  # fmt: skip
    size = abs(value)
    # A value turns from pass to fail half an interval above the limit, where the rounded value is held against it.
    turns = limit.maximum + Fraction(limit.interval, 2)
    near = abs(abs(error) - turns) < expanded_uncertainty
    if limit.decision is DecisionRule.GUARDED:
        near = limit.maximum - expanded_uncertainty < size <= limit.maximum + expanded_uncertainty
        if near:
            return Judged(
                Outcome.INDETERMINATE, value, True, "误差在限值的不确定度带内", "within the uncertainty of the limit"
            )
    outcome = Outcome.PASS if size <= limit.maximum else Outcome.FAIL
    if not near:
        return Judged(outcome, value, False)
    return Judged(outcome, value, True, "结论处于不确定度带内", "the conclusion lies within its uncertainty")


def readings_wanted(procedure: Procedure, limit: Limit, readings: Sequence[Reading]) -> int:
    """Return how many more readings a point needs: up to the least, and more where the mean is near the limit."""
    least = procedure.file.number("load.readings_at_least").value
    if len(readings) < least:
        return least - len(readings)
    low, high, more = (procedure.file.number(f"repeat.{name}").value for name in ("from", "to", "more"))
    share = abs(mean_error_ppm(readings)) * 1000 / limit.maximum
    return max(0, least + more - len(readings)) if low <= share <= high else 0


def judge_point(
    procedure: Procedure,
    limit: Limit,
    point: LoadPoint,
    readings: Sequence[Reading],
    expanded_uncertainty_ppm: int,
    energy_milli_wh: int,
    duration_ms: int,
) -> tuple[PointResult, Judged]:
    """Return the point's result and its conclusion. Too few readings, or one without energy, give no conclusion.

    MUST draw the conclusion from the exact mean, never from the whole ppm that are shown.
    """
    if not readings or any(r.true <= 0 or r.indicated < 0 for r in readings) or readings_wanted(
        procedure, limit, readings
    ):  # fmt: skip
        usable = [r for r in readings if r.true > 0]
        error = mean_error_ppm(usable) if usable else Fraction(0)
        value = rounded(error, limit.interval, limit.rounding)
        judged = Judged(Outcome.INDETERMINATE, value, True, "读数不足或无效", "too few readings, or one without energy")
    else:
        usable, error = list(readings), mean_error_ppm(readings)
        judged = judge(limit, error, expanded_uncertainty_ppm)
    result = PointResult(
        point=point,
        readings=tuple(readings),
        readings_ppm=tuple(round(error_ppm(r)) for r in usable),
        error_ppm=round(error),
        rounded_ppm=int(judged.rounded),
        limit_ppm=limit.maximum,
        expanded_uncertainty_ppm=expanded_uncertainty_ppm,
        energy_milli_wh=energy_milli_wh,
        duration_ms=duration_ms,
        outcome=judged.outcome,
    )
    return result, judged


def judge_clock(limit: Limit, charger_utc_ms: int, true_utc_ms: int, expanded_uncertainty_ms: int) -> Judged:
    """Return the conclusion on the clock moment error: what the charger shows against true time, in ms."""
    return judge(limit, Fraction(charger_utc_ms - true_utc_ms), expanded_uncertainty_ms)


def amount_error_e4(displayed_e4: int, energy_milli_wh: int, price_e4_per_kwh: int) -> Fraction:
    """Return displayed amount less energy times price, in ten-thousandths of the currency unit, exact."""
    return displayed_e4 - Fraction(energy_milli_wh * price_e4_per_kwh, MILLI_WH_PER_KWH)


def judge_amount(limit: Limit, displayed_e4: int, energy_milli_wh: int, price_e4_per_kwh: int) -> Judged:
    """Return the conclusion on the amount to pay: |displayed - E x price| within the limit, to the exact fraction."""
    return judge(limit, amount_error_e4(displayed_e4, energy_milli_wh, price_e4_per_kwh), 0)


def judge_indication(limit: Limit, indicated: Reading, expanded_uncertainty_ppm: int) -> Judged:
    """Return the conclusion on the indication error of one delivery, displayed against measured energy."""
    if indicated.true <= 0:
        return Judged(Outcome.INDETERMINATE, Fraction(0), True, "标准器无电能", "the standard measured no energy")
    return judge(limit, error_ppm(indicated), expanded_uncertainty_ppm)


def overall(procedure: Procedure, items: Iterable[ItemResult], *, time_of_use: bool = True) -> Outcome:
    """Return the outcome of the whole. MUST NOT pass while an item or precondition of the procedure has no result.

    `time_of_use`: whether the charger bills by time of day; without, the clock is not asked for.
    """
    found: dict[Item, list[Outcome]] = {}
    for result in items:
        found.setdefault(result.item, []).append(result.outcome)
    wanted = {i: p for i, p in procedure.items.items() if i is not Item.CLOCK_ERROR or time_of_use}
    outcomes = [outcome for results in found.values() for outcome in results]
    if any(
        outcome is Outcome.FAIL
        for item, results in found.items()
        for outcome in results
        if wanted.get(item) is not Place.PRECONDITION
    ):
        return Outcome.FAIL
    # A precondition that fails stops a verification; it is no verdict on the metering.
    if any(item not in found for item in wanted) or any(outcome is not Outcome.PASS for outcome in outcomes):
        return Outcome.INDETERMINATE
    return Outcome.PASS


def valid_through(procedure: Procedure, verified: date) -> tuple[date, Used]:
    """Return the last day on which a passed verification of that day holds: the day before its anniversary."""
    years = procedure.period_years
    try:
        anniversary = verified.replace(year=verified.year + years.value)
    except ValueError:  # the 29th of February
        anniversary = verified.replace(year=verified.year + years.value, month=3, day=1)
    return anniversary - timedelta(days=1), (years,)
