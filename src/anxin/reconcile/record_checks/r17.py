"""R17 on records: what the signature says. Validity of registered keys is judged over all facts, in the rule itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from anxin.domain.finding import Severity
from anxin.domain.meter_record import Answer
from anxin.reconcile.record_checks.common import about_bytes
from anxin.reconcile.rule import Cause, RawFinding

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.reconcile.policy import Policy

CAUSES = (
    Cause(
        "forged",
        Severity.GRAVE,
        True,
        "电能表 {meter} 的记录签名不成立（{detail}）：内容被改动，或并非该表所签。",
        "The record of meter {meter} does not bear its signature ({detail}): altered, or not signed by this meter.",
    ),
    Cause(
        "cannot_judge",
        Severity.WARNING,
        False,
        "电能表 {meter} 的记录签名无法判断（{detail}）。",
        "The signature on the record of meter {meter} cannot be judged ({detail}).",
    ),
    Cause(
        "key_came_with_record",
        Severity.NOTE,
        False,
        "电能表 {meter} 的公钥随记录而来，未经登记册证实：只能证明内容未改，不能证明由谁所签。",
        "The key of meter {meter} came with the record and no register vouches for it: it proves that nothing was "
        "altered, not who signed.",
    ),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return one finding for each record that is forged or cannot be judged, and a note on keys that came along."""
    findings = []
    for judged in transaction.records:
        digest = hashlib.sha256(judged.signed.raw).hexdigest()
        answer, reason = judged.judgement.answer, judged.judgement.reason
        if answer is Answer.FORGED:
            findings.append(about_bytes("R17", "forged", judged, digest, reason))
        elif answer is Answer.CANNOT_JUDGE:
            findings.append(about_bytes("R17", "cannot_judge", judged, digest, reason))
        elif any(d.kind == "key.came_with_record" for d in judged.judgement.deviations):
            findings.append(about_bytes("R17", "key_came_with_record", judged, digest, reason))
    return findings
