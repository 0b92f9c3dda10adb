"""One cell -> one field: numbers with decimal comma and unit, times of a stated form and zone, ids brought to a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from anxin.domain.errors import FormatError
from anxin.domain.quantities import (
    ENERGY_UNITS_MILLI_WH,
    MAX_ENERGY_MILLI_WH,
    amount_e4,
    decimal_of,
    energy_milli_wh,
    utc_ms,
)
from anxin.formats.local_time import Doubt, LocalClock
from anxin.formats.table_dates import LAST_AMBIGUOUS_DAY
from anxin.formats.table_mapping import FieldRule, Mapping
from anxin.formats.table_rows import Cell
from anxin.formats.values import clean_text

#: The longest cell that can be a number with its unit, or a time.
MAX_CELL_CHARS = 60
_NUMBER_WITH_UNIT = re.compile(r"([-+0-9.,'eE\s]+?)\s*([A-Za-z]+)")
_RATIO_FACTOR = {"ratio": 1_000_000, "percent": 10_000, "ppm": 1}
_MONEY_DIVISOR = {"unit": 1, "cent": 100, "e4": 10_000}
_MAX_RATIO_PPM = 10_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_INTEGER = 10**15


@dataclass(frozen=True, slots=True)
class Moment:
    """A time read from a cell: UTC ms, the site's own calendar day, whole minute or not, and the date as read."""

    utc_ms: int
    local_day: date
    whole_minute: bool
    doubt: Doubt | None
    wall: datetime


@dataclass(frozen=True, slots=True)
class Quantity:
    """An energy with the step of its last digit, both mWh; `stated_unit` where the cell itself names another unit."""

    milli_wh: int
    quantum_milli_wh: int
    stated_unit: str | None


def as_text(cell: Cell) -> str:
    """Return a cell as the text that a CSV would hold."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, Decimal) and cell.is_finite() and cell == cell.to_integral_value() and abs(cell) < _MAX_INTEGER:
        return str(int(cell))  # XLSX stores every whole number as a float; an id 51519 is not 51519.0
    return "" if cell is None else str(cell)


def shaped(rule: FieldRule, text: str) -> str | None:
    """Return a text after the rule's prefix, regex and value map. Raises FormatError `table.regex` or `table.map`."""
    if rule.strip_prefix:
        text = text.removeprefix(rule.strip_prefix)
    if rule.regex is not None:
        match = rule.regex.search(text)
        if match is None:
            raise FormatError("table.regex", f"{text[:60]!r} does not fit the regex of {rule.name}", rule.name)
        text = (match.group(1) if rule.regex.groups else match.group()) or ""
    if rule.values is not None:
        found = rule.values.get(text, rule.fallback)
        if found is None:
            raise FormatError("table.map", f"{text[:60]!r} is not in the map of {rule.name}", rule.name)
        text = found
    return clean_text((rule.prefix or "") + text, rule.name)


def integer_of(text: str, name: str) -> int:
    """Return a whole number. Raises FormatError `number.*`."""
    value = decimal_of(text, name)
    if value != value.to_integral_value() or abs(value) > _MAX_INTEGER:
        raise FormatError("number.integer", f"not a whole number: {text[:40]!r}", name)
    return int(value)


def number_of(cell: Cell, mapping: Mapping, name: str) -> Decimal:
    """Return a cell as an exact number under the mapping's decimal sign. Raises FormatError `number.*`."""
    if isinstance(cell, bool):
        raise FormatError("number.syntax", "a truth value is no number", name)
    if isinstance(cell, int | Decimal):
        return decimal_of(str(cell)[:MAX_CELL_CHARS], name) if not isinstance(cell, int) else _whole(cell, name)
    text = as_text(cell)
    if len(text) > MAX_CELL_CHARS:
        raise FormatError("number.length", f"a number has more than {MAX_CELL_CHARS} characters", name)
    if mapping.thousands:
        text = text.replace(mapping.thousands, "")
    if mapping.decimal == ",":
        if "." in text:
            raise FormatError("number.decimal_sign", f"{text!r} has a point, the mapping states a decimal comma", name)
        text = text.replace(",", ".")
    return decimal_of(text, name)


def energy_of(cell: Cell, rule: FieldRule, mapping: Mapping) -> Quantity:
    """Return an energy. A unit written in the cell goes before the mapping's. Raises FormatError."""
    unit, stated = rule.unit or "kWh", None
    if isinstance(cell, str) and (match := _NUMBER_WITH_UNIT.fullmatch(cell.strip()[:MAX_CELL_CHARS])):
        cell, written = match.groups()
        if written not in ENERGY_UNITS_MILLI_WH:
            raise FormatError("unit.energy", f"not a unit of energy: {written!r}", rule.name)
        stated = written if written != unit else None
        unit = written
    value = number_of(cell, mapping, rule.name)
    if unit == "mWh":
        if abs(value) > MAX_ENERGY_MILLI_WH:
            raise FormatError("number.range", f"energy out of range: {value} mWh", rule.name)
        return Quantity(int(value.to_integral_value()), 1, stated)
    exponent = value.as_tuple().exponent
    digits = min(exponent, 0) if isinstance(exponent, int) else 0
    quantum = max(1, int(ENERGY_UNITS_MILLI_WH[unit] * Decimal(10) ** digits))
    return Quantity(energy_milli_wh(value, unit, rule.name), quantum, stated)


def money_of(cell: Cell, rule: FieldRule, mapping: Mapping) -> int:
    """Return money in ten-thousandths of the currency unit. Raises FormatError."""
    return amount_e4(number_of(cell, mapping, rule.name) / _MONEY_DIVISOR[rule.unit or "unit"], rule.name)


def ratio_of(cell: Cell, rule: FieldRule, mapping: Mapping) -> int:
    """Return a ratio in millionths. Raises FormatError."""
    value = number_of(cell, mapping, rule.name) * _RATIO_FACTOR[rule.unit or "ratio"]
    if abs(value) > _MAX_RATIO_PPM:
        raise FormatError("number.range", f"a ratio beyond tenfold: {value} ppm", rule.name)
    return int(value.to_integral_value())


def time_of(cells: list[Cell], rule: FieldRule, mapping: Mapping, clock: LocalClock | None) -> Moment:
    """Return a time from one cell, or from a date and a time-of-day cell. Raises FormatError `time.*`."""
    moment = _moment(cells, rule)
    if mapping.date_order != "iso" and moment.day <= LAST_AMBIGUOUS_DAY:
        moment = moment.replace(month=moment.day, day=moment.month)
    if moment.tzinfo is not None:
        at = utc_ms(moment)  # first, because it refuses the years that astimezone() cannot shift
        local = moment.astimezone(clock.zone) if clock else moment
        return Moment(at, local.date(), moment.second == 0, None, local)
    if clock is None:
        raise FormatError("time.zone", "a time without a zone, and the mapping states none", rule.name)
    at, doubt = clock.to_utc_ms(moment)
    return Moment(at, moment.date(), moment.second == 0, doubt, moment)


def _moment(cells: list[Cell], rule: FieldRule) -> datetime:
    first = cells[0]
    if isinstance(first, datetime):
        return _with_time_of_day(first, cells)
    if isinstance(first, date):
        return _with_time_of_day(datetime(first.year, first.month, first.day), cells)  # noqa: DTZ001 - wall clock
    text = " ".join(as_text(cell) for cell in cells)
    if len(text) > MAX_CELL_CHARS:
        raise FormatError("time.syntax", f"a time has more than {MAX_CELL_CHARS} characters", rule.name)
    try:
        if rule.form == "iso":
            return datetime.fromisoformat(text)
        if rule.form in ("utc_s", "utc_ms"):
            value = decimal_of(text, rule.name) * (1000 if rule.form == "utc_s" else 1)
            if abs(value) > _MAX_INTEGER:
                raise FormatError("time.range", f"a time out of range: {text}", rule.name)
            return _EPOCH + timedelta(milliseconds=int(value))
        return datetime.strptime(text, rule.form)  # noqa: DTZ007 - wall clock unless the form has %z
    except (ValueError, OverflowError):
        raise FormatError("time.syntax", f"not a time of the form {rule.form}: {text!r}", rule.name) from None


def _with_time_of_day(day: datetime, cells: list[Cell]) -> datetime:
    """Add a time-of-day cell of a spreadsheet to its date cell."""
    for cell in cells[1:]:
        if isinstance(cell, time):
            return datetime.combine(day.date(), cell)
        if isinstance(cell, str):
            try:
                return datetime.combine(day.date(), time.fromisoformat(cell.strip()))
            except ValueError:
                raise FormatError("time.syntax", f"not a time of day: {cell[:40]!r}") from None
    return day


def _whole(value: int, name: str) -> Decimal:
    if abs(value) > 10**30:
        raise FormatError("number.range", "a number out of range", name)
    return Decimal(value)
