"""R19: verification expired, seal broken, firmware not the approved one, at the time of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Sessions on chargers that were not entitled to measure at that time, as far as the register says."""
    facts = ground.facts
    found: list[Any] = []
    chargers = facts.connectors.select("connector_id", "charger_id")
    sessions = ground.sessions.select(
        "session_no", "order_no", "record_no", "connector_id", "operator_id",
        at=ibis.coalesce(ground.sessions.record_begin_utc_ms, ground.sessions.order_start_utc_ms),
    )  # fmt: skip
    on = {"session_no": "session_no", "order_no": "order_no", "record_no": "record_no", "at_utc_ms": "at"}
    if {"connectors", "verifications"} <= facts.present:
        # The verification in force is the latest one passed before the session: a later, shorter one replaces an
        # earlier, longer one, and a failed one gives no validity.
        verifications = facts.verifications
        passed = verifications.filter(verifications.passed)
        # Two of one moment: the longer one.
        passed = passed.group_by(["charger_id", "verified_utc_ms"]).agg(valid_to_utc_ms=passed.valid_to_utc_ms.max())
        last = sessions.join(chargers, "connector_id").join(passed, "charger_id")
        last = last.filter(last.verified_utc_ms <= last.at)
        newest = last.group_by("session_no").agg(valid_to=last.valid_to_utc_ms.argmax(last.verified_utc_ms))
        expired = sessions.join(newest, "session_no")
        expired = expired.filter(expired.at >= expired.valid_to)
        # Small side first: only chargers with a failed verification need the order of their verifications.
        failing = verifications.filter(~verifications.passed)
        failed = sessions.join(chargers, "connector_id").join(
            failing.select("charger_id", failed_at="verified_utc_ms"), "charger_id"
        )
        failed = failed.filter(failed.failed_at <= failed.at)
        passed_since = failed.join(
            verifications.filter(verifications.passed).select("charger_id", passed_at="verified_utc_ms"), "charger_id"
        )
        passed_since = passed_since.filter(
            (passed_since.passed_at > passed_since.failed_at) & (passed_since.passed_at <= passed_since.at)
        )
        failed = failed.anti_join(passed_since, ["session_no", "failed_at"])
        failed = failed.group_by(["session_no", "order_no", "record_no", "connector_id", "operator_id", "at"])
        failed = failed.agg(failed_at=ibis._.failed_at.max())
        found += [
            raised(expired, "R19", "verification_expired", quantity="time", expected="valid_to", found="at", **on),
            raised(failed, "R19", "verification_failed", quantity="time", expected="failed_at", found="at", **on),
        ]
    if {"connectors", "seals"} <= facts.present:
        broken = facts.seals.filter(facts.seals.broken_utc_ms.notnull()).select(
            "seal_id", "charger_id", "broken_utc_ms", "checked_utc_ms",
            replaced=ibis.coalesce(facts.seals.replaced_utc_ms, 2**62),
        )  # fmt: skip
        hit = sessions.join(chargers.join(broken, "charger_id"), "connector_id")
        said = {"quantity": "time", "expected": "broken_utc_ms", "found": "at", "detail": "seal_id", **on}
        # Nobody knows when it broke: only that it was whole at the last good check.
        since = hit.filter((hit.at >= hit.checked_utc_ms) & (hit.at < hit.broken_utc_ms))
        hit = hit.filter((hit.at >= hit.broken_utc_ms) & (hit.at < hit.replaced))
        found += [
            raised(hit, "R19", "seal_broken", **said),
            raised(since, "R19", "seal_doubtful", **{**said, "expected": "checked_utc_ms"}),
        ]
    if "meters" in facts.present:
        approved = facts.meters.filter(facts.meters.approved_firmware.notnull()).select(
            "meter_id", "approved_firmware", "installed_utc_ms",
            removed=ibis.coalesce(facts.meters.removed_utc_ms, 2**62),
        )  # fmt: skip
        running = ground.records.filter(ground.records.firmware.notnull()).select(
            "record_no", "meter_id", "connector_id", "firmware", "begin_utc_ms"
        )
        running = running.join(approved, "meter_id")
        listed = ("," + running.approved_firmware + ",").contains("," + running.firmware + ",")
        other = running.filter(
            ~listed & (running.begin_utc_ms >= running.installed_utc_ms) & (running.begin_utc_ms < running.removed)
        )
        found.append(
            raised(
                other,
                "R19",
                "firmware_not_approved",
                expected_text="approved_firmware",
                found_text="firmware",
                record_no="record_no",
                at_utc_ms="begin_utc_ms",
            )
        )
    return found


RULE = Rule(
    id="R19",
    name="seal_verification",
    title_zh="铅封、检定或固件不合规",
    title_en="Seal, verification or firmware not in order",
    explain_zh="充电时该桩检定已过期或不合格、铅封已破坏，或电能表固件不是批准的版本。",
    explain_en="At the time of the session the verification had expired or failed, a seal was broken, or the firmware was not approved.",
    basis=(
        Basis(
            "JJG 1148/1149-2022 as practised in Hangzhou: in-use period 3 years; seal on the meter or metering module",
            "confirmed",
        ),
        Basis(
            "Hangzhou market regulator, description of its platform (2022): double seals, physical and electronic",
            "confirmed",
        ),
        Basis("WELMEC 7.2 P2: software identification", "confirmed"),
    ),
    causes=(
        Cause(
            "verification_expired",
            Severity.VIOLATION,
            False,
            "接口 {connector} 的检定有效期至 {expected}，{found} 仍在计费充电。",
            "The verification of connector {connector} ended at {expected}; it charged at {found}.",
        ),
        Cause(
            "verification_failed",
            Severity.GRAVE,
            False,
            "接口 {connector} 于 {expected} 检定不合格，{found} 仍在计费充电。",
            "Connector {connector} failed its verification at {expected}; it charged at {found}.",
        ),
        Cause(
            "seal_broken",
            Severity.GRAVE,
            False,
            "接口 {connector} 的铅封 {detail} 于 {expected} 破坏，{found} 仍在计费充电。",
            "Seal {detail} of connector {connector} was broken at {expected}; it charged at {found}.",
        ),
        Cause(
            "seal_doubtful",
            Severity.WARNING,
            False,
            "接口 {connector} 的铅封 {detail} 于 {expected} 最后一次查见完好，其后被发现破坏；{found} 的充电在这段时间内，计量存疑。",
            "Seal {detail} of connector {connector} was last seen whole at {expected} and was found broken later; the "
            "session of {found} lies between.",
        ),
        Cause(
            "firmware_not_approved",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 运行固件 {found}，批准的是 {expected}。",
            "Meter {meter} runs firmware {found}; approved is {expected}.",
        ),
    ),
    example="""
        connector C1 60kW
        seal   S1 C1 broken=09:30
        order  O1 C1 10:00-11:00 20.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1
        expect R19 seal_broken O1 R1
    """,
    needs=(),
    on_facts=on_facts,
)
