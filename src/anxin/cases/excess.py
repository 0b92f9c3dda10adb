"""What was billed beyond what was measured, of one session, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from anxin.domain.errors import FormatError
from anxin.domain.finding import SessionState
from anxin.domain.quantities import amount_e4, decimal_of, energy_milli_wh


@dataclass(frozen=True, slots=True)
class Figures:
    """A session's verdict: its state, energy by the orders and by the records (mWh), money billed (1/10,000)."""

    state: str
    order_energy_milli_wh: int | None
    record_energy_milli_wh: int | None
    amount_e4: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """What a finding on the session says, as exact text: kWh or money."""

    rule: str
    cause: str
    difference: str | None


@dataclass(frozen=True, slots=True)
class Excess:
    """Energy (mWh) and money (1/10,000 of the currency) billed beyond measured."""

    milli_wh: int = 0
    e4: int = 0


#: States in which the bill is contradicted, or nothing measured stands against it once the late window has closed.
_CONTRADICTED = frozenset({SessionState.DISAGREE.value, SessionState.ORDER_ONLY.value})


def excess_of(figures: Figures | None, said: Iterable[Said]) -> Excess:
    """Return the excess of a session.

    energy   order - record where both are known and the verdict contradicts the bill; what a finding
             R07 gap_overbilled says where the record is lost and the registers around it show less; the order's whole
             energy where nothing measured stands against it. Never below 0.
    money    what R06 amount_over says (the bill less what the signed energy costs at most under the published tariff);
             else the price share: amount * excess energy / order energy, rounded down to 1/10,000.
    """
    if figures is None or figures.state not in _CONTRADICTED:
        return Excess()
    said = tuple(said)
    order, record = figures.order_energy_milli_wh, figures.record_energy_milli_wh
    gap = _figure(said, "R07", "gap_overbilled")
    if gap is not None and record is None:
        energy = energy_milli_wh(decimal_of(gap))
    elif order is None:
        energy = 0
    else:
        energy = max(0, order - (record or 0))
    over = _figure(said, "R06", "amount_over")
    if over is not None:
        return Excess(energy, amount_e4(decimal_of(over)))
    if not energy or not order or not figures.amount_e4:
        return Excess(energy, 0)
    return Excess(energy, max(0, figures.amount_e4) * min(energy, order) // order)


def _figure(said: Iterable[Said], rule: str, cause: str) -> str | None:
    found = next((s.difference for s in said if (s.rule, s.cause) == (rule, cause)), None)
    try:
        return None if found is None or decimal_of(found) < 0 else found
    except FormatError:
        return None
