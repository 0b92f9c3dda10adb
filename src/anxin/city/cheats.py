"""Who is cheated: sessions drawn at random for each kind and size, far enough from one another to be told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anxin.city.arrays import Bools, Ints, Stream, generator
from anxin.city.options import KINDS, SLOW_KINDS, Kind
from anxin.city.plan import Plan
from anxin.city.tables import midnight_inside
from anxin.city.tariffs import DAY_S, HABITS
from anxin.city.world import World
from anxin.domain.errors import PolicyError

#: Nothing is planted in the last days, where a missing counterpart could still arrive (72 h) and is only pending.
QUIET_DAYS = 4
#: A seal is broken, or a verification ends, this long before a session and with as much room on the other side.
ROOM_S = 450
#: Draws for one cheat before the city is called too small for it.
MAX_DRAWS = 20_000
#: Sizes run geometrically between these: energy in Wh, money in cents; loss ratios run evenly, in millionths.
ENERGY_WH = (4, 20_000)
ROLLBACK_WH = (10, 500_000)
AMOUNT_CENTS = (5, 5_000)
LOSS_PPM = (20_000, 100_000)
LEAST_ENERGY_WH = 3_000
RECORD_STEP_WH = 1
#: What a slow cheat takes each time: with the rounding up of a display still within the tolerance of rules R04 and R07.
SLOW_WH = (1, 2)
#: A slow cheat goes on for at least so many sessions.
LEAST_SLOW_SESSIONS = 20


@dataclass(slots=True)
class Cheat:
    """One cheat. `size` in Wh, cents or millionths by kind; meter, register and page where a spare meter signs;
    from_s and to_s where a span of time is the cheat (seal, verification; to_s None: it never ended)."""

    number: int
    kind: Kind
    size: int
    connector: int
    meter: int | None = None
    register_wh: int = 0
    page: int = 0
    from_s: int | None = None
    to_s: int | None = None

    @property
    def cheat_id(self) -> str:
        """The id in truth.jsonl."""
        return f"C{self.number + 1:06d}"


def energy_tolerance_wh(operator: int) -> int:
    """One last digit of the order's display and one of the record's: within it no order contradicts a record."""
    return HABITS[operator % len(HABITS)].energy_step_wh + RECORD_STEP_WH


def plant(world: World, plan: Plan) -> tuple[list[Cheat], Ints]:
    """Choose what is cheated, and put the sessions that never were into the plan. Returns the cheats, and the Wh that
    are taken off a meter's register before each row. Raises PolicyError where the city is too small."""
    planter = _Planter(world, plan)
    for kind in (Kind.EXPIRED_VERIFICATION, Kind.BROKEN_SEAL, Kind.REPLAY, *KINDS, *SLOW_KINDS):
        if kind not in planter.done:
            planter.plant(kind)
    return planter.finish()


def _sizes(kind: Kind, count: int) -> list[int]:
    if kind in SLOW_KINDS:
        return [SLOW_WH[n % len(SLOW_WH)] for n in range(count)]
    if kind is Kind.LOSS_RATIO:
        return [int(v) // 1_000 * 1_000 for v in np.linspace(*LOSS_PPM, count)]
    least, most = {Kind.INFLATED_AMOUNT: AMOUNT_CENTS, Kind.REGISTER_ROLLBACK: ROLLBACK_WH}.get(kind, ENERGY_WH)
    return [round(v) for v in np.geomspace(least, most, count)]


class _Planter:
    """Draws sessions, remembers which are taken."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan = world, plan
        self.rng = generator(world.options.seed, Stream.CHEATS)
        self.done: set[Kind] = set()
        self.cheats: list[Cheat] = []
        self.taken: Bools = np.zeros(len(plan), dtype=np.bool_)
        self.set_back: Ints = np.zeros(len(plan), dtype=np.int64)
        self.fakes: list[tuple[int, int, int, int]] = []
        self.chargers: set[int] = set()
        days = world.options.days
        self.until = (days - QUIET_DAYS) * DAY_S if days >= 2 * QUIET_DAYS else days * DAY_S
        self.operator = world.connector_operator
        split = np.array([h.split_midnight for h in HABITS])[self.operator[plan.connector] % len(HABITS)]
        odd = plan.lost | (plan.outage_s > 0) | (split & (midnight_inside(plan) > plan.start))
        self.plain: Bools = ~odd & (plan.energy_wh >= LEAST_ENERGY_WH) & (plan.end < self.until)
        self.spare_register = {o: int(world.register_wh[c]) for o, c in enumerate(world.spare_connectors.tolist())}
        plugs = np.bincount(world.connector_charger)
        self.alone: Bools = plugs[world.connector_charger] == 1

    def plant(self, kind: Kind) -> None:
        self.done.add(kind)
        count = self.world.options.cheats.get(kind, 0)
        choose = {
            Kind.EXPIRED_VERIFICATION: self._expire,
            Kind.BROKEN_SEAL: self._break,
            Kind.REPLAY: self._replay,
            Kind.LEAN_WITHIN_TOLERANCE: self._slow,
            Kind.SLOW_REGISTER_DRAIN: self._slow,
        }.get(kind, self._one)
        for size in _sizes(kind, count):
            for row in self._draws(kind):
                if choose(kind, size, row):
                    break

    def finish(self) -> tuple[list[Cheat], Ints]:
        self._number_spares()
        if not self.fakes:
            return self.cheats, self.set_back
        number, source, before, start = (np.array(v, dtype=np.int64) for v in zip(*self.fakes, strict=True))
        rows = self.plan.rows(source)
        rows.start = start
        rows.cheat = number
        rows.fake_of = source
        rows.serial = len(self.plan) + np.arange(len(source), dtype=np.int64)
        rows.order_received = rows.record_received = rows.end + 60
        rows.order_again = rows.record_again = np.full(len(source), -1, dtype=np.int64)
        self.plan.insert(before, rows)
        return self.cheats, np.insert(self.set_back, before, 0)

    def _draws(self, kind: Kind) -> Iterator[int]:
        for _ in range(MAX_DRAWS):
            yield int(self.rng.integers(1, max(2, len(self.plan) - 2)))
        count = self.world.options.cheats[kind]
        raise PolicyError(f"this city is too small for {count} cheats of kind {kind}: add chargers, days or sessions")

    def _free(self, low: int, high: int) -> bool:
        """Whether the rows low to high and their neighbours are one connector's, arrived and are not taken."""
        if low < 1 or high + 1 >= len(self.plan):
            return False
        around = slice(low - 1, high + 2)
        one = self.plan.connector[low - 1] == self.plan.connector[high + 1]
        return bool(one and not self.taken[around].any() and not self.plan.lost[around].any())

    def _take(self, kind: Kind, size: int, low: int, high: int) -> Cheat:
        """Record a cheat whose rows are low to high (low > high: none yet) and reserve the neighbours."""
        cheat = Cheat(len(self.cheats), kind, size, int(self.plan.connector[low]))
        self.cheats.append(cheat)
        self.taken[low - 1 : high + 2] = True
        self.plan.cheat[low : high + 1] = cheat.number
        return cheat

    def _one(self, kind: Kind, size: int, row: int) -> bool:
        last = row + 1 if kind is Kind.SPLICE else row
        if not self._free(row, last) or not self.plain[row : last + 1].all():
            return False
        cheat = self._take(kind, size, row, last)
        if kind is Kind.SPLICE:
            self.plan.records[row : last + 1] = 2
            cheat.size = int(self.plan.energy_wh[last])
        elif kind is Kind.REGISTER_ROLLBACK:
            self.set_back[row] = size
        elif kind is Kind.SWAPPED_METER:
            cheat.meter = int(self.world.spare_connectors[self.operator[cheat.connector]])
        elif kind is Kind.HIDDEN_SESSION:
            cheat.size = int(self.plan.energy_wh[row])
        return True

    def _replay(self, kind: Kind, _size: int, row: int) -> bool:
        """Put a session that never was into the gap behind `row`, with the record of an earlier one."""
        plan = self.plan
        first = int(np.searchsorted(plan.connector, plan.connector[row]))
        source = int(self.rng.integers(first, row + 1))
        if source in (first, row) or not self._free(row, row) or not self._free(source, source):
            return False
        start = int(plan.end[row]) + 600
        fits = start + int(plan.duration[source]) + 600 <= int(plan.start[row + 1])
        if not (fits and self.plain[row] and self.plain[source]):
            return False
        cheat = Cheat(len(self.cheats), kind, int(plan.energy_wh[source]), int(plan.connector[row]))
        self.cheats.append(cheat)
        self.taken[[source - 1, source, source + 1, row - 1, row, row + 1]] = True
        self.fakes.append((cheat.number, source, row + 1, start))
        return True

    def _room_before(self, row: int) -> bool:
        return int(self.plan.start[row] - self.plan.end[row - 1]) >= 2 * ROOM_S

    def _one_charger(self, row: int) -> bool:
        connector = int(self.plan.connector[row])
        charger = int(self.world.connector_charger[connector])
        return bool(self.alone[connector]) and charger not in self.chargers

    def _break(self, kind: Kind, _size: int, row: int) -> bool:
        last = row + int(self.rng.integers(0, 4))
        if last + 1 >= len(self.plan) or not self._one_charger(row) or not self._free(row, last):
            return False
        if not self._room_before(row) or not self._room_before(last + 1):
            return False
        cheat = self._take(kind, last - row + 1, row, last)
        cheat.from_s, cheat.to_s = int(self.plan.start[row]) - ROOM_S, int(self.plan.end[last]) + ROOM_S
        self.chargers.add(int(self.world.connector_charger[cheat.connector]))
        return True

    def _expire(self, kind: Kind, _size: int, row: int) -> bool:
        """The verification ends before one of the charger's last sessions and is not renewed."""
        last = int(np.searchsorted(self.plan.connector, self.plan.connector[row], side="right")) - 1
        row = last - int(self.rng.integers(0, 5))
        whole = slice(row - 1, last + 1)
        if row < 1 or not self._one_charger(row) or self.taken[whole].any() or self.plan.lost[whole].any():
            return False
        if self.plan.connector[row - 1] != self.plan.connector[last] or not self._room_before(row):
            return False
        cheat = self._take(kind, last - row + 1, row, last)
        cheat.from_s = int(self.plan.start[row]) - ROOM_S
        self.chargers.add(int(self.world.connector_charger[cheat.connector]))
        return True

    def _slow(self, kind: Kind, size: int, row: int) -> bool:
        """From this session on, every one of the connector that nothing else is done to: a little more is billed, or
        the register has advanced a little since the session before."""
        if not self._one_charger(row) or self.plan.fake_of[row] >= 0:
            return False
        last = int(np.searchsorted(self.plan.connector, self.plan.connector[row], side="right")) - 1
        rows = np.arange(row, last + 1)
        rows = rows[self.plain[rows] & ~self.taken[rows]]
        if row not in rows or len(rows) < LEAST_SLOW_SESSIONS:
            return False
        cheat = Cheat(len(self.cheats), kind, size, int(self.plan.connector[row]))
        self.cheats.append(cheat)
        self.plan.cheat[rows] = cheat.number
        self.taken[row - 1 : last + 1] = True
        self.chargers.add(int(self.world.connector_charger[cheat.connector]))
        if kind is Kind.SLOW_REGISTER_DRAIN:
            self.set_back[rows] = -size
        return True

    def _number_spares(self) -> None:
        """A spare meter counts and pages through the swapped sessions of its operator in the order of time."""
        row_of = {int(self.plan.cheat[r]): r for r in np.flatnonzero(self.plan.cheat >= 0).tolist()}
        swapped = [c for c in self.cheats if c.meter is not None]
        state = {int(m): (int(self.world.register_wh[m]), int(self.world.page[m])) for m in self.world.spare_connectors}
        for cheat in sorted(swapped, key=lambda c: int(self.plan.start[row_of[c.number]])):
            assert cheat.meter is not None
            cheat.register_wh, cheat.page = state[cheat.meter]
            step = HABITS[int(self.operator[cheat.connector]) % len(HABITS)].energy_step_wh
            raised = raised_by(cheat.size, int(self.operator[cheat.connector]))
            counted = -(-(int(self.plan.energy_wh[row_of[cheat.number]]) + raised) // step) * step
            state[cheat.meter] = (cheat.register_wh + counted, cheat.page + 1)


def raised_by(size_wh: int, operator: int) -> int:
    """Return by how much an energy is raised for a wanted size: never less than one and a half tolerances."""
    return max(size_wh, 3 * energy_tolerance_wh(operator) // 2)
