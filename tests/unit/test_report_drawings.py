"""The charts and small drawings: nothing lost in a sum, the theme's colours only, the same bytes again."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from anxin.report.drawings import (
    MAX_DAYS,
    MAX_WEEKS,
    Chart,
    buckets,
    differences_chart,
    sessions_chart,
)
from anxin.report.geometry import MAP_HEIGHT, MAP_WIDTH, MAX_STAIRCASE_POINTS, map_drawing, staircase
from anxin.report.view import CaseRow, DayRow, MapView, RegisterPoint, StationMark, difference_bins
from tests.unit.report_sample import binjiang, sample_view

STATES = ("agree", "disagree", "order_only", "record_only", "pending")


def rows_of_days(count: int) -> list[DayRow]:
    first = date(2024, 2, 27)
    return [DayRow((first + timedelta(days=n)).isoformat(), n % 7, n % 3, n % 2, n % 5, 1) for n in range(count)]


@given(st.lists(st.tuples(st.dates(date(2019, 1, 1), date(2026, 12, 31)), *[st.integers(0, 99)] * 5), max_size=40))
def test_a_bucket_loses_no_session(days: list[tuple[date, int, int, int, int, int]]) -> None:
    daily = [DayRow(day.isoformat(), *counts) for day, *counts in days]
    drawn = buckets(daily)
    for state in STATES:
        assert sum(getattr(r, state) for r in drawn.rows) == sum(getattr(r, state) for r in daily)
    assert [r.local_date for r in drawn.rows] == sorted({r.local_date for r in drawn.rows})


@pytest.mark.parametrize(
    ("days", "step", "bars"),
    [(1, "day", 1), (MAX_DAYS, "day", MAX_DAYS), (MAX_DAYS + 1, "week", 19), (MAX_WEEKS * 7 + 1, "month", 47)],
)
def test_long_spans_are_drawn_in_weeks_then_months(days: int, step: str, bars: int) -> None:
    drawn = buckets(rows_of_days(days))
    assert (drawn.step, len(drawn.rows)) == (step, bars)


def test_a_day_without_sessions_is_a_gap_not_a_jump() -> None:
    drawn = buckets([DayRow("2026-10-01", 3), DayRow("2026-10-04", 2)])
    assert [(r.local_date, r.agree) for r in drawn.rows] == [
        ("2026-10-01", 3), ("2026-10-02", 0), ("2026-10-03", 0), ("2026-10-04", 2),
    ]  # fmt: skip


def test_a_session_without_a_date_is_not_drawn_anywhere() -> None:
    assert buckets([DayRow("", 5), DayRow("<script>", 5)]).rows == ()


@pytest.mark.parametrize("days", [1, 31, 400, 1_500])
def test_a_chart_has_a_bar_for_each_count_and_only_the_colours_of_the_theme(days: int) -> None:
    drawn = buckets(rows_of_days(days))
    chart = sessions_chart(drawn, STATES, 180)
    for svg in (chart.wide, chart.narrow):
        root = etree.fromstring(svg)
        colours = {e.get(a) for e in root.iter() for a in ("fill", "stroke")} - {None}
        assert not [c for c in colours if str(c).startswith(("#", "rgb"))], colours
        bars = [
            e for e in root.iter("{*}path") if str(e.get("fill")).startswith(("var(--agree", "var(--dis", "url(#f"))
        ]
        assert len(bars) == len(drawn.rows) * len(STATES)
        assert not re.search(r"aria-label|role=|font-family|NaN|undefined|[0-9]e[+-]?[0-9]", svg)


def test_the_drawing_engine_repeats_itself_in_another_process() -> None:
    program = (
        "import hashlib; from tests.unit.report_sample import sample_view; from anxin.report.page import render;"
        "print(hashlib.sha256(render(sample_view(3)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, env={"PYTHONHASHSEED": seed, "PATH": ""}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**6)), max_size=30))
def test_every_difference_falls_into_one_bin(differences: list[tuple[int, int]]) -> None:
    assert sum(difference_bins(differences)) == sum(count for _, count in differences)


@pytest.mark.parametrize(
    ("difference_milli_wh", "place"),
    [(0, 5), (10_000, 5), (-10_000, 5), (10_001, 6), (-10_001, 4), (100_000_001, 10), (-100_000_001, 0)],
)
def test_one_display_digit_still_counts_as_equal(difference_milli_wh: int, place: int) -> None:
    assert difference_bins([(difference_milli_wh, 1)]).index(1) == place


def test_differences_are_mirrored_about_zero() -> None:
    sizes = [0, 1, 9_999, 10_000, 10_001, 99_999, 100_000, 100_001, 10**6, 10**7, 10**8, 10**8 + 1]
    over, under = difference_bins((s, 1) for s in sizes), difference_bins((-s, 1) for s in sizes)
    assert over == under[::-1]


def test_no_differences_make_no_drawing() -> None:
    assert differences_chart(()) is None
    assert differences_chart((0,) * 11) is None
    assert isinstance(differences_chart(difference_bins([(0, 14_000_000)])), Chart)


def register_case(readings: int) -> CaseRow:
    points = [RegisterPoint(n * 1000, n * 5_000, ("begin", "end")[n % 2]) for n in range(readings)]
    half = readings // 2 - readings // 2 % 2
    points[half] = replace(points[half], kind="case_begin")
    points[half + 1] = replace(points[half + 1], kind="case_end")
    return CaseRow("s", "disagree", "violation", order_energy_milli_wh=9_000, metered_energy_milli_wh=5_000,
                   registers=tuple(reversed(points)))  # fmt: skip


@pytest.mark.parametrize("readings", [2, 8, MAX_STAIRCASE_POINTS, 60])
def test_a_staircase_shows_the_case_among_its_neighbours(readings: int) -> None:
    drawn = staircase(register_case(readings))
    assert drawn is not None
    assert len(drawn.steps) == min(readings, MAX_STAIRCASE_POINTS)
    assert [s.point.time_utc_ms for s in drawn.steps] == sorted(s.point.time_utc_ms for s in drawn.steps)
    assert drawn.case_x is not None
    assert float(drawn.case_x[0]) < float(drawn.case_x[1])
    assert drawn.claim_y is not None
    end = next(s for s in drawn.steps if s.point.kind == "case_end")
    assert float(drawn.claim_y) < float(end.y), "an order above the meter lies above it in the drawing"


def test_the_register_that_the_order_states_goes_before_its_energy() -> None:
    case = register_case(8)
    stated = replace(case, registers=(*case.registers, RegisterPoint(9_000, 200_000, "order_end")))
    drawn, computed = staircase(stated), staircase(case)
    assert drawn is not None
    assert computed is not None
    assert drawn.high_milli_wh == 200_000 > computed.high_milli_wh
    assert len(drawn.steps) == len(computed.steps), "a claim is no reading"


def test_where_order_and_meter_agree_no_claim_is_drawn() -> None:
    drawn = staircase(replace(register_case(8), order_energy_milli_wh=5_000))
    assert drawn is not None
    assert drawn.claim_y is None


def test_a_lone_reading_is_no_staircase() -> None:
    assert staircase(CaseRow("s", "disagree", "note", registers=(RegisterPoint(0, 0, "case_begin"),))) is None


def test_the_map_holds_the_district_and_draws_the_worst_on_top() -> None:
    drawn = map_drawing(sample_view(1).map)
    assert drawn is not None
    assert drawn.stations[-1][2].state == "disagree"
    for x, y, _ in drawn.stations:
        assert 0 < float(x) < MAP_WIDTH
        assert 0 < float(y) < MAP_HEIGHT
    numbers = [float(n) for n in re.findall(r"[0-9.]+", drawn.districts[0][0])]
    assert 0 <= min(numbers) <= max(numbers) <= MAP_WIDTH
    by_name = {s.name: (float(x), float(y)) for x, y, s in drawn.stations}
    assert by_name["奥体中心"][1] < by_name["浦沿街道站"][1], "north is up"
    assert by_name["浦沿街道站"][0] < by_name["奥体中心"][0], "west is left"


def test_a_station_without_a_place_is_left_off_the_map() -> None:
    nowhere = StationMark("x", "x", float("nan"), 30.0, "agree")
    drawn = map_drawing(MapView((binjiang(),), (nowhere, StationMark("y", "y", 120.2, 30.2, "agree"))))
    assert drawn is not None
    assert [s.station_id for _, _, s in drawn.stations] == ["y"]
    assert map_drawing(MapView((), (nowhere,))) is None
