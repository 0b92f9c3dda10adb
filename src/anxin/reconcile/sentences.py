"""From raw findings to findings: exact figures as text, and the two sentences that an inspector can put in a letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anxin.domain.finding import Finding
from anxin.domain.quantities import iso_of, kwh_text, money_text
from anxin.reconcile.book import cause_of
from anxin.reconcile.rule import ID_SEPARATOR, RawFinding

#: Ids beyond this many are counted, not listed, inside a sentence; the finding itself keeps them all.
MAX_IDS_IN_SENTENCE = 5

_UNITS = {"energy": "kWh", "amount": "", "duration": "", "time": "", "count": "", "power": "kW", "text": ""}


def figure(quantity: str, value: int | None) -> str | None:
    """Return an integer of a quantity as exact text (kWh, money, ISO time, h:mm:ss, count, kW), or None."""
    return None if value is None else _FIGURES.get(quantity, str)(value)


def _power_text(value_w: int) -> str:
    return f"{value_w // 1000}.{value_w % 1000:03d}".rstrip("0").rstrip(".")


def duration_text(value_ms: int) -> str:
    """Return milliseconds as h:mm:ss with the sign before it."""
    sign = "-" if value_ms < 0 else ""
    seconds = abs(value_ms) // 1000
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


_FIGURES: dict[str, Callable[[int], str | None]] = {
    "energy": kwh_text,
    "amount": money_text,
    "time": iso_of,
    "duration": duration_text,
    "power": _power_text,
}


def finding_of(raw: RawFinding | Mapping[str, Any]) -> Finding:
    """Return the finding of a raw finding (a RawFinding, or a row with its columns)."""
    row: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {n: getattr(raw, n) for n in RawFinding.__slots__}
    cause = cause_of(row["rule"], row["cause"])
    quantity = row["quantity"]
    expected = row["expected_text"] or figure(quantity, row["expected"])
    found = row["found_text"] or figure(quantity, row["found"])
    difference = None
    if row["expected"] is not None and row["found"] is not None:
        difference = figure("duration" if quantity == "time" else quantity, abs(row["found"] - row["expected"]))
    tolerance = figure("duration" if quantity == "time" else quantity, row["tolerance"])
    order_ids = _ids(row["order_ids"])
    record_ids = _ids(row["record_ids"])
    words = {
        "expected": expected or "–",
        "found": found or "–",
        "difference": difference or "–",
        "tolerance": tolerance or "0",
        "unit": _UNITS[quantity],
        "orders": _listed(order_ids),
        "records": _listed(tuple(r[:12] for r in record_ids)),
        "connector": row["connector_id"] or "–",
        "meter": row["meter_id"] or "–",
        "operator": row["operator_id"] or "–",
        "at": iso_of(row["at_utc_ms"]) or "–",
        "detail": row["detail"] or "–",
    }
    return Finding(
        rule=row["rule"],
        cause=row["cause"],
        severity=cause.severity,
        disagrees=cause.disagrees,
        zh=cause.zh.format_map(words),
        en=cause.en.format_map(words),
        expected=expected,
        found=found,
        difference=difference,
        tolerance=tolerance,
        unit=_UNITS[quantity] or None,
        order_ids=order_ids,
        record_ids=record_ids,
        connector_id=row["connector_id"],
        meter_id=row["meter_id"],
        operator_id=row["operator_id"],
        at_utc_ms=row["at_utc_ms"],
    )


def _ids(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(ID_SEPARATOR)) if text else ()


def _listed(ids: tuple[str, ...]) -> str:
    shown = ", ".join(ids[:MAX_IDS_IN_SENTENCE])
    more = len(ids) - MAX_IDS_IN_SENTENCE
    return shown if more <= 0 else f"{shown} … (+{more})"
