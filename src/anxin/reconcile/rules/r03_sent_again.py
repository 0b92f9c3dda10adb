"""R03: the same id with other content, or one signed record presented for two transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks import r03
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Re-sends that differ from what was sent first. Re-sends of the same content are honest and count once."""
    order_copies, record_copies = ground.order_copies, ground.record_copies
    differing = order_copies.filter(order_copies.differs)
    changed = differing.join(ground.facts.orders.semi_join(differing, "order_no"), "order_no")
    first = ground.facts.orders.select(kept_no="order_no", kept_energy="energy_milli_wh")
    changed = changed.join(first.semi_join(differing, "kept_no"), "kept_no")
    again = record_copies.filter(record_copies.differs)
    replayed = again.join(ground.facts.records.semi_join(again, "record_no"), "record_no")
    # The order that the replayed record was meant to cover, if one came.
    covered = ground.orders.filter(ground.orders.transaction_id.notnull()).select(
        "transaction_id", covered_no="order_no", operator_id="operator_id"
    )
    replayed = replayed.left_join(covered.semi_join(replayed, "transaction_id"), "transaction_id")
    return [
        raised(
            changed,
            "R03",
            "conflicting_resend",
            quantity="energy",
            expected="kept_energy",
            found="energy_milli_wh",
            order_no="order_no",
            at_utc_ms="start_utc_ms",
        ),
        raised(
            replayed,
            "R03",
            "replayed_record",
            quantity="energy",
            found="energy_milli_wh",
            detail="transaction_id",
            order_no="covered_no",
            record_no="record_no",
            at_utc_ms="begin_utc_ms",
        ),
    ]


RULE = Rule(
    id="R03",
    name="sent_again",
    title_zh="重复与改报",
    title_en="Sent again, with changes",
    explain_zh="内容相同的重传只计一次；同一编号内容不同，或同一份签名记录用于两笔交易，均须说明。",
    explain_en=(
        "A re-send of the same content counts once. The same id with other content, or one signed record presented "
        "for two transactions, must be explained."
    ),
    basis=(
        Basis("Promise 3: same id with other bytes is a conflict and a finding, never an overwrite", "derived"),
        Basis("OCMF 1.4.1, pagination: one record, one page", "confirmed"),
    ),
    causes=(
        Cause(
            "conflicting_resend",
            Severity.VIOLATION,
            False,
            "订单 {orders} 再次上传且内容不同：先报 {expected} kWh，后报 {found} kWh；以先报为准。",
            "Order {orders} was sent again with other content: first {expected} kWh, then {found} kWh; the first stands.",
        ),
        Cause(
            "replayed_record",
            Severity.GRAVE,
            False,
            "同一份电能表记录（{found} kWh）又被用于交易 {detail}。",
            "One meter record ({found} kWh) was presented again for transaction {detail}.",
        ),
        *r03.CAUSES,
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00
        order  O1 C1 10:00-11:00 25.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1
        expect R03 conflicting_resend O1
    """,
    on_facts=on_facts,
    same_on_facts=("same_record_in_file", "twin_signature_in_file"),
    on_record=r03.on_record,
)
