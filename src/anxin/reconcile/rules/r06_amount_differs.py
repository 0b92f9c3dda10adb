"""R06: the amount billed is not what the signed energy costs under the published tariff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy

from anxin.reconcile.pricing import MAX_ENERGY_PRICED, price_range, priced_periods, with_tariff

MILLI_WH_PER_KWH = 1_000_000


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Prices that were not published, and sessions whose total is outside what their signed energy can cost.

    Where the record has the very tariff periods of the order, each period's signed energy is priced and the sum is
    exact. Else the total must lie between the signed energy at the lowest and at the highest price that the session
    touched; with one price that is exact as well. Rounding: `bill.rounding_steps` steps of money a rounded figure.
    """
    periods = priced_periods(ground.order_periods, ground.orders, ground.facts)
    off_price = periods.filter(
        (periods.energy_price_e4 != periods.published_energy_e4)
        | (periods.service_price_e4.notnull() & (periods.service_price_e4 != periods.published_service_e4))
    )
    off_price = off_price.mutate(
        billed_e4=off_price.energy_price_e4 + ibis.coalesce(off_price.service_price_e4, 0),
        published_e4=off_price.published_energy_e4
        + ibis.ifelse(off_price.service_price_e4.isnull(), 0, off_price.published_service_e4),
    )
    expected = _expected(ground, periods, policy)
    figures = {
        "quantity": "amount", "found": "amount_e4", "tolerance": "tolerance", "session_no": "session_no",
        "order_no": "order_no", "record_no": "record_no", "at_utc_ms": "order_start_utc_ms",
    }  # fmt: skip
    over = expected.filter(expected.amount_e4 > expected.high_e4 + expected.tolerance)
    under = expected.filter(expected.amount_e4 < expected.low_e4 - expected.tolerance)
    return [
        raised(
            off_price,
            "R06",
            "price_not_published",
            quantity="amount",
            expected="published_e4",
            found="billed_e4",
            order_no="order_no",
            at_utc_ms="start_utc_ms",
        ),
        raised(over, "R06", "amount_over", expected="high_e4", **figures),
        raised(under, "R06", "amount_under", expected="low_e4", **figures),
    ]


def _expected(ground: Ground, periods: Any, policy: Policy) -> Any:
    """Sessions with the bounds of what they can cost: low_e4, high_e4 and tolerance, in ten-thousandths."""
    sessions = ground.sessions.filter(
        (ground.sessions.orders > 0)
        & (ground.sessions.records > 0)
        & ground.sessions.amount_e4.notnull()
        & ground.sessions.record_energy_milli_wh.notnull()
        & ground.sessions.order_start_utc_ms.notnull()
        & (ground.sessions.record_energy_milli_wh.abs() <= MAX_ENERGY_PRICED)
    )
    steps = policy.int("bill.rounding_steps")
    # Sessions with periods on the order side.
    price = periods.published_energy_e4 + ibis.ifelse(
        periods.service_price_e4.isnull(), 0, periods.published_service_e4
    )
    periods = periods.mutate(price=price)
    # Members name the orders of sessions that are not one-to-one; a lone order's session follows from its number.
    among = ground.members.select("order_no", "session_no").distinct()
    placed = periods.left_join(among, "order_no")
    placed = placed.mutate(session=ibis.coalesce(placed.session_no, placed.order_no * 2))
    bounds = placed.group_by("session").agg(
        low=placed.price.min(), high=placed.price.max(), order_periods=placed.count(), step_e4=placed.step_e4.max()
    )
    # Nothing is guessed: every order of the session states its periods, and each of them has a published price.
    stated = _stated_periods(ground)
    bounds = bounds.join(stated, ["session", "order_periods"])
    with_periods = sessions.join(bounds, sessions.session_no == bounds.session)
    with_periods = with_periods.filter(with_periods.orders == with_periods.stated_orders)
    exact = _exact(ground, periods)
    detailed = with_periods.left_join(exact, "order_no")
    one_to_one = (
        (detailed.orders == 1)
        & (detailed.records == 1)
        & (detailed.exact_periods == detailed.order_periods)
        & (detailed.signed_periods == detailed.order_periods)
    )
    detailed = detailed.mutate(
        low_e4=ibis.ifelse(one_to_one, detailed.exact_e4, _cost(detailed.record_energy_milli_wh, detailed.low)),
        high_e4=ibis.ifelse(one_to_one, detailed.exact_e4, _cost(detailed.record_energy_milli_wh, detailed.high)),
    )
    # Sessions without periods: the whole tariff's range.
    plain = with_tariff(
        sessions.anti_join(stated, sessions.session_no == stated.session), "order_start_utc_ms", ground.facts
    )
    ranges = price_range(ground.facts).rename(low="low_e4", high="high_e4")
    plain = plain.join(ranges, "tariff_id").mutate(order_periods=ibis.literal(1, "int64"))
    plain = plain.mutate(
        low_e4=_cost(plain.record_energy_milli_wh, plain.low), high_e4=_cost(plain.record_energy_milli_wh, plain.high)
    )
    columns = ["session_no", "order_no", "record_no", "operator_id", "connector_id", "amount_e4",
               "low_e4", "high_e4", "order_start_utc_ms", "order_periods", "step_e4", "high",
               "order_quantum_milli_wh", "record_quantum_milli_wh"]  # fmt: skip
    both = detailed.select(columns).union(plain.select(columns))
    # Each period rounds energy and service apart, on both sides of the comparison; and the energies agree to a digit.
    rounding = both.order_periods * both.step_e4 * (2 * steps)
    digits = (both.order_quantum_milli_wh + both.record_quantum_milli_wh) * both.order_periods
    return both.mutate(tolerance=rounding + _cost(digits, both.high))


def _stated_periods(ground: Ground) -> Any:
    """Sessions whose orders state tariff periods: how many periods, and how many orders do."""
    orders = ground.orders.select("order_no", "order_id", "content_digest")
    each = ground.order_periods.join(orders, ["order_id", "content_digest"])
    each = each.group_by("order_no").agg(periods=each.count())
    each = each.left_join(ground.members.select("order_no", "session_no").distinct(), "order_no")
    each = each.mutate(session=ibis.coalesce(each.session_no, each.order_no * 2))
    return each.group_by("session").agg(order_periods=each.periods.sum().cast("int64"), stated_orders=each.count())


def _exact(ground: Ground, periods: Any) -> Any:
    """Orders whose record has tariff periods: the sum of each period's signed energy at its published price."""
    signed = ground.record_periods.join(ground.records.select("record_id", "record_no"), "record_id").select(
        "record_no", "period_no", signed_milli_wh="energy_milli_wh"
    )
    pairs = ground.sessions.filter((ground.sessions.orders == 1) & (ground.sessions.records == 1)).select(
        "order_no", "record_no"
    )
    signed = signed.join(pairs, "record_no").select("order_no", "period_no", "signed_milli_wh")
    both = periods.join(signed, ["order_no", "period_no"])
    priced = both.group_by("order_no").agg(
        exact_e4=_cost(both.signed_milli_wh, both.price).sum().cast("int64"), exact_periods=both.count()
    )
    return priced.join(signed.group_by("order_no").agg(signed_periods=signed.count()), "order_no")


def _cost(energy_milli_wh: Any, price_e4: Any) -> Any:
    return (energy_milli_wh * price_e4) // MILLI_WH_PER_KWH


RULE = Rule(
    id="R06",
    name="amount_differs",
    title_zh="金额不一致",
    title_en="Amount differs",
    explain_zh="用签名电量和公布的分时电价重新计算，订单金额不在应有范围内；或订单单价与公布价不同。",
    explain_en=(
        "Recomputed from the signed energy and the published time-of-use tariff, the amount is not what was billed; "
        "or a price was billed that was not published."
    ),
    basis=(
        Basis("OCPI issue #416: buyers cannot check whether a CPO overcharged", "confirmed"),
        Basis("T/CEC 102: policy prices carry four decimals, amounts two", "confirmed"),
    ),
    causes=(
        Cause(
            "price_not_published",
            Severity.VIOLATION,
            True,
            "订单 {orders} 按 {found} 元/kWh 计价，公布价为 {expected} 元/kWh。",
            "Order {orders} bills {found} per kWh where {expected} is published.",
        ),
        Cause(
            "amount_over",
            Severity.VIOLATION,
            True,
            "订单 {orders} 收费 {found}，按签名电量和公布电价最多为 {expected}，多收 {difference}（允差 {tolerance}）。",
            "Order {orders} charges {found}; the signed energy under the published tariff costs {expected} at most: "
            "{difference} too much (tolerance {tolerance}).",
        ),
        Cause(
            "amount_under",
            Severity.NOTE,
            False,
            "订单 {orders} 收费 {found}，按签名电量和公布电价至少为 {expected}，少收 {difference}（允差 {tolerance}）。",
            "Order {orders} charges {found}; the signed energy under the published tariff costs {expected} at least: "
            "{difference} too little (tolerance {tolerance}).",
        ),
    ),
    example="""
        tariff T1 0.8000+0.4000
        order  O1 C1 10:00-11:00 20.00 amount=24.00 tariff=T1
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1
        order  O2 C1 12:00-13:00 20.00 amount=26.00 tariff=T1
        record R2 C1 12:00-13:00 120.000-140.000 tx=O2
        expect R06 amount_over O2 R2
    """,
    needs=("orders", "records", "tariffs"),
    on_facts=on_facts,
)
