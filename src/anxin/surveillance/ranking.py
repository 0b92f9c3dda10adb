"""One ranked list of what an inspector should look at, with reasons. Triage: a place on it is no verdict.

A reason's strength is in thousandths of the threshold at which it is listed: 1000 is just listed. A subject is ranked
by the sum of its reasons' strengths, each counted up to 5000, so that one reason of many repetitions does not hide a
subject with several.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anxin.surveillance.days import Counts, Day, Tests
from anxin.surveillance.gaps import Gaps
from anxin.surveillance.late import Share, wilson
from anxin.surveillance.policy import SurveillancePolicy
from anxin.surveillance.sequential import Thresholds, Walk, thresholds, walk
from anxin.surveillance.silence import Profile, silence_evidence

LISTED = 1_000
MOST = 5_000


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its kind, strength, figures, and a sentence in Chinese and English."""

    kind: str
    strength: int
    zh: str
    en: str
    figures: dict[str, int]


@dataclass(slots=True)
class Walks:
    """The four walks of a charger."""

    lean_up: Walk
    lean_down: Walk
    gap_up: Walk
    gap_down: Walk


@dataclass(slots=True)
class Evidence:
    """What the days of one charger (or operator) come to."""

    counts: Counts = field(default_factory=Counts)
    first_start_utc_ms: int | None = None
    last_start_utc_ms: int | None = None
    starts: int = 0
    walks: Walks | None = None
    reasons: list[Reason] = field(default_factory=list)


def score_of(reasons: Iterable[Reason]) -> int:
    """Return what a subject is ranked by; 0: not listed."""
    return sum(min(r.strength, MOST) for r in reasons if r.strength >= LISTED)


def steps_of(days: Sequence[Day], tests: Tests) -> dict[str, list[tuple[int, int]]]:
    """Return the evidence of each day of a charger, all its connectors together: kind -> (day, evidence), by day.

    The gap between the last reading of one day and the first of a later one counts in the later day.
    """
    found: dict[str, dict[int, int]] = {"lean_up": {}, "lean_down": {}, "gap_up": {}, "gap_down": {}}
    last: dict[str, Day] = {}
    for day in sorted(days, key=lambda d: (d.day, d.place)):
        between = boundary_gap(last.get(day.place), day, tests)
        if day.last is not None:
            last[day.place] = day
        gaps = day.counts.gap_count + between.count
        for kind, value, count in (
            ("lean_up", day.lean_up, day.counts.lean_count),
            ("lean_down", day.lean_down, day.counts.lean_count),
            ("gap_up", day.gap_up + between.up, gaps),
            ("gap_down", day.gap_down + between.down, gaps),
        ):
            if count:
                found[kind][day.day] = found[kind].get(day.day, 0) + value
    return {kind: sorted(steps.items()) for kind, steps in found.items()}


def boundary_gap(before: Day | None, after: Day, tests: Tests) -> Gaps:
    """Return the gap between two days of one connector."""
    gap = Gaps()
    if before is not None and after.first is not None:
        gap.add(before.last, after.first, tests.gaps)
    return gap


def charger_evidence(days: Sequence[Day], today: int, tests: Tests, policy: SurveillancePolicy) -> Evidence:
    """Return what the days of one charger come to, silence apart: it depends on the clock."""
    found = Evidence()
    window = today - policy.int("ranking.window_days")
    for day in days:
        if day.day > window:
            found.counts = found.counts.plus(day.counts)
    _note_starts(found, days, policy.int("silence.profile_days"))
    steps = steps_of(days, tests)
    walks = {k: walk(s, tests.lean.limits if k.startswith("lean") else tests.gaps.limits) for k, s in steps.items()}
    found.walks = Walks(**walks)
    _drift(found, window, tests)
    found.reasons += late_reasons(found.counts, policy)
    return found


def _note_starts(found: Evidence, days: Sequence[Day], profile_days: int) -> None:
    """The rhythm is that of the last weeks in which something was charged."""
    newest = max((d.day for d in days if d.first_start_utc_ms is not None), default=0)
    days = [d for d in days if d.day > newest - profile_days]
    firsts = [d.first_start_utc_ms for d in days if d.first_start_utc_ms is not None]
    lasts = [d.last_start_utc_ms for d in days if d.last_start_utc_ms is not None]
    found.first_start_utc_ms, found.last_start_utc_ms = min(firsts, default=None), max(lasts, default=None)
    found.starts = sum(sum(d.hours) for d in days)


def _drift(found: Evidence, window: int, tests: Tests) -> None:
    assert found.walks is not None
    counts, walks = found.counts, found.walks
    for kind, done, limits, number, total, zh, en in (
        ("lean_up", walks.lean_up, tests.lean.limits, counts.lean_count, counts.lean_sum_milli_wh,
         "{n} 次订单电量在允差内持续偏高，合计多计 {kwh} kWh（{a} 次越限）",
         "{n} orders lean up within the tolerance, {kwh} kWh in all ({a} crossings)"),
        ("lean_down", walks.lean_down, tests.lean.limits, counts.lean_count, counts.lean_sum_milli_wh,
         "{n} 次订单电量在允差内持续偏低，合计 {kwh} kWh（{a} 次越限）",
         "{n} orders lean down within the tolerance, {kwh} kWh in all ({a} crossings)"),
        ("gap_up", walks.gap_up, tests.gaps.limits, counts.gap_count, counts.gap_sum_milli_wh,
         "{n} 次充电间隔内表底数持续走字，每次均在允差内，日内合计 {kwh} kWh（{a} 次越限）",
         "register advances between sessions, {n} gaps within the tolerance, {kwh} kWh within days ({a} crossings)"),
        ("gap_down", walks.gap_down, tests.gaps.limits, counts.gap_count, counts.gap_sum_milli_wh,
         "{n} 次充电间隔内表底数持续倒退，每次均在允差内，日内合计 {kwh} kWh（{a} 次越限）",
         "register goes back between sessions, {n} gaps within the tolerance, {kwh} kWh within days ({a} crossings)"),
    ):  # fmt: skip
        reason = _drift_reason(kind, done, limits, window, number, total, zh, en)
        if reason is not None:
            found.reasons.append(reason)


def _drift_reason(
    kind: str, done: Walk, limits: Thresholds, window: int, number: int, total: int, zh: str, en: str
) -> Reason | None:
    alerts = [day for day in done.alerts if day > window]
    if not alerts:
        return None
    words = {"n": number, "kwh": f"{total / 1_000_000:.3f}", "a": len(alerts)}
    strength = LISTED * len(alerts) + max(0, LISTED * done.value // limits.upper)
    figures = {"alerts": len(alerts), "first_day": alerts[0], "last_day": alerts[-1], "compared": number,
               "sum_milli_wh": total}  # fmt: skip
    return Reason(kind, strength, zh.format(**words), en.format(**words), figures)


def late_reasons(counts: Counts, policy: SurveillancePolicy) -> list[Reason]:
    """Return reasons where late or lost data are surely more than what is tolerated."""
    chance = policy.int("late.chance_one_in")
    late = wilson(counts.late_orders + counts.late_records, counts.uploads, chance)
    lost = wilson(counts.lost, counts.orders, chance)
    return [
        *_share_reason("late", late, policy.int("late.late_tolerated"), "迟到的上传", "late uploads"),
        *_share_reason("lost", lost, policy.int("late.lost_tolerated"), "无记录的订单", "orders without a record"),
    ]


def _share_reason(kind: str, share: Share | None, tolerated_ppm: int, zh: str, en: str) -> list[Reason]:
    if share is None or share.low_ppm <= tolerated_ppm:
        return []
    counted = f"{share.count}/{share.total} = {share.share_ppm / 10_000:.2f} %"
    least, most = f"{share.low_ppm / 10_000:.2f} %", f"{tolerated_ppm / 10_000:.2f} %"
    figures = {"count": share.count, "total": share.total, "low_ppm": share.low_ppm, "high_ppm": share.high_ppm}
    return [Reason(kind, LISTED * share.low_ppm // tolerated_ppm, f"{zh} {counted}，至少 {least}，容许 {most}",
                   f"{en} {counted}, at least {least}, tolerated {most}", figures)]  # fmt: skip


def silence_reason(
    first_utc_ms: int | None,
    last_utc_ms: int | None,
    starts: int,
    now_utc_ms: int,
    profile: Profile,
    policy: SurveillancePolicy,
) -> Reason | None:
    """Return a reason where a source has been silent for longer than its own rhythm explains, else None."""
    if first_utc_ms is None or last_utc_ms is None or starts < policy.int("silence.least_sessions"):
        return None
    # The first session opens the exposure and is not counted in it.
    seen, silent = profile.exposure(first_utc_ms, last_utc_ms), profile.exposure(last_utc_ms, now_utc_ms)
    found = silence_evidence(starts - 1, seen, silent)
    threshold = thresholds(policy.int("silence.chance_one_in"), 2).upper
    if found < threshold:
        return None
    hours = (now_utc_ms - last_utc_ms) // 3_600_000
    expected = (starts - 1) * silent // seen
    figures = {"last_utc_ms": last_utc_ms, "hours": hours, "expected": expected, "seen": starts}
    return Reason(
        "silent", LISTED * found // threshold, f"已静默 {hours} 小时；按其自身规律，此间本应有约 {expected} 次充电",
        f"silent for {hours} hours, in which about {expected} sessions were to be expected by its own rhythm", figures,
    )  # fmt: skip
