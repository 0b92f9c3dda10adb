"""Which published price holds: tariffs by id or by operator, their time-of-use periods by the local minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

if TYPE_CHECKING:
    from anxin.reconcile.facts import Facts

MS_PER_MINUTE = 60_000
MINUTES_PER_DAY = 1_440
#: What is multiplied: at most 100 MWh and 1000 currency units per kWh, so that the product fits 64 bits.
MAX_ENERGY_PRICED = 10**11
MAX_PRICE_E4 = 10**7


def with_tariff(table: Any, start: str, facts: Facts) -> Any:
    """Return the rows of `table` for which one published tariff holds at `start`, with its columns.

    `table` has operator_id and tariff_id. A row that names its tariff gets that one; a row that names none gets its
    operator's, where the operator never has two at a time. Rows without a tariff are left out: nothing is guessed.
    """
    tariffs = facts.tariffs.select(
        "tariff_id",
        tariff_operator="operator_id",
        valid_from="valid_from_utc_ms",
        valid_to=ibis.coalesce(facts.tariffs.valid_to_utc_ms, ibis.literal(2**62)),
        offset_minutes="utc_offset_minutes",
        step_e4="rounding_e4",
    )
    other = tariffs.view()
    clashing = tariffs.join(
        other,
        (tariffs.tariff_operator == other.tariff_operator)
        & (tariffs.tariff_id != other.tariff_id)
        & (tariffs.valid_from < other.valid_to)
        & (other.valid_from < tariffs.valid_to),
    ).select(tariff_operator=tariffs.tariff_operator)
    single = tariffs.anti_join(clashing.distinct(), "tariff_operator")
    named = table.filter(table.tariff_id.notnull()).join(tariffs, "tariff_id")
    unnamed = table.filter(table.tariff_id.isnull()).drop("tariff_id")
    unnamed = unnamed.join(single, unnamed.operator_id == single.tariff_operator)
    columns = [c for c in named.columns if not c.endswith("_right")]
    both = named.select(columns).union(unnamed.select(columns))
    return both.filter((both[start] >= both.valid_from) & (both[start] < both.valid_to))


def price_range(facts: Facts) -> Any:
    """Return each tariff's lowest and highest price per kWh, energy and service together, in ten-thousandths."""
    periods = facts.tariff_periods
    both = periods.energy_price_e4 + periods.service_price_e4
    return periods.group_by("tariff_id").agg(low_e4=both.min(), high_e4=both.max())


def priced_periods(order_periods: Any, ground_orders: Any, facts: Facts) -> Any:
    """Return the orders' tariff periods with the published prices of the minute at which each starts.

    Columns: order_no, operator_id, connector_id, period_no, start_utc_ms, energy_milli_wh, billed energy_price_e4 and
    service_price_e4, published_energy_e4, published_service_e4, step_e4.
    """
    orders = ground_orders.select("order_no", "order_id", "content_digest", "operator_id", "connector_id", "tariff_id")
    periods = order_periods.join(orders, ["order_id", "content_digest"])
    periods = with_tariff(periods.filter(periods.start_utc_ms.notnull()), "start_utc_ms", facts)
    minute = (periods.start_utc_ms // MS_PER_MINUTE + periods.offset_minutes) % MINUTES_PER_DAY
    periods = periods.mutate(minute=minute)
    published = facts.tariff_periods.select(
        "minute_from",
        "minute_to",
        published_tariff="tariff_id",
        published_energy_e4="energy_price_e4",
        published_service_e4="service_price_e4",
    )
    both = periods.join(published, periods.tariff_id == published.published_tariff)
    both = both.filter((both.minute >= both.minute_from) & (both.minute < both.minute_to))
    return both.select(
        "order_no", "operator_id", "connector_id", "period_no", "start_utc_ms", "energy_milli_wh",
        "energy_price_e4", "service_price_e4", "published_energy_e4", "published_service_e4", "step_e4",
    )  # fmt: skip
