"""What a rule found: the value that an alarm, a letter and a court file rest on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How an inspector should take a finding. Only WARNING and above count as alarms.

    NOTE      worth knowing, asks for nothing (a lost record that the registers on both sides account for)
    WARNING   a duty is broken or evidence is weak; the bill itself is not contradicted
    VIOLATION the bill contradicts a signed record, or the record cannot be trusted
    GRAVE     signs of intent: forgery, replay, manipulation, a broken seal
    """

    NOTE = "note"
    WARNING = "warning"
    VIOLATION = "violation"
    GRAVE = "grave"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `expected`, `found`, `difference`, `tolerance` are exact text with their unit in `unit`.

    rule, cause     rule id of the rule book and the cause inside it (``R19``, ``seal_broken``)
    disagrees       whether it makes its session disagree (order contradicted by record)
    order_ids, record_ids   what it rests on
    zh, en          one sentence each that an inspector can put in a letter
    """

    rule: str
    cause: str
    severity: Severity
    disagrees: bool
    zh: str
    en: str
    expected: str | None = None
    found: str | None = None
    difference: str | None = None
    tolerance: str | None = None
    unit: str | None = None
    order_ids: tuple[str, ...] = ()
    record_ids: tuple[str, ...] = ()
    connector_id: str | None = None
    meter_id: str | None = None
    operator_id: str | None = None
    at_utc_ms: int | None = None


class SessionState(StrEnum):
    """State of one session after the audit."""

    AGREE = "agree"
    DISAGREE = "disagree"
    ORDER_ONLY = "order_only"
    RECORD_ONLY = "record_only"
    PENDING = "pending"
