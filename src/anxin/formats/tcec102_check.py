"""The list of orders inside a T/CEC 102 `check_charge_orders`: what an operator says of each one."""

from __future__ import annotations

from dataclasses import dataclass

from anxin.domain.errors import FormatError
from anxin.domain.quantities import amount_e4, energy_milli_wh
from anxin.domain.source import Source
from anxin.formats import json_document
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.tcec102_fields import CHECK_FIELDS, CLAUSE_CHECK, LISTED_ORDER_FIELDS
from anxin.formats.tcec102_item import Item

#: Orders listed in one check: a day of 5,000 chargers; whoever has more checks by the hour.
MAX_LISTED_ORDERS = 100_000


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """One entry of the list: energy and money as the operator states them."""

    order_id: str
    energy_milli_wh: int
    amount_e4: int


def listed_orders(data: bytes, source_file: str) -> list[ListedOrder]:
    """Return the orders that a check lists, none where it lists none.

    Raises FormatError naming the entry: `tcec102.check_list`, `tcec102.missing`, `tcec102.shape`, `number.*`, `text.*`.
    """
    log = DeviationLog()  # what is odd about the whole check is noted where its total is read
    top = Item(json_document.loads(data), CHECK_FIELDS, CLAUSE_CHECK, Source(source_file, 1), log)
    listed = top.named.get("ChargeOrders")
    if listed is None:
        return []
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list) or len(listed) > MAX_LISTED_ORDERS:
        raise FormatError(
            "tcec102.check_list", f"ChargeOrders is no list of at most {MAX_LISTED_ORDERS} orders", "ChargeOrders"
        )
    found = []
    for number, value in enumerate(listed):
        where = f"ChargeOrders[{number}]"
        try:
            item = Item(value, LISTED_ORDER_FIELDS, CLAUSE_CHECK, Source(source_file, number + 1), log)
            energy, money = item.number("TotalPower"), item.number("TotalMoney")
            if energy is None or money is None:
                raise FormatError("tcec102.missing", "TotalPower or TotalMoney is missing", None)
            found.append(ListedOrder(item.needed_text("StartChargeSeq"), energy_milli_wh(energy), amount_e4(money)))
        except FormatError as error:
            raise FormatError(error.rule, str(error), f"{where}.{error.field}" if error.field else where) from None
    return found
