"""Wald's sequential probability ratio test, restarted after each decision, on evidence in whole millionths of a nat.

Sources: A. Wald, "Sequential Tests of Statistical Hypotheses", Ann. Math. Stat. 16 (1945) 117-186, and "Sequential
Analysis" (1947): thresholds (section 3.2 f.), operating characteristic (3.4), average sample number (3.5).
E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954) 100-115: a test that is begun again after each
acceptance, and its run length. P. J. Huber, "A robust version of the probability ratio test", Ann. Math. Stat. 36
(1965) 1753-1758: what one observation may add is bounded.

Why the error rate holds without a normal distribution. Evidence is z = (m1 - m0)(x - (m0 + m1)/2) / s2. Where x is
sub-Gaussian with variance proxy s2 and a mean of at most m0, E exp(z) <= 1, so that exp(sum of z) is a
supermartingale: it ever reaches 1/alpha with a probability of at most alpha (J. Ville 1939). A uniform rounding error
is such an x, with its own variance as proxy, and so is a sum of independent ones; a cap from above only lowers z.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

#: One nat of evidence. Whole numbers add up to the same in any order.
NAT = 1_000_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a run ends, in millionths of a nat: at `upper` with an alert, at `lower` (negative) with acceptance."""

    upper: int
    lower: int


def thresholds(alpha_one_in: int, beta_one_in: int) -> Thresholds:
    """Return the thresholds for error probabilities of one in so many runs.

    Upper is ln(1/alpha), which holds alpha exactly (Ville), rather than Wald's ln((1-beta)/alpha), which holds it
    about; lower is Wald's ln(beta/(1-alpha)).
    """
    alpha, beta = 1 / alpha_one_in, 1 / beta_one_in
    return Thresholds(math.ceil(NAT * -math.log(alpha)), math.ceil(NAT * (math.log(beta) - math.log1p(-alpha))))


def evidence(x2: int, low2: int, high2: int, variance12: int, cap: int) -> int:
    """Return the evidence of one observation for a mean of `high` against one of `low`, in millionths of a nat.

    Exact: observation and means are given doubled, the variance twelvefold, all in one unit (mWh); rounded down, at
    most `cap`. z = (m1 - m0)(x - (m0 + m1)/2) / s2.
    """
    numerator = 12 * NAT * (high2 - low2) * (2 * x2 - low2 - high2)
    return min(cap, numerator // (8 * variance12))


@dataclass(slots=True)
class Walk:
    """What a test did over time: a point for each day with the sum after it (before a restart), the days of alerts,
    how many runs ended in acceptance, and where the present run stands."""

    points: list[tuple[int, int]] = field(default_factory=list)
    alerts: list[int] = field(default_factory=list)
    accepted: int = 0
    value: int = 0


def walk(steps: Iterable[tuple[int, int]], limits: Thresholds) -> Walk:
    """Return the walk over (day, evidence) in the order of days. After each decision the sum begins at nought again."""
    done = Walk()
    for day, step in steps:
        value = done.value + step
        done.points.append((day, value))
        if value >= limits.upper:
            done.alerts.append(day)
            value = 0
        elif value <= limits.lower:
            done.accepted += 1
            value = 0
        done.value = value
    return done


@dataclass(frozen=True, slots=True)
class Operating:
    """Wald's approximations for one true mean: chance that a run ends in an alert, observations a run takes, and
    observations until an alert with restarts (Page 1954)."""

    alert: float
    sample_number: float
    until_alert: float


def operating(drift: float, spread: float, limits: Thresholds) -> Operating:
    """Return Wald's approximations for evidence of this mean and standard deviation, in nats, taken as normal.

    L = (e^(ha) - 1)/(e^(ha) - e^(hb)) with h = -2 drift / spread^2; E n = (L b + (1 - L) a) / drift, and -ab/spread^2
    where the drift is nought. Overshoot is neglected, as Wald does.
    """
    a, b = limits.upper / NAT, limits.lower / NAT
    h = -2 * drift / spread**2
    if abs(h) < 1e-9:
        alert, number = -b / (a - b), -a * b / spread**2
    else:
        alert = -math.expm1(h * b) / (math.exp(h * a) - math.exp(h * b)) if h * a < 700 else 0.0
        number = ((1 - alert) * b + alert * a) / drift
    return Operating(alert, number, number / alert if alert > 0 else math.inf)
