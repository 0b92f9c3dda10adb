"""From runs to intervals: what a connector was doing at each moment of a span.

    1  a state holds from its first word until the next run begins
    2  but no longer than `silence_ms` after it was last heard: then it is unknown
    3  before the first word it is unknown

`intervals` says it of one connector with the messages behind it; `segments_of` says the same of all at once, in arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anxin.domain.connector_status import STATE_CODES, State, StatusRun

Ints = npt.NDArray[np.int64]
#: Before and after everything.
EVER = 1 << 60
_UNKNOWN = STATE_CODES[State.UNKNOWN]


@dataclass(frozen=True, slots=True)
class Interval:
    """A state from one moment to another. `run` is what says so, None where nothing does."""

    from_utc_ms: int
    to_utc_ms: int
    state: State
    run: StatusRun | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of many connectors as columns, in the order of connector and time. `state` holds STATE_CODES."""

    connector: Ints
    at: Ints
    heard: Ints
    state: Ints


@dataclass(frozen=True, slots=True)
class Segments:
    """Intervals of many connectors as columns, in the order of connector and time; without a gap in their span."""

    connector: Ints
    start: Ints
    end: Ints
    state: Ints

    def __len__(self) -> int:
        return len(self.connector)

    def of(self, mask: Any) -> Segments:
        """Return those that a mask or an order picks."""
        return Segments(self.connector[mask], self.start[mask], self.end[mask], self.state[mask])

    def clipped(self, from_utc_ms: int, to_utc_ms: int) -> Segments:
        """Return what of them lies in a span."""
        start, end = np.maximum(self.start, from_utc_ms), np.minimum(self.end, to_utc_ms)
        return Segments(self.connector, start, end, self.state).of(start < end)


def joined(parts: Sequence[Segments]) -> Segments:
    """Return several as one, in order."""
    if not parts:
        empty = np.zeros(0, np.int64)
        return Segments(empty, empty, empty, empty)
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("connector", "start", "end", "state")]
    whole = Segments(*columns)
    return whole.of(np.lexsort((whole.start, whole.connector)))


def intervals(runs: Sequence[StatusRun], from_utc_ms: int, to_utc_ms: int, silence_ms: int) -> list[Interval]:
    """Return what one connector was doing in a span; `runs` are in the order of their times."""
    found: list[Interval] = []

    def add(start: int, end: int, state: State, run: StatusRun | None) -> None:
        start, end = max(start, from_utc_ms), min(end, to_utc_ms)
        if start < end:
            found.append(Interval(start, end, state, run))

    add(-EVER, runs[0].at_utc_ms if runs else EVER, State.UNKNOWN, None)
    for place, run in enumerate(runs):
        until = runs[place + 1].at_utc_ms if place + 1 < len(runs) else EVER
        known = min(until, run.heard_utc_ms + silence_ms)
        add(run.at_utc_ms, known, run.state, run)
        add(known, until, State.UNKNOWN, None)
    return found


def segments_of(runs: Runs, population: Ints, from_utc_ms: int, to_utc_ms: int, silence_ms: int) -> Segments:
    """Return what each connector of a population (its numbers in order) was doing in a span."""
    mine = np.isin(runs.connector, population)
    no, at, heard, state = (c[mine] for c in (runs.connector, runs.at, runs.heard, runs.state))
    last = np.append(no[1:] != no[:-1], True) if len(no) else np.zeros(0, bool)
    until = np.where(last, EVER, np.append(at[1:], EVER)[: len(at)])
    known = np.minimum(until, heard + silence_ms)
    first = np.full(len(population), EVER, np.int64)
    begins = np.append(True, no[1:] != no[:-1]) if len(no) else np.zeros(0, bool)
    first[np.searchsorted(population, no[begins])] = at[begins]
    return joined(
        [
            Segments(no, at, known, state).clipped(from_utc_ms, to_utc_ms),
            Segments(no, known, until, np.full(len(no), _UNKNOWN, np.int64)).clipped(from_utc_ms, to_utc_ms),
            Segments(
                population,
                np.full(len(population), -EVER, np.int64),
                first,
                np.full(len(population), _UNKNOWN, np.int64),
            ).clipped(from_utc_ms, to_utc_ms),
        ]
    )
