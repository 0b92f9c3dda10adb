"""R18: a record that departs from its format so far that only a tolerant reader, or nobody, can verify it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.domain.meter_record import Answer
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks.common import about_bytes
from anxin.reconcile.rule import Basis, Cause, RawFinding, Rule

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return one finding for each malformed record; `detail` is the reason's id."""
    findings = []
    for judged in transaction.records:
        judgement = judged.judgement
        if judgement.answer is not Answer.MALFORMED:
            continue
        cause = "authentic_if_read_so" if judgement.if_read_so is Answer.AUTHENTIC else "undecodable"
        digest = hashlib.sha256(judged.signed.raw).hexdigest()
        findings.append(about_bytes("R18", cause, judged, digest, judgement.reason))
    return findings


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Records that a file of canonical columns states as malformed: nobody here has seen their bytes.

    What `on_record` has said of a record's own bytes is not said again.
    """
    told = ground.facts.record_findings
    told = told.filter(told.rule == "R18").select(record_id="record_ids")
    malformed = ground.records.filter(ground.records.answer == Answer.MALFORMED.value).anti_join(told, "record_id")
    return [
        raised(malformed, "R18", "stated_malformed", record_no="record_no", at_utc_ms="begin_utc_ms", detail="reason")
    ]


RULE = Rule(
    id="R18",
    name="malformed",
    title_zh="记录格式不合规",
    title_en="Malformed record",
    explain_zh="记录或其签名不符合格式，严格读取者无法验证。仅格式有误与伪造是两回事，须分别处理。",
    explain_en="The record or its signature departs from its format, so that a strict reader has nothing to verify. A "
    "wrong form is not a forgery, and the two are never merged.",
    basis=(
        Basis("OCMF 1.4.1, Table 8 (SE, SM, SD) and Table 22; ITU-T X.690", "confirmed"),
        Basis("Two records of real meters are authentic only for a tolerant reader", "confirmed"),
    ),
    causes=(
        Cause(
            "authentic_if_read_so",
            Severity.WARNING,
            False,
            "电能表 {meter} 的记录格式不合规（{detail}）；按宽松方式读取，签名成立。",
            "The record of meter {meter} is malformed ({detail}); read tolerantly, its signature holds.",
        ),
        Cause(
            "undecodable",
            Severity.VIOLATION,
            True,
            "记录无法按格式读取（{detail}），不能作为结算依据。",
            "The record cannot be read as its format says ({detail}); no bill can rest on it.",
        ),
        Cause(
            "stated_malformed",
            Severity.VIOLATION,
            True,
            "记录 {records} 注明格式不合规（{detail}），不能作为结算依据。",
            "Record {records} is stated to be malformed ({detail}); no bill can rest on it.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1 answer=malformed reason=signature_shape
        expect R18 stated_malformed R1
        state  disagree=1
    """,
    record_example="""
        record PG=T10 B=100.0@10:00 E=120.5@10:30 signature=raw
        expect R18 authentic_if_read_so
    """,
    needs=("records",),
    on_facts=on_facts,
    on_record=on_record,
)
