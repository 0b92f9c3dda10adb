"""R12 on records: a transaction without begin or end, or one that lasts too long to be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anxin.domain.billable import BEGIN, ENDS
from anxin.domain.finding import Severity
from anxin.reconcile.record_checks.common import raised, readings_of, statements
from anxin.reconcile.rule import Cause, RawFinding

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.reconcile.policy import Policy

CAUSES = (
    Cause(
        "record_not_closed",
        Severity.WARNING,
        False,
        "电能表 {meter} 的交易只有开始记录，没有结束记录。",
        "Meter {meter}: the transaction has a begin and no end reading.",
    ),
    Cause(
        "record_not_begun",
        Severity.WARNING,
        False,
        "电能表 {meter} 的交易没有开始记录。",
        "Meter {meter}: the transaction has no begin reading.",
    ),
    Cause(
        "record_overlong",
        Severity.WARNING,
        False,
        "电能表 {meter} 的一笔交易历时 {found}，超过 {tolerance}：可能未正常结束。",
        "Meter {meter}: one transaction lasted {found}, longer than {tolerance}: it may never have been closed.",
    ),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return whether begin and end are both there and less than `plausible.duration_session` apart.

    Fiscal readings (no TX) belong to no transaction and lack nothing.
    """
    readings, records = readings_of(transaction), statements(transaction)
    contexts = {reading.context for reading in readings} - {None}
    if not contexts:
        return []
    findings = []
    if BEGIN not in contexts:
        findings.append(raised("R12", "record_not_begun", records))
    if contexts.isdisjoint(ENDS):
        findings.append(raised("R12", "record_not_closed", records))
    limit = policy.int("plausible.duration_session")
    begins = [r.time_utc_ms for r in readings if r.context == BEGIN and r.time_utc_ms is not None]
    ends = [r.time_utc_ms for r in readings if r.context in ENDS and r.time_utc_ms is not None]
    if begins and ends and max(ends) - min(begins) > limit:
        duration = max(ends) - min(begins)
        finding = raised(
            "R12", "record_overlong", records, quantity="duration", found=duration, expected=limit, tolerance=limit
        )
        findings.append(finding)
    return findings
