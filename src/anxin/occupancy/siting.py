"""Where new chargers would serve best: cells ranked by the detours that they would save.

    1  hours of the period are put together by hour of the week: share taken, connectors that could serve
    2  what was offered and what was blocked follow from what was carried (erlang.py)
    3  for each hour of the week the nearest other cell with a free connector: the distance that a blocked driver goes
    4  a cell, or an empty one beside it, is worth the metres of detour that it would save:
           saved(x) = sum over cells y at most one step away, hours h of blocked(y, h) x max(0, free(y, h) - d(y, x))
    5  the most is first; the same again by the cell's name

blocked = A B / mean session, in sessions an hour. Free is a cell where at least one connector is free in the mean and
that is not busy; where none is within MAX_DETOUR_M, that is the distance. A driver is taken to be where the charger is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h3
import numpy as np

from anxin.occupancy.colours import Thresholds
from anxin.occupancy.erlang import Floats, offered_load
from anxin.occupancy.intervals import Ints
from anxin.occupancy.rollup import HOUR_MS, Column, counted_ms, observed_ms

WEEK_HOURS = 168
#: No driver is taken to go farther than this for a charger.
MAX_DETOUR_M = 5_000
EARTH_RADIUS_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Need:
    """What cells needed, row by row of `cells`, by hour of the week (Monday 0 o'clock is 0).

    share       taken / usable time, -1 where nothing was seen
    connectors  that could serve, in the mean, rounded up
    blocked     sessions an hour that found none free, estimated
    free_m      metres to the nearest other cell with one free
    energy_milli_wh   of a session in the mean, by cell; 0 where nothing was sold
    """

    cells: tuple[str, ...]
    share: Floats
    connectors: Ints
    blocked: Floats
    free_m: Floats
    energy_milli_wh: Ints
    busy: Ints


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cell in which chargers would serve, and why. `serves` names the cells whose drivers it would serve with the
    metres between them, the neediest first; figures are sums over a week of the cells that it serves."""

    cell: str
    saved_m_per_week: float
    blocked_per_week: float
    blocked_milli_wh_per_week: float
    free_m: float
    red_hours: int
    longest_red_hours: int
    connectors: int
    serves: tuple[tuple[str, float], ...]


def needs(cells: Sequence[str], hours: Ints, hour_of_week: Ints, thresholds: Thresholds) -> Need:
    """Return what cells needed. `hours` is [cell][hour][Column], `hour_of_week` says which each hour is."""
    seen = _observed(hours, thresholds)
    taken = _by_week(np.where(seen, hours[:, :, Column.CHARGING] + hours[:, :, Column.OCCUPIED], 0), hour_of_week)
    idle = _by_week(np.where(seen, hours[:, :, Column.IDLE], 0), hour_of_week)
    count = _by_week(seen.astype(np.int64), hour_of_week)
    usable = taken + idle
    share = np.where(usable > 0, taken / np.maximum(usable, 1), -1.0)
    connectors = -(-usable // np.maximum(count * HOUR_MS, 1))
    session_h, energy = _sessions(hours)
    blocked = np.zeros(share.shape)
    for c in np.unique(connectors[connectors > 0]).tolist():
        rows, slots = np.nonzero(connectors == c)
        carried = share[rows, slots] * c
        # Offered less carried is what was blocked (erlangs); by the length of a session it is drivers an hour.
        blocked[rows, slots] = np.maximum(offered_load(c, carried) - carried, 0.0) / session_h[rows]
    busy = (share * 1_000_000 >= thresholds.busy_ppm).astype(np.int64)
    with_room = (busy == 0) & (share >= 0) & ((1.0 - share) * connectors >= 1.0)
    return Need(tuple(cells), share, connectors, blocked, _to_free(cells, with_room), energy, busy)


def ranked(need: Need) -> list[Candidate]:
    """Return every cell in which chargers would save detours, the most first."""
    place = {cell: n for n, cell in enumerate(need.cells)}
    wanted = np.flatnonzero(need.blocked.sum(axis=1) > 0)
    saved: dict[str, float] = {}
    serves: dict[str, list[tuple[float, str, float]]] = {}
    for row in wanted.tolist():
        origin = need.cells[row]
        for cell in h3.grid_disk(origin, 1):
            apart = 0.0 if cell == origin else distance_m(origin, cell)
            metres = float((need.blocked[row] * np.maximum(need.free_m[row] - apart, 0.0)).sum())
            if metres > 0:
                saved[cell] = saved.get(cell, 0.0) + metres
                serves.setdefault(cell, []).append((metres, origin, apart))
    return [
        _candidate(need, cell, saved[cell], sorted(serves[cell], reverse=True), place)
        for cell in sorted(saved, key=lambda c: (-saved[c], c))
    ]


def distance_m(one: str, other: str) -> float:
    """Return the metres between the middles of two cells, on a sphere."""
    return float(h3.great_circle_distance(h3.cell_to_latlng(one), h3.cell_to_latlng(other), unit="m"))


def longest_run(busy: Ints) -> int:
    """Return the longest run of busy hours in a week that begins again when it is over."""
    best = run = 0
    for hour in np.concatenate([busy, busy]).tolist():
        run = run + 1 if hour else 0
        best = max(best, run)
    return min(best, len(busy))


def _candidate(
    need: Need, cell: str, saved: float, serves: list[tuple[float, str, float]], place: dict[str, int]
) -> Candidate:
    rows = [place[origin] for _, origin, _ in serves]
    blocked = need.blocked[rows]
    most = rows[0]
    return Candidate(
        cell,
        saved,
        float(blocked.sum()),
        float((blocked.sum(axis=1) * need.energy_milli_wh[rows]).sum()),
        float((blocked * need.free_m[rows]).sum() / blocked.sum()),
        int(need.busy[most].sum()),
        longest_run(need.busy[most]),
        int(need.connectors[place[cell]].max()) if cell in place else 0,
        tuple((origin, apart) for _, origin, apart in serves),
    )


def _observed(hours: Ints, thresholds: Thresholds) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    flat = hours.reshape(-1, hours.shape[2])
    counted = counted_ms(flat)
    seen = (counted > 0) & (observed_ms(flat) * 1_000_000 >= counted * thresholds.least_observed_ppm)
    return seen.reshape(hours.shape[:2])


def _by_week(values: Ints, hour_of_week: Ints) -> Ints:
    sums = np.zeros((WEEK_HOURS, values.shape[0]), np.int64)
    np.add.at(sums, hour_of_week, values.T)
    return sums.T


def _sessions(hours: Ints) -> tuple[Floats, Ints]:
    """Mean time that a session takes (hours) and mean energy, by cell; of a cell that sold nothing, the city's."""
    sums = hours.sum(axis=1)
    taken = sums[:, Column.CHARGING] + sums[:, Column.OCCUPIED]
    count, whole = sums[:, Column.SESSIONS], int(sums[:, Column.SESSIONS].sum())
    city = int(taken.sum()) / whole if whole else float(HOUR_MS)
    length = np.where(count > 0, taken / np.maximum(count, 1), city) / HOUR_MS
    # A cell that was hardly seen may show a session of no time: an hour's twentieth is as short as any.
    return np.maximum(length, 0.05), sums[:, Column.ENERGY] // np.maximum(count, 1)


def _to_free(cells: Sequence[str], with_room: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    """Metres from each cell to the nearest other one with room, by hour of the week."""
    found = np.full(with_room.shape, float(MAX_DETOUR_M))
    points = np.radians(np.array([h3.cell_to_latlng(c) for c in cells]).reshape(len(cells), 2))
    for row, (latitude, _) in enumerate(points):
        half = np.sin((points - points[row]) / 2) ** 2
        arc = half[:, 0] + np.cos(latitude) * np.cos(points[:, 0]) * half[:, 1]
        apart = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(arc, 1.0)))
        apart[row] = np.inf
        near = np.flatnonzero(apart < MAX_DETOUR_M)
        near = near[np.argsort(apart[near], kind="stable")]
        if len(near):
            room = with_room[near]
            first = room.argmax(axis=0)
            found[row] = np.where(room.any(axis=0), apart[near][first], MAX_DETOUR_M)
    return found
