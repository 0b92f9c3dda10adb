"""The part of the register that a slice of facts needs, found by index: a city's whole register is read by no rule.

Rules join the register by its ids alone: connectors by their own, chargers' verifications and seals through their
connectors, meters by their own id and by their connector, keys by their own id. What shares none with the slice changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from anxin.domain.register import Register
from anxin.store.slices import Slice

T = TypeVar("T")


def _by(values: Iterable[T], key: Callable[[T], Hashable]) -> dict[Any, list[T]]:
    found: dict[Any, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def _of(index: dict[Any, list[Any]], keys: Iterable[Any]) -> list[Any]:
    return [value for key in sorted(k for k in keys if k is not None) for value in index.get(key, ())]


class LocalRegister:
    """A register with its indexes."""

    def __init__(self, register: Register) -> None:
        self.register = register
        self.meters_of = _by(register.meters, lambda m: m.connector_id)
        self._connectors = _by(register.connectors, lambda c: c.connector_id)
        self._stations = _by(register.stations, lambda s: s.station_id)
        self._meters = _by(register.meters, lambda m: m.meter_id)
        self._keys = _by(register.keys, lambda k: k.key_id)
        self._verifications = _by(register.verifications, lambda v: v.charger_id)
        self._seals = _by(register.seals, lambda s: s.charger_id)

    def around(self, found: Slice) -> dict[str, list[Any]]:
        """Return the register's values that share an id with a slice, by facts table."""
        places = {o.connector_id for o in found.orders} | {r.connector_id for r in found.records}
        meters = _of(self._meters, {r.meter_id for r in found.records})
        places |= {m.connector_id for m in meters}
        connectors = _of(self._connectors, places)
        known = {id(m) for m in meters}
        meters += [m for m in _of(self.meters_of, places) if id(m) not in known]
        chargers = {c.charger_id for c in connectors}
        return {
            "operators": list(self.register.operators),
            "stations": _of(self._stations, {c.station_id for c in connectors}),
            "connectors": connectors,
            "meters": meters,
            "keys": _of(self._keys, {r.key_id for r in found.records}),
            "verifications": _of(self._verifications, chargers),
            "seals": _of(self._seals, chargers),
            "tariffs": list(self.register.tariffs),
            "tariff_periods": list(self.register.tariff_periods),
        }


def register_around(
    register: Register, places: Iterable[str | None], meters: Iterable[str | None], key_ids: Iterable[str | None]
) -> Register:
    """Return the part of a register that these connectors, meters and keys belong to: chargers, stations, operators,
    verifications, seals and tariffs with them."""
    wanted_keys, wanted_meters, wanted = set(key_ids), set(meters), set(places)
    wanted_meters |= {k.meter_id for k in register.keys if k.key_id in wanted_keys}
    wanted |= {m.connector_id for m in register.meters if m.meter_id in wanted_meters}
    stays = tuple(m for m in register.meters if m.connector_id in wanted or m.meter_id in wanted_meters)
    wanted_meters |= {m.meter_id for m in stays}
    connectors = tuple(c for c in register.connectors if c.connector_id in wanted)
    chargers, stations = {c.charger_id for c in connectors}, {c.station_id for c in connectors}
    operators = {c.operator_id for c in connectors}
    tariffs = tuple(t for t in register.tariffs if t.operator_id in operators)
    named = {t.tariff_id for t in tariffs}
    return Register(
        operators=tuple(o for o in register.operators if o.operator_id in operators),
        stations=tuple(s for s in register.stations if s.station_id in stations),
        connectors=connectors,
        meters=stays,
        keys=tuple(k for k in register.keys if k.key_id in wanted_keys or k.meter_id in wanted_meters),
        verifications=tuple(v for v in register.verifications if v.charger_id in chargers),
        seals=tuple(s for s in register.seals if s.charger_id in chargers),
        tariffs=tariffs,
        tariff_periods=tuple(p for p in register.tariff_periods if p.tariff_id in named),
    )
