"""Assured (安心): a computed state of a charger, with its reasons. Unknown is not met, and nothing is assumed.

A charger is assured where every reason is met. Each is a plain question that an inspector could answer by looking:

    verified     its latest verification passed and is in date
    seals        it has a physical and an electronic seal, and none is broken
    meter        each connector has a meter with a registered key, and no record names a firmware that is not approved
    alarms       no grave alarm is open
    bias         nothing suspects its meter or its bills (surveillance)
    heard        it is heard of, and not silent against its own rhythm
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anxin.domain.register import Seal, Verification

SEAL_KINDS = ("physical", "electronic")
#: code -> (Chinese, English), in the order in which they are shown.
REASONS: dict[str, tuple[str, str]] = {
    "verified": ("检定合格且在有效期内", "verified, and in date"),
    "seals": ("铅封与电子封印均完好", "physical and electronic seal are whole"),
    "meter": ("电能表有登记的公钥，固件为批准版本", "the meter's key is registered, its firmware approved"),
    "alarms": ("没有未办结的严重告警", "no grave alarm is open"),
    "bias": ("未发现计量或计费偏差迹象", "nothing suspects its meter or bills"),
    "heard": ("数据正常上报", "its data come in"),
}


@dataclass(frozen=True, slots=True)
class ChargerFacts:
    """What is known of one charger. None of a question: nobody can say.

    verifications, seals   of the register, with what benches and inspectors reported
    keyed_meters           whether each connector has a meter with a valid key; None: no meter is registered
    """

    verifications: Sequence[Verification]
    seals: Sequence[Seal]
    keyed_meters: bool | None
    firmware_fault: bool
    grave_alarm: bool
    suspected: bool
    heard: bool | None


def reasons_of(facts: ChargerFacts, now_utc_ms: int) -> dict[str, bool | None]:
    """Return, by code of REASONS, whether it is met; None: unknown."""
    return {
        "verified": _verified(facts.verifications, now_utc_ms),
        "seals": _sealed(facts.seals, now_utc_ms),
        "meter": None if facts.keyed_meters is None else facts.keyed_meters and not facts.firmware_fault,
        "alarms": not facts.grave_alarm,
        "bias": not facts.suspected,
        "heard": facts.heard,
    }


def _verified(made: Sequence[Verification], now_utc_ms: int) -> bool | None:
    if not made:
        return None
    # Of two of one moment the failed one counts.
    last = max(made, key=lambda v: (v.verified_utc_ms, not v.passed))
    return last.passed and now_utc_ms <= last.valid_to_utc_ms


def _sealed(seals: Sequence[Seal], now_utc_ms: int) -> bool | None:
    if not seals:
        return None
    states = [(s.kind, seal_state(s, now_utc_ms)) for s in seals]
    # A register may say that a seal was replaced without an entry of the new one.
    whole = {kind for kind, state in states if state != "broken"}
    return whole.issuperset(SEAL_KINDS) and all(state != "broken" for _, state in states)


def seal_state(seal: Seal, now_utc_ms: int) -> str:
    """Return how a seal of the register stands at a moment: `whole`, `broken` or `replaced`."""
    if seal.broken_utc_ms is None or seal.broken_utc_ms > now_utc_ms:
        return "whole"
    return "broken" if seal.replaced_utc_ms is None or seal.replaced_utc_ms > now_utc_ms else "replaced"
