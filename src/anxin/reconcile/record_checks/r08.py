"""R08 on records: pagination inside one transaction (OCMF 1.4.1, table 2: one counter a context, +1 a record)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from anxin.domain.finding import Severity
from anxin.reconcile.record_checks.common import raised, statements
from anxin.reconcile.rule import Cause, RawFinding

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.domain.meter_record import MeterRecord
    from anxin.reconcile.policy import Policy

CAUSES = (
    Cause(
        "page_gap_within",
        Severity.VIOLATION,
        False,
        "电能表 {meter} 同一笔交易内页码应为 {expected}，实为 {found}：中间缺少记录，或两份记录不属于同一笔交易。",
        "Meter {meter}: inside one transaction page {expected} should follow, {found} does: records are missing, or "
        "these two belong to different transactions.",
    ),
    Cause(
        "page_repeated_within",
        Severity.WARNING,
        False,
        "电能表 {meter} 同一笔交易的两份不同记录使用同一页码 {found}。",
        "Meter {meter}: two different records of one transaction carry the same page {found}.",
    ),
    Cause(
        "page_back_within",
        Severity.GRAVE,
        False,
        "电能表 {meter} 同一笔交易内页码倒退：应为 {expected}，实为 {found}。",
        "Meter {meter}: pages go backwards inside one transaction: {expected} should follow, {found} does.",
    ),
    Cause(
        "page_context_mixed",
        Severity.VIOLATION,
        False,
        "电能表 {meter} 同一笔交易混用交易页码与计量页码：先为 {expected}，后为 {found}。",
        "Meter {meter}: one transaction mixes transaction and fiscal pages: first {expected}, then {found}.",
    ),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return what is wrong between neighbouring records of the transaction.

    A gap is a violation, a step back grave; the same page twice is a warning only, because two of eleven real pairs
    of test meters do it.
    """
    findings = []
    for before, after in pairwise(statements(transaction)):
        finding = _between(before, after)
        if finding is not None:
            findings.append(finding)
    return findings


def _between(before: MeterRecord, after: MeterRecord) -> RawFinding | None:
    pair = [before, after]
    if before.page_number is None or after.page_number is None:
        return None
    if before.page_context != after.page_context:
        first, second = f"{before.page_context}{before.page_number}", f"{after.page_context}{after.page_number}"
        return raised("R08", "page_context_mixed", pair, expected_text=first, found_text=second)
    step = after.page_number - before.page_number
    if step == 1:
        return None
    cause = "page_repeated_within" if step == 0 else "page_back_within" if step < 0 else "page_gap_within"
    return raised("R08", cause, pair, quantity="count", expected=before.page_number + 1, found=after.page_number)
