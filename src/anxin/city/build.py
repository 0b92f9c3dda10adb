"""From options to a city ready to be written: its world, what happened, who cheats, and the register."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anxin.city.arrays import Ints
from anxin.city.cheats import Cheat, plant
from anxin.city.names import Names
from anxin.city.options import CityOptions
from anxin.city.plan import Plan, make_plan, number_pages_and_registers
from anxin.city.registry import make_register
from anxin.city.tables import Span, make_span
from anxin.city.tamper import Truth, tamper
from anxin.city.tariffs import DAY_S, Clockwork, clockwork
from anxin.city.world import World, make_world
from anxin.domain.register import Register

#: Sessions handled at once by the columns writer; bounds its memory (about 0.5 kB a session).
SPAN_SESSIONS = 500_000


@dataclass(slots=True)
class City:
    """A city before it is written. Nothing about it depends on how, or by how many workers, it is written."""

    options: CityOptions
    world: World
    plan: Plan
    cheats: list[Cheat]
    register: Register
    clock: Clockwork

    def spans(self, sessions: int | None = None) -> Iterator[tuple[Span, list[Truth]]]:
        """Yield orders and records with the cheats applied, and the truth about these, in spans of whole connectors
        of about so many sessions (None: everything at once)."""
        names = Names(self.world)
        edges = _edges(self.plan.connector, sessions or len(self.plan))
        for low, high in itertools.pairwise(edges):
            span = make_span(self.world, self.plan, low, high, self.clock)
            yield span, tamper(span, self.cheats, names)


def build(options: CityOptions) -> City:
    """Return the city of these options. Raises PolicyError where they cannot be met."""
    world = make_world(options)
    plan = make_plan(world)
    cheats, set_back = plant(world, plan)
    number_pages_and_registers(world, plan, set_back)
    days = int(plan.end.max()) // DAY_S + 2
    clock = clockwork(len(world.operators), days)
    return City(options, world, plan, cheats, make_register(world, cheats), clock)


def _edges(connector: Ints, sessions: int) -> list[int]:
    """Return row numbers where spans begin and end, each at the begin of a connector."""
    edges, total = [0], len(connector)
    while edges[-1] < total:
        wanted = min(edges[-1] + sessions, total)
        last = int(np.searchsorted(connector, connector[wanted - 1], side="right"))
        edges.append(last)
    return edges


class HonestCount:
    """Counts what is honest, and what honestly went wrong, for honest.json."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.counts: dict[str, int] = {}
        self.lost: list[str] = []

    def add(self, span: Span) -> None:
        """Count one span."""
        plan, orders, records, names = span.plan, span.orders, span.records, Names(span.world)
        real = plan.fake_of < 0
        beginning = np.diff(orders.session, prepend=-1) != 0
        late = 3_600
        self._count("sessions", int(real.sum()))
        self._count("honest_sessions", int((real & (plan.cheat < 0)).sum()))
        self._count("orders", int(orders.keep.sum()))
        self._count("order_lines", int(orders.keep.sum() + (orders.keep & (orders.again >= 0)).sum()))
        self._count("records", int((records.keep + (records.keep & records.pair)).sum()))
        self._count("record_lines", int((records.keep * (1 + (records.again >= 0)) * (1 + records.pair)).sum()))
        self._count("orders_split_at_midnight", int((~beginning).sum()))
        self._count("power_failures", int(records.cut_off.sum()))
        self._count("late_orders", int((plan.order_received - plan.end > late).sum()))
        self._count("late_records", int((plan.record_received - plan.end > late).sum()))
        self._count("orders_sent_again", int((orders.keep & (orders.again >= 0)).sum()))
        self._count("records_sent_again", int((records.keep & (records.again >= 0)).sum()))
        self._count("lost_records", int(plan.lost.sum()))
        operator = span.world.connector_operator[plan.connector]
        for row in np.flatnonzero(plan.lost).tolist():
            self.lost.append(names.order_id(int(operator[row]), int(plan.start[row]), int(plan.serial[row])))

    def as_json(self) -> dict[str, Any]:
        """The document of honest.json."""
        return {
            "options": self.city.options.as_json(),
            "counts": self.counts,
            "lost_records": sorted(self.lost),
            "numpy": np.__version__,
        }

    def _count(self, name: str, number: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + number
