"""Exact quantities: integers in units fine enough for every register, and the only way into them.

| suffix        | unit                                   | why                                                  |
|---------------|----------------------------------------|------------------------------------------------------|
| `_milli_wh`   | a thousandth of a watt-hour            | finer than any register met (0.0001 kWh = 100 mWh)   |
| `_e4`         | a ten-thousandth of the currency unit  | T/CEC 102 prices carry four decimals                 |
| `_utc_ms`     | milliseconds since 1970-01-01T00:00Z   | OCMF readings carry milliseconds                     |
| `_ppm`        | millionths                             | ratios                                               |
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation

from anxin.domain.errors import FormatError

MILLI_WH_PER_WH = 1_000
MILLI_WH_PER_KWH = 1_000_000
E4_PER_CURRENCY_UNIT = 10_000
MS_PER_S = 1_000

#: One terawatt-hour. No register on a charger reaches it; what exceeds it would overflow sums of 64-bit integers.
MAX_ENERGY_MILLI_WH = 10**15
#: A hundred million currency units for one charging session is a defect of the file, not a bill.
MAX_AMOUNT_E4 = 10**12
#: The longest decimal text read as a number; longer ones are an attack or a defect (a register has ten digits).
MAX_NUMBER_CHARS = 40
#: Years outside this span are refused as time stamps: 1970 is inside, so that an unset clock is *seen* by a rule.
MIN_YEAR, MAX_YEAR = 1970, 2199

ENERGY_UNITS_MILLI_WH = {"Wh": MILLI_WH_PER_WH, "kWh": MILLI_WH_PER_KWH, "MWh": 1_000_000_000}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decimal_of(text: str, field: str | None = None) -> Decimal:
    """Return `text` as an exact, finite Decimal. Raises FormatError (`number.*`) for anything else."""
    stripped = text.strip()
    if len(stripped) > MAX_NUMBER_CHARS:
        raise FormatError("number.length", f"a number has more than {MAX_NUMBER_CHARS} characters", field)
    try:
        value = Decimal(stripped)
    except InvalidOperation:
        raise FormatError("number.syntax", f"not a number: {stripped!r}", field) from None
    if not value.is_finite():
        raise FormatError("number.finite", f"not a finite number: {stripped!r}", field)
    if abs(value.adjusted()) > MAX_NUMBER_CHARS:
        raise FormatError("number.length", f"a number's exponent is out of range: {stripped!r}", field)
    return value


def energy_milli_wh(value: Decimal, unit: str = "kWh", field: str | None = None) -> int:
    """Return an energy in mWh (thousandths of a watt-hour), rounded half-even below that.

    `unit` is one of ENERGY_UNITS_MILLI_WH. Raises FormatError `unit.energy` or `number.range`.
    """
    factor = ENERGY_UNITS_MILLI_WH.get(unit)
    if factor is None:
        raise FormatError("unit.energy", f"not a unit of energy: {unit!r}", field)
    scaled = value * factor
    if abs(scaled) > MAX_ENERGY_MILLI_WH:
        raise FormatError("number.range", f"energy out of range: {value} {unit}", field)
    return int(scaled.to_integral_value())


def energy_quantum_milli_wh(value: Decimal, unit: str = "kWh") -> int:
    """Return one step of the last digit that `value` shows, in mWh, at least 1: the display's resolution."""
    exponent = value.as_tuple().exponent
    digits = exponent if isinstance(exponent, int) else 0
    return max(1, int(ENERGY_UNITS_MILLI_WH[unit] * Decimal(10) ** min(digits, 0)))


def amount_e4(value: Decimal, field: str | None = None) -> int:
    """Return money in ten-thousandths of the currency unit. Raises FormatError `number.range`."""
    scaled = value * E4_PER_CURRENCY_UNIT
    if abs(scaled) > MAX_AMOUNT_E4:
        raise FormatError("number.range", f"amount out of range: {value}", field)
    return int(scaled.to_integral_value())


def utc_ms(moment: datetime) -> int:
    """Return a zoned moment as UTC milliseconds. A moment without a zone raises FormatError `time.zone`."""
    if moment.tzinfo is None:
        raise FormatError("time.zone", f"a time without a zone: {moment.isoformat()}")
    if not MIN_YEAR <= moment.year <= MAX_YEAR:
        raise FormatError("time.range", f"a year outside {MIN_YEAR} to {MAX_YEAR}: {moment.isoformat()}")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment_of(value_utc_ms: int, zone: tzinfo = UTC) -> datetime:
    """Return UTC milliseconds as a zoned datetime."""
    return (_EPOCH + timedelta(milliseconds=value_utc_ms)).astimezone(zone)


def iso_of(value_utc_ms: int | None, zone: tzinfo = UTC) -> str | None:
    """Return ISO 8601 text with its offset, or None."""
    return None if value_utc_ms is None else moment_of(value_utc_ms, zone).isoformat()


def kwh_text(value_milli_wh: int | None) -> str:
    """Return an energy as exact kWh text with at least three decimals, or an en dash where there is none."""
    if value_milli_wh is None:
        return "–"
    sign = "-" if value_milli_wh < 0 else ""
    whole, part = divmod(abs(value_milli_wh), MILLI_WH_PER_KWH)
    decimals = f"{part:06d}".rstrip("0").ljust(3, "0")
    return f"{sign}{whole}.{decimals}"


def money_text(value_e4: int | None) -> str:
    """Return an amount as exact text with at least two decimals, or an en dash where there is none."""
    if value_e4 is None:
        return "–"
    sign = "-" if value_e4 < 0 else ""
    whole, part = divmod(abs(value_e4), E4_PER_CURRENCY_UNIT)
    decimals = f"{part:04d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"
