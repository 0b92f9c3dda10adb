"""R03 on records: the same statement of a meter twice in what was received."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anxin.domain.finding import Severity
from anxin.reconcile.record_checks.common import raised
from anxin.reconcile.rule import Cause, RawFinding

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.reconcile.policy import Policy

CAUSES = (
    Cause(
        "same_record_in_file",
        Severity.NOTE,
        False,
        "电能表 {meter} 的同一份记录重复出现（第 {detail} 次），不作为新记录。",
        "A record of meter {meter} is there again (occurrence {detail}); it is not a new record.",
    ),
    Cause(
        "twin_signature_in_file",
        Severity.NOTE,
        False,
        "电能表 {meter} 的同一份记录带有另一个签名（第 {detail} 次出现），内容相同，不作为新记录。",
        "A record of meter {meter} is there again with another signature (occurrence {detail}); the statement is the "
        "same, so it is not a new record.",
    ),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return one note for each repetition of a payload. A second valid signature over it, such as the twin with
    n - s (ECDSA's malleability), makes no second statement."""
    seen: dict[str, list[bytes]] = {}
    findings = []
    for record, _ in transaction.judged:
        signatures = seen.setdefault(record.payload_digest, [])
        if signatures:
            cause = "same_record_in_file" if record.signature in signatures else "twin_signature_in_file"
            findings.append(raised("R03", cause, [record], detail=str(len(signatures) + 1)))
        signatures.append(record.signature)
    return findings
