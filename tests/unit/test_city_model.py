"""What happens in the city: no cheats yet, every property holds whatever the options."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.city.arrays import served_in_turn, sums_before
from anxin.city.build import City, build
from anxin.city.cheats import energy_tolerance_wh
from anxin.city.options import CityOptions, MessRates
from anxin.city.places import DISTRICT_WEIGHTS, districts
from anxin.city.plan import GAP_S, energy_at_wh
from anxin.city.tables import Span
from anxin.domain.errors import PolicyError

BUSY = MessRates(late_ppm=200_000, again_ppm=100_000, power_failure_ppm=100_000, lost_record_ppm=50_000)

cities = st.builds(
    lambda seed, chargers, days, share, rates: CityOptions(
        seed=seed,
        chargers=chargers,
        days=days,
        sessions=max(1, int(chargers * days * share)),
        start=date(2026, 2, 20),
        rates=rates,
    ),
    seed=st.integers(0, 2**63 - 1),
    chargers=st.integers(1, 12),
    days=st.integers(1, 9),
    share=st.floats(0.5, 7.9),
    rates=st.sampled_from([MessRates(), BUSY]),
)


def whole(city: City) -> Span:
    """All orders and records of a city."""
    ((span, truths),) = list(city.spans())
    assert truths == []
    return span


@settings(max_examples=25, deadline=None)
@given(options=cities)
def test_an_honest_city_is_consistent(options: CityOptions) -> None:
    city = build(options)
    plan, span = city.plan, whole(city)
    assert len(plan) == options.session_count

    # Sessions of one connector never overlap: somebody has to unplug first.
    same = plan.connector[1:] == plan.connector[:-1]
    assert (plan.start[1:] - plan.end[:-1])[same].min(initial=GAP_S) >= GAP_S

    # A meter's register only grows, and grows by what it counted: no standby creep, no gap.
    records, orders = span.records, span.orders
    follows = records.meter[1:] == records.meter[:-1]
    assert (records.register_begin_wh[1:] == records.register_end_wh[:-1])[follows].all()
    assert (records.register_end_wh >= records.register_begin_wh).all()
    assert (records.page_first[1:] - records.page_first[:-1])[follows].tolist() == [1] * int(follows.sum())
    assert (np.diff(records.begin)[follows] > 0).all(), "a meter's clock error keeps its records in order"

    # What an operator bills for a session is what its records say, within one digit on each side.
    billed = np.bincount(orders.session, orders.energy_wh, len(plan)).astype(np.int64)
    metered = np.bincount(records.session, records.register_end_wh - records.register_begin_wh, len(plan))
    assert (metered == plan.energy_wh).all()
    tolerance = [energy_tolerance_wh(int(o)) for o in span.world.connector_operator[plan.connector]]
    parts = np.bincount(orders.session)
    assert (np.abs(billed - metered) <= np.array(tolerance) * parts).all()

    # Both sides' uploads come within the promised window, and never before the session ended.
    for table in (plan.order_received, plan.record_received):
        assert (table > plan.end).all()
        assert (table - plan.end <= options.rates.late_max_hours * 3_600).all()


@settings(max_examples=25, deadline=None)
@given(options=cities)
def test_tariff_periods_tile_each_order(options: CityOptions) -> None:
    orders = whole(build(options)).orders
    first, last = orders.first[:-1], orders.first[1:] - 1
    assert (orders.p_start[first] == orders.start).all()
    assert (orders.p_end[last] == orders.end).all()
    inner = np.ones(len(orders.p_start), dtype=bool)
    inner[first] = False
    assert (orders.p_start[inner] == orders.p_end[np.flatnonzero(inner) - 1]).all()
    assert (np.add.reduceat(orders.p_energy_wh, first) == orders.energy_wh).all()
    assert (orders.p_energy_wh >= 0).all()
    assert (orders.energy_wh > 0).all()


@settings(max_examples=25, deadline=None)
@given(options=cities, pieces=st.integers(2, 9))
def test_a_meter_never_counts_backwards(options: CityOptions, pieces: int) -> None:
    plan = build(options).plan
    rows = np.arange(len(plan), dtype=np.int64)
    readings = [energy_at_wh(plan, rows, plan.duration * step // pieces) for step in range(pieces + 1)]
    assert (readings[0] == 0).all()
    assert (readings[-1] == plan.energy_wh).all()
    assert all((later >= earlier).all() for earlier, later in pairwise(readings))


@given(
    visits=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 10**6), st.integers(1, 10**5)), min_size=1, max_size=40
    ).map(sorted)
)
def test_serving_in_turn_agrees_with_a_plain_loop(visits: list[tuple[int, int, int]]) -> None:
    group, arrival, occupied = (np.array(column, dtype=np.int64) for column in zip(*visits, strict=True))
    expected, free, before = [], 0, []
    total = 0
    for place, (connector, arrives, takes) in enumerate(visits):
        if place and connector == visits[place - 1][0]:
            begins, total = max(arrives, free), total + visits[place - 1][2]
        else:
            begins, total = arrives, 0
        free = begins + takes
        expected.append(begins)
        before.append(total)
    assert served_in_turn(arrival, occupied, group).tolist() == expected
    assert sums_before(occupied, group).tolist() == before


def test_stations_lie_in_their_districts() -> None:
    import shapely

    city = build(CityOptions(seed=5, chargers=400, days=1, districts=("all",)))
    outlines = {area.name: area.outline for area in districts(tuple(DISTRICT_WEIGHTS))}
    assert len(outlines) == 13
    for station in city.register.stations:
        assert station.crs == "GCJ-02"
        point = shapely.Point(float(station.longitude or 0), float(station.latitude or 0))
        assert outlines[str(station.district)].buffer(1e-5).contains(point), station
    per_district = {n: sum(s.district == n for s in city.register.stations) for n in outlines}
    assert per_district["余杭区"] + per_district["萧山区"] > 3 * per_district["淳安县"]


def test_people_charge_when_people_charge() -> None:
    """Noon, evening and the valley price at 23:00 stand out; the small hours are empty; DC tapers, AC is slow."""
    city = build(CityOptions(seed=2, chargers=300, days=28, sessions=20_000))
    plan, world = city.plan, city.world
    hours = np.bincount(plan.start % 86_400 // 3_600, minlength=24)
    assert hours[23] > 2 * hours[3]
    assert hours[18] > 2 * hours[4]
    assert hours[12] > hours[9]
    slow = world.rated_power_w[plan.connector] == 7_000
    assert np.median(plan.duration[slow]) > 3 * np.median(plan.duration[~slow])
    mean_power_w = plan.energy_wh * 3_600 / plan.duration
    assert (mean_power_w <= world.rated_power_w[plan.connector]).all()
    half = energy_at_wh(plan, np.arange(len(plan)), plan.duration // 2)
    tapers = ~slow & (plan.charge_s > plan.taper_s + 300) & (plan.outage_s == 0)
    assert tapers.sum() > len(plan) // 3
    assert (2 * half[tapers] > plan.energy_wh[tapers]).all(), "a DC session that tapers gives more in its first half"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"chargers": 0}, "chargers"),
        ({"days": 0}, "days"),
        ({"days": 5_000}, "days"),
        ({"sessions": 0}, "sessions"),
        ({"chargers": 2, "days": 2, "sessions": 1_000}, "sessions"),
        ({"districts": ("浦东新区",)}, "浦东新区"),
        ({"districts": ()}, "district"),
    ],
)
def test_impossible_options_are_refused_by_name(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(PolicyError, match=word):
        build(CityOptions(**wrong))  # type: ignore[arg-type]  # the table mixes types on purpose


@pytest.mark.parametrize("wrong", [{"late_ppm": 2_000_000}, {"late_max_hours": 100}, {"clock_max_s": 200}])
def test_dishonest_rates_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(PolicyError):
        MessRates(**wrong)
