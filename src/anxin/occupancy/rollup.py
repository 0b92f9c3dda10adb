"""Roll-ups: for each connector and hour how long it was what, and what was sold; then sums by group.

A row of totals holds COLUMNS: milliseconds of each category, then sessions that began, energy (mWh) and turnover
(1/10,000). Energy and turnover of a session are spread evenly over its time, to the last mWh: what falls into the hours
adds up to the session.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from anxin.domain.connector_status import STATE_CODES, State
from anxin.occupancy.intervals import Ints, Segments

HOUR_MS = 3_600_000
#: mWh or 1/10,000 of one session: 10 MWh, a million yuan. More is a claim that other rules judge; times a week of
#: milliseconds it stays within 64 bits.
MAX_FIGURE = 10_000_000_000


class Column(IntEnum):
    """What stands where in a row of totals. The first eight are milliseconds and add up to the time looked at."""

    CHARGING = 0
    OCCUPIED = 1
    BLOCKED = 2
    IDLE = 3
    FAULTY = 4
    OFFLINE = 5
    UNKNOWN = 6
    ABSENT = 7
    SESSIONS = 8
    ENERGY = 9
    TURNOVER = 10


COLUMNS = len(Column)
CATEGORIES = 8
#: What a state counts as. Reserved is occupied: nobody else can charge there. Out of service and fault are faulty: it
#: is there and does not serve. Planned and removed are absent: it is not there, and stands in no share.
CATEGORY: dict[State, Column] = {
    State.UNKNOWN: Column.UNKNOWN,
    State.OFFLINE: Column.OFFLINE,
    State.IDLE: Column.IDLE,
    State.OCCUPIED: Column.OCCUPIED,
    State.CHARGING: Column.CHARGING,
    State.RESERVED: Column.OCCUPIED,
    State.BLOCKED: Column.BLOCKED,
    State.OUT_OF_SERVICE: Column.FAULTY,
    State.FAULT: Column.FAULTY,
    State.PLANNED: Column.ABSENT,
    State.REMOVED: Column.ABSENT,
}
_CATEGORY_OF_CODE = np.array([CATEGORY[s] for s in sorted(STATE_CODES, key=STATE_CODES.__getitem__)], np.int64)


def totals_of(segments: Segments, rows: int) -> Ints:
    """Return a matrix of `rows` x COLUMNS; row n holds how long connector n was what in the segments."""
    place = segments.connector * COLUMNS + _CATEGORY_OF_CODE[segments.state]
    # Sums of milliseconds stay far below 2^53: floating point is exact here.
    sums = np.bincount(place, segments.end - segments.start, rows * COLUMNS)
    return np.asarray(sums.astype(np.int64).reshape(rows, COLUMNS))


def by_group(totals: Ints, group_of_row: Ints, groups: int) -> Ints:
    """Return the sums of rows by group; a row of group -1 counts nowhere."""
    sums = np.zeros((groups, totals.shape[1]), np.int64)
    counted = group_of_row >= 0
    np.add.at(sums, group_of_row[counted], totals[counted])
    return sums


def trade_by_hour(
    connector: Ints, start: Ints, end: Ints, energy_milli_wh: Ints, turnover_e4: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return sessions as rows (hour, connector, [sessions, energy, turnover]), one for each hour that they touch.

    A session counts in the hour in which it began. One that ends where it begins falls into that hour whole.
    """
    end = np.maximum(end, start + 1)
    first, last = start // HOUR_MS, (end - 1) // HOUR_MS
    count = last - first + 1
    row = np.repeat(np.arange(len(start)), count)
    hour = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    low = np.maximum(hour * HOUR_MS, start[row]) - start[row]
    high = np.minimum((hour + 1) * HOUR_MS, end[row]) - start[row]
    length = (end - start)[row]

    def share(amount: Ints) -> Ints:
        bounded = np.clip(amount, -MAX_FIGURE, MAX_FIGURE)[row]
        return np.asarray(bounded * high // length - bounded * low // length)

    began = (hour == first[row]).astype(np.int64)
    return hour, connector[row], np.stack([began, share(energy_milli_wh), share(turnover_e4)], axis=1)


def observed_ms(totals: Ints) -> Ints:
    """Return how long it was known what a connector was doing, idle and faulty too; offline and unknown are not."""
    seen = [Column.CHARGING, Column.OCCUPIED, Column.BLOCKED, Column.IDLE, Column.FAULTY]
    return np.asarray(totals[:, seen].sum(axis=1))


def counted_ms(totals: Ints) -> Ints:
    """Return the time of connectors that were there: all but absent."""
    return np.asarray(totals[:, :CATEGORIES].sum(axis=1) - totals[:, Column.ABSENT])


def share_ppm(part: Ints, whole: Ints) -> Ints:
    """Return a share in millionths, rounded down; -1 where there is no whole."""
    return np.where(whole > 0, part * 1_000_000 // np.maximum(whole, 1), -1)
