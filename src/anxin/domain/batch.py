"""What a decoder hands on: values, and beside them what was refused, what was odd, what must be said first."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from anxin.domain.meter_record import Answer, Judgement, MeterRecord, MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.register import Connector
from anxin.domain.source import Deviation, Notice, Reject, Source


class Side(StrEnum):
    """Which end of a transaction a container says that a record is."""

    BEGIN = "begin"
    END = "end"
    WHOLE = "whole"
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """One signed record as received, before its signature is judged.

    raw             the record's bytes exactly as received (the OCMF text, without its container)
    record          decoded, or None where it could not be (then `malformed_rule` and `malformed_detail` say why)
    transaction_id  as the container or envelope states it; OCMF itself carries none
    key_text        a public key that came along; evidence only where no register says otherwise
    meter_id        the meter that the envelope claims, None where only the record says
    cannot_open     why an envelope could not be opened (unknown key id, wrong tag), else None
    envelope_counter, envelope_key_id   the meter envelope's counter, which rises under each key, and its key
    """

    source: Source
    raw: bytes
    record: MeterRecord | None
    malformed_rule: str | None = None
    malformed_detail: str | None = None
    transaction_id: str | None = None
    side: Side = Side.UNSTATED
    key_text: str | None = None
    meter_id: str | None = None
    connector_id: str | None = None
    received_utc_ms: int | None = None
    cannot_open: str | None = None
    envelope_counter: int | None = None
    envelope_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedRecord:
    """A signed record with the answer on its signature."""

    signed: SignedRecord
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Transaction:
    """The judged records of one metered transaction, begin first."""

    transaction_id: str | None
    records: tuple[JudgedRecord, ...]

    @property
    def judged(self) -> tuple[tuple[MeterRecord, Judgement], ...]:
        """The records that could be decoded, with their answers."""
        return tuple((r.signed.record, r.judgement) for r in self.records if r.signed.record is not None)

    @property
    def answer(self) -> Answer:
        """The weakest answer among the records: forged, then malformed, then cannot judge, then authentic."""
        answers = {r.judgement.answer for r in self.records}
        order = (Answer.FORGED, Answer.MALFORMED, Answer.CANNOT_JUDGE, Answer.AUTHENTIC)
        return next((a for a in order if a in answers), Answer.CANNOT_JUDGE)


@dataclass(slots=True)
class Batch:
    """The yield of one file, or of one chunk of it."""

    orders: list[Order] = field(default_factory=list)
    order_periods: list[OrderPeriod] = field(default_factory=list)
    operator_totals: list[OperatorTotal] = field(default_factory=list)
    signed_records: list[SignedRecord] = field(default_factory=list)
    sessions: list[MeterSession] = field(default_factory=list)
    record_periods: list[RecordPeriod] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    deviations: list[tuple[Source, Deviation]] = field(default_factory=list)
    connectors: list[Connector] = field(default_factory=list)

    def extend(self, other: Batch) -> None:
        """Append everything of `other`."""
        self.orders += other.orders
        self.order_periods += other.order_periods
        self.operator_totals += other.operator_totals
        self.signed_records += other.signed_records
        self.sessions += other.sessions
        self.record_periods += other.record_periods
        self.rejects += other.rejects
        self.notices += other.notices
        self.deviations += other.deviations
        self.connectors += other.connectors
