"""Siting for the API: candidate cells with reasons, one cell by hour of the week, and what more chargers would do.

Estimates have three decimals; nothing is billed by them. The period is a month of a zone, its counted hours.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import h3
import numpy as np

from anxin.domain.errors import InputError
from anxin.flow.intake import now_utc_ms
from anxin.flow.occupancy_keeping import MAX_SESSION_MS
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.occupancy_views import Window, month_of, weekday_hours
from anxin.occupancy.intervals import Ints
from anxin.occupancy.queueing import Demand, in_order, service_of, with_blocked
from anxin.occupancy.rollup import HOUR_MS
from anxin.occupancy.siting import MAX_DETOUR_M, Candidate, Need, needs, ranked
from anxin.store import occupancy as store

#: Cells in one what-if, chargers added to each, drivers simulated: a few seconds of one core.
MAX_WHAT_IF_CELLS = 20
MAX_ADDED = 50
MAX_DRIVERS = 500_000
#: Candidates in one answer.
MAX_CANDIDATES = 500


def candidates(occupancy: Occupancy, month: str, zone: str, limit: int, seen: Any) -> dict[str, Any]:
    """Return the cells in which chargers would serve best, each with its reasons. Raises InputError."""
    window, need, _ = _need(occupancy, month, zone)
    own = _cells_seen(occupancy, seen)
    found = [c for c in ranked(need) if own is None or own & {origin for origin, _ in c.serves}]
    return {
        **_period(window, zone),
        "candidates": [
            {"rank": n, "cell": c.cell, **_place(c.cell), "reasons": _reasons(c), "serves": _serves(c)}
            for n, c in enumerate(found[:limit], start=1)
        ],
        "more": max(0, len(found) - limit),
    }


def cell(occupancy: Occupancy, name: str, month: str, zone: str, seen: Any) -> dict[str, Any] | None:
    """Return what a cell with chargers needed by hour of the week; None for one that is not there or not seen."""
    window, need, _ = _need(occupancy, month, zone)
    own = _cells_seen(occupancy, seen)
    if name not in need.cells or (own is not None and name not in own):
        return None
    row = need.cells.index(name)
    return {
        **_period(window, zone),
        "cell": name,
        **_place(name),
        "taken_ppm": [None if s < 0 else int(s * 1_000_000) for s in need.share[row]],
        "connectors": need.connectors[row].tolist(),
        "blocked_per_hour": [_rounded(v) for v in need.blocked[row]],
        "free_m": [_rounded(v) for v in need.free_m[row]],
    }


def what_if(
    occupancy: Occupancy, cells: list[str], added: int, month: str, zone: str, seed: int, seen: Any
) -> dict[str, Any] | None:
    """Return how the drivers of cells would be served with so many chargers more in each; None for a cell not seen.

    Chargers in an empty cell serve the neediest cell beside it, and are counted there. Raises InputError.
    """
    window, need, slots = _need(occupancy, month, zone)
    own = _cells_seen(occupancy, seen)
    more: dict[str, int] = {}
    for name in cells:
        served = _served_by(need, name)
        if served is None or (own is not None and served not in own):
            return None
        more[served] = more.get(served, 0) + added
    first = window.from_utc_ms // HOUR_MS
    answers = []
    for name in sorted(more):
        row = need.cells.index(name)
        # The population that served in the mean of the busiest hour, as in the estimate.
        present = max(1, int(need.connectors[row].max()))
        recorded = _recorded(occupancy, name, window)
        demand = with_blocked(recorded, first, need.blocked[row][slots], seed, name)
        if len(demand.arrival) > MAX_DRIVERS:
            raise InputError(f"more than {MAX_DRIVERS} drivers: ask for fewer cells or a shorter time")
        before, after = service_of(demand, present), service_of(demand, present + more[name])
        answers.append({
            "cell": name, "added": more[name], "asked": [c for c in cells if _served_by(need, c) == name],
            "recorded": len(recorded.arrival), "estimated_blocked": len(demand.arrival) - len(recorded.arrival),
            "before": asdict(before), "after": asdict(after),
        })  # fmt: skip
    return {**_period(window, zone), "seed": seed, "cells": answers}


def _need(occupancy: Occupancy, month: str, zone: str) -> tuple[Window, Need, Ints]:
    """What all cells needed in the counted hours of a month, and which hour of the week each of these was."""
    window = month_of(month, zone)
    first, last = -(-window.from_utc_ms // HOUR_MS), min(window.to_utc_ms, now_utc_ms()) // HOUR_MS
    keys = occupancy.places().groupings["cell"].keys
    hours = occupancy.group_hours("cell", None, first, max(first, last))
    slots = weekday_hours(first, hours.shape[1], zone)
    return Window(first * HOUR_MS, max(first, last) * HOUR_MS), needs(keys, hours, slots, occupancy.thresholds), slots


def _recorded(occupancy: Occupancy, name: str, window: Window) -> Demand:
    places = occupancy.places()
    grouping = places.groupings["cell"]
    rows = np.flatnonzero(grouping.of_row == grouping.keys.index(name)).tolist()
    names = [c.connector_id for n in rows if (c := places.connectors[n]) is not None]
    with occupancy.platform.database.transaction() as connection:
        found = store.sessions(connection, names, window.from_utc_ms, window.to_utc_ms)
    start = np.array([r[1] for r in found], np.int64)
    end = np.array([r[2] for r in found], np.int64)
    return in_order(Demand(start, np.clip(end - start, 0, MAX_SESSION_MS)))


def _served_by(need: Need, name: str) -> str | None:
    """The cell whose drivers chargers in a cell would serve: itself, else the neediest beside it that has chargers."""
    if name in need.cells:
        return name
    if not h3.is_valid_cell(name):
        return None
    beside = [c for c in h3.grid_disk(name, 1) if c in need.cells]
    return max(beside, key=lambda c: (float(need.blocked[need.cells.index(c)].sum()), c), default=None)


def _cells_seen(occupancy: Occupancy, seen: Any) -> set[str] | None:
    if seen is None:
        return None
    grouping = occupancy.places().groupings["cell"]
    return {grouping.keys[n] for n in np.unique(grouping.of_row[seen]).tolist() if n >= 0}


def _reasons(c: Candidate) -> list[dict[str, Any]]:
    """Each reason a number with its unit; all are sums or means over a week of the period."""
    return [
        {"name": "saved_detour", "value": _rounded(c.saved_m_per_week), "unit": "m/week"},
        {"name": "blocked_sessions", "value": _rounded(c.blocked_per_week), "unit": "sessions/week"},
        {"name": "blocked_energy", "value": int(c.blocked_milli_wh_per_week), "unit": "mWh/week"},
        {"name": "distance_to_free", "value": _rounded(c.free_m), "unit": "m"},
        {"name": "red_hours", "value": c.red_hours, "unit": "h/week"},
        {"name": "longest_red", "value": c.longest_red_hours, "unit": "h"},
        {"name": "connectors", "value": c.connectors, "unit": "connectors"},
    ]


def _serves(c: Candidate) -> list[dict[str, Any]]:
    return [{"cell": origin, "distance_m": _rounded(apart)} for origin, apart in c.serves]


def _place(name: str) -> dict[str, Any]:
    latitude, longitude = h3.cell_to_latlng(name)
    return {"latitude": round(latitude, 6), "longitude": round(longitude, 6), "crs": "WGS-84"}


def _period(window: Window, zone: str) -> dict[str, Any]:
    return {
        "from_utc_ms": window.from_utc_ms,
        "to_utc_ms": window.to_utc_ms,
        "zone": zone,
        "max_detour_m": MAX_DETOUR_M,
    }


def _rounded(value: float) -> float:
    return round(float(value), 3)
