"""From judged records to the facts that the rule book needs: sessions, tariff periods, findings on records alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from anxin.domain.batch import JudgedRecord, Side, Transaction
from anxin.domain.billable import BEGIN, ENDS
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.formats.transactions import join, session_of
from anxin.reconcile.book import rule_book
from anxin.reconcile.policy import Policy
from anxin.reconcile.rule import RawFinding


@dataclass(slots=True)
class SessionFacts:
    """Sessions with their tariff periods, and what the rules found on their records alone."""

    sessions: list[MeterSession] = field(default_factory=list)
    periods: list[RecordPeriod] = field(default_factory=list)
    findings: list[RawFinding] = field(default_factory=list)


def side_of(record: JudgedRecord) -> Side:
    """Return whether a record holds a session of its own, or is the begin or the end of one."""
    decoded = record.signed.record
    if decoded is None:
        return Side.WHOLE
    contexts = {reading.context for reading in decoded.readings}
    if BEGIN in contexts and not contexts.isdisjoint(ENDS):
        return Side.WHOLE
    return Side.UNSTATED


def sessions_of(judged: Iterable[JudgedRecord], policy: Policy) -> SessionFacts:
    """Return the sessions that these records make.

    Records are joined within one transaction id only: the same payload under two ids is two statements here, so that
    matching sees the second one for what it is (R03, a replay). Records without an id are joined in file order.
    """
    by_id: dict[str | None, list[JudgedRecord]] = {}
    for record in judged:
        by_id.setdefault(record.signed.transaction_id, []).append(record)
    facts = SessionFacts()
    for records in by_id.values():
        for transaction in join(records):
            session, periods = session_of(transaction)
            facts.sessions.append(session)
            facts.periods += periods
            facts.findings += _findings(transaction, session, policy)
    return facts


def _findings(transaction: Transaction, session: MeterSession, policy: Policy) -> list[RawFinding]:
    """What the rules find on one transaction, less what they find again over all facts, where the register is known."""
    return [
        replace(
            raw,
            record_ids=session.record_id,
            meter_id=raw.meter_id or session.meter_id,
            connector_id=raw.connector_id or session.connector_id,
            at_utc_ms=raw.at_utc_ms or session.begin_utc_ms,
        )
        for rule in rule_book()
        if rule.on_record is not None
        for raw in rule.on_record(transaction, policy)
        if raw.cause not in rule.same_on_facts
    ]
