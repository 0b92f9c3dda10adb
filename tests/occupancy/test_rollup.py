"""Intervals, roll-ups and colours against a count of single steps; windows cut anywhere, over midnight, over DST."""

from __future__ import annotations

import re
from datetime import date, datetime
from math import factorial
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anxin.domain.connector_status import STATE_CODES, State, StatusRun, StatusWord
from anxin.domain.errors import InputError
from anxin.flow.occupancy_views import weekday_hours, window_of
from anxin.occupancy.colours import COLOURS, Colour, Thresholds, picture_of
from anxin.occupancy.history import with_words
from anxin.occupancy.intervals import Ints, Runs, intervals, segments_of
from anxin.occupancy.packing import BLOCK, pack, pack_day, pack_trade, unpack, unpack_day, unpack_trade
from anxin.occupancy.rollup import CATEGORY, COLUMNS, HOUR_MS, Column, by_group, totals_of, trade_by_hour
from anxin.reconcile.policy import load_policy
from tests.occupancy.brute import STEP_MS, counted
from tests.vectors.shared import ROOT

#: A busy machine is no fault of what is tested.
UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
NOON = 1_791_504_000_000
SPAN_STEPS = 6 * 120
THRESHOLDS = Thresholds(600_000, 200_000, 500_000)

WORDS = st.lists(st.tuples(st.sampled_from(list(State)), st.integers(0, SPAN_STEPS)), max_size=25).map(
    lambda said: [
        StatusWord(s, NOON + step * STEP_MS, NOON + step * STEP_MS, n, "op") for n, (s, step) in enumerate(said)
    ]
)
WINDOWS = st.tuples(st.integers(-60, SPAN_STEPS + 60), st.integers(0, SPAN_STEPS)).map(
    lambda w: (NOON + w[0] * STEP_MS, NOON + (w[0] + w[1]) * STEP_MS)
)
SILENCES = st.integers(10, 400).map(lambda steps: steps * STEP_MS)


def runs_of(histories: dict[int, list[StatusRun]]) -> Runs:
    rows = [
        (no, r.at_utc_ms, r.heard_utc_ms, STATE_CODES[r.state]) for no, runs in sorted(histories.items()) for r in runs
    ]
    columns = np.array(rows, np.int64).reshape(len(rows), 4).T
    return Runs(*columns)


def expected(words: list[StatusWord], window: tuple[int, int], silence: int) -> list[int]:
    sums = [0] * COLUMNS
    for state, ms in counted(words, *window, silence).items():
        sums[CATEGORY[state]] += ms
    return sums


@UNHURRIED
@given(st.lists(WORDS, min_size=1, max_size=3), WINDOWS, SILENCES)
def test_a_window_cut_anywhere_is_what_a_count_of_single_steps_gives(
    said: list[list[StatusWord]], window: tuple[int, int], silence: int
) -> None:
    histories = {n + 1: with_words([], words) for n, words in enumerate(said)}
    population = np.array(sorted(histories), np.int64)
    segments = segments_of(runs_of(histories), population, *window, silence)
    totals = totals_of(segments, len(said) + 1)
    for n, words in enumerate(said):
        assert totals[n + 1].tolist() == expected(words, window, silence)
        spans = intervals(histories[n + 1], *window, silence)
        assert sum(s.to_utc_ms - s.from_utc_ms for s in spans) == window[1] - window[0]
        assert [(s.to_utc_ms) for s in spans[:-1]] == [s.from_utc_ms for s in spans[1:]]
        alone = segments.of(segments.connector == n + 1)
        assert [(s.from_utc_ms, s.to_utc_ms, STATE_CODES[s.state]) for s in spans] == list(
            zip(alone.start.tolist(), alone.end.tolist(), alone.state.tolist(), strict=True)
        )


@UNHURRIED
@given(st.lists(WORDS, min_size=1, max_size=3), WINDOWS, SILENCES)
def test_hours_that_were_packed_and_cut_again_are_the_same_count(
    said: list[list[StatusWord]], window: tuple[int, int], silence: int
) -> None:
    numbers = [5, BLOCK - 1, BLOCK + 3][: len(said)]
    histories = {no: with_words([], words) for no, words in zip(numbers, said, strict=True)}
    runs, population = runs_of(histories), np.array(numbers, np.int64)
    totals = np.zeros((BLOCK + 4, COLUMNS), np.int64)
    for hour in range(window[0] // HOUR_MS, -(-window[1] // HOUR_MS)):
        segments = segments_of(runs, population, hour * HOUR_MS, (hour + 1) * HOUR_MS, silence)
        for block in (0, 1):
            mine = segments.of(segments.connector // BLOCK == block)
            if len(mine):
                again = unpack(pack(mine, hour, block), hour, block)
                assert [c.tolist() for c in (again.connector, again.start, again.end, again.state)] == [
                    c.tolist() for c in (mine.connector, mine.start, mine.end, mine.state)
                ]
                totals += totals_of(again.clipped(*window), BLOCK + 4)
    for no, words in zip(numbers, said, strict=True):
        assert totals[no].tolist() == expected(words, window, silence)


SESSIONS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 5 * HOUR_MS), st.integers(0, 3 * HOUR_MS),
        st.integers(-1_000, 200_000_000), st.integers(0, 5_000_000),
    ),
    max_size=10,
)  # fmt: skip


@UNHURRIED
@given(SESSIONS)
def test_what_falls_into_the_hours_adds_up_to_the_session(sessions: list[tuple[int, ...]]) -> None:
    rows = np.array([(c, NOON + s, NOON + s + d, e, a) for c, s, d, e, a in sessions], np.int64).reshape(-1, 5)
    hour, connector, figures = trade_by_hour(*rows.T)
    for no in range(4):
        mine = [s for s in sessions if s[0] == no]
        assert figures[connector == no].sum(axis=0).tolist() == [
            len(mine), sum(s[3] for s in mine), sum(s[4] for s in mine)
        ]  # fmt: skip
    assert ((hour >= NOON // HOUR_MS) & (hour <= (NOON + 8 * HOUR_MS) // HOUR_MS)).all()
    packed = pack_trade(np.array([1, 9], np.int64), np.array([[1, 2, 3], [4, -5, 6]], np.int64), 0)
    assert [c.tolist() for c in unpack_trade(packed, 0)] == [[1, 9], [[1, 2, 3], [4, -5, 6]]]


def test_energy_is_spread_by_time() -> None:
    start = NOON + HOUR_MS // 2
    column = [np.array([v], np.int64) for v in (7, start, start + HOUR_MS, 30_000_001, 11)]
    hour, connector, figures = trade_by_hour(*column)
    assert hour.tolist() == [NOON // HOUR_MS, NOON // HOUR_MS + 1]
    assert connector.tolist() == [7, 7]
    assert figures.tolist() == [[1, 15_000_000, 5], [0, 15_000_001, 6]]


def row(**ms: int) -> Ints:
    found = np.zeros(COLUMNS, np.int64)
    for name, value in ms.items():
        found[Column[name.upper()]] = value
    return found


@pytest.mark.parametrize(
    ("ms", "colour"),
    [
        ({"charging": 60, "idle": 40}, Colour.RED),
        ({"charging": 59, "idle": 41}, Colour.YELLOW),
        ({"occupied": 20, "idle": 80}, Colour.YELLOW),
        ({"charging": 19, "idle": 81}, Colour.GREEN),
        ({"idle": 50, "unknown": 50}, Colour.GREEN),
        ({"idle": 49, "unknown": 51}, Colour.GREY),
        ({"idle": 49, "offline": 51}, Colour.GREY),
        ({"faulty": 100}, Colour.GREY),
        ({"faulty": 90, "charging": 10}, Colour.RED),
        ({"absent": 100}, Colour.GREY),
        ({"absent": 900, "idle": 100}, Colour.GREEN),
        ({}, Colour.GREY),
    ],
)
def test_a_colour_is_the_share_of_taken_over_usable_time_where_enough_was_seen(
    ms: dict[str, int], colour: Colour
) -> None:
    assert COLOURS[picture_of(row(**ms)[None], THRESHOLDS).colour[0]] is colour


def test_groups_are_sums_and_what_has_no_group_counts_nowhere() -> None:
    totals = np.arange(4 * COLUMNS, dtype=np.int64).reshape(4, COLUMNS)
    sums = by_group(totals, np.array([0, -1, 1, 0]), 2)
    assert sums[0].tolist() == (totals[0] + totals[3]).tolist()
    assert sums[1].tolist() == totals[2].tolist()
    day = np.arange(24 * COLUMNS, dtype=np.int64).reshape(24, COLUMNS)
    assert unpack_day(pack_day(day)).tolist() == day.tolist()
    assert not unpack_day(None).any()


def erlang_c(servers: int, share: float) -> float:
    load = servers * share
    wait = load**servers / factorial(servers) / (1 - share)
    return wait / (sum(load**k / factorial(k) for k in range(servers)) + wait)


def test_the_thresholds_are_where_the_policy_argues_them() -> None:
    policy = load_policy()
    busy, idle = policy.int("occupancy.busy_share") / 1e6, policy.int("occupancy.idle_share") / 1e6
    assert erlang_c(10, busy) == pytest.approx(0.101, abs=0.001)
    assert erlang_c(10, 0.7) > 0.2
    assert erlang_c(3, idle) == pytest.approx(1 / 40, abs=0.001)


def span(day: str, hours: str, zone: str) -> float:
    return window_of(None, None, day, hours, zone).hours


def test_windows_of_a_day_follow_the_wall_clock_also_when_it_jumps() -> None:
    berlin = "Europe/Berlin"
    assert span("2026-03-29", "0-24", berlin) == 23
    assert span("2026-10-25", "0-24", berlin) == 25
    assert span("2026-03-29", "2-3", berlin) == 0
    assert span("2026-10-25", "2-3", berlin) == 2
    assert span("2026-10-25", "0-2", berlin) == 2
    assert span("2026-11-26", "22-2", berlin) == 4
    assert span("2026-03-28", "22-4", berlin) == 5
    window = window_of(None, None, "2026-11-26", "0-2", "Asia/Shanghai")
    assert datetime.fromtimestamp(window.from_utc_ms / 1_000, ZoneInfo("Asia/Shanghai")).isoformat() == (
        "2026-11-26T00:00:00+08:00"
    )


@UNHURRIED
@given(st.dates(date(2025, 1, 1), date(2027, 12, 31)), st.integers(0, 22), st.integers(1, 23))
def test_windows_that_follow_one_another_leave_no_gap_on_any_day(day: date, first: int, more: int) -> None:
    middle = min(23, first + more)
    one = window_of(None, None, day.isoformat(), f"{first}-{middle}", "Europe/Berlin")
    two = window_of(None, None, day.isoformat(), f"{middle}-24", "Europe/Berlin")
    assert one.to_utc_ms == two.from_utc_ms


@pytest.mark.parametrize("bad", [("2026-02-30", "0-2"), ("2026-11-26", "24-25"), ("2026-11-26", "0-25")])
def test_a_window_that_is_none_is_refused(bad: tuple[str, str]) -> None:
    with pytest.raises(InputError):
        window_of(None, None, *bad, "Asia/Shanghai")
    with pytest.raises(InputError):
        window_of(10, 5, None, "0-24", "Asia/Shanghai")
    with pytest.raises(InputError):
        window_of(None, None, "2026-11-26", "0-2", "Mars/Olympus")


def test_hours_stand_under_the_weekday_and_hour_of_the_zone() -> None:
    sunday = int(datetime(2026, 10, 25, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) // 3_600
    places = weekday_hours(sunday, 25, "Europe/Berlin").tolist()
    assert places[:4] == [6 * 24, 6 * 24 + 1, 6 * 24 + 2, 6 * 24 + 2]
    assert places[-1] == 6 * 24 + 23


def test_the_page_says_what_a_state_counts_as() -> None:
    told: dict[str, set[str]] = {}
    for line in (ROOT / "docs" / "occupancy.md").read_text("utf-8").splitlines():
        if match := re.match(r"\| `(\w+)` \| [^|]+ \| ([^|]+) \|", line):
            told[match[1]] = set(re.findall(r"`(\w+)`", match[2].partition(";")[0]))
    for column in list(Column)[:8]:
        assert told[column.name.lower()] == {s.value for s in State if CATEGORY[s] is column}
