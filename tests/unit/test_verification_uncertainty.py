"""The budget by the GUM against a simulation by JCGM 101, and against figures that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from anxin.verification.uncertainty import (
    SHRINKS,
    Distribution,
    Influence,
    Source,
    budget,
    edges,
    of,
    quantisation,
    repeatability,
    repeatability_of,
)

TRIALS = 400_000
REFERENCE = of(Source.REFERENCE, Distribution.NORMAL, 500)
DRIFT = of(Source.DRIFT, Distribution.UNIFORM, 100)
TIME_BASE = of(Source.TIME_BASE, Distribution.UNIFORM, 10)
PATH = of(Source.PATH, Distribution.UNIFORM, 50)
CASES = {
    "pulses": ([REFERENCE, DRIFT, TIME_BASE, PATH, edges(20, 3_700), repeatability(200, math.inf)], 2),
    "register": ([REFERENCE, DRIFT, PATH, quantisation(180), edges(100, 200_000), repeatability(200, math.inf)], 3),
    "path alone": ([REFERENCE, of(Source.PATH, Distribution.UNIFORM, 3_000)], 2),
    "coarse": ([REFERENCE, quantisation(20), repeatability(5_000, math.inf)], 5),
}


def draw(rng: np.random.Generator, influence: Influence) -> NDArray[np.float64]:
    spread = influence.spread_ppm / 1e6
    if influence.distribution is Distribution.NORMAL:
        return rng.normal(0, spread / influence.divisor, TRIALS)
    if influence.distribution is Distribution.UNIFORM:
        return rng.uniform(-spread, spread, TRIALS)
    return rng.triangular(-spread, 0, spread, TRIALS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_budget_agrees_with_a_simulation_of_every_reading(case: tuple[list[Influence], int]) -> None:
    influences, readings = case
    rng = np.random.default_rng(101)
    common = {i.source: draw(rng, i) for i in influences if i.source not in SHRINKS}
    errors = np.zeros(TRIALS)
    for _ in range(readings):
        own = {i.source: draw(rng, i) for i in influences if i.source in SHRINKS}
        above = (1 + own.get(Source.QUANTISATION, 0)) * (1 + own.get(Source.EDGES, 0))
        below = np.ones(TRIALS)
        for value in common.values():
            below *= 1 + value
        errors += above / below - 1 + own.get(Source.REPEATABILITY, 0)
    errors /= readings
    found = budget(influences, readings)
    assert found.combined_ppm == pytest.approx(1e6 * errors.std(), rel=0.01)
    low, high = np.quantile(errors, [0.022725, 0.977275]) * 1e6
    # k = 2 of a normal: never too little beyond the simulation's own noise. Where one uniform influence rules, the true
    # interval is narrower than the GUM's (2 standard deviations lie outside a uniform's 1.73).
    assert found.expanded_ppm >= (high - low) / 2 * 0.985
    if case is not CASES["path alone"]:
        assert found.expanded_ppm == pytest.approx((high - low) / 2, rel=0.03)


def test_quantisation_is_what_a_register_does() -> None:
    """A register that cuts off, read at begin and end at any phase, spreads as the budget says."""
    rng = np.random.default_rng(100)
    energy = 40.37  # digits
    begin = rng.uniform(0, 1, TRIALS)
    error = (np.floor(begin + energy) - np.floor(begin) - energy) / energy
    # At one fixed energy only two values occur; over energies within a digit the spread is the triangular's.
    energies = rng.uniform(40, 41, TRIALS)
    spread = (np.floor(begin + energies) - np.floor(begin) - energies) / energies
    component = budget([REFERENCE, quantisation(40.5)], 1).components[1]
    assert component.contribution_ppm == pytest.approx(1e6 * spread.std(), rel=0.02)
    assert abs(error).max() < 1 / energy


def test_figures_by_hand() -> None:
    found = budget([REFERENCE, DRIFT, repeatability(200, 9)], 4)
    standard = [250, 100 / math.sqrt(3), 100]
    combined = math.hypot(*standard)
    assert found.combined_ppm == pytest.approx(combined, rel=1e-6)
    # Welch and Satterthwaite: only the repeatability has few degrees of freedom.
    assert found.freedom == pytest.approx(combined**4 / (100**4 / 9), rel=1e-6)
    assert found.coverage == pytest.approx(2.0, abs=0.01)
    assert found.expanded_ppm == math.ceil(found.coverage * found.combined_ppm)
    assert [c.sensitivity for c in found.components] == pytest.approx([-1, -1, 1])
    assert sum(c.contribution_ppm**2 for c in found.components) == pytest.approx(found.combined_ppm**2)


def test_two_scattered_readings_widen_the_interval_by_their_few_degrees_of_freedom() -> None:
    spread = repeatability_of([900.0, -900.0])
    assert spread.spread_ppm == pytest.approx(900 * math.sqrt(2))
    assert spread.freedom == 1
    found = budget([REFERENCE, spread], 2)
    assert found.coverage > 5
    assert found.expanded_ppm > 5 * 900
    assert budget([REFERENCE, repeatability_of([10.0, 10.0])], 2).expanded_ppm == 500


def test_more_readings_lower_only_what_differs_between_them() -> None:
    influences = [REFERENCE, DRIFT, PATH, edges(20, 2_000)]
    one, many = budget(influences, 1), budget(influences, 9)
    for before, after in zip(one.components, many.components, strict=True):
        shrinks = before.influence.source in SHRINKS
        assert after.contribution_ppm == pytest.approx(before.contribution_ppm / (3 if shrinks else 1), rel=1e-3)
