"""Acceptance sampling of a batch by attributes: one sample of n, at most c failures, with both risks stated.

The probabilities are exact: hypergeometric for a batch of N (a charger is drawn once), binomial where the batch is
without bound. ISO 2859-1 (GB/T 2828.1) gives schemes for series of lots by tables; here the two points of the operating
characteristic are asked for directly, as in ISO 2859-2's isolated lots, and the smallest plan that keeps both is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb

from anxin.domain.errors import PolicyError

#: A city has tens of thousands of chargers; a batch beyond this is to be split by maker, type or operator first.
MAX_BATCH = 100_000
#: A sample beyond this is no saving over verifying all.
MAX_SAMPLE = 2_000
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """Draw `size` of the batch; it is accepted with at most `accept` failures.

    producer_risk   exact chance that a batch at the acceptable level is refused
    consumer_risk   exact chance that a batch at the rejectable level is accepted
    """

    size: int
    accept: int
    producer_risk: Fraction
    consumer_risk: Fraction


def accepted_of_batch(batch: int, nonconforming: int, size: int, accept: int) -> Fraction:
    """Return the chance that a sample of `size` from `batch` with `nonconforming` shows at most `accept` (exact)."""
    ways = sum(comb(nonconforming, k) * comb(batch - nonconforming, size - k) for k in range(min(accept, size) + 1))
    return Fraction(ways, comb(batch, size))


def accepted_of_process(rate: Fraction, size: int, accept: int) -> Fraction:
    """Return the chance that `size` draws, each nonconforming at `rate`, show at most `accept` (exact)."""
    good = 1 - rate
    return sum((comb(size, k) * rate**k * good ** (size - k) for k in range(min(accept, size) + 1)), Fraction(0))


def smallest_plan(
    batch: int, acceptable_ppm: int, producer_risk_ppm: int, rejectable_ppm: int, consumer_risk_ppm: int
) -> SamplingPlan:
    """Return the smallest sample of a batch that keeps both risks; all of the batch where no smaller one does.

    A batch at the acceptable level holds floor(N x level) nonconforming chargers, one at the rejectable level
    ceil(N x level). Raises PolicyError for levels or risks that are none, and for a batch above MAX_BATCH.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise PolicyError(f"批量须在 1 与 {MAX_BATCH} 之间 · a batch has 1 to {MAX_BATCH} chargers, not {batch}")
    if not 0 <= acceptable_ppm < rejectable_ppm <= PPM:
        raise PolicyError("the acceptable level must lie below the rejectable one, both within 0 and 1,000,000 ppm")
    if not (0 < producer_risk_ppm < PPM and 0 < consumer_risk_ppm < PPM):
        raise PolicyError("a risk lies between 0 and 1,000,000 ppm")
    alpha, beta = Fraction(producer_risk_ppm, PPM), Fraction(consumer_risk_ppm, PPM)
    good, bad = batch * acceptable_ppm // PPM, -(-batch * rejectable_ppm // PPM)
    accept = 0
    size = 1
    while size < min(batch, MAX_SAMPLE + 1):
        # The smallest sample that keeps the consumer's risk at this `accept`; more failures allowed need a larger one.
        size = _smallest_for_consumer(batch, bad, accept, beta, size)
        if size >= min(batch, MAX_SAMPLE + 1):
            break
        refused = 1 - accepted_of_batch(batch, good, size, accept)
        if refused <= alpha:
            return SamplingPlan(size, accept, refused, accepted_of_batch(batch, bad, size, accept))
        accept += 1
    if batch > MAX_SAMPLE:
        raise PolicyError(
            f"样本超过 {MAX_SAMPLE} · no sample up to {MAX_SAMPLE} keeps both risks: levels are too close"
        )
    # All are verified: nothing is left to chance.
    return SamplingPlan(batch, max(good, 0), Fraction(0), Fraction(0))


def _smallest_for_consumer(batch: int, bad: int, accept: int, beta: Fraction, from_size: int) -> int:
    """Return the smallest size from `from_size` on whose chance to accept a bad batch is at most beta, else `batch`."""
    low, high = from_size, min(batch, MAX_SAMPLE + 1)
    while low < high:
        middle = (low + high) // 2
        if accepted_of_batch(batch, bad, middle, accept) <= beta:
            high = middle
        else:
            low = middle + 1
    return low
