"""The arithmetic of errors, exact: two ways to one reading, the error of a reading, the mean of several, rounding.

Formulas are those of electricity-meter verification (JJG 596, JJG 597); that JJG 1148 and 1149 use the same was not
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from anxin.domain.verification import Reading
from anxin.verification.procedures import Rounding

PPM = 1_000_000


def by_registers(indicated_milli_wh: int, true_milli_wh: int) -> Reading:
    """Return a reading of two energies: what the charger's register advanced, what the standard measured."""
    return Reading(indicated_milli_wh, true_milli_wh)


def by_pulses(
    charger_pulses: int, charger_constant: int, standard_pulses: int, standard_constant: int, ratio: int = 1
) -> Reading:
    """Return a reading of two counts.

    While the charger gave N pulses of C_L per kWh, the standard gave m of C_0 per kWh, behind a ratio K of current or
    voltage transformers. With m0 = C_0 N / (C_L K) the error is (m0 - m) / m; both sides times C_L K are whole numbers.
    """
    return Reading(charger_pulses * standard_constant, standard_pulses * charger_constant * ratio)


def error_ppm(reading: Reading) -> Fraction:
    """Return (indicated - true) / true in millionths, exact. ZeroDivisionError where the standard measured nothing."""
    return Fraction((reading.indicated - reading.true) * PPM, reading.true)


def mean_error_ppm(readings: Sequence[Reading]) -> Fraction:
    """Return the mean of the readings' errors in millionths, exact. At least one reading is needed."""
    return sum((error_ppm(r) for r in readings), Fraction(0)) / len(readings)


def rounded(value: Fraction, interval: int, mode: Rounding) -> Fraction:
    """Return the multiple of `interval` that is nearest to `value`; the value itself where `interval` is 0."""
    if interval == 0:
        return value
    steps = value / interval
    if mode is Rounding.HALF_EVEN:
        return Fraction(round(steps) * interval)
    away = int(abs(steps) + Fraction(1, 2)) * interval
    return Fraction(away if steps >= 0 else -away)
