"""R17: who signed: keys unknown, not valid at the time, revoked, or of another meter; signatures that do not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks import r17
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Records that are forged or cannot be judged, and authentic ones whose key had no right to sign then."""
    records = ground.records
    on = {"record_no": "record_no", "at_utc_ms": "begin_utc_ms"}
    unsigned = records.reason == "unsigned"
    unjudged = records.filter((records.answer == "cannot_judge") & ~unsigned)
    found = [
        raised(records.filter(records.answer == "forged"), "R17", "forged", detail="reason", **on),
        raised(unjudged, "R17", "cannot_judge", detail="reason", **on),
    ]
    if policy.flag("records.require_signature"):
        found.append(raised(records.filter(unsigned), "R17", "unsigned", **on))
    if "keys" in ground.facts.present:
        found += _by_key(ground)
    return found


def _by_key(ground: Ground) -> list[Any]:
    on = {"record_no": "record_no", "at_utc_ms": "begin_utc_ms", "detail": "key_id"}
    keys = ground.facts.keys.select(
        "key_id",
        owner="meter_id",
        valid_from="valid_from_utc_ms",
        valid_to=ibis.coalesce(ground.facts.keys.valid_to_utc_ms, ibis.literal(2**62)),
        revoked=ibis.coalesce(ground.facts.keys.revoked_utc_ms, ibis.literal(2**62)),
    )
    # A key that came along with its record is in no register: there it has no id.
    signed = ground.records.filter(ground.records.key_id.notnull()).select(
        "record_no", "key_id", "meter_id", "connector_id", "begin_utc_ms", "end_utc_ms"
    )
    known = signed.join(keys, "key_id")
    end = ibis.coalesce(known.end_utc_ms, known.begin_utc_ms)
    vouched = ground.records.filter((ground.records.answer == "authentic") & ground.records.key_id.isnull())
    return [
        raised(vouched, "R17", "key_not_registered", record_no="record_no", at_utc_ms="begin_utc_ms"),
        raised(signed.anti_join(keys, "key_id"), "R17", "key_not_registered", **on),
        raised(
            known.filter(known.begin_utc_ms < known.valid_from),
            "R17",
            "key_not_yet_valid",
            quantity="time",
            expected="valid_from",
            found="begin_utc_ms",
            **on,
        ),
        raised(
            known.filter((end >= known.valid_to) & (end < known.revoked)),
            "R17",
            "key_expired",
            quantity="time",
            expected="valid_to",
            found=end,
            **on,
        ),
        raised(
            known.filter(end >= known.revoked),
            "R17",
            "key_revoked",
            quantity="time",
            expected="revoked",
            found=end,
            **on,
        ),
        raised(
            known.filter(known.meter_id != known.owner),
            "R17",
            "key_of_other_meter",
            expected_text="owner",
            found_text="meter_id",
            **on,
        ),
    ]


RULE = Rule(
    id="R17",
    name="key",
    title_zh="签名或密钥不可信",
    title_en="Signature or key not trusted",
    explain_zh="记录的签名不成立、无法判断，或签名所用密钥未登记、尚未生效、已过期、已吊销、属于其他电能表。",
    explain_en=(
        "The signature does not hold or cannot be judged, or its key is not registered, not yet or no longer valid, "
        "revoked, or another meter's."
    ),
    basis=(
        Basis("OCMF 1.4.1: keys travel out of band, e.g. in a central register", "confirmed"),
        Basis("Eichrecht: the meter's public key is registered with the authority (REA 6-A)", "confirmed"),
    ),
    causes=(
        Cause(
            "forged",
            Severity.GRAVE,
            True,
            "电能表 {meter} 的记录 {records} 签名不成立（{detail}）：内容被改动或并非该表所签。",
            "The record {records} of meter {meter} does not bear its signature ({detail}): altered, or not signed by it.",
        ),
        Cause(
            "cannot_judge",
            Severity.WARNING,
            False,
            "电能表 {meter} 的记录 {records} 的签名无法判断（{detail}）。",
            "The signature on record {records} of meter {meter} cannot be judged ({detail}).",
        ),
        Cause(
            "unsigned", Severity.WARNING, False, "记录 {records} 没有签名。", "Record {records} carries no signature."
        ),
        Cause(
            "key_not_registered",
            Severity.WARNING,
            False,
            "记录 {records} 的签名密钥未在登记册中。",
            "The key that signed record {records} is in no register.",
        ),
        Cause(
            "key_not_yet_valid",
            Severity.VIOLATION,
            False,
            "记录 {records} 所用密钥 {detail} 于 {expected} 才生效，记录时间为 {found}。",
            "Record {records} ({found}) is signed with key {detail}, which is valid only from {expected}.",
        ),
        Cause(
            "key_expired",
            Severity.VIOLATION,
            False,
            "记录 {records} 所用密钥 {detail} 已于 {expected} 到期，记录时间为 {found}。",
            "Record {records} ({found}) is signed with key {detail}, which expired at {expected}.",
        ),
        Cause(
            "key_revoked",
            Severity.GRAVE,
            True,
            "记录 {records} 所用密钥 {detail} 已于 {expected} 吊销，记录时间为 {found}。",
            "Record {records} ({found}) is signed with key {detail}, which is revoked as of {expected}.",
        ),
        Cause(
            "key_of_other_meter",
            Severity.GRAVE,
            True,
            "记录 {records} 自称来自电能表 {found}，其密钥 {detail} 却属于电能表 {expected}。",
            "Record {records} says it is of meter {found}; its key {detail} belongs to meter {expected}.",
        ),
        *(c for c in r17.CAUSES if c.id not in {"forged", "cannot_judge", "unsigned"}),
    ),
    example="""
        key    K1 M-C1 from=09:00 revoked=11:30
        order  O1 C1 10:00-11:00 20.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1 key=K1
        order  O2 C1 12:00-13:00 20.00
        record R2 C1 12:00-13:00 120.000-140.000 tx=O2 key=K1
        expect R17 key_revoked R2
    """,
    needs=("records",),
    on_facts=on_facts,
    same_on_facts=("forged", "cannot_judge", "key_came_with_record"),
    on_record=r17.on_record,
)
