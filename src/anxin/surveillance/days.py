"""One day of one connector, counted: everything that surveillance keeps. A day is computed as a whole from what stands
present, so that a verdict that was replaced is never counted twice, and the same facts give the same day in whatever
order they came.

Days are UTC days of the session's start: in Hangzhou they turn at eight in the morning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from anxin.surveillance.gaps import Gaps, Reading
from anxin.surveillance.lean import DriftTest, drift_test, lean_evidence
from anxin.surveillance.policy import SurveillancePolicy
from anxin.surveillance.silence import HOUR_MS

DAY_MS = 86_400_000
HOURS = 24
#: Dimensions of the quality score (quality.py), in this order.
DIMENSIONS = ("completeness", "accuracy", "consistency", "timeliness")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A present verdict, as far as surveillance looks at it. `*_delay_ms`: from the end to the first arrival."""

    session_key: str
    state: str
    operator_id: str | None
    start_utc_ms: int
    has_order: bool
    has_record: bool
    order_energy_milli_wh: int | None = None
    record_energy_milli_wh: int | None = None
    order_quantum_milli_wh: int | None = None
    record_quantum_milli_wh: int | None = None
    order_delay_ms: int | None = None
    record_delay_ms: int | None = None


@dataclass(slots=True)
class Counts:
    """What adds up over places and days. Pending sessions are not counted; they are once their window has closed.

    sessions        sessions with a verdict         paired    of these with order and record
    one_sided       without an order or a record    lost      orders whose record never came
    disagreeing     of `paired`, those that disagree  inconsistent   sessions (or findings of none) in contradiction
    uploads, late_orders, late_records   first arrivals whose delay is known, and those after the limit
    lean_count, lean_sum_milli_wh        sessions within the tolerance, and the sum of order minus record
    """

    sessions: int = 0
    paired: int = 0
    one_sided: int = 0
    lost: int = 0
    disagreeing: int = 0
    inconsistent: int = 0
    orders: int = 0
    uploads: int = 0
    late_orders: int = 0
    late_records: int = 0
    lean_count: int = 0
    lean_sum_milli_wh: int = 0
    gap_count: int = 0
    gap_sum_milli_wh: int = 0

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        """Return the sums (or differences: sign -1)."""
        return Counts(*(getattr(self, n) + sign * getattr(other, n) for n in COUNTS))


COUNTS = tuple(f.name for f in dataclasses.fields(Counts))


@dataclass(slots=True)
class Day:
    """One day of one place. `hours`: sessions by UTC hour of their start; `behind`: session keys (or finding:NUMBER)
    behind each lost point of a dimension; lean and gap evidence in millionths of a nat; first and last reading, between
    which and those of other days a gap lies."""

    place: str
    day: int
    operator_id: str
    counts: Counts = field(default_factory=Counts)
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)
    first_start_utc_ms: int | None = None
    last_start_utc_ms: int | None = None
    lean_up: int = 0
    lean_down: int = 0
    gap_up: int = 0
    gap_down: int = 0
    first: Reading | None = None
    last: Reading | None = None
    behind: dict[str, list[str]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to keep."""
        return self.first_start_utc_ms is None and self.first is None and not self.behind


@dataclass(frozen=True, slots=True)
class Tests:
    """What a policy says of days, worked out once."""

    lean: DriftTest
    gaps: DriftTest
    upload_within_ms: int


def day_tests(policy: SurveillancePolicy) -> Tests:
    """Return the tests of a policy."""
    return Tests(drift_test(policy, "lean"), drift_test(policy, "gaps"), policy.int("late.upload_within"))


def day_of(
    place: str,
    day: int,
    sessions: Sequence[SessionRow],
    readings: Sequence[Reading],
    contradictions: Sequence[tuple[str, str | None]],
    tests: Tests,
) -> Day:
    """Return a day of a place.

    readings         of the records that end in that day, by meter, then by time
    contradictions   (session key or finding:NUMBER, operator) of findings of the consistency rules, once each
    """
    operators = sorted({s.operator_id for s in sessions if s.operator_id} | {o for _, o in contradictions if o})
    made = Day(place, day, operators[0] if operators else "")
    counts, behind = made.counts, {name: set[str]() for name in DIMENSIONS}
    for s in sessions:
        _count_start(made, s.start_utc_ms)
        _count_uploads(s, counts, behind["timeliness"], tests)
        if s.state == "pending":
            continue
        counts.sessions += 1
        counts.orders += s.has_order
        if not (s.has_order and s.has_record):
            counts.one_sided += 1
            counts.lost += s.has_order
            behind["completeness"].add(s.session_key)
            continue
        counts.paired += 1
        if s.state == "disagree":
            counts.disagreeing += 1
            behind["accuracy"].add(s.session_key)
        _count_lean(made, s, tests.lean)
    behind["consistency"] = {key for key, _ in contradictions}
    counts.inconsistent = len(behind["consistency"])
    gaps = Gaps()
    before: Reading | None = None
    for reading in readings:
        gaps.add(before, reading, tests.gaps)
        before = reading
    counts.gap_count, counts.gap_sum_milli_wh = gaps.count, gaps.sum_milli_wh
    made.gap_up, made.gap_down = gaps.up, gaps.down
    if readings:
        made.first, made.last = readings[0], readings[-1]
    made.behind = {name: sorted(keys) for name, keys in behind.items() if keys}
    return made


def _count_start(made: Day, start_utc_ms: int) -> None:
    made.hours[start_utc_ms % DAY_MS // HOUR_MS] += 1
    first, last = made.first_start_utc_ms, made.last_start_utc_ms
    made.first_start_utc_ms = start_utc_ms if first is None else min(first, start_utc_ms)
    made.last_start_utc_ms = start_utc_ms if last is None else max(last, start_utc_ms)


def _count_uploads(s: SessionRow, counts: Counts, late: set[str], tests: Tests) -> None:
    for delay, name in ((s.order_delay_ms, "late_orders"), (s.record_delay_ms, "late_records")):
        if delay is None:
            continue
        counts.uploads += 1
        if delay > tests.upload_within_ms:
            setattr(counts, name, getattr(counts, name) + 1)
            late.add(s.session_key)


def _count_lean(made: Day, s: SessionRow, test: DriftTest) -> None:
    figures = (s.order_energy_milli_wh, s.record_energy_milli_wh, s.order_quantum_milli_wh, s.record_quantum_milli_wh)
    if None in figures:
        return
    order, record, order_quantum, record_quantum = (f or 0 for f in figures)
    found = lean_evidence(order, record, order_quantum, record_quantum, test)
    if found is None:
        return
    made.counts.lean_count += 1
    made.counts.lean_sum_milli_wh += order - record
    made.lean_up += found[0]
    made.lean_down += found[1]
