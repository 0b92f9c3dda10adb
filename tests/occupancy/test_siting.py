"""Siting: Erlang's figures, a queue against a count of single steps, and what may never happen."""

from __future__ import annotations

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.occupancy.colours import Thresholds
from anxin.occupancy.erlang import MAX_BLOCKING, blocking, offered_load
from anxin.occupancy.intervals import Ints
from anxin.occupancy.queueing import Demand, in_order, service_of, waits, with_blocked
from anxin.occupancy.rollup import COLUMNS, HOUR_MS, Column
from anxin.occupancy.siting import MAX_DETOUR_M, WEEK_HOURS, distance_m, longest_run, needs, ranked

THRESHOLDS = Thresholds(600_000, 200_000, 500_000)
HANGZHOU = h3.latlng_to_cell(30.27, 120.15, 8)
DEMANDS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 120)), min_size=1, max_size=40)


def demand_of(drivers: list[tuple[int, int]]) -> Demand:
    arrival, duration = (np.array(c, np.int64) for c in zip(*drivers, strict=True))
    return in_order(Demand(arrival, duration))


@pytest.mark.parametrize(("connectors", "offered", "share"), [
    (1, 1.0, 0.5), (2, 1.0, 0.2), (5, 3.0, 0.11005), (10, 5.0, 0.01838), (20, 15.0, 0.04559), (100, 90.0, 0.02696),
])  # fmt: skip
def test_blocking_is_as_the_tables_have_it(connectors: int, offered: float, share: float) -> None:
    """Erlang B tables; the recursion against the sum that defines it."""
    assert float(blocking(connectors, offered)) == pytest.approx(share, abs=6e-6)
    terms = np.cumprod([1.0, *(offered / n for n in range(1, connectors + 1))])
    assert float(blocking(connectors, offered)) == pytest.approx(terms[-1] / terms.sum())


@given(st.integers(1, 60), st.floats(0, 1))
def test_what_is_offered_is_found_again_from_what_is_carried(connectors: int, part: float) -> None:
    most = float(offered_load(connectors, connectors))
    offered = most * part
    assert float(blocking(connectors, most)) == pytest.approx(MAX_BLOCKING, abs=1e-6)
    carried = offered * (1 - float(blocking(connectors, offered)))
    assert float(offered_load(connectors, carried)) == pytest.approx(offered, abs=0.01 * connectors)


@settings(max_examples=150)
@given(DEMANDS, st.integers(1, 5))
def test_waits_are_those_of_a_count_of_single_steps(drivers: list[tuple[int, int]], connectors: int) -> None:
    demand = demand_of(drivers)
    queue, at = list(range(len(demand.arrival))), 0
    busy: list[int] = []
    found: dict[int, int] = {}
    while queue:
        busy = [end for end in busy if end > at]
        while queue and demand.arrival[queue[0]] <= at and len(busy) < connectors:
            driver = queue.pop(0)
            found[driver] = at - int(demand.arrival[driver])
            busy += [at + int(demand.duration[driver])] if demand.duration[driver] else []
        at += 1
    assert waits(demand, connectors).tolist() == [found[n] for n in range(len(found))]


@settings(max_examples=150)
@given(DEMANDS, st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_more_chargers_never_make_anybody_wait_longer(
    drivers: list[tuple[int, int]], connectors: int, added: int, seed: int
) -> None:
    recorded = demand_of([(at * 60_000, length * 60_000) for at, length in drivers])
    demand = with_blocked(recorded, 0, np.full(6, 1.5), seed, HANGZHOU)
    assert (waits(demand, connectors + added) <= waits(demand, connectors)).all()
    before, after = service_of(demand, connectors), service_of(demand, connectors + added)
    assert after.mean_wait_ms <= before.mean_wait_ms
    assert after.p95_wait_ms <= before.p95_wait_ms


def test_the_same_seed_is_the_same_drivers_and_another_is_not() -> None:
    recorded = demand_of([(0, 10), (5, 20)])
    one, same, other = (with_blocked(recorded, 0, np.full(24, 2.0), seed, HANGZHOU) for seed in (7, 7, 8))
    assert one.arrival.tolist() == same.arrival.tolist()
    assert one.duration.tolist() == same.duration.tolist()
    assert one.arrival.tolist() != other.arrival.tolist()
    assert len(one.arrival) > 2


def city(cells: list[str], share: dict[str, float], connectors: int = 4) -> Ints:
    """Two weeks in which each cell is taken for one share of all its time; sessions take an hour."""
    hours = np.zeros((len(cells), 2 * WEEK_HOURS, COLUMNS), np.int64)
    for row, cell in enumerate(cells):
        taken = int(share.get(cell, 0.3) * connectors * HOUR_MS)
        hours[row, :, Column.CHARGING] = taken
        hours[row, :, Column.IDLE] = connectors * HOUR_MS - taken
        hours[row, :, Column.SESSIONS] = round(taken / HOUR_MS)
        hours[row, :, Column.ENERGY] = taken
    return hours


SLOTS = np.tile(np.arange(WEEK_HOURS), 2)


def test_the_planted_hot_spot_is_first_and_its_figures_are_those_of_the_formula() -> None:
    cells = sorted(h3.grid_disk(HANGZHOU, 3))
    hot = cells[10]
    need = needs(cells, city(cells, {hot: 0.9}), SLOTS, THRESHOLDS)
    first = ranked(need)[0]
    assert first.cell == hot
    offered = float(offered_load(4, 3.6))
    here = (offered - 3.6) / 0.9 * WEEK_HOURS  # four sessions an hour take 3.6 hours
    nearest = min(distance_m(hot, c) for c in cells if c != hot)
    row = need.cells.index(hot)
    assert need.free_m[row] == pytest.approx(np.full(WEEK_HOURS, nearest), rel=1e-3)
    assert need.blocked[row].sum() == pytest.approx(here)
    assert (first.red_hours, first.longest_red_hours, first.connectors) == (WEEK_HOURS, WEEK_HOURS, 4)
    # Each of its neighbours spares a driver nothing: the way there is as far as the next free charger.
    assert first.saved_m_per_week >= here * nearest * 0.99


def test_farther_from_the_next_free_one_is_worth_more_and_none_counts_as_the_farthest() -> None:
    lonely = h3.latlng_to_cell(30.60, 120.15, 8)
    cells = sorted([*h3.grid_disk(HANGZHOU, 1), lonely])
    need = needs(cells, city(cells, {HANGZHOU: 0.85, lonely: 0.85}), SLOTS, THRESHOLDS)
    assert need.free_m[cells.index(lonely)].tolist() == [MAX_DETOUR_M] * WEEK_HOURS
    assert ranked(need)[0].cell == lonely
    # An empty cell beside it would spare most of the way, but not all.
    beside = [c for c in ranked(need) if c.cell in h3.grid_disk(lonely, 1) and c.cell != lonely]
    assert len(beside) == 6
    assert all(0 < c.saved_m_per_week < ranked(need)[0].saved_m_per_week for c in beside)
    assert all(c.connectors == 0 for c in beside)


def test_what_was_not_seen_says_nothing_and_a_week_goes_round() -> None:
    cells = [HANGZHOU]
    hours = city(cells, {HANGZHOU: 0.9})
    hours[:, :, Column.UNKNOWN] = hours[:, :, : Column.UNKNOWN].sum(axis=2) * 2
    assert ranked(needs(cells, hours, SLOTS, THRESHOLDS)) == []
    assert longest_run(np.array([1, 1, 0, 1] + [0] * 163 + [1])) == 3
    assert ranked(needs([], np.zeros((0, 0, COLUMNS), np.int64), np.zeros(0, np.int64), THRESHOLDS)) == []
