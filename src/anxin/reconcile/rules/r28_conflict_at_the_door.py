"""R28: two messages of one sender under one id with other bytes, as they came in at a door."""

from __future__ import annotations

from anxin.domain.finding import Severity
from anxin.domain.message import Conflict, Kind
from anxin.reconcile.rule import Basis, Cause, RawFinding, Rule

#: Of orders R03 says it, which compares what they say: a blank more in an order is no other order.
SAID_OF_CONTENT = frozenset({Kind.TCEC_ORDER, Kind.OCPI_CDR})


def on_conflict(conflict: Conflict) -> list[RawFinding]:
    """Return the one finding on a pair of messages that exclude one another."""
    if conflict.kind in SAID_OF_CONTENT:
        return []
    meters = conflict.kind is Kind.METER_ENVELOPE
    return [
        RawFinding(
            "R28",
            "counter_used_twice" if meters else "conflicting_message",
            expected_text=str(conflict.first_index),
            found_text=str(conflict.index),
            detail=conflict.message_id if meters else f"{conflict.kind.value} {conflict.sender} {conflict.message_id}",
            connector_id=conflict.connector_id,
            meter_id=conflict.meter_id,
            operator_id=conflict.operator_id,
            at_utc_ms=conflict.received_utc_ms,
        )
    ]


RULE = Rule(
    id="R28",
    name="conflict_at_the_door",
    title_zh="同一编号报送了不同内容",
    title_en="Other content under the same id",
    explain_zh="同一发送方以同一编号报送两份不同的报文，两份都留存，须说明以何为准。",
    explain_en="One sender used one id for two different messages. Both are kept; which one stands must be explained.",
    basis=(
        Basis("Promise 3: same id with other bytes is a conflict and a finding, never an overwrite", "derived"),
        Basis("Meter envelope AXE1: the counter rises with every envelope under one key", "derived"),
        Basis("NIST SP 800-38D section 8: a nonce is never used twice under one key", "confirmed"),
    ),
    causes=(
        Cause(
            "counter_used_twice",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 的密钥与计数 {detail} 封了两份不同的信封（第 {expected} 号与第 {found} 号报文）；计数只能用一次，两份均已留存。",
            "Meter {meter} sealed two different envelopes under key and counter {detail} (messages {expected} and "
            "{found}); a counter serves once. Both are kept.",
        ),
        Cause(
            "conflicting_message",
            Severity.VIOLATION,
            False,
            "{detail}：同一编号报送了两份不同内容（第 {expected} 号与第 {found} 号报文），两份均已留存，须说明以何为准。",
            "{detail}: two different messages came under one id (messages {expected} and {found}). Both are kept; which "
            "one stands must be explained.",
        ),
    ),
    example="""
        message bench.result   bench-1   JD-2026-0001 passed
        message bench.result   bench-1   JD-2026-0001 failed
        message tcec102.order  123456789 O1           20.00
        message tcec102.order  123456789 O1           25.00
        expect R28 conflicting_message 0 1
    """,
    needs=("messages",),
    on_conflict=on_conflict,
)
