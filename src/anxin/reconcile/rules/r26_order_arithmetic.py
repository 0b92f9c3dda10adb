"""R26: an order that contradicts itself: periods, sums, prices, its own registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.grouping import all_or_null, total
from anxin.reconcile.pricing import MAX_ENERGY_PRICED, MAX_PRICE_E4
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


MILLI_WH_PER_KWH = 1_000_000
DEFAULT_STEP_E4 = 100  # T/CEC 102: amounts carry two decimals


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders whose periods do not add up to their totals, whose money is not energy x price, or whose registers
    do not give their energy. Needs the order alone."""
    alone = _of_orders(ground, policy)
    return alone + _of_periods(ground, policy) if "order_periods" in ground.facts.present else alone


def _of_orders(ground: Ground, policy: Policy) -> list[Any]:
    """The order's two parts of money against its total, and its own registers against its energy."""
    orders = ground.orders
    on = {"order_no": "order_no", "at_utc_ms": "start_utc_ms"}
    split = orders.filter(orders.energy_amount_e4.notnull() & orders.service_amount_e4.notnull())
    split = split.mutate(parts_sum=split.energy_amount_e4 + split.service_amount_e4)
    step = DEFAULT_STEP_E4 * policy.int("bill.rounding_steps")
    split = split.filter((split.parts_sum - split.amount_e4).abs() > step)
    # Registers of 0 and 0 are an empty field of the dialect, not a reading.
    moved = orders.filter(orders.meter_end_milli_wh > 0)
    moved = moved.mutate(
        moved=moved.meter_end_milli_wh - moved.meter_begin_milli_wh,
        allowed=3 * moved.energy_quantum_milli_wh * policy.int("energy.display_digits_each_side"),
    )
    moved = moved.filter((moved.moved - moved.energy_milli_wh).abs() > moved.allowed)
    return [
        raised(split, "R26", "parts_money", quantity="amount", expected="parts_sum", found="amount_e4", **on),
        raised(moved, "R26", "own_registers", quantity="energy", expected="moved", found="energy_milli_wh",
               tolerance="allowed", **on),
    ]  # fmt: skip


def _of_periods(ground: Ground, policy: Policy) -> list[Any]:
    """Each period's money against its energy and price, and the sums of the periods against the totals."""
    steps = policy.int("bill.rounding_steps")
    digits = policy.int("energy.display_digits_each_side")
    orders = ground.orders
    periods = ground.order_periods.join(
        orders.select(
            "order_id", "content_digest", "order_no", "operator_id", "connector_id", "energy_quantum_milli_wh"
        ),
        ["order_id", "content_digest"],
    )
    on = {"order_no": "order_no", "at_utc_ms": "start_utc_ms"}
    # What exceeds these bounds is no bill (R10 speaks of it), and its product would exceed 64 bits.
    priced = periods.filter(
        (periods.energy_milli_wh.abs() <= MAX_ENERGY_PRICED) & (periods.energy_price_e4.abs() <= MAX_PRICE_E4)
    )
    # Money of a period: energy x price, rounded; the energy itself is shown to its last digit.
    price_digit = priced.energy_price_e4 * priced.energy_quantum_milli_wh // MILLI_WH_PER_KWH
    priced = priced.mutate(
        should=(priced.energy_milli_wh * priced.energy_price_e4 + MILLI_WH_PER_KWH // 2) // MILLI_WH_PER_KWH,
        allowed=price_digit + DEFAULT_STEP_E4 * steps,
    )
    wrong_money = priced.filter((priced.energy_amount_e4 - priced.should).abs() > priced.allowed)
    sums = periods.group_by("order_no").agg(
        parts=periods.count(),
        energy_sum=all_or_null(periods.energy_milli_wh, total(periods.energy_milli_wh)),
        money_sum=(ibis.coalesce(periods.energy_amount_e4, 0) + ibis.coalesce(periods.service_amount_e4, 0))
        .sum()
        .cast("int64"),
        complete=(periods.energy_amount_e4.notnull() & periods.service_amount_e4.notnull()).all(),
    )
    summed = orders.join(sums, "order_no")
    summed = summed.mutate(
        energy_allowed=(summed.parts + 1) * summed.energy_quantum_milli_wh * digits,
        money_allowed=(summed.parts + 1) * 2 * DEFAULT_STEP_E4 * steps,
    )
    wrong_energy = summed.filter((summed.energy_sum - summed.energy_milli_wh).abs() > summed.energy_allowed)
    wrong_total = summed.filter(summed.complete & ((summed.money_sum - summed.amount_e4).abs() > summed.money_allowed))
    return [
        raised(wrong_money, "R26", "period_money", quantity="amount", expected="should", found="energy_amount_e4",
               tolerance="allowed", detail=wrong_money.period_no.cast("string"), **on),
        raised(wrong_energy, "R26", "periods_energy", quantity="energy", expected="energy_sum",
               found="energy_milli_wh", tolerance="energy_allowed", **on),
        raised(wrong_total, "R26", "periods_money", quantity="amount", expected="money_sum", found="amount_e4",
               tolerance="money_allowed", **on),
    ]  # fmt: skip


RULE = Rule(
    id="R26",
    name="order_arithmetic",
    title_zh="订单自相矛盾",
    title_en="Order contradicts itself",
    explain_zh="订单各时段之和与合计不符、金额不等于电量乘单价，或自报起止表底数之差不等于电量。",
    explain_en="Periods do not add up to totals, money is not energy times price, or the order's own registers do not give its energy.",
    basis=(
        Basis("T/CEC 102 ChargeOrderInfo; cross-checks on one order", "derived"),
        Basis("YKC 0x3B: 电表总止值 - 电表总起值 = total energy", "confirmed"),
    ),
    causes=(
        Cause(
            "period_money",
            Severity.WARNING,
            False,
            "订单 {orders} 第 {detail} 时段电费 {found}，电量乘单价应为 {expected}。",
            "Order {orders}, period {detail}: charges {found} where energy times price is {expected}.",
        ),
        Cause(
            "periods_energy",
            Severity.WARNING,
            False,
            "订单 {orders} 总电量 {found} kWh，各时段合计 {expected} kWh。",
            "Order {orders} totals {found} kWh; its periods add up to {expected} kWh.",
        ),
        Cause(
            "periods_money",
            Severity.WARNING,
            False,
            "订单 {orders} 总金额 {found}，各时段合计 {expected}。",
            "Order {orders} totals {found}; its periods add up to {expected}.",
        ),
        Cause(
            "parts_money",
            Severity.WARNING,
            False,
            "订单 {orders} 总金额 {found}，电费与服务费合计 {expected}。",
            "Order {orders} totals {found}; energy and service money add up to {expected}.",
        ),
        Cause(
            "own_registers",
            Severity.WARNING,
            False,
            "订单 {orders} 计费 {found} kWh，其自报起止表底数之差为 {expected} kWh。",
            "Order {orders} bills {found} kWh; its own registers moved by {expected} kWh.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00 registers=100.000-115.000
        expect R26 own_registers O1
    """,
    on_facts=on_facts,
)
