"""Uptime by two published formulas, with what they leave out and why.

UK, The Public Charge Point Regulations 2023 (SI 2023/1168), regulation of reliability: over a calendar year

    reliability = good / (good + bad)      good: OCPI AVAILABLE, CHARGING, RESERVED    bad: INOPERATIVE, OUTOFORDER
                                           left out: BLOCKED, UNKNOWN, PLANNED, REMOVED

US, NEVI standards, 23 CFR 680.116(b): over the previous year, in minutes

    uptime = (T - (T_outage - T_excluded)) / T * 100 %

A port is up when its hardware and software are online and available for use or in use; so offline counts as an outage
here, and not in the UK, where OCPI's UNKNOWN "also used when offline" is left out. Time of which nothing is known is
neither: it is taken out of T, and `unobserved_ms` says how much it was. Excluded are the causes that the regulation
names, each with its evidence; what is excluded outside an outage changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anxin.domain.connector_status import State
from anxin.occupancy.intervals import Interval
from anxin.occupancy.rollup import CATEGORY, Column

_UK_GOOD = frozenset({Column.IDLE, Column.OCCUPIED, Column.CHARGING})
_UK_BAD = frozenset({Column.FAULTY})
_NEVI_OUT = frozenset({Column.FAULTY, Column.OFFLINE})
_NEVI_NOT_IN_T = frozenset({Column.UNKNOWN, Column.ABSENT})
#: Causes of an outage that 23 CFR 680.116(b)(3) leaves out.
NEVI_CAUSES = frozenset({"utility_interruption", "vehicle_fault", "scheduled_maintenance", "vandalism", "disaster"})


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A span that an operator asks to leave out. `evidence` names what proves it: a message, a document."""

    from_utc_ms: int
    to_utc_ms: int
    cause: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Uptime:
    """One figure. `share_ppm` is None where nothing can be divided; times are milliseconds."""

    share_ppm: int | None
    up_ms: int
    down_ms: int
    excluded_ms: int
    unobserved_ms: int


def uk_reliability(spans: Iterable[Interval]) -> Uptime:
    """Return the reliability of a connector over its intervals, by SI 2023/1168."""
    good = bad = left_out = unknown = 0
    for s in spans:
        length, category = s.to_utc_ms - s.from_utc_ms, CATEGORY[s.state]
        if category in _UK_GOOD:
            good += length
        elif category in _UK_BAD:
            bad += length
        elif s.state in (State.UNKNOWN, State.OFFLINE):
            unknown += length
        else:
            left_out += length
    return Uptime(_ppm(good, good + bad), good, bad, left_out, unknown)


def nevi_uptime(spans: Sequence[Interval], exclusions: Iterable[Exclusion] = ()) -> Uptime:
    """Return the uptime of a port over its intervals, by 23 CFR 680.116(b). Causes that it does not name count not."""
    granted = _merged([(e.from_utc_ms, e.to_utc_ms) for e in exclusions if e.cause in NEVI_CAUSES and e.evidence])
    whole = outage = excluded = unknown = 0
    for s in spans:
        length, category = s.to_utc_ms - s.from_utc_ms, CATEGORY[s.state]
        if category in _NEVI_NOT_IN_T:
            unknown += length
            continue
        whole += length
        if category in _NEVI_OUT:
            outage += length
            excluded += sum(max(0, min(s.to_utc_ms, b) - max(s.from_utc_ms, a)) for a, b in granted)
    down = outage - excluded
    return Uptime(_ppm(whole - down, whole), whole - down, down, excluded, unknown)


def total(figures: Iterable[Uptime]) -> Uptime:
    """Return the figure of many connectors together: their times are added, so that each counts by its time."""
    up = down = excluded = unknown = 0
    for f in figures:
        up, down = up + f.up_ms, down + f.down_ms
        excluded, unknown = excluded + f.excluded_ms, unknown + f.unobserved_ms
    return Uptime(_ppm(up, up + down), up, down, excluded, unknown)


def _ppm(part: int, whole: int) -> int | None:
    return None if whole == 0 else part * 1_000_000 // whole


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping spans as one: nothing is left out twice."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
