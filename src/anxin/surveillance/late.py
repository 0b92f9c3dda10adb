"""Shares of late and lost data, with Wilson's interval (E. B. Wilson, JASA 22 (1927) 209-212)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """A share in millionths: as counted, and the interval's ends."""

    count: int
    total: int
    share_ppm: int
    low_ppm: int
    high_ppm: int


def wilson(count: int, total: int, chance_one_in: int) -> Share | None:
    """Return the share of `count` in `total`; the true one is below `low` with a chance of about one in so many, and as
    often above `high`. None where there is nothing."""
    if total <= 0:
        return None
    count = min(count, total)
    z = NormalDist().inv_cdf(1 - 1 / chance_one_in)
    p = count / total
    middle = p + z * z / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low, high = max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
    return Share(count, total, PPM * count // total, int(PPM * low) if count else 0, math.ceil(PPM * high))
