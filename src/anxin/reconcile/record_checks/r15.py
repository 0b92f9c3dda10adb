"""R15 on records: the meter's clock as its own records show it (OCMF 1.4.1, tables 7 and 19)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from anxin.domain.finding import Severity
from anxin.domain.meter_record import CLOCK_ORDER, Clock
from anxin.domain.quantities import utc_ms
from anxin.reconcile.record_checks.common import distinct_readings, raised, statements
from anxin.reconcile.rule import Cause, RawFinding

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.domain.meter_record import MeterRecord, Reading
    from anxin.reconcile.policy import Policy

CAUSES = (
    Cause(
        "record_clock_unset",
        Severity.WARNING,
        False,
        "电能表 {meter} 的时钟从未设定：记录时间为 {found}。",
        "The clock of meter {meter} was never set: it recorded {found}.",
    ),
    Cause(
        "record_clock_jumped",
        Severity.WARNING,
        False,
        "电能表 {meter} 的时钟在交易过程中由 {expected} 跳至 {found}。",
        "The clock of meter {meter} jumped from {expected} to {found} during the transaction.",
    ),
    Cause(
        "record_time_reversed",
        Severity.VIOLATION,
        False,
        "电能表 {meter} 的记录时间倒退：先为 {expected}，后为 {found}。",
        "Meter {meter} recorded times that go backwards: first {expected}, then {found}.",
    ),
    Cause(
        "record_clock_not_legal",
        Severity.NOTE,
        False,
        "电能表 {meter} 的时钟未同步（状态 {detail}），其时间仅供参考。",
        "The clock of meter {meter} is not synchronised (status {detail}); its times are informative only.",
    ),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return what the readings' times say about the clock. A synchronised or relative clock that runs on: nothing."""
    readings = [r for r in distinct_readings(transaction) if r.time_utc_ms is not None]
    records = statements(transaction)
    first_valid = utc_ms(datetime(policy.int("time.clock_unset_before_year"), 1, 1, tzinfo=UTC))
    findings = _order(readings, records, first_valid)
    unset = [r.time_utc_ms for r in readings if r.time_utc_ms is not None and r.time_utc_ms < first_valid]
    if unset and len(unset) == len(readings):
        findings.append(raised("R15", "record_clock_unset", records, quantity="time", found=unset[0]))
    weakest = max((r.clock for r in distinct_readings(transaction)), key=CLOCK_ORDER.index, default=Clock.SYNCHRONISED)
    if weakest not in (Clock.SYNCHRONISED, Clock.RELATIVE):
        detail = "U" if weakest is Clock.ABSENT else weakest.value
        findings.append(raised("R15", "record_clock_not_legal", records, detail=detail))
    return findings


def _order(readings: list[Reading], records: list[MeterRecord], first_valid: int) -> list[RawFinding]:
    findings = []
    for before, after in pairwise(readings):
        earlier, later = before.time_utc_ms or 0, after.time_utc_ms or 0
        if (earlier < first_valid) != (later < first_valid):
            cause = "record_clock_jumped"
        elif later < earlier:
            cause = "record_time_reversed"
        else:
            continue
        findings.append(raised("R15", cause, records, quantity="time", expected=earlier, found=later, at_utc_ms=later))
    return findings
