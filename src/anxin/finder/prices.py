"""What a kilowatt-hour costs now, by the register's tariffs: the period of the local minute, with the service fee.

The register binds tariffs to operators. An operator with two tariffs at a time has no price that could be named for one
of his connectors: none is guessed (as in reconcile/pricing.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from anxin.domain.register import Tariff, TariffPeriod

MINUTE_MS, DAY_MINUTES = 60_000, 1_440


@dataclass(frozen=True, slots=True)
class Price:
    """A price per kWh in ten-thousandths of the currency, until when it holds at the most, and the tariff it is of."""

    tariff_id: str
    currency: str
    energy_e4: int
    service_e4: int
    until_utc_ms: int

    @property
    def total_e4(self) -> int:
        """Energy and service together: what is paid for a kWh."""
        return self.energy_e4 + self.service_e4


def prices_at(tariffs: Iterable[Tariff], periods: Iterable[TariffPeriod], at_utc_ms: int) -> dict[str, Price]:
    """Return the price of each operator that has exactly one at a moment."""
    holding: dict[str, list[Tariff]] = {}
    for tariff in tariffs:
        ends = tariff.valid_to_utc_ms
        if tariff.valid_from_utc_ms <= at_utc_ms and (ends is None or at_utc_ms < ends):
            holding.setdefault(tariff.operator_id, []).append(tariff)
    single = {operator: found[0] for operator, found in holding.items() if len(found) == 1}
    wanted = {t.tariff_id for t in single.values()}
    spans: dict[str, list[TariffPeriod]] = {}
    for period in periods:
        if period.tariff_id in wanted:
            spans.setdefault(period.tariff_id, []).append(period)
    found_prices = {o: _price(t, spans.get(t.tariff_id, []), at_utc_ms) for o, t in single.items()}
    return {operator: price for operator, price in found_prices.items() if price is not None}


def _price(tariff: Tariff, spans: list[TariffPeriod], at_utc_ms: int) -> Price | None:
    local_ms = at_utc_ms + tariff.utc_offset_minutes * MINUTE_MS
    minute = local_ms // MINUTE_MS % DAY_MINUTES
    for span in spans:
        if span.minute_from <= minute < span.minute_to:
            until = at_utc_ms - local_ms % (DAY_MINUTES * MINUTE_MS) + span.minute_to * MINUTE_MS
            if tariff.valid_to_utc_ms is not None:
                until = min(until, tariff.valid_to_utc_ms)
            return Price(tariff.tariff_id, tariff.currency, span.energy_price_e4, span.service_price_e4, until)
    return None
