"""What really happens: every charging session as a row of arrays, before anybody writes an order or a record.

Times are seconds since the city's first local midnight; energies are watt-hours, the meters' resolution
(0.001 kWh, the minimum energy variable of JJG 1148/1149-2022). Rows stand by connector, then by time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from anxin.city.arrays import Bools, Floats, Ints, Stream, generator, served_in_turn, sums_before
from anxin.city.options import MessRates
from anxin.city.tariffs import DAY_S
from anxin.city.world import AC_BELOW_W, World

#: Least time between two sessions of one connector: unplug, drive off, plug in.
GAP_S = 180
MINUTE_S, HOUR_S = 60, 3_600
#: Share of full power at which a DC session arrives when the battery is full, and where the taper begins.
TAPER_SOC, TAPER_END = 0.8, 0.12
TAPER_SLOPE = (1 - TAPER_END) / (1 - TAPER_SOC)
NEVER = 10**9

# Relative arrivals by hour of the day. Sources: the shape (noon, evening, valley price at 23:00) is what public
# load studies of Chinese cities agree on; the figures are the city's own.
DC_WORKDAY = (6, 4, 3, 2, 2, 3, 5, 7, 8, 8, 9, 12, 14, 13, 9, 8, 8, 10, 12, 12, 11, 10, 9, 16)
DC_WEEKEND = (7, 5, 3, 2, 2, 2, 3, 5, 7, 10, 12, 14, 14, 13, 12, 12, 12, 12, 12, 11, 11, 10, 9, 15)
AC_WORKDAY = (4, 2, 1, 1, 1, 1, 3, 7, 12, 9, 5, 4, 5, 5, 4, 4, 5, 9, 14, 14, 11, 9, 8, 16)
AC_WEEKEND = (5, 3, 1, 1, 1, 1, 2, 4, 6, 8, 9, 8, 7, 7, 7, 7, 8, 9, 10, 11, 10, 9, 9, 15)
#: Monday to Sunday.
DAY_WEIGHTS = (0.97, 0.95, 0.95, 0.98, 1.1, 1.08, 0.97)
BATTERY_WH = (32_000, 45_000, 52_000, 60_000, 71_000, 82_000, 100_000)
BATTERY_SHARE = (0.1, 0.14, 0.18, 0.24, 0.16, 0.12, 0.06)


@dataclass(slots=True)
class Plan:
    """One row a session.

    charge_s          how long energy flows; an AC car stays plugged in longer than that
    power_w, taper_s, capacity_wh   the curve: constant power, from `taper_s` on an exponential taper
    outage_at_s, outage_s   a power failure that many seconds into the session (NEVER: none), and its length
    order_received, record_received   when each came in; `_again` the second time (-1: once only)
    lost              the record never arrives
    energy_wh         what the meter counted
    fake_of           row whose record is replayed for this session, which never took place (-1: it did)
    cheat             number of the cheat that touches this row, -1 none
    records, page     how many records the meter signed for the row, and the page of the first
    resent            uploads of old records before this row, by which the upload counter runs ahead of the page
    register_wh       the meter's register at the begin
    serial            distinguishes orders; stays when rows are inserted
    """

    connector: Ints
    start: Ints
    duration: Ints
    charge_s: Ints
    power_w: Floats
    taper_s: Floats
    capacity_wh: Floats
    outage_at_s: Ints
    outage_s: Ints
    driver: Ints
    order_received: Ints
    record_received: Ints
    order_again: Ints
    record_again: Ints
    lost: Bools
    energy_wh: Ints
    fake_of: Ints
    cheat: Ints
    records: Ints
    page: Ints
    resent: Ints
    register_wh: Ints
    serial: Ints

    def __len__(self) -> int:
        return len(self.connector)

    @property
    def end(self) -> Ints:
        """End of each session."""
        return self.start + self.duration

    def rows(self, index: Ints | slice) -> Plan:
        """Return the rows at `index` as a plan of their own (fake_of still counts in the whole plan)."""
        return Plan(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def insert(self, before: Ints, rows: Plan) -> None:
        """Put `rows` in before the given rows. Row numbers inside fake_of are carried along.

        One array after the other, because two whole plans of a large city would not fit the memory.
        """
        for f in fields(self):
            setattr(self, f.name, np.insert(getattr(self, f.name), before, getattr(rows, f.name)))
        shift = np.searchsorted(np.sort(before), self.fake_of, side="right")
        self.fake_of = np.where(self.fake_of >= 0, self.fake_of + shift, -1)


def energy_at_wh(plan: Plan, row: Ints, elapsed_s: Ints) -> Ints:
    """Return what the meter has counted `elapsed_s` into the session at `row`, in whole watt-hours."""
    stood_still = np.clip(elapsed_s - plan.outage_at_s[row], 0, plan.outage_s[row])
    flowing = np.clip(elapsed_s - stood_still, 0, plan.charge_s[row]).astype(np.float64)
    return _curve_wh(flowing, plan.power_w[row], plan.taper_s[row], plan.capacity_wh[row])


def _curve_wh(seconds: Floats, power_w: Floats, taper_s: Floats, capacity_wh: Floats) -> Ints:
    """Constant power until `taper_s`; then dE/dt = P (1 - a (SOC - 0.8)), whose solution is an exponential."""
    steady = np.minimum(seconds, taper_s) * power_w / HOUR_S
    rate = TAPER_SLOPE * power_w / (capacity_wh * HOUR_S)
    tail = capacity_wh / TAPER_SLOPE * -np.expm1(-rate * np.maximum(seconds - taper_s, 0.0))
    return np.rint(steady + tail).astype(np.int64)


def make_plan(world: World) -> Plan:
    """Return the sessions that really take place, with what honestly goes wrong, in the order of the meters."""
    options = world.options
    rng = generator(options.seed, Stream.SESSIONS)
    count = options.session_count
    connector, arrival = _arrivals(world, rng)
    power_w, taper_s, capacity_wh, charge_s, idle_s = _shapes(world, connector, rng)

    mess = generator(options.seed, Stream.MESS)
    outage_at_s, outage_s = _outages(options.rates, charge_s, mess)
    duration = charge_s + idle_s + outage_s
    start = served_in_turn(arrival, duration + GAP_S, connector)
    received, again = _uploads(options.rates, start + duration, mess)
    record_received, record_again = _uploads(options.rates, start + duration, mess)
    lost = _lost(options.rates, connector, mess)

    nothing = np.full(count, -1, dtype=np.int64)
    return Plan(
        connector=connector,
        start=start,
        duration=duration,
        charge_s=charge_s,
        power_w=power_w,
        taper_s=taper_s,
        capacity_wh=capacity_wh,
        outage_at_s=outage_at_s,
        outage_s=outage_s,
        driver=rng.integers(0, max(1, count // 7), count),
        order_received=received,
        record_received=record_received,
        order_again=again,
        record_again=record_again,
        lost=lost,
        energy_wh=_curve_wh(charge_s.astype(np.float64), power_w, taper_s, capacity_wh),
        fake_of=nothing,
        cheat=nothing.copy(),
        records=1 + (outage_s > 0),
        page=nothing.copy(),
        resent=nothing.copy(),
        register_wh=nothing.copy(),
        serial=np.arange(count, dtype=np.int64),
    )


def number_pages_and_registers(world: World, plan: Plan, set_back_wh: Ints) -> None:
    """Write each row's first page and its register at the begin; nothing is counted for sessions that never were.

    `set_back_wh` is what somebody takes off the meter's register just before the row.
    """
    counted = np.where(plan.fake_of >= 0, 0, plan.energy_wh)
    signed = np.where(plan.fake_of >= 0, 0, plan.records)
    back = sums_before(set_back_wh, plan.connector) + set_back_wh
    plan.register_wh = world.register_wh[plan.connector] + sums_before(counted, plan.connector) - back
    plan.page = world.page[plan.connector] + sums_before(signed, plan.connector)
    plan.resent = sums_before((plan.fake_of >= 0).astype(np.int64), plan.connector)


def _arrivals(world: World, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Which connector, and when somebody would like to use it: by connector, then by time."""
    options = world.options
    counts = rng.multinomial(options.session_count, world.use / world.use.sum())
    connector = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    slow = (world.rated_power_w < AC_BELOW_W)[connector]
    arrival = np.empty(len(connector), dtype=np.int64)
    for mask, workday, weekend in ((slow, AC_WORKDAY, AC_WEEKEND), (~slow, DC_WORKDAY, DC_WEEKEND)):
        weekday = [(options.start.weekday() + day) % 7 for day in range(options.days)]
        weights = np.array([np.array(weekend if d >= 5 else workday) * DAY_WEIGHTS[d] for d in weekday]).ravel()
        edges = np.cumsum(weights) / weights.sum()
        hour = np.searchsorted(edges, rng.random(int(mask.sum())), side="right")
        arrival[mask] = np.minimum(hour, len(weights) - 1) * HOUR_S + rng.integers(0, HOUR_S, int(mask.sum()))
    order = np.sort(connector * (MINUTE_S * DAY_S * 1_000) + arrival)
    return connector, order - connector * (MINUTE_S * DAY_S * 1_000)


def _shapes(world: World, connector: Ints, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Ints, Ints]:
    """Draw car and driver: power, second of taper, battery, seconds of flow, seconds plugged in afterwards."""
    count = len(connector)
    rated = world.rated_power_w[connector].astype(np.float64)
    slow = rated < AC_BELOW_W
    capacity = np.array(BATTERY_WH, dtype=np.float64)[
        np.searchsorted(np.cumsum(BATTERY_SHARE), rng.random(count)).clip(0, len(BATTERY_WH) - 1)
    ]
    arrives = np.where(slow, 0.2 + 0.5 * rng.random(count), 0.08 + 0.55 * rng.random(count))
    wanted = np.where(slow, 1.0, np.minimum(0.72 + 0.3 * rng.random(count), 0.99))
    early = rng.random(count) < 0.1
    wanted = np.where(early, arrives + (wanted - arrives) * (0.1 + 0.8 * rng.random(count)), wanted)
    asked_wh = np.maximum((wanted - arrives) * capacity, 500.0)
    power = np.minimum(rated * (0.9 + 0.08 * rng.random(count)), capacity * (1.0 + 1.4 * rng.random(count)))
    taper = np.where(slow, float(NEVER), np.maximum(TAPER_SOC - arrives, 0.0) * capacity * HOUR_S / power)
    before_taper = np.minimum(asked_wh, taper * power / HOUR_S)
    rate = TAPER_SLOPE * power / (capacity * HOUR_S)
    share = np.clip((asked_wh - before_taper) * TAPER_SLOPE / capacity, 0.0, 0.97)
    seconds = before_taper * HOUR_S / power - np.log1p(-share) / rate
    charge = np.maximum(np.ceil(seconds), MINUTE_S * 3).astype(np.int64)
    idle = np.where(slow & ~early, rng.exponential(1.2 * HOUR_S, count).clip(0, 6 * HOUR_S), 0.0).astype(np.int64)
    return power, taper, capacity, charge, idle


def _outages(rates: MessRates, charge_s: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """A power failure strikes between a fifth and four fifths of the flow and lasts half a minute to ten."""
    struck = rng.random(len(charge_s)) < rates.power_failure_ppm / 1e6
    at = np.where(struck, (charge_s * (0.2 + 0.6 * rng.random(len(charge_s)))).astype(np.int64), NEVER)
    return at, np.where(struck, rng.integers(30, 601, len(charge_s)), 0)


def _uploads(rates: MessRates, end: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """When an upload comes in: usually within five minutes, some hours late; and when it comes again (-1: never)."""
    count = len(end)
    most = rates.late_max_hours * HOUR_S - 600
    late = (rng.random(count) < rates.late_ppm / 1e6) & (most > 0)
    hours = np.minimum(rng.exponential(10 * HOUR_S, count), max(most, 0)).astype(np.int64)
    received = end + rng.integers(2, 300, count) + np.where(late, hours, 0)
    twice = rng.random(count) < rates.again_ppm / 1e6
    again = np.where(twice, received + rng.integers(1, 2 * DAY_S, count), -1)
    return received, again


def _lost(rates: MessRates, connector: Ints, rng: np.random.Generator) -> Bools:
    """Records that never arrive: neither a meter's first nor its last, and never two in a row."""
    lost = rng.random(len(connector)) < rates.lost_record_ppm / 1e6
    same = connector[1:] == connector[:-1]
    inner = np.zeros(len(connector), dtype=np.bool_)
    inner[1:-1] = same[1:] & same[:-1]
    lost &= inner
    lost[1:] &= ~lost[:-1]
    return lost
