"""Orders that lean to one side within the tolerance of rule R04: a sequential test for each charger and direction.

Honest billing rounds. With a last digit of q on the order and r on the record, an order shows the meter's energy
rounded to q: an error spread evenly over q, with a mean of nought, or of r/2 where ties are always rounded up. The
record is the difference of two readings, each rounded to r. So an honest difference order minus record has

    mean at most     m0 = r/2
    variance proxy   s2 = q^2/12 + 2 r^2/12

and tolerance T = q + r decides what R04 says. H0: the mean is at most m0. H1: it is m0 + delta T or more. Whoever
always rounds up leans by (q - r)/2 and is found: that is no accident of single orders. The same test on record minus
order finds orders that lean down.

A difference beyond T is R04's matter and no evidence here; so no single session can bring more than its share.
"""

from __future__ import annotations

from dataclasses import dataclass

from anxin.surveillance.policy import SurveillancePolicy
from anxin.surveillance.sequential import Thresholds, evidence, thresholds


@dataclass(frozen=True, slots=True)
class DriftTest:
    """A test on small differences: delta in thousandths of the tolerance, thresholds, and what one may add at most."""

    delta_permille: int
    limits: Thresholds
    cap: int


def drift_test(policy: SurveillancePolicy, section: str) -> DriftTest:
    """Return the test that a section of the policy (`lean`, `gaps`) states."""
    limits = thresholds(policy.int(f"{section}.alpha_one_in"), policy.int(f"{section}.beta_one_in"))
    return DriftTest(
        policy.int(f"{section}.delta"), limits, -(-limits.upper // policy.int(f"{section}.least_sessions"))
    )


def lean_evidence(
    order_milli_wh: int, record_milli_wh: int, order_quantum: int, record_quantum: int, test: DriftTest
) -> tuple[int, int] | None:
    """Return the evidence of one session for a lean up and for one down, in millionths of a nat; None where the two
    differ by more than both last digits, or a last digit is not known (below 1)."""
    q, r = order_quantum, record_quantum
    difference, tolerance = order_milli_wh - record_milli_wh, order_quantum + record_quantum
    if q < 1 or r < 1 or abs(difference) > tolerance:
        return None
    # All lengths in units of 1/1000, so that delta's thousandths stay whole.
    low2 = 1_000 * r
    high2 = low2 + 2 * test.delta_permille * tolerance
    variance12 = 1_000_000 * (q * q + 2 * r * r)
    up = evidence(2_000 * difference, low2, high2, variance12, test.cap)
    return up, evidence(-2_000 * difference, low2, high2, variance12, test.cap)
