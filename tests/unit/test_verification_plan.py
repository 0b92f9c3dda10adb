"""The plan: its schedule against every order, its readings against fewer, its energy against power times time."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.cli.main import main
from anxin.domain.errors import PolicyError
from anxin.domain.verification import LoadMethod, VerificationKind
from anxin.verification.plan import MAX_READINGS, Charger, bench_data, plan
from anxin.verification.procedures import procedure_of
from anxin.verification.schedule import MAX_TASKS, Placed, Task, shortest
from anxin.verification.uncertainty import Source, budget, edges, repeatability

AC_7KW = Charger("AC", 7_000, 220_000, 1, "1", 1_600, 1_000)
DC = {kw: Charger("DC", kw * 1_000, 750_000, 0, "1", 100, 1_000) for kw in (60, 120, 480)}
VIRTUAL, REAL = bench_data(LoadMethod.VIRTUAL), bench_data(LoadMethod.REAL)


def brute(tasks: list[Task]) -> int:
    """The earliest end over every order of the tasks, each put at its earliest place in that order."""
    best = 10**12
    for order in itertools.permutations(tasks):
        ends: dict[str, int] = {}
        free: dict[str, int] = {}
        for task in order:
            if any(a not in ends for a in task.after):
                break
            begin = max([0, *(ends[a] for a in task.after), *(free.get(r, 0) for r in task.resources)])
            ends[task.name] = begin + task.duration_ms
            free.update(dict.fromkeys(task.resources, ends[task.name]))
        else:
            best = min(best, max(ends.values()))
    return best


@st.composite
def some_tasks(draw: st.DrawFn) -> list[Task]:
    names = "abcdef"[: draw(st.integers(1, 6))]
    return [
        Task(
            name,
            draw(st.integers(0, 9)),
            frozenset(draw(st.sets(st.sampled_from("xyz"), min_size=1))),
            tuple(draw(st.sets(st.sampled_from(names[:i])))) if i else (),
        )
        for i, name in enumerate(names)
    ]


@settings(max_examples=150, deadline=None)
@given(some_tasks())
def test_no_order_is_shorter(tasks: list[Task]) -> None:
    placed = shortest(tasks)
    assert {p.task.name for p in placed} == {t.name for t in tasks}
    assert max(p.end_ms for p in placed) == brute(tasks)
    ends = {p.task.name: p.end_ms for p in placed}
    for one in placed:
        assert all(ends[a] <= one.begin_ms for a in one.task.after)
    for one, other in itertools.combinations(placed, 2):
        if one.task.resources & other.task.resources and one.task.duration_ms and other.task.duration_ms:
            assert one.end_ms <= other.begin_ms or other.end_ms <= one.begin_ms


@pytest.mark.parametrize(
    "tasks",
    [
        [Task("a", 1, frozenset("x"), ("b",)), Task("b", 1, frozenset("x"), ("a",))],
        [Task("a", 1, frozenset("x"), ("b",))],
        [Task(str(n), 1, frozenset("x")) for n in range(MAX_TASKS + 1)],
    ],
)
def test_what_cannot_be_scheduled_is_refused(tasks: list[Task]) -> None:
    with pytest.raises(ValueError, match="task"):
        shortest(tasks)


@pytest.mark.parametrize("charger", [AC_7KW, *DC.values(), replace(AC_7KW, constant=None)], ids=str)
@pytest.mark.parametrize("accuracy_class", ["1", "2"])
@pytest.mark.parametrize("bench", [VIRTUAL, REAL], ids=["virtual", "real"])
def test_no_fewer_pulses_or_readings_would_do(charger: Charger, accuracy_class: str, bench: object) -> None:
    procedure = procedure_of(f"jjg-114{'8' if charger.current == 'AC' else '9'}-2022")
    of_class = replace(charger, accuracy_class=accuracy_class)
    found = plan(procedure, of_class, bench)  # type: ignore[arg-type]
    for point in found.points:
        assert point.budget.expanded_ppm * 3 <= point.limit.maximum
        assert 2 <= point.readings <= MAX_READINGS
        quantum_ms = point.reading_ms / point.quanta
        if point.limited_by == "least":
            assert point.quanta == 4
            continue
        # One pulse less, with only what the length holds down made worse, is above what is allowed.
        shorter = (point.quanta - 1) / point.quanta
        worse = [
            replace(c.influence, spread_ppm=c.influence.spread_ppm / shorter)
            if c.influence.source in (Source.EDGES, Source.QUANTISATION)
            else c.influence
            for c in point.budget.components
        ]
        assert budget(worse, point.readings).expanded_ppm * 3 > point.limit.maximum
        assert point.duration_ms == pytest.approx(
            quantum_ms * (point.quanta * point.readings + bool(charger.constant)), 0.01
        )


def test_energy_is_power_times_time() -> None:
    for bench in (VIRTUAL, REAL):
        found = plan(procedure_of("jjg-1149-2022"), DC[60], bench)
        (point,) = found.points
        settle_s = bench.number("time.settle").value
        seen = 60_000 * (point.duration_ms / 1000 + settle_s) / 3600 * 1000
        assert found.energy_seen_milli_wh == pytest.approx(seen, rel=1e-4)
    # Virtual: the loop's heat at 80 A through 2 mOhm, twice that from the grid, and the auxiliaries, but no 60 kW.
    found = plan(procedure_of("jjg-1149-2022"), DC[60], VIRTUAL)
    (point,) = found.points
    on_s = max(s.end_ms for s in found.steps if "source" in s.task.resources) / 1000
    drawn = (150 * on_s + (80**2 * 0.002 / 0.5 + 20) * (point.duration_ms / 1000 + 5)) / 3600 * 1000
    assert found.energy_drawn_milli_wh == pytest.approx(drawn, rel=1e-3)
    assert found.energy_drawn_milli_wh * 10 < found.energy_seen_milli_wh


def test_twice_the_jitter_takes_about_twice_the_time() -> None:
    procedure = procedure_of("jjg-1148-2022")
    numbers = dict(VIRTUAL.numbers)
    numbers["reading.pulse_jitter"] = replace(numbers["reading.pulse_jitter"], value=40)
    usual = plan(procedure, AC_7KW, VIRTUAL).points[0]
    slower = plan(procedure, AC_7KW, replace(VIRTUAL, numbers=numbers)).points[0]
    assert slower.quanta == pytest.approx(2 * usual.quanta, abs=1)
    assert budget([edges(20, 3_000), repeatability(1, 9)], 1).expanded_ppm > 0


def test_the_clock_is_read_while_pulses_are_counted_and_not_while_a_register_is_read() -> None:
    def overlap(charger: Charger) -> bool:
        steps = {s.task.name: s for s in plan(procedure_of("jjg-1148-2022"), charger, VIRTUAL).steps}
        clock, measure = steps["clock"], steps["measure:full"]
        held = bool(clock.task.resources & measure.task.resources)
        assert not held or clock.end_ms <= measure.begin_ms or measure.end_ms <= clock.begin_ms
        return not held

    assert overlap(AC_7KW)
    assert not overlap(replace(AC_7KW, constant=None))


def test_a_clock_without_seconds_is_waited_for_only_against_five_seconds() -> None:
    minutes = replace(AC_7KW, clock_digit_ms=60_000)

    def clock_ms(kind: VerificationKind) -> int:
        found = plan(procedure_of("jjg-1148-2022"), minutes, VIRTUAL, kind)
        (step,) = [s for s in found.steps if s.task.name == "clock"]
        return step.task.duration_ms

    assert clock_ms(VerificationKind.FIRST) == 65_000
    assert clock_ms(VerificationKind.PERIODIC) == 5_000
    found = plan(procedure_of("jjg-1148-2022"), replace(minutes, time_of_use=False), VIRTUAL)
    assert [s for s in found.steps if s.task.name == "clock"] == []


def test_a_load_bank_that_is_too_small_is_said_so() -> None:
    found = plan(procedure_of("jjg-1149-2022"), DC[480], REAL)
    assert not found.reached
    assert found.points[0].power_mw == pytest.approx(60_000_000, rel=1e-6)
    assert plan(procedure_of("jjg-1149-2022"), DC[480], REAL, maximum_power_w=480_000).reached
    assert plan(procedure_of("jjg-1149-2022"), DC[480], VIRTUAL).reached


def test_what_no_bench_can_reach_is_refused_with_the_influence_that_stands_in_the_way() -> None:
    with pytest.raises(PolicyError, match="reference alone contributes 250"):
        plan(procedure_of("jjg-1148-2022"), AC_7KW, VIRTUAL, wanted_ppm=400)


def test_a_smaller_uncertainty_takes_longer() -> None:
    procedure = procedure_of("jjg-1148-2022")
    times = [plan(procedure, AC_7KW, VIRTUAL, wanted_ppm=u).points[0].duration_ms for u in (3_000, 2_000, 1_000, 600)]
    assert times == sorted(times)
    assert times[0] * 2 < times[-1]


def test_the_handbook_s_energy_is_delivered() -> None:
    charger = replace(DC[60], accuracy_class="HB44")
    found = plan(procedure_of("nist-hb44-3.40-dc"), charger, REAL)
    assert [(p.quanta, p.limited_by) for p in found.points] == [(200, "energy"), (100, "energy")]
    assert [p.point.current_ma for p in found.points] == [68_000, 8_000]


@pytest.mark.parametrize("kw", [60, 120, 480])
@pytest.mark.parametrize("accuracy_class", ["1", "2"])
def test_ten_minutes_is_kept_by_virtual_load(kw: int, accuracy_class: str) -> None:
    found = plan(procedure_of("jjg-1149-2022"), replace(DC[kw], accuracy_class=accuracy_class), VIRTUAL)
    assert found.total_ms < 10 * 60_000
    assert found.reached
    assert found.limited_by == "person"
    assert isinstance(found.steps[0], Placed)


def test_the_command_shows_both_and_the_regulator_s_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    words = ["bench", "plan", "--power", "7kW", "--current", "AC", "--class", "1"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    for part in ("虚负荷", "实负荷", "50–60 min", "10.000 kWh", "31.818 A"):
        assert part in printed
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["regulator"]["minutes.virtual"] == 10
    virtual, real = document["plans"]["virtual"], document["plans"]["real"]
    assert virtual["total_ms"] < real["total_ms"]
    assert virtual["energy_drawn_milli_wh"] < real["energy_drawn_milli_wh"]
    assert len(virtual["points"][0]["budget"]) == 6
    assert any("(assumed)" in line for line in virtual["not_confirmed"])


@pytest.mark.parametrize(
    "words",
    [
        ["--power", "7", "--class", "9"],
        ["--power", "0kW", "--class", "1"],
        ["--power", "seven", "--class", "1"],
        ["--power", "7kW", "--class", "1", "--procedure", "jjg-1149-2022"],
        ["--power", "7kW", "--class", "1", "--register", "0"],
        ["--power", "7kW", "--class", "1", "--register", "x"],
        ["--power", "7kW", "--class", "1", "--voltage", "0"],
        ["--power", "7kW", "--class", "1", "--uncertainty", "100"],
        ["--power", "7kW", "--class", "1", "--uncertainty", "-1"],
    ],
)
def test_wrong_words_end_with_a_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "plan", "--current", "AC", *words]) == 2
    assert "could not judge" in capsys.readouterr().err
