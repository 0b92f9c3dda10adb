"""The index of nearest connectors against a look at every one of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.connector_status import State
from anxin.domain.coordinates import Crs, Point, distance_m
from anxin.finder.index import BLOCK_ROWS, MAX_NEAREST, Index, Near, Row, Wish, Word

#: Places at which something may go wrong: poles, antimeridian, one point for many, antipodes; and a city.
CORNERS = [(0.0, 90.0), (77.0, 90.0), (0.0, -90.0), (180.0, 0.0), (-180.0, 0.0), (179.9999, 10.0), (-179.9999, 10.0),
           (0.0, 0.0), (114.05, 22.54), (-65.95, -22.54)]  # fmt: skip
PLACE = st.one_of(
    st.sampled_from(CORNERS),
    st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
    st.tuples(st.integers(-4, 4).map(lambda n: 114 + n / 100), st.integers(-4, 4).map(lambda n: 22.5 + n / 100)),
    st.tuples(st.sampled_from([179.99, -179.99, 180.0]), st.floats(-1, 1)),
    st.tuples(st.floats(-180, 180), st.floats(89.9, 90)),
)
STATES = st.sampled_from([State.IDLE, State.IDLE, State.CHARGING, State.FAULT, State.OFFLINE, State.UNKNOWN])
WISH = st.builds(
    Wish,
    least_power_w=st.sampled_from([0, 0, 7_000, 60_000, 480_000]),
    current_type=st.sampled_from([None, None, "AC", "DC", "neither"]),
    plug=st.sampled_from([None, None, "GBT_DC", "CHADEMO", "nobody's"]),
    operators=st.sampled_from([None, None, frozenset({"O1"}), frozenset({"O1", "O70"}), frozenset(), frozenset({"?"})]),
    free=st.booleans(),
    assured=st.sampled_from([False, False, True]),
    open_24h=st.sampled_from([False, False, True]),
)


def world(seed: int, places: list[tuple[float, float]]) -> tuple[list[Row], list[Word], set[str]]:
    rng = np.random.default_rng(seed)
    rows, words, assured = [], [], set()
    for n, place in enumerate(places):
        name = f"C{int(rng.integers(10**9)):09d}-{n}"  # ids stand in no order of places
        kind = ["AC", "DC", ""][int(rng.integers(3))]
        rows.append(
            Row(name, Point(*place, Crs.WGS84), int(rng.choice([3_500, 7_000, 60_000, 480_000])), kind,
                f"O{int(rng.integers(80))}", [None, "GBT_DC", "CHADEMO"][int(rng.integers(3))], bool(rng.integers(2)))
        )  # fmt: skip
        state = [State.IDLE, State.CHARGING, State.FAULT, State.UNKNOWN][int(rng.integers(4))]
        if rng.integers(5):
            at = int(rng.integers(1_000))
            words.append(Word(name, state, at, at + int(rng.integers(1_000))))
        if not rng.integers(4):
            assured.add(name)
    return rows, words, assured


def allowed(row: Row, word: Word | None, assured: bool, wish: Wish, heard_since: int) -> bool:
    return (
        row.rated_power_w >= wish.least_power_w
        and wish.current_type in (None, row.current_type)
        and wish.plug in (None, row.plug)
        and (wish.operators is None or row.operator_id in wish.operators)
        and (not wish.free or (word is not None and word.state is State.IDLE and word.heard_utc_ms >= heard_since))
        and (not wish.assured or assured)
        and (not wish.open_24h or row.open_24h)
    )


def check(found: list[Near], rows: list[Row], words: dict[str, Word], assured: set[str], question: Any) -> None:
    """Compare an answer with the brute-force one: the same distances, and everybody in the order of (distance, id)."""
    point, count, wish, since = question
    wanted = [
        (distance_m(point, row.point), row)
        for row in rows
        if allowed(row, words.get(row.connector_id), row.connector_id in assured, wish, since)
    ]
    wanted.sort(key=lambda w: w[0])
    # Two formulas of one distance agree to a millimetre, near the antipode (where the haversine is coarse) to a metre.
    assert len(found) == min(count, len(wanted))
    for near, (metres, _) in zip(found, wanted, strict=False):
        assert abs(near.distance_mm - metres * 1_000) < (2 if metres < 19_000_000 else 1_000)
    names = [(n.distance_mm, n.row.connector_id) for n in found]
    assert names == sorted(names)
    assert len({n for _, n in names}) == len(names)
    by_name = {row.connector_id: metres for metres, row in wanted}
    for near in found:
        assert near.row.connector_id in by_name
        assert near.word == words.get(near.row.connector_id)
        assert near.assured == (near.row.connector_id in assured)
    # Of those at exactly the last place's distance the smallest ids were taken.
    if found:
        last = found[-1]
        same = sorted(r.connector_id for _, r in wanted if r.point == last.row.point)
        taken = [n.row.connector_id for n in found if n.row.point == last.row.point]
        assert taken == same[: len(taken)]


@given(
    st.integers(0, 2**31),
    st.lists(PLACE, max_size=40),
    st.lists(st.tuples(PLACE, st.integers(1, 30), WISH, st.sampled_from([-1, 500, 1_500])), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 39), STATES), max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_every_answer_is_the_brute_force_one(
    seed: int, places: list[tuple[float, float]], questions: list[Any], changes: list[tuple[int, State]]
) -> None:
    rows, words, assured = world(seed, places)
    index, said = Index(rows, assured), {w.connector_id: w for w in words}
    assert index.put(words) == len(words)
    for number, (place, count, wish, since) in enumerate(questions):
        # States change between the questions, one at a time.
        for n, state in changes[number :: len(questions)]:
            if n < len(rows):
                said[rows[n].connector_id] = Word(rows[n].connector_id, state, 2_000 + n, 2_000 + n)
                index.put([said[rows[n].connector_id]])
        question = (Point(place[0], place[1], Crs.WGS84), count, wish, since)
        check(index.nearest(*question), rows, said, assured, question)


@pytest.mark.parametrize("seed", range(6))
def test_many_blocks_give_the_brute_force_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 9)) * BLOCK_ROWS + int(rng.integers(BLOCK_ROWS))
    around = [CORNERS[int(rng.integers(len(CORNERS)))] for _ in range(4)]
    places: list[tuple[float, float]] = []
    for n in range(count):
        lon, lat = around[n % 4]
        # Stations of some connectors each, on a raster, so that many are equally far.
        places.append((float(np.clip(lon + rng.integers(-20, 21) / 50, -180, 180)),
                       float(np.clip(lat + rng.integers(-20, 21) / 50, -90, 90))))  # fmt: skip
    rows, words, assured = world(seed, places)
    index, said = Index(rows, assured), {w.connector_id: w for w in words}
    index.put(words)
    wishes = [Wish(), Wish(free=True), Wish(480_000, "DC", "CHADEMO"), Wish(operators=frozenset({"O3"})),
              Wish(60_000, "DC", "GBT_DC", frozenset({"O1", "O2"}), True, True, True), Wish(assured=True)]  # fmt: skip
    for number in range(60):
        if number % 3:
            place: tuple[float, float] = places[int(rng.integers(count))]
        else:
            place = (float(rng.uniform(-180, 180)), float(rng.uniform(-90, 90)))
        question = (Point(*place, Crs.WGS84), int(rng.integers(1, MAX_NEAREST + 1)), wishes[number % 6], 900)
        check(index.nearest(*question), rows, said, assured, question)


def test_connectors_of_one_place_come_in_the_order_of_their_ids() -> None:
    rows = [Row(f"C{n:04d}", Point(114, 22, Crs.WGS84), 7_000, "AC", "O") for n in reversed(range(3 * BLOCK_ROWS))]
    found = Index(rows).nearest(Point(113, 22, Crs.WGS84), 20)
    assert [n.row.connector_id for n in found] == [f"C{n:04d}" for n in range(20)]


def test_a_state_that_nobody_repeats_is_free_no_longer() -> None:
    index = Index([Row("C", Point(114, 22, Crs.WGS84), 7_000, "AC", "O")])
    index.put([Word("C", State.IDLE, 5, 90), Word("somebody else's", State.IDLE, 5, 90)])
    here, free = Point(114, 22, Crs.WGS84), Wish(free=True)
    assert index.nearest(here, 1, free, 90)[0].word == Word("C", State.IDLE, 5, 90)
    assert index.nearest(here, 1, free, 91) == []
    assert len(index.nearest(here, 1, Wish(), 91)) == 1


def test_other_systems_and_other_counts_are_faults_of_the_program() -> None:
    row = Row("C", Point(114, 22, Crs.WGS84), 7_000, "AC", "O")
    with pytest.raises(ValueError, match="WGS-84"):
        Index([replace(row, point=Point(114, 22, Crs.GCJ02))])
    with pytest.raises(ValueError, match="GCJ-02"):
        Index([row]).nearest(Point(114, 22, Crs.GCJ02), 1)
    for count in (0, MAX_NEAREST + 1):
        with pytest.raises(ValueError, match="at once"):
            Index([row]).nearest(row.point, count)
    assert Index([]).nearest(row.point, 1) == []


def test_states_change_while_questions_are_asked() -> None:
    rows = [Row(f"C{n}", Point(114 + n / 1_000, 22, Crs.WGS84), 7_000, "AC", "O") for n in range(1_000)]
    index, stop = Index(rows), threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            state = State.IDLE if number % 2 else State.CHARGING
            index.put(Word(r.connector_id, state, number, number) for r in rows[:: 1 + number % 3])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            found = index.nearest(Point(114.5, 22, Crs.WGS84), 50, Wish(free=True))
            assert all(n.word is not None and n.word.state is State.IDLE for n in found)
    finally:
        stop.set()
        thread.join()
    index.put(Word(r.connector_id, State.CHARGING, 9, 9) for r in rows)
    assert index.nearest(Point(114.5, 22, Crs.WGS84), 1, Wish(free=True)) == []
    assert index._blocks.free.tolist() == [0] * len(index._blocks.free)


def test_a_few_among_very_many_are_found_from_anywhere() -> None:
    """Rare ones far apart: steps grow until a pass over everything, and nobody comes twice."""
    rng = np.random.default_rng(9)
    places = np.stack([rng.uniform(100, 120, 30_000), rng.uniform(22, 40, 30_000)], axis=1).tolist()
    rows = [Row(f"C{n:05d}", Point(lon, lat, Crs.WGS84), 480_000 if n % 5_000 == 7 else 7_000,
                "DC" if n % 2 else "AC", f"O{n % 90}") for n, (lon, lat) in enumerate(places)]  # fmt: skip
    index = Index(rows)
    for place in [(110.0, 30.0), (-70.0, -30.0), (101.0, 39.0)]:
        for wish in (Wish(480_000), Wish(480_000, "AC"), Wish(0, "DC", None, frozenset({"O7"})), Wish()):
            question = (Point(*place, Crs.WGS84), 20, wish, -1)
            check(index.nearest(*question), rows, {}, set(), question)
