"""OCPI tariffs -> the register's dated tariffs with two prices by the time of day, where that says the same.

A tariff that also charges for time, parking or the start, that depends on days, power or energy, or that has a lowest
or highest price, says more than a register's tariff can: it is kept as evidence, and a deviation says why no more is
made of it. Nothing is rounded and nothing is left out to make one fit.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from anxin.domain.errors import AnxinError
from anxin.domain.quantities import E4_PER_CURRENCY_UNIT, moment_of
from anxin.domain.register import Register, Tariff, TariffPeriod
from anxin.domain.source import Deviation
from anxin.formats import ocpi_objects as objects
from anxin.formats.local_time import zone_of
from anxin.formats.values import exact

CLAUSE = f"{objects.CLAUSE} mod_tariffs"
DAY_MINUTES = 1440
_DAY_MS = 86_400_000
#: Elements of one tariff: a price for each quarter of an hour has 96.
MAX_ELEMENTS = 1_000
#: Digits of a price: more would be rounded in sums of decimals.
_PRICE_DIGITS = 12
#: A zone whose offset has changed within so many days around a tariff's beginning has daylight saving.
_YEAR_DAYS = 400


class _TooRichError(AnxinError):
    """A tariff that a register's tariff cannot say; it does not leave this file."""


def declared(
    operator_id: str, value: dict[str, Any], zone: str, ended_utc_ms: int | None = None
) -> tuple[Register, list[Deviation]]:
    """Return a tariff as the register says it, or nothing and why not. `zone` is the zone of its hours: OCPI leaves it
    to the location. A tariff without `start_date_time` holds from its `last_updated`; `id@last_updated` names it.
    Raises FormatError.
    """
    try:
        spans = _spans(value)
    except _TooRichError as reason:
        return Register(), [Deviation("ocpi.tariff_not_expressed", CLAUSE, str(reason), "elements")]
    begin = objects.time_field(value, "start_date_time" if value.get("start_date_time") else "last_updated")
    end = objects.time_field(value, "end_date_time") if value.get("end_date_time") else None
    ends = [e for e in (end, ended_utc_ms) if e is not None]
    offset = _offset(zone, begin)
    deviations = []
    if len(spans) > 1:
        if any(_offset(zone, begin + day * _DAY_MS) != offset for day in range(_YEAR_DAYS)):
            detail = f"hours of the day in {zone}, whose offset changes"
            return Register(), [Deviation("ocpi.tariff_not_expressed", CLAUSE, detail, "elements")]
        deviations.append(Deviation("ocpi.tariff_zone", CLAUSE, f"hours are read in {zone}", "elements"))
    # A tariff that is put again is another one: its periods are not those of the one before.
    tariff_id = f"{objects.id_field(value, 'id')}@{objects.text_field(value, 'last_updated', 40)}"
    currency = objects.text_field(value, "currency", 3)
    tariff = Tariff(tariff_id, operator_id, currency, begin, max(min(ends), begin) if ends else None, zone, offset)
    periods = tuple(TariffPeriod(tariff_id, start, stop, price, 0) for start, stop, price in spans)
    return Register(tariffs=(tariff,), tariff_periods=periods), deviations


def _spans(value: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return (from minute, to minute, price) over the day. Raises _TooRichError, FormatError."""
    for name in ("min_price", "max_price"):
        if value.get(name) is not None:
            raise _TooRichError(f"it has a {name}")
    if value.get("type") not in (None, "REGULAR", "AD_HOC_PAYMENT"):
        raise _TooRichError(f"it is for {str(value['type'])[:40]} alone")
    prices: list[int | None] = [None] * DAY_MINUTES
    for element in objects.objects_field(value, "elements", MAX_ELEMENTS):
        price = _energy_price(element, str(value.get("tax_included", "NO")))
        if price is None:
            continue
        for minute in _minutes(element.get("restrictions")):
            # The first element in the list that fits is the one that counts (mod_tariffs, Tariff object).
            if prices[minute] is None:
                prices[minute] = price
    if all(price is None for price in prices):
        raise _TooRichError("it has no price of energy")
    spans: list[tuple[int, int, int]] = []
    for minute, price in enumerate(p or 0 for p in prices):
        if spans and spans[-1][2] == price:
            spans[-1] = (spans[-1][0], minute + 1, price)
        else:
            spans.append((minute, minute + 1, price))
    return spans


def _energy_price(element: dict[str, Any], tax_included: str) -> int | None:
    """Return the price of a kWh with taxes (e4), None where the element has none. Raises _TooRichError."""
    found: int | None = None
    for component in objects.objects_field(element, "price_components", objects.MAX_ITEMS):
        kind = objects.text_field(component, "type", 40)
        price = exact(component.get("price"), "price")
        if price is None:
            raise _TooRichError("a price component states no price")
        if kind != "ENERGY":
            if price:
                raise _TooRichError(f"it charges for {kind}")
            continue
        if exact(component.get("step_size"), "step_size") not in (None, Decimal(1)):
            raise _TooRichError("energy is counted in steps")
        if found is not None:
            raise _TooRichError("an element has two prices of energy")
        vat = exact(component.get("vat"), "vat") if tax_included == "NO" else None
        if any(len(number.as_tuple().digits) > _PRICE_DIGITS for number in (price, vat or price)):
            raise _TooRichError("a price has too many digits")
        gross = price * (100 + (vat or 0)) / 100 * E4_PER_CURRENCY_UNIT
        if gross != gross.to_integral_value() or not 0 <= gross <= 10**_PRICE_DIGITS:
            raise _TooRichError("a price with its taxes has more than four decimals, or is out of range")
        found = int(gross)
    return found


def _minutes(restrictions: object) -> range | list[int]:
    if restrictions is None or restrictions == {}:
        return range(DAY_MINUTES)
    if not isinstance(restrictions, dict):
        raise _TooRichError("its restrictions are no object")
    others = [name for name, value in restrictions.items() if value is not None and name not in _CLOCK_FIELDS]
    if others:
        raise _TooRichError(f"it depends on {str(others[0])[:40]}")
    start = _minute(restrictions.get("start_time"), 0)
    end = _minute(restrictions.get("end_time"), DAY_MINUTES) or DAY_MINUTES
    if start < end:
        return range(start, end)
    # A span that ends before it begins goes on after midnight.
    return [*range(start, DAY_MINUTES), *range(end)]


_CLOCK_FIELDS = ("start_time", "end_time")


def _minute(value: object, default: int) -> int:
    if value is None:
        return default
    text = str(value)
    hours, _, minutes = text.partition(":")
    if len(text) != 5 or not (hours + minutes).isdecimal() or int(hours) > 23 or int(minutes) > 59:
        raise _TooRichError("a time of day is not HH:MM")
    return int(hours) * 60 + int(minutes)


def _offset(zone: str, at_utc_ms: int) -> int:
    return (moment_of(at_utc_ms, zone_of(zone)).utcoffset() or timedelta()) // timedelta(minutes=1)
