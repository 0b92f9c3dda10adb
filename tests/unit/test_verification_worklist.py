"""Acceptance sampling against every sample there is; the work list against its own rules, one after the other."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.errors import PolicyError
from anxin.domain.verification import Outcome
from anxin.verification.procedures import procedure_of
from anxin.verification.sampling import (
    MAX_BATCH,
    SamplingPlan,
    accepted_of_batch,
    accepted_of_process,
    smallest_plan,
)
from anxin.verification.sourced import SourcedFile
from anxin.verification.worklist import Measures, Why, default_policy, plan_of, points_of, sample, work_list

TODAY = date(2026, 11, 26)
JJG = procedure_of("jjg-1149-2022")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.data())
def test_the_chance_to_accept_is_a_count_of_all_samples(batch: int, data: st.DataObject) -> None:
    bad, size = data.draw(st.integers(0, batch)), data.draw(st.integers(1, batch))
    accept = data.draw(st.integers(0, size))
    samples = list(itertools.combinations([True] * bad + [False] * (batch - bad), size))
    counted = Fraction(sum(sum(s) <= accept for s in samples), len(samples))
    assert accepted_of_batch(batch, bad, size, accept) == counted


@given(st.fractions(0, 1, max_denominator=20), st.integers(1, 7), st.integers(0, 7))
def test_the_chance_of_a_process_is_a_sum_over_all_sequences(rate: Fraction, size: int, accept: int) -> None:
    total = Fraction(0)
    for draws in itertools.product((True, False), repeat=size):
        if sum(draws) <= accept:
            total += rate ** sum(draws) * (1 - rate) ** (size - sum(draws))
    assert accepted_of_process(rate, size, accept) == total


def test_a_large_batch_comes_near_a_process() -> None:
    near = accepted_of_batch(100_000, 2_000, 50, 2)
    assert float(near) == pytest.approx(float(accepted_of_process(Fraction(1, 50), 50, 2)), abs=1e-4)


LEVELS = [(10_000, 50_000, 80_000, 100_000), (0, 50_000, 200_000, 100_000), (20_000, 100_000, 150_000, 50_000),
          (100_000, 50_000, 300_000, 100_000)]  # fmt: skip


@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("batch", [1, 2, 5, 17, 40, 75])
def test_no_smaller_sample_keeps_both_risks(levels: tuple[int, int, int, int], batch: int) -> None:
    acceptable, alpha, rejectable, beta = levels
    good, bad = batch * acceptable // 1_000_000, -(-batch * rejectable // 1_000_000)

    def keeps(size: int, accept: int) -> bool:
        refused = 1 - accepted_of_batch(batch, good, size, accept)
        passed = accepted_of_batch(batch, bad, size, accept)
        return refused <= Fraction(alpha, 1_000_000) and passed <= Fraction(beta, 1_000_000)

    least = next((n for n in range(1, batch) if any(keeps(n, c) for c in range(n + 1))), batch)
    found = smallest_plan(batch, *levels)
    assert found.size == least
    if found.size < batch:
        assert keeps(found.size, found.accept)
        assert found.producer_risk == 1 - accepted_of_batch(batch, good, found.size, found.accept)
        assert found.consumer_risk == accepted_of_batch(batch, bad, found.size, found.accept)


def test_plans_of_a_city() -> None:
    plan = plan_of(default_policy(), 14_000)
    assert (plan.size, plan.accept) == (65, 2)
    assert float(plan.producer_risk) < 0.05
    assert float(plan.consumer_risk) < 0.10
    assert plan_of(default_policy(), 1).size == 1


@pytest.mark.parametrize(
    ("batch", "levels"),
    [
        (0, LEVELS[0]),
        (MAX_BATCH + 1, LEVELS[0]),
        (100, (50_000, 1, 50_000, 1)),
        (100, (0, 0, 1, 1)),
        (100, (0, 1, 1, 1_000_000)),
        (50_000, (10_000, 1_000, 10_100, 1_000)),
    ],
)
def test_levels_that_are_none_are_refused(batch: int, levels: tuple[int, int, int, int]) -> None:
    with pytest.raises(PolicyError):
        smallest_plan(batch, *levels)


def test_the_draw_can_be_repeated_and_depends_on_the_seed() -> None:
    ids = [f"c{n}" for n in range(1_000)]
    plan = SamplingPlan(50, 1, Fraction(0), Fraction(0))
    drawn = sample(ids, plan, "2026-11")
    assert drawn == sample(reversed(ids), plan, "2026-11")
    assert len(set(drawn)) == 50
    assert drawn != sample(ids, plan, "2026-12")
    # Over many seeds each charger is drawn about as often as any other.
    counts = dict.fromkeys(ids[:20], 0)
    for seed in range(2_000):
        for one in sample(ids[:20], SamplingPlan(5, 0, Fraction(0), Fraction(0)), str(seed)):
            counts[one] += 1
    assert all(400 < n < 600 for n in counts.values())


def with_(policy: SourcedFile, **values: int) -> SourcedFile:
    numbers = dict(policy.numbers)
    for name, value in values.items():
        key = name.replace("__", ".")
        numbers[key] = replace(numbers[key], value=value)
    return replace(policy, numbers=numbers)


def verified(days_ago: int, outcome: Outcome = Outcome.PASS) -> dict[str, object]:
    return {"last_verified": TODAY - timedelta(days=days_ago), "last_outcome": outcome}


CHARGERS = [
    Measures("new", "a"),
    Measures("failed", "a", **verified(10, Outcome.FAIL)),  # type: ignore[arg-type]
    Measures("overdue-by-2", "a", **verified(3 * 365 + 3)),  # type: ignore[arg-type]
    Measures("overdue-by-200", "a", **verified(3 * 365 + 201)),  # type: ignore[arg-type]
    Measures("due", "a", **verified(3 * 365 - 20)),  # type: ignore[arg-type]
    Measures("busy", "a", occupied_ppm=900_000, **verified(10)),  # type: ignore[arg-type]
    Measures("biased", "a", bias_ppm=-15_000, open_alarms=9, **verified(10)),  # type: ignore[arg-type]
    Measures("quiet", "a", occupied_ppm=0, open_alarms=0, **verified(0)),  # type: ignore[arg-type]
]
OWN = {c.charger_id: JJG for c in CHARGERS}


def names(policy: SourcedFile) -> list[str]:
    return [e.charger_id for e in work_list(policy, OWN, CHARGERS, TODAY, "seed")]


def test_what_is_due_comes_first_then_the_rest_by_risk() -> None:
    policy = with_(default_policy(), use__sampling=0)
    found = work_list(policy, OWN, CHARGERS, TODAY, "seed")
    assert [e.charger_id for e in found] == [
        "new", "failed", "overdue-by-200", "overdue-by-2", "due", "biased", "busy"
    ]  # fmt: skip
    assert [e.why for e in found] == [
        Why.NEVER_VERIFIED, Why.FAILED, Why.OVERDUE, Why.OVERDUE, Why.DUE, Why.RISK, Why.RISK
    ]  # fmt: skip
    by_id = {e.charger_id: e for e in found}
    assert by_id["biased"].points == {"alarms": 300, "surveillance": 225, "age": 0}
    assert by_id["busy"].points == {"utilisation": 270, "age": 0}
    assert by_id["due"].due == TODAY - timedelta(days=3 * 365 - 20) + timedelta(days=3 * 365)


def test_each_way_can_be_switched_off() -> None:
    off = with_(default_policy(), use__sampling=0)
    assert "new" not in names(with_(off, use__due=0))
    assert "busy" not in names(with_(off, use__utilisation=0))
    assert "biased" not in names(with_(off, use__alarms=0, use__surveillance=0))
    assert names(with_(off, use__due=0, use__utilisation=0, use__alarms=0, use__surveillance=0, use__age=0)) == []
    # A batch of eight is sampled whole at these levels: nobody is left out any more.
    assert "quiet" in names(default_policy())


def test_a_sampled_charger_says_so() -> None:
    many = [Measures(f"c{n:03}", "b", **verified(0)) for n in range(500)]  # type: ignore[arg-type]
    found = work_list(default_policy(), {c.charger_id: JJG for c in many}, many, TODAY, "s")
    assert {e.why for e in found} == {Why.SAMPLED}
    assert len(found) == plan_of(default_policy(), 500).size


@given(st.integers(0, 2_000_000), st.integers(0, 50), st.integers(-100_000, 100_000), st.integers(0, 5_000))
def test_points_never_exceed_their_weight(occupied: int, alarms: int, bias: int, days: int) -> None:
    measures = Measures("c", "b", TODAY - timedelta(days=days), Outcome.PASS, occupied, alarms, bias)
    points = points_of(default_policy(), measures, TODAY)
    assert points == {
        "utilisation": 300 * min(occupied, 1_000_000) // 1_000_000,
        "alarms": 300 * min(alarms, 5) // 5,
        "surveillance": 300 * min(abs(bias), 20_000) // 20_000,
        "age": 100 * min(days, 1_095) // 1_095,
    }
