"""Conclusions at the edge of the limit, over every procedure and class, against inequalities that round nothing."""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.verification import Item, ItemResult, LoadPoint, Outcome, Reading, VerificationKind
from anxin.verification.conclusion import (
    amount_error_e4,
    judge,
    judge_amount,
    judge_clock,
    judge_indication,
    judge_point,
    overall,
    readings_wanted,
    valid_through,
)
from anxin.verification.procedures import DecisionRule, Limit, Rounding, procedure_of
from anxin.verification.working_error import by_pulses, by_registers, error_ppm, mean_error_ppm, rounded

FIRST, PERIODIC = VerificationKind.FIRST, VerificationKind.PERIODIC
#: (procedure, class, kind, below the transitional current): limit in ppm and its step of rounding. Written down here
#: from the fact file, not read from the data: a slip there is seen here.
LIMITS = {
    **{(f"jjg-{n}-{y}", c, kind, False): (10_000 * int(c), 1_000 * int(c))
       for n in (1148, 1149) for y in (2018, 2022) for c in "12" for kind in VerificationKind},
    **{("nist-hb44-3.40-ac", "HB44", kind, False): (10_000, 1_000) if kind is FIRST else (20_000, 2_000)
       for kind in VerificationKind},
    **{("nist-hb44-3.40-dc", "HB44", kind, False): (50_000, 5_000) for kind in VerificationKind},
    **{("oiml-g22-2022", c, kind, low): (wide, wide // 10) if low else (base, base // 10)
       for c, base, wide in (("A", 20_000, 25_000), ("B", 10_000, 15_000), ("C", 5_000, 10_000))
       for kind in VerificationKind for low in (False, True)},
}  # fmt: skip
POINT = LoadPoint(32_000, 220_000, 1)
CASES = 10_000


def passes(readings: list[Reading], limit: int, step: int) -> bool:
    """The oracle: |mean error| against the value where rounding turns, in whole numbers multiplied out.

    The limit holds ten steps, an even number: half-even takes the tie down, to the limit.
    """
    total = Fraction(0)
    for r in readings:
        total += Fraction(r.indicated, r.true) - 1
    size = abs(total) * 2 * 1_000_000
    return size <= (2 * limit + step) * len(readings)


def near(rng: random.Random, limit: int, step: int, count: int) -> list[Reading]:
    """Readings whose mean lies at the limit, one last digit of rounding off, or a hair beside where it turns."""
    sign = rng.choice((-1, 1))
    at = sign * Fraction(limit + rng.choice((-step, 0, step)) + rng.choice((0, step // 2, -step // 2)), 1_000_000)
    spread = [Fraction(rng.randrange(-step, step + 1), 1_000_000) for _ in range(count - 1)]
    spread.append(-sum(spread, Fraction(0)))
    readings = []
    for part in spread:
        true = rng.choice((1_000, 10**6, rng.randrange(10**5, 10**8), 2 * 10**6))
        wanted = (1 + at + part) * true
        # One digit of the register more or less, or none.
        readings.append(Reading(round(wanted) + rng.choice((-1, 0, 0, 1)), true))
    return readings


def test_ten_thousand_meters_at_the_limit_are_all_judged_rightly() -> None:
    rng = random.Random(1148)
    outcomes = {Outcome.PASS: 0, Outcome.FAIL: 0}
    ties = 0
    keys = list(LIMITS)
    for number in range(CASES):
        id_, accuracy_class, kind, low = key = keys[number % len(keys)]
        procedure = procedure_of(id_)
        limit = procedure.working_error(accuracy_class, kind, low_current=low)
        maximum, step = LIMITS[key]
        readings = near(rng, maximum, step, rng.choice((4, 5)))
        result, judged = judge_point(procedure, limit, POINT, readings, maximum // 3, 1, 1)
        expected = Outcome.PASS if passes(readings, maximum, step) else Outcome.FAIL
        assert result.outcome is judged.outcome is expected, (key, readings)
        assert result.limit_ppm == maximum
        assert result.rounded_ppm % step == 0
        outcomes[expected] += 1
        ties += abs(mean_error_ppm(readings)) * 2 == 2 * maximum + step
    assert min(outcomes.values()) > CASES // 5
    assert ties > 20


def test_a_value_is_rounded_once_from_the_exact_mean() -> None:
    """1.05003 % is 10,500 ppm to the nearest ppm, which half-even would take down to 1.0 %: a wrong pass."""
    procedure = procedure_of("jjg-1148-2022")
    limit = procedure.working_error("1")
    readings = [Reading(10_105_003, 10_000_000)] * 4
    result, _ = judge_point(procedure, limit, POINT, readings, 3_000, 1, 1)
    assert (result.error_ppm, result.rounded_ppm, result.outcome) == (10_500, 11_000, Outcome.FAIL)
    exactly = [Reading(10_105_000, 10_000_000)] * 4
    assert judge_point(procedure, limit, POINT, exactly, 3_000, 1, 1)[0].outcome is Outcome.PASS


def with_(limit: Limit, **changes: object) -> Limit:
    from dataclasses import replace

    return replace(limit, **changes)  # type: ignore[arg-type]


def test_no_conclusion_above_a_third_of_the_limit_whatever_the_error() -> None:
    limit = procedure_of("jjg-1149-2022").working_error("2")
    for error in (0, 19_999, 500_000):
        assert judge(limit, Fraction(error), 6_666).outcome is not Outcome.INDETERMINATE
        refused = judge(limit, Fraction(error), 6_667)
        assert refused.outcome is Outcome.INDETERMINATE
        assert "6667" in refused.reason_en
    assert judge(limit, Fraction(0), -1).outcome is Outcome.INDETERMINATE
    assert limit.allowed_uncertainty == 6_666


@given(st.fractions(-30_000, 30_000), st.integers(0, 3_333))
def test_the_guard_says_where_the_uncertainty_reaches_over_the_turning_value(error: Fraction, u: int) -> None:
    limit = procedure_of("jjg-1148-2022").working_error("1")
    judged = judge(limit, error, u)
    assert judged.near_limit == (10_500 - u < abs(error) < 10_500 + u)
    assert (judged.outcome is Outcome.PASS) == (abs(error) <= 10_500)


@given(st.fractions(-30_000, 30_000), st.integers(0, 3_333))
def test_guarded_gives_none_within_the_uncertainty_of_the_limit(error: Fraction, u: int) -> None:
    limit = with_(procedure_of("jjg-1148-2022").working_error("1"), decision=DecisionRule.GUARDED)
    size = abs(rounded(error, 1_000, Rounding.HALF_EVEN))
    expected = Outcome.PASS if size + u <= 10_000 else Outcome.FAIL if size - u > 10_000 else Outcome.INDETERMINATE
    assert judge(limit, error, u).outcome is expected


@pytest.mark.parametrize(
    ("value", "even", "away"), [(500, 0, 1000), (-500, 0, -1000), (1500, 2000, 2000), (2500, 2000, 3000), (499, 0, 0)]
)
def test_rounding_in_the_middle(value: int, even: int, away: int) -> None:
    assert rounded(Fraction(value), 1_000, Rounding.HALF_EVEN) == even
    assert rounded(Fraction(value), 1_000, Rounding.HALF_AWAY) == away


@given(st.fractions(-(10**6), 10**6), st.integers(1, 5_000))
def test_rounded_values_are_the_nearest_multiples(value: Fraction, step: int) -> None:
    for mode in Rounding:
        found = rounded(value, step, mode)
        assert found % step == 0
        assert abs(found - value) * 2 <= step


def test_pulses_and_registers_give_the_same_error() -> None:
    # 8 pulses of 1600 per kWh are 5 Wh; a standard of 10^8 per kWh counted 495,000 of them: 4.95 Wh.
    assert error_ppm(by_pulses(8, 1_600, 495_000, 10**8)) == error_ppm(by_registers(5_000, 4_950))
    m0 = Fraction(10**8 * 8, 1_600)
    assert error_ppm(by_pulses(8, 1_600, 495_000, 10**8)) == (m0 - 495_000) / 495_000 * 10**6
    assert error_ppm(by_pulses(8, 1_600, 49_500, 10**8, ratio=10)) == error_ppm(by_registers(5_000, 4_950))


def test_a_mean_near_the_limit_asks_for_two_more_readings() -> None:
    procedure = procedure_of("jjg-1148-2022")
    limit = procedure.working_error("1")
    for ppm, more in ((0, 0), (7_999, 0), (8_000, 2), (-12_000, 2), (12_001, 0)):
        readings = [Reading(1_000_000 + ppm, 1_000_000)] * 2
        assert readings_wanted(procedure, limit, readings) == more, ppm
        outcome = judge_point(procedure, limit, POINT, readings, 100, 1, 1)[0].outcome
        assert (outcome is Outcome.INDETERMINATE) == (more > 0)
    assert readings_wanted(procedure, limit, [Reading(1_009_000, 1_000_000)] * 4) == 0
    assert readings_wanted(procedure, limit, []) == 2


@pytest.mark.parametrize(
    "readings", [[], [Reading(1, 0)] * 2, [Reading(-1, 1)] * 2, [Reading(1, 1)], [Reading(1, -1)] * 4]
)
def test_readings_that_are_none_give_no_conclusion(readings: list[Reading]) -> None:
    procedure = procedure_of("jjg-1149-2022")
    result, _ = judge_point(procedure, procedure.working_error("1"), POINT, readings, 100, 1, 1)
    assert result.outcome is Outcome.INDETERMINATE


def test_the_clock_is_held_against_five_seconds_first_and_three_minutes_later() -> None:
    procedure = procedure_of("jjg-1148-2022")
    for kind, limit_ms in ((FIRST, 5_000), (PERIODIC, 180_000), (VerificationKind.AFTER_REPAIR, 180_000)):
        limit = procedure.clock_error(kind)
        for off, expected in ((limit_ms, Outcome.PASS), (-limit_ms, Outcome.PASS), (limit_ms + 1, Outcome.FAIL)):
            assert judge_clock(limit, 10**12 + off, 10**12, 50).outcome is expected
        assert judge_clock(limit, 10**12, 10**12, limit_ms).outcome is Outcome.INDETERMINATE


def test_an_amount_is_held_to_a_hundredth_exactly() -> None:
    limit = procedure_of("jjg-1148-2018").amount_error()
    # 1.2345 kWh at 0.8000: 0.98760.
    assert amount_error_e4(9_900, 1_234_500, 8_000) == 24
    assert judge_amount(limit, 9_976, 1_234_500, 8_000).outcome is Outcome.PASS
    assert judge_amount(limit, 9_977, 1_234_500, 8_000).outcome is Outcome.FAIL
    # A ten-thousandth of a ten-thousandth above the limit is above it.
    assert judge_amount(limit, 100, -1, 1).outcome is Outcome.FAIL


def test_the_indication_error_of_2018() -> None:
    limit = procedure_of("jjg-1149-2018").indication_error("2")
    assert judge_indication(limit, Reading(1_021_000, 1_000_000), 5_000).outcome is Outcome.PASS
    assert judge_indication(limit, Reading(1_021_001, 1_000_000), 5_000).outcome is Outcome.FAIL
    assert judge_indication(limit, Reading(1, 0), 5_000).outcome is Outcome.INDETERMINATE


def items(**outcomes: Outcome) -> list[ItemResult]:
    return [ItemResult(Item(name), outcome) for name, outcome in outcomes.items()]


def test_the_whole_passes_only_where_every_item_does() -> None:
    procedure = procedure_of("jjg-1148-2022")
    passed = dict.fromkeys(("insulation", "appearance", "working_error", "clock_error"), Outcome.PASS)
    assert overall(procedure, items(**passed)) is Outcome.PASS
    for name in passed:
        left = {n: o for n, o in passed.items() if n != name}
        expected = Outcome.PASS if name == "clock_error" else Outcome.INDETERMINATE
        assert overall(procedure, items(**left), time_of_use=False) is expected
        assert overall(procedure, items(**left)) is Outcome.INDETERMINATE
        assert overall(procedure, items(**passed | {name: Outcome.INDETERMINATE})) is Outcome.INDETERMINATE
        failed = Outcome.INDETERMINATE if name == "insulation" else Outcome.FAIL
        assert overall(procedure, items(**passed | {name: Outcome.FAIL})) is failed
    # In 2018 insulation is an item of its own.
    assert overall(procedure_of("jjg-1148-2018"), items(insulation=Outcome.FAIL)) is Outcome.FAIL


def test_a_passed_verification_holds_to_the_day_before_its_anniversary() -> None:
    assert valid_through(procedure_of("jjg-1148-2022"), date(2026, 11, 26))[0] == date(2029, 11, 25)
    assert valid_through(procedure_of("jjg-1148-2018"), date(2026, 11, 26))[0] == date(2027, 11, 25)
    assert valid_through(procedure_of("jjg-1148-2022"), date(2024, 2, 29))[0] == date(2027, 2, 28)
