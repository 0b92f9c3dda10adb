"""OCPI locations -> stations and connectors as their operator declares them, and the states of connectors.

Ids: an authority's register names stations and connectors its own way. An OCPI id is looked up there, most precise form
first, among what the register says is the sender's; what is not found keeps a name that says whose word it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from anxin.domain.connector_status import OCPI, State, StatusReport
from anxin.domain.register import Connector, Register, Station
from anxin.domain.source import Deviation
from anxin.formats import ocpi_objects as objects
from anxin.formats.values import exact

NOT_AVAILABLE = "#NA"
#: Conductors that carry the maximum current at the maximum voltage (line to neutral for three phases; mod_locations).
PHASES = {"AC_1_PHASE": 1, "AC_2_PHASE": 2, "AC_2_PHASE_SPLIT": 2, "AC_3_PHASE": 3, "DC": 1}
#: Finds the register's entry of the sender among candidates, None where it has none of them.
Lookup = Callable[[list[str]], Any]


def connector_candidates(evse_id: str | None, evse_uid: str | None, connector_id: str | None) -> list[str]:
    """Return the names under which a register may know a connector, most precise first."""
    evses = [e for e in (evse_id, evse_uid) if e and e != NOT_AVAILABLE]
    full = [f"{e}/{connector_id}" for e in evses] if connector_id and connector_id != NOT_AVAILABLE else []
    return [*full, *evses]


def unregistered(party: str, name: str) -> str:
    """Return the name of what no register entry of the sender fits: `NL*TNM:LOC1`, which is no register's id."""
    return f"{party}:{name}"


def declared(party: str, operator_id: str, location: dict[str, Any], station: Lookup, connector: Lookup) -> Register:
    """Return what a location declares: its station (WGS-84) and its connectors with their power.

    `party` is country and party (`NL*TNM`); parts without what is needed are left out. Raises FormatError.
    """
    location_id = objects.id_field(location, "id")
    known = station([location_id, f"{party}*{location_id}"])
    station_id = known.station_id if known is not None else unregistered(party, location_id)
    longitude, latitude = objects.coordinates(location)
    name = objects.optional_text(location, "name") or objects.optional_text(location, "address") or location_id
    address = objects.optional_text(location, "address")
    hours = location.get("opening_times")
    opening = "24/7" if isinstance(hours, dict) and hours.get("twentyfourseven") is True else None
    site = Station(station_id, operator_id, name, None, longitude, latitude, "WGS-84", address, opening)
    plugs = [
        plug
        for evse in objects.objects_field(location, "evses", objects.MAX_EVSES)
        for plug in _connectors(party, operator_id, station_id, evse, connector)
    ]
    return Register(stations=(site,), connectors=tuple(plugs))


def statuses(party: str, evse: dict[str, Any], connector: Lookup) -> tuple[list[StatusReport], list[Deviation]]:
    """Return the state of each connector of an EVSE at its `last_updated`. Raises FormatError."""
    word = objects.optional_text(evse, "status", 40)
    if word is None:
        return [], []
    state = OCPI.get(word)
    deviations = []
    if state is None:
        clause = f"{objects.CLAUSE} mod_locations Status enum"
        deviations.append(Deviation("ocpi.evse_status", clause, f"{word!r} is no status: unknown", "status"))
    at = objects.time_field(evse)
    names = dict.fromkeys(name for name, _, _ in _named(party, evse, connector))
    return [StatusReport(name, state or State.UNKNOWN, at) for name in names], deviations


def _named(party: str, evse: dict[str, Any], lookup: Lookup) -> Iterator[tuple[str, Connector | None, dict[str, Any]]]:
    """Yield (the connector's name, its entry in the register, the connector) of an EVSE."""
    evse_id, uid = objects.optional_text(evse, "evse_id"), objects.optional_text(evse, "uid")
    for plug in objects.objects_field(evse, "connectors", objects.MAX_CONNECTORS):
        candidates = connector_candidates(evse_id, uid, objects.id_field(plug, "id"))
        known = lookup(candidates)
        yield known.connector_id if known else unregistered(party, candidates[0]), known, plug


def _connectors(
    party: str, operator_id: str, station_id: str, evse: dict[str, Any], lookup: Lookup
) -> Iterator[Connector]:
    charger = objects.optional_text(evse, "evse_id") or objects.optional_text(evse, "uid") or ""
    for name, known, plug in _named(party, evse, lookup):
        power = _power_w(plug)
        if power is None:
            continue
        kind = "DC" if plug.get("power_type") == "DC" else "AC"
        charger_id = known.charger_id if known else unregistered(party, charger)
        yield Connector(
            name, charger_id, station_id, operator_id, power, kind, objects.optional_text(plug, "standard", 40)
        )


def _power_w(plug: dict[str, Any]) -> int | None:
    """The stated power, else voltage times current times phases; None where neither can be had."""
    stated = exact(plug.get("max_electric_power"), "max_electric_power")
    if stated is not None:
        return int(stated)
    phases = PHASES.get(str(plug.get("power_type")))
    # OCPI 2.1.1 wrote `voltage` and `amperage`.
    voltage = exact(plug.get("max_voltage", plug.get("voltage")), "max_voltage")
    current = exact(plug.get("max_amperage", plug.get("amperage")), "max_amperage")
    if phases is None or voltage is None or current is None:
        return None
    return int(Decimal(phases) * voltage * current)
