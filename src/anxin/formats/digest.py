"""The content digest of an order: the same id with the same digest is a re-send, with another one a conflict.

Canonical form: one JSON array without blanks, ASCII only, of the meaning-bearing fields in the order below, then one
array per tariff period. Integers stand in the domain's units, absent values as null. When an order arrived, in which
file, and how many digits it showed are no part of what it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from anxin.domain.order import Order, OrderPeriod

ORDER_FIELDS = (
    "order_id",
    "operator_id",
    "connector_id",
    "transaction_id",
    "meter_id",
    "start_utc_ms",
    "end_utc_ms",
    "energy_milli_wh",
    "amount_e4",
    "energy_amount_e4",
    "service_amount_e4",
    "currency",
    "tariff_id",
    "meter_begin_milli_wh",
    "meter_end_milli_wh",
    "loss_ratio_ppm",
    "requested_energy_milli_wh",
)
PERIOD_FIELDS = (
    "period_no",
    "start_utc_ms",
    "end_utc_ms",
    "energy_milli_wh",
    "energy_price_e4",
    "service_price_e4",
    "energy_amount_e4",
    "service_amount_e4",
)

_order_values = attrgetter(*ORDER_FIELDS)
_period_values = attrgetter(*PERIOD_FIELDS)
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def order_digest(order: Order, periods: Iterable[OrderPeriod] = ()) -> str:
    """Return SHA-256 (lower-case hex) over the canonical form; `content_digest` as it stands is not looked at."""
    return digest_of_values(_order_values(order), [_period_values(period) for period in periods])


def digest_of_values(order_values: tuple[object, ...], period_values: Iterable[tuple[object, ...]] = ()) -> str:
    """Return the same digest from bare values in the order of ORDER_FIELDS and PERIOD_FIELDS (for bulk readers)."""
    return hashlib.sha256(_encode([order_values, *period_values]).encode("ascii")).hexdigest()


def with_digest(order: Order, periods: Iterable[OrderPeriod] = ()) -> tuple[Order, list[OrderPeriod]]:
    """Return the order and its periods, all bearing the digest computed over them."""
    kept = list(periods)
    digest = order_digest(order, kept)
    return replace(order, content_digest=digest), [replace(period, content_digest=digest) for period in kept]
