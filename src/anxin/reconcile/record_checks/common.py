"""What the checks on records share: the different statements of a transaction, and one way to raise a finding."""

from __future__ import annotations

from anxin.domain.batch import JudgedRecord, Transaction
from anxin.domain.meter_record import MeterRecord, Reading
from anxin.reconcile.rule import ID_SEPARATOR, RawFinding


def statements(transaction: Transaction) -> list[MeterRecord]:
    """Return the transaction's decoded records, each payload once: a copy or a twin is no statement of its own."""
    found: dict[str, MeterRecord] = {}
    for record, _ in transaction.judged:
        found.setdefault(record.payload_digest, record)
    return list(found.values())


def readings_of(transaction: Transaction) -> list[Reading]:
    """Return the readings of all statements in their order."""
    return [reading for record in statements(transaction) for reading in record.readings]


def distinct_readings(transaction: Transaction) -> list[Reading]:
    """Return the readings, one for each moment and context: a record often reads several registers at once."""
    found: dict[tuple[int | None, str | None], Reading] = {}
    for reading in readings_of(transaction):
        found.setdefault((reading.time_utc_ms, reading.context), reading)
    return list(found.values())


def raised(
    rule: str,
    cause: str,
    records: list[MeterRecord],
    *,
    quantity: str = "text",
    expected: int | None = None,
    found: int | None = None,
    tolerance: int | None = None,
    expected_text: str | None = None,
    found_text: str | None = None,
    detail: str | None = None,
    at_utc_ms: int | None = None,
) -> RawFinding:
    """Return a finding that rests on `records`. `record_ids` are the digests of their payloads, in their order."""
    first = records[0] if records else None
    return RawFinding(
        rule=rule,
        cause=cause,
        quantity=quantity,
        expected=expected,
        found=found,
        tolerance=tolerance,
        expected_text=expected_text,
        found_text=found_text,
        detail=detail,
        record_ids=ID_SEPARATOR.join(record.payload_digest for record in records) or None,
        connector_id=next((r.place_id for r in records if r.place_id), None),
        meter_id=(first.meter_serial or first.gateway_serial) if first else None,
        at_utc_ms=at_utc_ms if at_utc_ms is not None else _last_time(records),
    )


def about_bytes(rule: str, cause: str, judged: JudgedRecord, digest: str, detail: str) -> RawFinding:
    """Return a finding about a record that may not have been decoded; `digest` names it."""
    record = judged.signed.record
    if record is not None:
        return raised(rule, cause, [record], detail=detail)
    return RawFinding(rule, cause, detail=detail, record_ids=digest, meter_id=judged.signed.meter_id)


def _last_time(records: list[MeterRecord]) -> int | None:
    return max((r.time_utc_ms for m in records for r in m.readings if r.time_utc_ms is not None), default=None)
