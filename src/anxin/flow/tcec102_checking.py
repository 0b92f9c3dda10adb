"""The answer to `check_charge_orders`: which of the orders that an operator lists are not kept as he states them.

What is kept counts from the moment of its receipt, judged or not. Where one id was sent with different contents, the
first stands, as in rule R03. All figures are whole numbers; the answer writes them as exact decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any

from anxin.domain.quantities import E4_PER_CURRENCY_UNIT, MILLI_WH_PER_KWH
from anxin.flow.platform import Platform
from anxin.formats import tcec102
from anxin.formats.tcec102_check import ListedOrder, listed_orders
from anxin.store import order_lookup

#: Message ids of orders that this platform asked for itself begin so.
PULLED = "query_supplement_info/"


class Reason(IntEnum):
    """T/CEC 102.3 `DisputeReason`. An order whose energy and money both differ is disputed for its energy."""

    NO_SUCH_ORDER = 1
    MONEY = 2
    ENERGY = 3


@dataclass(frozen=True, slots=True)
class Dispute:
    """One disputed order: as listed, and as kept (None where nothing is)."""

    listed: ListedOrder
    reason: Reason
    kept_energy_milli_wh: int | None = None
    kept_amount_e4: int | None = None


def disputes(platform: Platform, operator_id: str, payload: bytes) -> list[Dispute]:
    """Return the disputed orders of one check, in its order. Raises FormatError, StoreError."""
    listed = listed_orders(payload, "check")
    kept = kept_orders(platform, operator_id, sorted({o.order_id for o in listed}))
    found = []
    for order in listed:
        if order.order_id not in kept:
            found.append(Dispute(order, Reason.NO_SUCH_ORDER))
            continue
        energy, amount = kept[order.order_id]
        if energy != order.energy_milli_wh:
            found.append(Dispute(order, Reason.ENERGY, energy, amount))
        elif amount != order.amount_e4:
            found.append(Dispute(order, Reason.MONEY, energy, amount))
    return found


def kept_orders(platform: Platform, operator_id: str, order_ids: list[str]) -> dict[str, tuple[int | None, int | None]]:
    """Return (energy in mWh, amount in e4) of those of an operator's orders that are kept."""
    # The unjudged first: an order that becomes a fact in between is then found twice, and never missed.
    names = [*order_ids, *(f"{PULLED}{order_id}" for order_id in order_ids)]
    waiting = order_lookup.unjudged_orders(platform.database, operator_id, names)
    kept = order_lookup.judged_orders(platform.database, operator_id, order_ids)
    for payload in waiting:
        for order in tcec102.decode(payload, "kept", zone=platform.settings.zone).orders:
            kept.setdefault(order.order_id, (order.energy_milli_wh, order.amount_e4))
    return kept


def answer(found: list[Dispute]) -> dict[str, Any]:
    """Return the standard's fields; `KeptPower` and `KeptMoney` are ours and say what is kept."""
    return {
        "TotalDisputeOrder": len(found),
        "TotalDisputePower": _kwh(sum(d.listed.energy_milli_wh for d in found)),
        "TotalDisputeMoney": _yuan(sum(d.listed.amount_e4 for d in found)),
        "DisputeOrders": [
            {
                "StartChargeSeq": d.listed.order_id,
                "TotalPower": _kwh(d.listed.energy_milli_wh),
                "TotalMoney": _yuan(d.listed.amount_e4),
                "DisputeReason": int(d.reason),
                "KeptPower": None if d.kept_energy_milli_wh is None else _kwh(d.kept_energy_milli_wh),
                "KeptMoney": None if d.kept_amount_e4 is None else _yuan(d.kept_amount_e4),
            }
            for d in found
        ],
    }


def _kwh(value_milli_wh: int) -> Decimal:
    return (Decimal(value_milli_wh) / MILLI_WH_PER_KWH).normalize() + 0


def _yuan(value_e4: int) -> Decimal:
    return (Decimal(value_e4) / E4_PER_CURRENCY_UNIT).normalize() + 0
