"""Orders and meter records of a span of sessions, as both sides would honestly state them.

The two come from one plan: the meter's registers at the begin, at each change of price and at the end. Orders then
pass through their operator's habits (minutes, 0.01 kWh, a new order at midnight); records show the meter's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anxin.city.arrays import Bools, Ints
from anxin.city.plan import Plan, energy_at_wh
from anxin.city.tariffs import DAY_S, HABITS, Clockwork
from anxin.city.world import World

E4_WH_PER_CENT = 100_000  # a watt-hour at a price in ten-thousandths per kWh, in cents


@dataclass(slots=True)
class Pieces:
    """Rows cut at every change of price. `body` is the row cut, `tariff` the place in the clockwork."""

    body: Ints
    start: Ints
    end: Ints
    tariff: Ints


@dataclass(slots=True)
class Orders:
    """One row an order; `p_*` one row a tariff period; `first` where an order's periods begin (one entry more).

    Times are those shown. Money in cents (0.01 yuan). `loss_ppm`, `meter_*_wh` are -1 where the operator states none.
    `id_time` and `serial` make the order's id; `keep` False where the operator sends none.
    """

    session: Ints
    operator: Ints
    connector: Ints
    id_time: Ints
    serial: Ints
    start: Ints
    end: Ints
    energy_wh: Ints
    energy_cents: Ints
    service_cents: Ints
    meter_begin_wh: Ints
    meter_end_wh: Ints
    loss_ppm: Ints
    received: Ints
    again: Ints
    keep: Bools
    first: Ints
    p_start: Ints
    p_end: Ints
    p_energy_wh: Ints
    p_energy_price: Ints
    p_service_price: Ints
    p_energy_cents: Ints
    p_service_cents: Ints

    def span(self, row: int) -> slice:
        """The periods of one order."""
        return slice(int(self.first[row]), int(self.first[row + 1]))

    def total(self, row: int) -> None:
        """Add an order's periods up again after one of them was changed."""
        span = self.span(row)
        self.energy_wh[row] = self.p_energy_wh[span].sum()
        self.energy_cents[row] = self.p_energy_cents[span].sum()
        self.service_cents[row] = self.p_service_cents[span].sum()

    def price(self, row: int) -> None:
        """Compute an order's money from its energy, as its operator does, and add up."""
        span = self.span(row)
        self.p_energy_cents[span] = cents(self.p_energy_wh[span], self.p_energy_price[span])
        self.p_service_cents[span] = cents(self.p_energy_wh[span], self.p_service_price[span])
        self.total(row)


@dataclass(slots=True)
class Records:
    """One row a record (or a begin and end pair); `p_*` its readings but the first, in order.

    begin, end, p_time    by the meter's clock
    id_time, serial       make the transaction id under which it is sent
    resent                how far the meter's upload counter is ahead of its pages
    pair                  sent as a begin record of page_first and an end record of page_last
    cut_off               ended by a power failure
    forged_wh             what was added to the last reading after the meter had signed
    tail                  in a pair, the row whose end record is sent: itself, or a later session's in a splice
    payload               the row whose signed bytes are sent: itself, or an earlier record in a replay
    """

    session: Ints
    part: Ints
    operator: Ints
    connector: Ints
    meter: Ints
    begin: Ints
    end: Ints
    register_begin_wh: Ints
    register_end_wh: Ints
    page_first: Ints
    page_last: Ints
    resent: Ints
    pair: Bools
    cut_off: Bools
    forged_wh: Ints
    tail: Ints
    payload: Ints
    driver: Ints
    id_time: Ints
    serial: Ints
    received: Ints
    again: Ints
    keep: Bools
    first: Ints
    p_time: Ints
    p_register_wh: Ints


@dataclass
class Span:
    """A plan's rows `low` to `high` (whole connectors) with the orders and records made from them."""

    world: World
    plan: Plan
    low: int
    orders: Orders
    records: Records

    @cached_property
    def order_rows(self) -> dict[int, list[int]]:
        """Rows of orders for each cheated session of the span."""
        return _rows_by_session(self.orders.session, self.plan.cheat)

    @cached_property
    def record_rows(self) -> dict[int, list[int]]:
        """Rows of records for each cheated session of the span."""
        return _rows_by_session(self.records.session, self.plan.cheat)


def _rows_by_session(session: Ints, cheat: Ints) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row in np.flatnonzero(cheat[session] >= 0).tolist():
        rows.setdefault(int(session[row]), []).append(row)
    return rows


def cents(energy_wh: Ints, price_e4: Ints) -> Ints:
    """Return an amount in cents, rounded half up, for an energy and a price per kWh in ten-thousandths."""
    result: Ints = (energy_wh * price_e4 + E4_WH_PER_CENT // 2) // E4_WH_PER_CENT
    return result


def make_span(world: World, plan: Plan, low: int, high: int, clock: Clockwork) -> Span:
    """Return the orders and records of the plan's rows from `low` to before `high`."""
    part = plan.rows(slice(low, high))
    part.fake_of = np.where(part.fake_of >= 0, part.fake_of - low, -1)
    return Span(world, part, low, make_orders(world, part, clock), make_records(world, part, clock))


def cut(start: Ints, end: Ints, operator: Ints, clock: Clockwork) -> Pieces:
    """Cut each row at the tariff's boundaries strictly inside it."""
    offset = operator * clock.stride
    low = np.searchsorted(clock.key, start + offset, side="right") - 1
    high = np.searchsorted(clock.key, end + offset, side="left")
    count = np.maximum(high - low, 1)
    body = np.repeat(np.arange(len(start), dtype=np.int64), count)
    step = np.arange(len(body), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    tariff = low[body] + step
    begins = np.where(step == 0, start[body], clock.key[tariff] - offset[body])
    ends = np.where(step == count[body] - 1, end[body], np.roll(begins, -1))
    return Pieces(body, begins, ends, tariff)


def make_orders(world: World, plan: Plan, clock: Clockwork) -> Orders:
    """Return what the operators bill, before anybody cheats."""
    operator_of_session = world.connector_operator[plan.connector]
    habit = operator_of_session % len(HABITS)
    session, start, end = _bodies(plan, np.array([h.split_midnight for h in HABITS])[habit])
    operator, habit = operator_of_session[session], habit[session]
    step = np.array([h.energy_step_wh for h in HABITS], dtype=np.int64)[habit]
    minute = np.array([h.time_step_s for h in HABITS], dtype=np.int64)[habit]

    pieces = cut(start, end, operator, clock)
    body = pieces.body
    row = session[body]
    origin = energy_at_wh(plan, session, start - plan.start[session])
    # Each period shows the difference of two rounded sums, so that the periods add up to the rounded total.
    after = energy_at_wh(plan, row, pieces.end - plan.start[row]) - origin[body]
    before = energy_at_wh(plan, row, pieces.start - plan.start[row]) - origin[body]
    shown = (after + step[body] // 2) // step[body] * step[body] - (before + step[body] // 2) // step[body] * step[body]
    energy_price, service_price = clock.energy_price[pieces.tariff], clock.service_price[pieces.tariff]
    energy_cents, service_cents = cents(shown, energy_price), cents(shown, service_price)

    first = np.append(np.flatnonzero(np.diff(body, prepend=-1)), len(body))
    states_meter = np.array([h.meter_numbers for h in HABITS])[habit]
    meter_begin = plan.register_wh[session] + origin
    total = np.add.reduceat(shown, first[:-1])
    return Orders(
        session=session,
        operator=operator,
        connector=plan.connector[session],
        id_time=start,
        serial=plan.serial[session],
        start=start // minute * minute,
        end=-(-end // minute) * minute,
        energy_wh=total,
        energy_cents=np.add.reduceat(energy_cents, first[:-1]),
        service_cents=np.add.reduceat(service_cents, first[:-1]),
        meter_begin_wh=np.where(states_meter, meter_begin, -1),
        meter_end_wh=np.where(states_meter, meter_begin + total, -1),
        loss_ppm=np.where(np.array([h.loss_ratio for h in HABITS])[habit], 0, -1),
        received=plan.order_received[session],
        again=plan.order_again[session],
        keep=np.ones(len(session), dtype=np.bool_),
        first=first,
        p_start=pieces.start // minute[body] * minute[body],
        p_end=-(-pieces.end // minute[body]) * minute[body],
        p_energy_wh=shown,
        p_energy_price=energy_price,
        p_service_price=service_price,
        p_energy_cents=energy_cents,
        p_service_cents=service_cents,
    )


def _bodies(plan: Plan, splits: Bools) -> tuple[Ints, Ints, Ints]:
    """Return session, start and end of every order. A new one begins at midnight where energy flows on both sides."""
    everyone = np.arange(len(plan), dtype=np.int64)
    midnight = midnight_inside(plan)
    before = energy_at_wh(plan, everyone, midnight - plan.start)
    split = splits & (midnight > plan.start) & (before > 0) & (before < plan.energy_wh)
    session = np.repeat(everyone, 1 + split)
    second = np.zeros(len(session), dtype=np.bool_)
    second[1:] = session[1:] == session[:-1]
    start = np.where(second, midnight[session], plan.start[session])
    end = np.where(split[session] & ~second, midnight[session], plan.end[session])
    return session, start, end


def midnight_inside(plan: Plan) -> Ints:
    """Return the last midnight before each session's end; it lies inside where it is after the start."""
    result: Ints = (plan.end - 1) // DAY_S * DAY_S
    return result


def make_records(world: World, plan: Plan, clock: Clockwork) -> Records:
    """Return what the meters sign, before anybody cheats."""
    failed = plan.outage_s > 0
    session = np.repeat(np.arange(len(plan), dtype=np.int64), 1 + failed)
    second = np.zeros(len(session), dtype=np.bool_)
    second[1:] = session[1:] == session[:-1]
    cut_off = failed[session] & ~second
    resumed = plan.start + plan.outage_at_s + plan.outage_s
    start = np.where(second, resumed[session], plan.start[session])
    end = np.where(cut_off, (plan.start + plan.outage_at_s)[session], plan.end[session])
    connector = plan.connector[session]
    operator = world.connector_operator[connector]

    pieces = cut(start, end, operator, clock)
    row = session[pieces.body]
    counted = energy_at_wh(plan, row, pieces.end - plan.start[row])
    register = plan.register_wh[row] + counted
    first = np.append(np.flatnonzero(np.diff(pieces.body, prepend=-1)), len(pieces.body))
    page = plan.page[session] + second
    return Records(
        session=session,
        part=second.astype(np.int64),
        operator=operator,
        connector=connector,
        meter=connector.copy(),
        begin=start + world.clock_error_s(connector, start),
        end=end + world.clock_error_s(connector, end),
        register_begin_wh=plan.register_wh[session] + energy_at_wh(plan, session, start - plan.start[session]),
        register_end_wh=register[first[1:] - 1],
        page_first=page,
        page_last=page.copy(),
        resent=plan.resent[session],
        pair=np.zeros(len(session), dtype=np.bool_),
        cut_off=cut_off,
        forged_wh=np.zeros(len(session), dtype=np.int64),
        tail=np.arange(len(session), dtype=np.int64),
        payload=np.arange(len(session), dtype=np.int64),
        driver=plan.driver[session],
        id_time=plan.start[session],
        serial=plan.serial[session],
        received=plan.record_received[session],
        again=plan.record_again[session],
        keep=~plan.lost[session],
        first=first,
        p_time=pieces.end + world.clock_error_s(connector[pieces.body], pieces.end),
        p_register_wh=register,
    )
