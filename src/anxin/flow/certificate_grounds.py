"""Whether a result can become a paper: it is judged again by the procedure's own data, whatever its bench says.

1 the procedure is one of ours, by its digest
2 each point: readings -> exact mean -> limit of class and kind -> outcome; all as the result says
3 the whole follows from the items; a pass has a validity within the period, the standard was itself valid
4 what is not confirmed: the numbers that the judgement used, with those that the bench names
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from anxin.domain.errors import FormatError, PolicyError
from anxin.domain.quantities import moment_of
from anxin.domain.verification import Item, Outcome, PointResult, SourceStatus, VerificationResult
from anxin.verification.conclusion import judge, overall, valid_through
from anxin.verification.procedures import Limit, Procedure, Used, procedure_of
from anxin.verification.working_error import error_ppm, mean_error_ppm

#: A bench's clock may be ahead of ours by so much.
AHEAD_MS = 300_000


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the judgement found: whether it passed, and each number used that is not confirmed, with its source."""

    procedure: Procedure
    passed: bool
    unconfirmed: tuple[str, ...]


def grounds_of(result: VerificationResult, zone: str, now_utc_ms: int) -> Grounds:
    """Return the grounds of a paper. Raises FormatError `result.*` naming what does not follow."""
    # 1 the procedure.
    try:
        procedure = procedure_of(result.procedure)
        if procedure.sha256 != result.procedure_sha256:
            raise PolicyError(f"{result.procedure}: judged by other numbers than those of this platform")
        limits = _limits(procedure, result)
    except PolicyError as error:
        raise FormatError("result.procedure", str(error), "procedure") from None
    if not result.begun_utc_ms <= result.ended_utc_ms <= now_utc_ms + AHEAD_MS:
        raise FormatError("result.time", "begun, ended and now are not in this order", "ended_utc_ms")
    # 2 the points.
    used: list[Used] = [_judged(point, limits, n) for n, point in enumerate(result.points)]
    used += _of_items(procedure, result)
    # 3 the whole.
    wholes = {overall(procedure, result.items), overall(procedure, result.items, time_of_use=False)}
    if result.outcome not in wholes or result.outcome is Outcome.INDETERMINATE:
        raise FormatError("result.outcome", "无结论 · no conclusion, or another than its items give", "outcome")
    if result.stopped is not None:
        raise FormatError("result.stopped", "检定中止，不能出证 · a run that was stopped gives no paper", "stopped")
    passed = result.outcome is Outcome.PASS
    if passed and (not result.points or any(p.outcome is not Outcome.PASS for p in result.points)):
        raise FormatError("result.outcome", "passed without points, or with one that did not", "outcome")
    if result.reference.valid_to_utc_ms < result.ended_utc_ms:
        raise FormatError(
            "result.reference", "标准器证书已过期 · the standard's own certificate had expired", "reference"
        )
    used.append(_valid(result, procedure, zone))
    # 4 what is not confirmed.
    open_ = [str(n) for numbers in used for n in numbers if n.status is not SourceStatus.CONFIRMED]
    return Grounds(procedure, passed, tuple(dict.fromkeys([*open_, *result.unconfirmed])))


def _limits(procedure: Procedure, result: VerificationResult) -> dict[int, Limit]:
    both = [procedure.working_error(result.accuracy_class, result.kind, low_current=low) for low in (True, False)]
    return {limit.maximum: limit for limit in both}


def _of_items(procedure: Procedure, result: VerificationResult) -> list[Used]:
    """Return what the limits of the other items rest on; their conclusions are the bench's."""
    found: list[Used] = []
    for item in (i for i in procedure.items if any(r.item is i for r in result.items)):
        match item:
            case Item.CLOCK_ERROR:
                found.append(procedure.clock_error(result.kind).used)
            case Item.AMOUNT_ERROR:
                found.append(procedure.amount_error().used)
            case Item.INDICATION_ERROR:
                found.append(procedure.indication_error(result.accuracy_class).used)
            case Item.INSULATION:
                found.append((procedure.insulation(),))
            case _:
                pass
    return found


def _judged(point: PointResult, limits: dict[int, Limit], n: int) -> Used:
    where = f"points[{n}]"
    limit = limits.get(point.limit_ppm)
    if limit is None:
        raise FormatError("result.limit", f"{point.limit_ppm} ppm is no limit of this class", f"{where}.limit_ppm")
    if not point.readings or any(r.true <= 0 or r.indicated < 0 for r in point.readings):
        raise FormatError("result.readings", "no readings, or one without energy", f"{where}.readings")
    mean = mean_error_ppm(point.readings)
    shown = tuple(round(error_ppm(r)) for r in point.readings)
    judged = judge(limit, mean, point.expanded_uncertainty_ppm)
    if (shown, round(mean), int(judged.rounded), judged.outcome) != (
        point.readings_ppm, point.error_ppm, point.rounded_ppm, point.outcome,
    ):  # fmt: skip
        raise FormatError("result.point", "its figures do not follow from its readings", where)
    return limit.used


def _valid(result: VerificationResult, procedure: Procedure, zone: str) -> Used:
    if result.outcome is not Outcome.PASS:
        if result.valid_to_utc_ms is not None:
            raise FormatError("result.valid_to", "a failed one is valid for no time", "valid_to_utc_ms")
        return ()
    last, used = valid_through(procedure, day_of(result.ended_utc_ms, zone))
    if result.valid_to_utc_ms is None or not result.ended_utc_ms < result.valid_to_utc_ms:
        raise FormatError("result.valid_to", "a passed one says until when", "valid_to_utc_ms")
    if day_of(result.valid_to_utc_ms, zone) > last:
        raise FormatError("result.valid_to", f"longer than the period: {last} at most", "valid_to_utc_ms")
    return used


def day_of(utc_ms: int, zone: str) -> date:
    """Return the day of a moment in a zone."""
    found: datetime = moment_of(utc_ms, ZoneInfo(zone))
    return found.date()
