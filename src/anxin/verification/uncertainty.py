"""The uncertainty of a working error by the GUM (JCGM 100:2008), carried by the GUM Tree Calculator.

The model is that of one point with n readings, everything relative to the energy of one reading:

    error = (1 + quantisation) (1 + edges) / ((1 + reference) (1 + drift) (1 + time base) (1 + path)) - 1
            + repeatability

What differs from reading to reading (quantisation, edges, repeatability) enters divided by the root of n. The expanded
uncertainty covers 95.45 % by the effective degrees of freedom (Welch and Satterthwaite, GUM G.4): k = 2 where they
abound, more where the spread was estimated from few readings. Uncertainties are the one kind of quantity that is held
as a float here; what is handed on is rounded up to whole ppm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: What two standard deviations of a normal distribution hold, called 95.45 %: k is then exactly 2.
COVERAGE_PERCENT = 100 * math.erf(math.sqrt(2))
INFINITE = math.inf


class Distribution(StrEnum):
    """How an influence is spread, with what its half-width or deviation is divided by."""

    NORMAL = "normal"
    UNIFORM = "uniform"
    TRIANGULAR = "triangular"


DIVISORS = {Distribution.NORMAL: 2.0, Distribution.UNIFORM: math.sqrt(3), Distribution.TRIANGULAR: math.sqrt(6)}


class Source(StrEnum):
    """Where uncertainty comes from."""

    QUANTISATION = "quantisation"
    EDGES = "edges"
    REFERENCE = "reference"
    DRIFT = "drift"
    TIME_BASE = "time_base"
    PATH = "path"
    REPEATABILITY = "repeatability"


#: What a longer or a further reading makes smaller. The rest is a floor that no patience lowers.
SHRINKS = (Source.QUANTISATION, Source.EDGES, Source.REPEATABILITY)


@dataclass(frozen=True, slots=True)
class Influence:
    """One influence on a reading, relative, in ppm.

    spread_ppm   half-width (uniform, triangular), or expanded uncertainty with k = 2 (normal); a repeatability's is its
                 standard deviation, then `divisor` is 1
    freedom      degrees of freedom, infinite where the spread is known
    """

    source: Source
    distribution: Distribution
    spread_ppm: float
    divisor: float
    freedom: float = INFINITE


@dataclass(frozen=True, slots=True)
class Component:
    """A line of the budget: the influence, its standard uncertainty, sensitivity and contribution, in ppm."""

    influence: Influence
    standard_ppm: float
    sensitivity: float
    contribution_ppm: float


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget with its outcome: combined and expanded uncertainty in ppm, effective degrees of freedom, k."""

    components: tuple[Component, ...]
    combined_ppm: float
    freedom: float
    coverage: float
    expanded_ppm: int


def of(source: Source, distribution: Distribution, spread_ppm: float) -> Influence:
    """Return an influence whose spread is a half-width, or an expanded uncertainty (k = 2) where it is normal."""
    return Influence(source, distribution, spread_ppm, DIVISORS[distribution])


def quantisation(quanta: float) -> Influence:
    """Return the influence of a register that was read when it had advanced by about `quanta` of its last digit.

    Begin and end are each cut off anywhere within one digit; the difference of two uniform values is triangular with a
    half-width of one digit.
    """
    return of(Source.QUANTISATION, Distribution.TRIANGULAR, 1e6 / quanta)


def edges(jitter_ms: float, duration_ms: float) -> Influence:
    """Return the influence of begin and end each being up to `jitter_ms` off, in a reading of `duration_ms`."""
    return of(Source.EDGES, Distribution.TRIANGULAR, 1e6 * jitter_ms / duration_ms)


def repeatability(deviation_ppm: float, freedom: float) -> Influence:
    """Return the influence of the spread of single readings, as known with `freedom` degrees of freedom."""
    return Influence(Source.REPEATABILITY, Distribution.NORMAL, deviation_ppm, 1.0, freedom)


def repeatability_of(errors_ppm: Sequence[float]) -> Influence:
    """Return the influence of the spread that the readings themselves show (GUM 4.2), at least two of them."""
    mean = sum(errors_ppm) / len(errors_ppm)
    variance = sum((e - mean) ** 2 for e in errors_ppm) / (len(errors_ppm) - 1)
    return repeatability(math.sqrt(variance), len(errors_ppm) - 1)


def budget(influences: Sequence[Influence], readings: int) -> Budget:
    """Return the budget of the mean of `readings` readings under the influences given."""
    from GTC import rp, ureal

    quantities = []
    for influence in influences:
        standard = influence.spread_ppm / influence.divisor / 1e6
        if influence.source in SHRINKS:
            standard /= math.sqrt(readings)
        quantities.append(ureal(0.0, standard, influence.freedom, label=influence.source.value))
    above: Any = 1.0
    below: Any = 1.0
    added: Any = 0.0
    for influence, quantity in zip(influences, quantities, strict=True):
        if influence.source is Source.REPEATABILITY:
            added = added + quantity
        elif influence.source in SHRINKS:
            above = above * (1 + quantity)
        else:
            below = below * (1 + quantity)
    error = above / below - 1 + added
    components = tuple(
        Component(i, 1e6 * q.u, rp.sensitivity(error, q), 1e6 * abs(rp.u_component(error, q)))
        for i, q in zip(influences, quantities, strict=True)
    )
    freedom = float(error.df)
    coverage = float(rp.k_factor(freedom, COVERAGE_PERCENT))
    combined = 1e6 * float(error.u)
    # Rounded up, but not for the sake of a float's last digits.
    return Budget(components, combined, freedom, coverage, math.ceil(round(coverage * combined, 6)))
