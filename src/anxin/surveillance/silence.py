"""A source that is silent against its own rhythm.

A charger's sessions are counted as a Poisson process whose rate follows the week: `rate x weight of the hour`. The
weights are those of all its operator's chargers together (one charger has too few sessions for 168 hours), the rate is
its own. Seen n sessions in an exposure E (sum of weights), the chance of none in a further exposure e is

    P(0) = (E / (E + e))^(n + 1/2)

the predictive distribution under Jeffreys' prior for a Poisson rate (a negative binomial; Gelman et al., Bayesian Data
Analysis, 3rd ed., 2.6 f.). It knows how uncertain the rate is: few sessions make no strong case. It needs no constant
"silent after so many days", and a quiet night counts for little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from anxin.surveillance.sequential import NAT

HOUR_MS = 3_600_000
WEEK_HOURS = 168
#: 1970-01-01 was a Thursday: hours since then, less these, count from a Monday.
_MONDAY = 96


@dataclass(frozen=True, slots=True)
class Profile:
    """Relative rate of each hour of the week (UTC, from Monday 00:00), in millionths of the mean; never nought."""

    weights: tuple[int, ...]

    def exposure(self, from_utc_ms: int, to_utc_ms: int) -> int:
        """Return the sum of weights over a span: millionths of an hour of mean rate; 0 where the span is empty."""
        if to_utc_ms <= from_utc_ms:
            return 0
        first, last = from_utc_ms // HOUR_MS, to_utc_ms // HOUR_MS
        weeks, rest = divmod(last - first, WEEK_HOURS)
        whole = weeks * sum(self.weights) + sum(self._at(first + n) for n in range(rest))
        head = self._at(first) * (from_utc_ms % HOUR_MS) // HOUR_MS
        return whole - head + self._at(last) * (to_utc_ms % HOUR_MS) // HOUR_MS

    def _at(self, hour: int) -> int:
        return self.weights[(hour - _MONDAY) % WEEK_HOURS]


def profile_of(counts: Sequence[int]) -> Profile:
    """Return the profile of 168 counts. Each hour gets the mean of its own count and of all, so that an hour in which
    nothing was seen yet is not taken for one in which nothing can happen (shrinkage by half)."""
    if len(counts) != WEEK_HOURS:
        raise ValueError("a week has 168 hours")
    total = sum(counts)
    if not total:
        return Profile((NAT,) * WEEK_HOURS)
    return Profile(tuple((NAT * WEEK_HOURS * c // total + NAT) // 2 for c in counts))


def silence_evidence(sessions: int, seen: int, silent: int) -> int:
    """Return -ln P(0) in millionths of a nat, for sessions seen in one exposure and none in a further one."""
    if seen <= 0 or silent <= 0:
        return 0
    return int(NAT * (sessions + 0.5) * math.log1p(silent / seen))
