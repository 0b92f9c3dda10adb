"""The answer to `query_supplement_info`: orders that were asked for again, each as the exact bytes that were sent."""

from __future__ import annotations

import msgspec

from anxin.domain.errors import FormatError
from anxin.formats import json_document

#: Orders of one answer: 20 are asked for; a platform that answers with a day's is cut off.
MAX_ORDERS = 10_000


class _Answer(msgspec.Struct):
    orders: list[msgspec.Raw] = msgspec.field(name="ChargeOrderInfos")


def order_texts(data: bytes) -> list[bytes]:
    """Return the bytes of each order inside an answer. Raises FormatError `tcec102.supplement`, `json.*`."""
    json_document.loads(data)  # strict: no key twice, no depth beyond the limit
    try:
        orders = msgspec.json.decode(data, type=_Answer).orders
    except msgspec.MsgspecError:
        raise FormatError("tcec102.supplement", "no list ChargeOrderInfos", "ChargeOrderInfos") from None
    if len(orders) > MAX_ORDERS:
        raise FormatError("tcec102.supplement", f"more than {MAX_ORDERS} ChargeOrderInfos", "ChargeOrderInfos")
    return [bytes(order) for order in orders]
