"""The readings of an OCMF payload (`RD[]`, OCMF 1.4.1, "Readings" and table 7), inherited fields filled in."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

from anxin.domain.errors import FormatError
from anxin.domain.meter_record import Clock, Reading
from anxin.domain.quantities import (
    ENERGY_UNITS_MILLI_WH,
    decimal_of,
    energy_milli_wh,
    energy_quantum_milli_wh,
    utc_ms,
)
from anxin.domain.source import Deviation
from anxin.formats.ocmf_deviations import deviation
from anxin.formats.strict_json import Number

#: Most readings read from one record: one a second over an hour and a half. More is a defect or an attack.
MAX_READINGS = 6_000

_KEYS = frozenset({"TM", "TX", "RV", "RI", "RU", "RT", "CL", "EF", "ST"})
_CONTEXTS = frozenset("BCXELRAPST")
_STATES = frozenset("NGTDRMXIOSEF")
_UNITS = frozenset({"kWh", "Wh", "mOhm", "uOhm"})
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:([,.])([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?(?: +(\S{1,8}))?",
    re.ASCII,
)
# OBIS, reduced (1.8.0) or full, decimal or hexadecimal, with the separators met: 1-b:1.8.0, 01-00:B3.08.00*FF
_OBIS = re.compile(
    r"(?:[0-9A-Za-z]{1,3}-[0-9A-Za-z]{1,3}[:.])?[0-9A-Fa-f]{1,3}[.][0-9A-Fa-f]{1,3}"
    r"(?:[.][0-9A-Za-z]{1,3}(?:[*.&][0-9A-Za-z]{1,3})?)?"
)
_MS_DIGITS = 3


def read_readings(stated: object, deviations: list[Deviation]) -> tuple[Reading, ...]:
    """Return the readings in their order. A field that a reading leaves out is the previous reading's.

    Raises FormatError `ocmf.rd` where RD is no array of objects or has too many, `ocmf.rv` where a value is no number.
    """
    if stated is None or stated == []:
        deviations.append(deviation("ocmf.rd_missing", "no readings", "RD"))
        return ()
    if not isinstance(stated, list):
        raise FormatError("ocmf.rd", "RD is no array", "RD")
    if len(stated) > MAX_READINGS:
        raise FormatError("ocmf.rd", f"{len(stated)} readings; no more than {MAX_READINGS} are read", "RD")
    readings: list[Reading] = []
    inherited: dict[str, object] = {}
    for index, own in enumerate(stated):
        if not isinstance(own, dict):
            raise FormatError("ocmf.rd", f"RD[{index}] is no object", f"RD[{index}]")
        merged = _inherit(inherited, own)
        readings.append(_Reader(f"RD[{index}]", own, merged, deviations).read())
        inherited = merged
    return tuple(readings)


def _inherit(previous: dict[str, object], own: dict[str, object]) -> dict[str, object]:
    merged = {**previous, **own}
    # A reading that only indicates an error may leave out its value ("Readings"); that is no repetition of the last.
    event = own.get("EF") or own.get("ST", "G") != "G" or own.get("TX") == "X"
    if "RV" not in own and event:
        merged.pop("RV", None)
    if "CL" not in own and "RV" in own:
        # A new value with an old loss would be a statement that the meter did not make.
        merged.pop("CL", None)
    return merged


class _Reader:
    """Reads one reading: `own` as received, `merged` with what it inherits. Departures are reported once, where they
    stand; an inherited one is not repeated."""

    def __init__(
        self, place: str, own: dict[str, object], merged: dict[str, object], deviations: list[Deviation]
    ) -> None:
        self.place, self.own, self.merged, self.deviations = place, own, merged, deviations

    def read(self) -> Reading:
        for name in self.own:
            if name not in _KEYS:
                kind = "ocmf.ei_kept" if name == "EI" else "ocmf.reading_key_unknown"
                self._note(kind, f"{name[:20]!a} inside a reading", name[:20])
        value = self._value("RV")
        unit, obis = self._text("RU"), self._text("RI")
        energy, quantum = self._energy(value, unit)
        self._check_identity(value, unit, obis)
        moment, time_text, clock = self._time()
        context = self._one_of("TX", _CONTEXTS, "ocmf.tx_unknown")
        return Reading(
            time_utc_ms=moment,
            time_text=time_text,
            clock=clock,
            context=context,
            value=value,
            unit=unit,
            register_milli_wh=energy,
            quantum_milli_wh=quantum,
            obis=obis,
            current_type=self._one_of("RT", frozenset({"AC", "DC"}), "ocmf.rt_unknown"),
            cumulated_loss_milli_wh=self._loss(unit, context),
            error_flags=self._error_flags(),
            status=self._status(),
            event_counter=self._event_counter(),
        )

    def _note(self, kind: str, detail: str, name: str) -> None:
        self.deviations.append(deviation(kind, detail, f"{self.place}.{name}"))

    def _text(self, name: str) -> str | None:
        value = self.merged.get(name)
        if value is None or isinstance(value, str):
            return value[:64] if value else None
        if name in self.own:
            self._note("ocmf.field_type", f"{name} is no text", name)
        return None

    def _one_of(self, name: str, allowed: frozenset[str], kind: str) -> str | None:
        value = self._text(name)
        if value is not None and value not in allowed and name in self.own:
            self._note(kind, f"{name} is {value[:20]!a}", name)
        return value

    def _value(self, name: str) -> Decimal | None:
        value = self.merged.get(name)
        if isinstance(value, Number):
            return value.value
        if isinstance(value, str):
            number = decimal_of(value, f"{self.place}.{name}")
            if name in self.own:
                self._note("ocmf.rv_as_text", f"{name} is the text {value[:40]!a}", name)
            return number
        if value is not None:
            raise FormatError("ocmf.rv", f"{self.place}.{name} is no number", f"{self.place}.{name}")
        if not self.own.get("EF") and self._text("ST") in (None, "G") and self._text("TX") != "X":
            self._note("ocmf.rv_missing", "a reading without value", name)
        return None

    def _energy(self, value: Decimal | None, unit: str | None) -> tuple[int | None, int]:
        if value is None or unit not in ENERGY_UNITS_MILLI_WH:
            return None, 1
        try:
            return energy_milli_wh(value, unit), energy_quantum_milli_wh(value, unit)
        except FormatError:
            self._note("ocmf.rv_range", f"RV is {str(value)[:40]} {unit}", "RV")
            return None, 1

    def _check_identity(self, value: Decimal | None, unit: str | None, obis: str | None) -> None:
        if unit is None and value is not None:
            self._note("ocmf.ru_missing", "a value without unit", "RU")
        if unit is not None and unit not in _UNITS and "RU" in self.own:
            self._note("ocmf.ru_unknown", f"RU is {unit[:20]!a}", "RU")
        if obis is not None and "RI" in self.own and not _OBIS.fullmatch(obis):
            self._note("ocmf.ri_shape", f"RI is {obis[:40]!a}", "RI")

    def _time(self) -> tuple[int | None, str | None, Clock]:
        text = self._text("TM")
        own = "TM" in self.own
        if text is None:
            if not own or self.own["TM"] is None:
                self._note("ocmf.tm_missing", "no time", "TM")
            return None, None, Clock.ABSENT
        match = _TIME.fullmatch(text)
        moment = _moment(match) if match else None
        clock = _clock(match[10] if match else None)
        if own and (match is None or moment is None or not _exact(match)):
            self._note("ocmf.tm_shape", f"TM is {text[:40]!a}", "TM")
        elif own and match is not None and match[10] is None:
            self._note("ocmf.tm_no_sync", f"TM is {text[:40]!a}", "TM")
        if own and match is not None and match[10] is not None and clock is Clock.ABSENT:
            self._note("ocmf.tm_sync_unknown", f"the letter is {match[10]!a}", "TM")
        return moment, text, clock

    def _loss(self, unit: str | None, context: str | None) -> int | None:
        stated = self.merged.get("CL")
        if stated is None:
            return None
        own = "CL" in self.own
        if not isinstance(stated, Number) or unit not in ENERGY_UNITS_MILLI_WH:
            if own:
                self._note("ocmf.cl_shape", "CL is no number, or has no unit of energy", "CL")
            return None
        try:
            loss = energy_milli_wh(stated.value, unit)
        except FormatError:
            self._note("ocmf.cl_shape", "CL is out of range", "CL")
            return None
        if own and context == "B" and loss != 0:
            self._note("ocmf.cl_not_reset", f"CL is {stated.text[:40]} at B", "CL")
        return loss

    def _error_flags(self) -> str:
        flags = self._text("EF") or ""
        if "EF" in self.own and flags.strip("Et"):
            self._note("ocmf.ef_unknown", f"EF is {flags[:20]!a}", "EF")
        return flags

    def _status(self) -> str | None:
        if self.merged.get("ST") is None:
            self._note("ocmf.st_missing", "no meter status", "ST")
        return self._one_of("ST", _STATES, "ocmf.st_unknown")

    def _event_counter(self) -> int | None:
        counter = self.merged.get("EI")
        if isinstance(counter, Number) and counter.value == counter.value.to_integral_value():
            return int(counter.value) if abs(counter.value) < 2**63 else None
        return None


def _exact(match: re.Match[str] | None) -> bool:
    """Return whether a time is written as table 7 wants it: comma, three digits, offset without colon."""
    if match is None or match[7] != "," or len(match[8]) != _MS_DIGITS:
        return False
    return match[9] is not None and match[9] != "Z" and ":" not in match[9]


def _moment(match: re.Match[str]) -> int | None:
    """Return UTC ms, or None where the text names no moment (no zone, month 13, a year out of range)."""
    zone_text = match[9]
    if zone_text is None:
        return None
    microseconds = int((match[8] or "0").ljust(6, "0")[:6])
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    try:
        return utc_ms(datetime(year, month, day, hour, minute, second, microseconds, _zone(zone_text)))
    except (ValueError, OverflowError, FormatError):
        return None


@lru_cache(maxsize=256)
def _zone(text: str) -> timezone:
    """Return the offset `Z`, `+0200` or `+02:00`. Raises ValueError beyond a day."""
    digits = text.replace(":", "")
    minutes = 0 if digits == "Z" else int(digits[1:3]) * 60 + int(digits[3:5])
    return timezone(timedelta(minutes=-minutes if digits.startswith("-") else minutes))


def _clock(letter: str | None) -> Clock:
    if letter in ("S", "R", "I", "U"):
        return Clock(letter)
    return Clock.ABSENT
