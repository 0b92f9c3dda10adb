"""A city of today: everything that its operators and meters send, in the order of its times, and the clock it lives by.

A record's times are the session's own, so the city's clock may run fast only while it is behind the world's:

    begin                   start                                        now
      │  a day: sent at once  │  47 h: the city's clock runs at `speed`   │  then with the world's clock
      ▼                       ▼                                          ▼
    ──┼───────────────────────┼──────────────────────────────────────────┼──────────────▶ city's time

The platform counts lateness by its own clock and calls an upload late after 72 h. What is sent LAG_S behind its time
may therefore have been late by LATE_HOURS besides, and nothing older than HISTORY_S is sent at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from enum import StrEnum

import numpy as np

from anxin.city.arrays import Ints
from anxin.city.build import City
from anxin.city.names import Names
from anxin.city.options import KINDS, CityOptions, Kind, MessRates
from anxin.city.tariffs import DAY_S, UTC_OFFSET_S
from anxin.city.wire import Seal, WireWriter, check_text, day_totals

#: How far the city's clock is behind at the start. At a speed of 48 it catches up in one hour: 47 h / (48 - 1).
LAG_S = 47 * 3_600
DEFAULT_SPEED = 48.0
#: Sessions that ended longer ago are not sent: with the first minutes of catching up they stay within 72 h.
HISTORY_S = 70 * 3_600
#: An honest upload is at most so late in a live city: 72 h less the lag, and room for a restart.
LATE_HOURS = 22
#: Days of the city, from the day in which its history begins.
DAYS = 33
#: Chargers for one cheat of a kind in a month; of seals and verifications, which spoil a whole charger, fewer.
CHARGERS_PER_CHEAT, CHARGERS_PER_SPOILT = 6, 40
LEAST_CHEATS = 2
#: A day's totals are sent at three in the morning, or so long after the last of its orders where one came later.
CHECK_AT_S, CHECK_AFTER_S = 3 * 3_600, 600
#: Events whose texts go into the digest of a city.
SAMPLES = 16
#: Status of a connector (T/CEC 102.3): off line, idle, occupied and not charging, charging.
OFFLINE, IDLE, OCCUPIED, CHARGING = 0, 1, 2, 3


class What(StrEnum):
    """What is sent."""

    ORDER = "order"
    RECORD = "record"
    CHECK = "check"
    STATUS = "status"
    STATION = "station"


_WHATS = tuple(What)


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What makes a live city: the same plan gives the same bytes, so a driver that was stopped can go on.

    start             first local day, ISO
    begin_utc_s       sessions that ended before are not sent
    cheats            of each kind; None: as many as the chargers bear in a month
    """

    start: str
    begin_utc_s: int
    seed: int
    chargers: int
    days: int = DAYS
    cheats: int | None = None

    def options(self) -> CityOptions:
        """Return the options of the city."""
        each = self._cheats(CHARGERS_PER_CHEAT)
        spoilt = dict.fromkeys((Kind.BROKEN_SEAL, Kind.EXPIRED_VERIFICATION), self._cheats(CHARGERS_PER_SPOILT))
        return CityOptions(
            seed=self.seed,
            chargers=self.chargers,
            days=self.days,
            start=date.fromisoformat(self.start),
            cheats=dict.fromkeys(KINDS, each) | spoilt,
            rates=MessRates(late_max_hours=LATE_HOURS),
        )

    def _cheats(self, chargers_for_one: int) -> int:
        return max(LEAST_CHEATS, self.chargers // chargers_for_one) if self.cheats is None else self.cheats


def plan_at(now_utc_s: int, chargers: int, seed: int) -> LivePlan:
    """Return the plan of a city that begins to speak at this moment."""
    begin = now_utc_s - HISTORY_S
    start = datetime.fromtimestamp(begin + UTC_OFFSET_S, UTC).date()
    return LivePlan(start.isoformat(), begin, seed, chargers)


@dataclass(frozen=True, slots=True)
class Clock:
    """The city's clock: at `started_s` of the world it showed `shown_s`; it runs at `speed` and never ahead."""

    started_s: float
    shown_s: float
    speed: float = DEFAULT_SPEED

    def at(self, world_s: float) -> float:
        """Return what the city's clock shows at a moment of the world."""
        return min(world_s, self.shown_s + (world_s - self.started_s) * self.speed)


def clock_from(world_s: float, next_event_s: float, speed: float) -> Clock:
    """Return the clock of a driver that starts now. It goes on at its next event, but not farther behind than LAG_S:
    what is older is sent at once."""
    return Clock(world_s, min(world_s, max(world_s - LAG_S, next_event_s)), speed)


class Events:
    """Everything that a city sends, in the order of its times; texts are made when they are asked for.

    begin_utc_s  sessions that ended before are left out, and totals of days that began before; None: nothing is
    statuses     whether connectors say when they become occupied and idle
    truths       the truth about every cheat, sent or not
    """

    def __init__(self, city: City, seal: Seal, begin_utc_s: int | None = None, statuses: bool = False) -> None:
        self.city = city
        ((self.span, self.truths),) = list(city.spans())
        self.world = self.span.world
        self.names = Names(self.world)
        self.writer = WireWriter(self.span, seal)
        self.totals = day_totals(self.span.orders)
        begin = 0 if begin_utc_s is None else begin_utc_s - self.world.start_utc_s
        self._sent = self.span.plan.end >= begin
        groups = [*self._uploads(), self._checks(begin)]
        if statuses:
            groups += self._statuses()
        time, what, row, detail = (np.concatenate(column) for column in zip(*groups, strict=True))
        order = np.lexsort((detail, row, what, time))
        self.times: Ints = time[order] + self.world.start_utc_s
        self._what, self._row, self._detail = what[order], row[order], detail[order]

    def __len__(self) -> int:
        return len(self.times)

    def at(self, number: int) -> float:
        """Return when an event is due, seconds UTC."""
        return float(self.times[number])

    def due(self, number: int, now_s: float) -> int:
        """Return the number of the first event, from `number` on, that is not due."""
        return max(number, int(np.searchsorted(self.times, now_s, side="right")))

    def texts(self, number: int) -> tuple[What, str, list[str]]:
        """Return (what, sender, texts) of an event; an operator sends all but records, which a meter sends."""
        what, row = _WHATS[int(self._what[number])], int(self._row[number])
        world, span = self.world, self.span
        if what is What.ORDER:
            return what, world.operators[int(span.orders.operator[row])], [self.writer.order_text(row)]
        if what is What.RECORD:
            meter = int(span.records.meter[int(span.records.payload[row])])
            return what, world.meter_code[meter], self.writer.record_texts(row)
        if what is What.CHECK:
            total = self.totals[row]
            return what, world.operators[total.operator], [check_text(self.names, span.orders, total)]
        operator = world.operators[int(world.connector_operator[row])]
        return what, operator, [_status_text(world.connector_code[row], int(self._detail[number]))]

    def is_status(self, number: int) -> bool:
        """Return whether an event is a connector's status: a word about its moment, of no use later."""
        return _WHATS[int(self._what[number])] is What.STATUS

    def states(self, now_s: float) -> list[tuple[str, str]]:
        """Return (operator, text) of the status that each connector has at a moment; the spare ones are idle."""
        rows = np.flatnonzero((self._what[: self.due(0, now_s)]) == 3)
        state = np.full(len(self.world.connector_code), IDLE, dtype=np.int64)
        state[self._row[rows]] = self._detail[rows]  # of several the last one stays
        operators = self.world.connector_operator.tolist()
        return [
            (self.world.operators[operators[n]], _status_text(self.world.connector_code[n], s))
            for n, s in enumerate(state.tolist())
        ]

    def digest(self) -> str:
        """Return SHA-256 over the city's plan and some of its texts, hex. A driver that finds another one than it
        began with would send other bytes under ids that are used."""
        digest = hashlib.sha256()
        for f in fields(self.span.plan):
            digest.update(np.ascontiguousarray(getattr(self.span.plan, f.name)).tobytes())
        for column in (self.times, self._what, self._row, self._detail):
            digest.update(column.tobytes())
        for number in np.linspace(0, len(self) - 1, min(SAMPLES, len(self)), dtype=np.int64).tolist():
            digest.update("\n".join(self.texts(number)[2]).encode())
        return digest.hexdigest()

    def _uploads(self) -> list[tuple[Ints, ...]]:
        orders, records = self.span.orders, self.span.records
        groups = []
        for number, received, keep, session in (
            (0, orders.received, orders.keep, orders.session),
            (0, orders.again, orders.keep & (orders.again >= 0), orders.session),
            (1, records.received, records.keep, records.session),
            (1, records.again, records.keep & (records.again >= 0), records.session),
        ):
            rows = np.flatnonzero(keep & self._sent[session])
            groups.append(_group(received[rows], number, rows))
        return groups

    def _checks(self, begin: int) -> tuple[Ints, ...]:
        received = self.span.orders.received
        times = [
            max((t.day + 1) * DAY_S + CHECK_AT_S, int(received[t.rows].max()) + CHECK_AFTER_S) for t in self.totals
        ]
        rows = np.array([n for n, t in enumerate(self.totals) if t.day * DAY_S >= begin], dtype=np.int64)
        return _group(np.array(times, dtype=np.int64)[rows], 2, rows)

    def _statuses(self) -> list[tuple[Ints, ...]]:
        """An operator who hides a session hides its statuses; a session that never was has none."""
        plan, orders = self.span.plan, self.span.orders
        billed = np.zeros(len(plan), dtype=np.bool_)
        billed[orders.session[orders.keep]] = True
        rows = np.flatnonzero(self._sent & billed & (plan.fake_of < 0))
        connector, start = plan.connector[rows], plan.start[rows]
        flowed = plan.charge_s[rows] + plan.outage_s[rows]
        lingers, failed = plan.duration[rows] > flowed, plan.outage_s[rows] > 0
        failure = (start + plan.outage_at_s[rows])[failed]
        return [
            _group(start, 3, connector, CHARGING),
            _group(failure, 3, connector[failed], OFFLINE),
            _group(failure + plan.outage_s[rows][failed], 3, connector[failed], CHARGING),
            _group((start + flowed)[lingers], 3, connector[lingers], OCCUPIED),
            _group(plan.end[rows], 3, connector, IDLE),
        ]


def _group(time: Ints, what: int, row: Ints, detail: int = 0) -> tuple[Ints, ...]:
    return time, np.full(len(row), what, dtype=np.int64), row, np.full(len(row), detail, dtype=np.int64)


def _status_text(connector: str, status: int) -> str:
    """Return one notification_stationStatus request (T/CEC 102.3) as JSON."""
    park = 10 if status == IDLE else (0 if status == OFFLINE else 50)
    return (
        f'{{"ConnectorStatusInfo":{{"ConnectorID":"{connector}","Status":{status},'
        f'"ParkStatus":{park},"LockStatus":0}}}}'
    )
