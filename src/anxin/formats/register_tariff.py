"""Tariffs of the register file <-> dated tariffs with a fixed offset and the periods of their local day.

A tariff speaks of wall-clock hours. Engines reckon with a fixed offset, so a tariff of a zone with daylight saving
becomes one dated piece per offset when it is read; the pieces share id and periods, and are joined again when written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta, tzinfo
from itertools import groupby, pairwise

from anxin.domain.errors import FormatError
from anxin.domain.quantities import E4_PER_CURRENCY_UNIT, iso_of, moment_of
from anxin.domain.register import Tariff, TariffPeriod
from anxin.formats.local_time import zone_of
from anxin.formats.register_entry import Entry

DAY_MINUTES = 1440
#: An open tariff of a zone with daylight saving is cut into pieces for so many years; the last piece stays open.
HORIZON_YEARS = 20
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_CLOCK = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_SCOPES = {"period": "period", "total": "total"}


def read_tariffs(entries: Iterable[Entry]) -> tuple[tuple[Tariff, ...], tuple[TariffPeriod, ...]]:
    """Return dated tariffs and their periods. Raises PolicyError naming the entry."""
    tariffs: list[Tariff] = []
    periods: list[TariffPeriod] = []
    seen: set[str] = set()
    for entry in entries:
        pieces, spans = _tariff(entry)
        if pieces[0].tariff_id in seen:
            entry.fail("tariff_id", f"the id {pieces[0].tariff_id!r} stands twice")
        seen.add(pieces[0].tariff_id)
        tariffs += pieces
        periods += spans
    return tuple(tariffs), tuple(periods)


def dump_tariffs(tariffs: Iterable[Tariff], periods: Iterable[TariffPeriod]) -> list[dict[str, object]]:
    """Return the JSON entries of tariffs; pieces of one id become one entry again."""
    spans = list(periods)
    written: list[dict[str, object]] = []
    for tariff_id, group in groupby(tariffs, key=lambda tariff: tariff.tariff_id):
        pieces = list(group)
        first, last = pieces[0], pieces[-1]
        entry: dict[str, object] = {
            "tariff_id": tariff_id,
            "operator_id": first.operator_id,
            "currency": first.currency,
            "valid_from": iso_of(first.valid_from_utc_ms),
            "valid_to": iso_of(last.valid_to_utc_ms),
            "zone": first.zone,
            "rounding": _decimal_text(first.rounding_e4),
            "rounding_scope": first.rounding_scope,
            "periods": [
                {
                    "from": _clock_text(span.minute_from),
                    "to": _clock_text(span.minute_to),
                    "energy_price": _decimal_text(span.energy_price_e4),
                    "service_price": _decimal_text(span.service_price_e4),
                }
                for span in spans
                if span.tariff_id == tariff_id
            ],
        }
        written.append({key: value for key, value in entry.items() if value is not None})
    return written


def _tariff(entry: Entry) -> tuple[list[Tariff], list[TariffPeriod]]:
    tariff_id, operator_id, currency = entry.text("tariff_id"), entry.text("operator_id"), entry.text("currency")
    valid_from = entry.needed_time("valid_from")
    valid_to = entry.time("valid_to", needed=False)
    zone_name = entry.text("zone")
    rounding = entry.money_e4("rounding", "0.01")
    scope = entry.choice("rounding_scope", _SCOPES, "period")
    spans = [span for item in entry.entries("periods") for span in _spans(item, tariff_id)]
    entry.done()
    if valid_to is not None and valid_to <= valid_from:
        entry.fail("valid_to", "lies before valid_from")
    if rounding < 1:
        entry.fail("rounding", "must be at least 0.0001")
    spans.sort(key=lambda span: span.minute_from)
    edges = [(span.minute_from, span.minute_to) for span in spans]
    if not edges or edges[0][0] != 0 or edges[-1][1] != DAY_MINUTES or _broken(edges):
        entry.fail("periods", "must cover the day from 00:00 to 24:00 once, without gap or overlap")
    try:
        zone = zone_of(zone_name)
    except FormatError as error:
        entry.fail("zone", str(error))
    pieces = [
        Tariff(tariff_id, operator_id, currency, begin, end, zone_name, offset, rounding, scope)
        for begin, end, offset in _offset_spans(zone, valid_from, valid_to)
    ]
    return pieces, spans


def _broken(edges: list[tuple[int, int]]) -> bool:
    return any(end != begin for (_, end), (begin, _) in pairwise(edges))


def _spans(entry: Entry, tariff_id: str) -> list[TariffPeriod]:
    """Return one span, or two where it runs over midnight (22:00 to 06:00)."""
    begin, end = _minute(entry, "from"), _minute(entry, "to")
    energy, service = entry.money_e4("energy_price"), entry.money_e4("service_price", "0")
    entry.done()
    if begin in (DAY_MINUTES, end):
        entry.fail("to", "the period is empty")
    halves = [(begin, end)] if begin < end else [(begin, DAY_MINUTES), (0, end)]
    return [TariffPeriod(tariff_id, *half, energy, service) for half in halves if half[0] < half[1]]


def _minute(entry: Entry, key: str) -> int:
    text = entry.text(key)
    match = _CLOCK.fullmatch(text)
    minute = int(match.group(1)) * 60 + int(match.group(2)) if match else DAY_MINUTES + 1
    if minute > DAY_MINUTES:
        entry.fail(key, f"not a time of day from 00:00 to 24:00: {text[:20]!r}")
    return minute


def _offset_spans(zone: tzinfo, begin: int, end: int | None) -> list[tuple[int, int | None, int]]:
    """Return (from, to, offset in minutes) of the spans of constant offset between two moments."""
    horizon = end if end is not None else begin + HORIZON_YEARS * 366 * _DAY_MS
    spans: list[tuple[int, int | None, int]] = []
    start, offset, at = begin, _offset(zone, begin), begin
    while at < horizon:
        following = min(at + _DAY_MS, horizon)
        if _offset(zone, following - 1) != offset:
            # The offset still held just before `at`; the change itself may fall on `at`.
            change = _first_change(zone, at - 1, following, offset)
            if change > start:
                spans.append((start, change, offset))
            start, at = change, change
            offset = _offset(zone, change)
        else:
            at = following
    return [*spans, (start, end, offset)]


def _first_change(zone: tzinfo, low: int, high: int, offset: int) -> int:
    """Bisect to the millisecond at which the offset is no longer `offset`."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: tzinfo, at_utc_ms: int) -> int:
    return (moment_of(at_utc_ms, zone).utcoffset() or timedelta()) // timedelta(milliseconds=_MINUTE_MS)


def _decimal_text(value_e4: int) -> str:
    whole, part = divmod(value_e4, E4_PER_CURRENCY_UNIT)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".")


def _clock_text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
