"""Register gaps that add up: energy between sessions that no record accounts for, each gap within rule R07's tolerance.

Between two sessions a register stands still. Shown with last digits q1 and q2, an honest gap has a mean of nought and a
variance of at most (q1^2 + q2^2)/12; R07 allows T = q1 + q2. H0: the mean is at most nought; H1: delta T or more. Up:
energy flowed that nobody recorded. Down: the register was set back in steps too small for R07. A gap beyond T is R07's
matter (or a lost record's) and no evidence here.
"""

from __future__ import annotations

from dataclasses import dataclass

from anxin.surveillance.lean import DriftTest
from anxin.surveillance.sequential import evidence


@dataclass(frozen=True, slots=True)
class Reading:
    """What one record says of its meter's register: at begin and end, in mWh, with its last digit; None: not stated."""

    meter_id: str
    begin_milli_wh: int
    end_milli_wh: int
    quantum_milli_wh: int


@dataclass(slots=True)
class Gaps:
    """Gaps within the tolerance: how many, their sum in mWh, evidence up and down in millionths of a nat."""

    count: int = 0
    sum_milli_wh: int = 0
    up: int = 0
    down: int = 0

    def add(self, before: Reading | None, after: Reading, test: DriftTest) -> None:
        """Take the gap between two neighbouring readings into account, where they are of one meter and within T."""
        if before is None or before.meter_id != after.meter_id:
            return
        gap, q1, q2 = after.begin_milli_wh - before.end_milli_wh, before.quantum_milli_wh, after.quantum_milli_wh
        if q1 < 1 or q2 < 1 or abs(gap) > q1 + q2:
            return
        high2, variance12 = 2 * test.delta_permille * (q1 + q2), 1_000_000 * (q1 * q1 + q2 * q2)
        self.count += 1
        self.sum_milli_wh += gap
        self.up += evidence(2_000 * gap, 0, high2, variance12, test.cap)
        self.down += evidence(-2_000 * gap, 0, high2, variance12, test.cap)
