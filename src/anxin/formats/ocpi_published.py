"""Stations -> OCPI 2.2.1 Location objects, as this platform publishes them (mod_locations).

OCPI asks for more than a register holds. What is derived and not registered: maximum voltage and current, from the
rated power and the rated voltages of GB/T 20234 (2: 250 V, 440 V; 3: 1,000 V); the plug, where none is stated, from the
kind of current, because GB/T 20234 is the only one in China; a cable at DC and a socket at AC. `max_electric_power` is
the registered power. A connector for which no plug can be named is left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from anxin.domain.connector_status import State
from anxin.domain.coordinates import Crs, Point
from anxin.domain.quantities import iso_of
from anxin.domain.register import Connector
from anxin.formats.ocpi_objects import MAX_OBJECT_ID_CHARS

#: Characters of name and business name, and of address and city (mod_locations, Location and BusinessDetails).
MAX_NAME_CHARS, MAX_BUSINESS_NAME_CHARS, MAX_ADDRESS_CHARS = 255, 100, 45
#: Decimals of a coordinate: OCPI allows 5 to 7.
DECIMALS = 6
STATUS: dict[State, str] = {
    State.IDLE: "AVAILABLE",
    State.OCCUPIED: "CHARGING",  # "in use": whether energy flows is not said
    State.CHARGING: "CHARGING",
    State.RESERVED: "RESERVED",
    State.BLOCKED: "BLOCKED",
    State.OUT_OF_SERVICE: "INOPERATIVE",
    State.FAULT: "OUTOFORDER",
    State.OFFLINE: "UNKNOWN",  # "also used when offline"
    State.PLANNED: "PLANNED",
    State.REMOVED: "REMOVED",
    State.UNKNOWN: "UNKNOWN",
}
#: ConnectorType of OCPI 2.2.1.
PLUGS = frozenset({
    "CHADEMO", "CHAOJI", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E", "DOMESTIC_F",
    "DOMESTIC_G", "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K", "DOMESTIC_L", "DOMESTIC_M", "DOMESTIC_N",
    "DOMESTIC_O", "GBT_AC", "GBT_DC", "IEC_60309_2_single_16", "IEC_60309_2_three_16", "IEC_60309_2_three_32",
    "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2", "IEC_62196_T2_COMBO",
    "IEC_62196_T3A", "IEC_62196_T3C", "NEMA_5_20", "NEMA_6_30", "NEMA_6_50", "NEMA_10_30", "NEMA_10_50", "NEMA_14_30",
    "NEMA_14_50", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN", "TESLA_R", "TESLA_S",
})  # fmt: skip
#: Rated voltages: one phase and DC; line to neutral of three phases, which OCPI multiplies by three.
AC_ONE_PHASE_V, AC_THREE_PHASE_V, DC_V = 220, 220, 1_000
#: An AC charger above it has three phases: 32 A at 220 V.
AC_ONE_PHASE_W = 7_100


@dataclass(frozen=True, slots=True)
class PublishedConnector:
    """A connector with its state, and when the last of both changed."""

    connector: Connector
    state: State
    changed_utc_ms: int


@dataclass(frozen=True, slots=True)
class PublishedStation:
    """A station as it is published. `point` is WGS-84; `in_china` says whether GB/T 20234 rules there."""

    station_id: str
    name: str
    operator: str
    point: Point
    in_china: bool
    country: str
    city: str | None
    address: str | None
    always_open: bool
    connectors: tuple[PublishedConnector, ...]
    changed_utc_ms: int


def location(station: PublishedStation, country_code: str, party_id: str, zone: str) -> dict[str, Any]:
    """Return a Location. Its EVSEs are its connectors: in China each has a state of its own."""
    if station.point.crs is not Crs.WGS84:
        raise ValueError("OCPI is WGS-84")
    evses = [e for e in (_evse(c, station.in_china) for c in station.connectors) if e is not None]
    found: dict[str, Any] = {
        "country_code": country_code,
        "party_id": party_id,
        "id": object_id(station.station_id),
        "publish": True,
        "name": station.name[:MAX_NAME_CHARS],
        "address": (station.address or station.name)[:MAX_ADDRESS_CHARS],
        "city": (station.city or "-")[:MAX_ADDRESS_CHARS],
        "country": station.country,
        "coordinates": {
            "latitude": f"{station.point.latitude:.{DECIMALS}f}",
            "longitude": f"{station.point.longitude:.{DECIMALS}f}",
        },
        "evses": evses,
        "operator": {"name": station.operator[:MAX_BUSINESS_NAME_CHARS]},
        "time_zone": zone,
        "last_updated": ocpi_time(last_updated(station)),
    }
    if station.always_open:
        found["opening_times"] = {"twentyfourseven": True}
    return found


def last_updated(station: PublishedStation) -> int:
    """Return when a location last changed: itself, or one of its EVSEs."""
    return max(station.changed_utc_ms, *(c.changed_utc_ms for c in station.connectors))


def ocpi_time(at_utc_ms: int) -> str:
    """Return a time as OCPI writes it: whole seconds in UTC, with Z."""
    return str(iso_of(at_utc_ms // 1_000 * 1_000)).replace("+00:00", "Z")


def object_id(name: str) -> str:
    """Return a CiString(36) for an id: itself where it is one, else 36 hex digits of its SHA-256."""
    fits = 0 < len(name) <= MAX_OBJECT_ID_CHARS and name.isascii() and name.isprintable()
    return name if fits else hashlib.sha256(name.encode()).hexdigest()[:MAX_OBJECT_ID_CHARS]


def _evse(published: PublishedConnector, in_china: bool) -> dict[str, Any] | None:
    connector = published.connector
    usual = {"AC": "GBT_AC", "DC": "GBT_DC"}.get(connector.current_type) if in_china else None
    plug = connector.plug if connector.plug in PLUGS else usual
    if plug is None or connector.current_type not in ("AC", "DC"):
        return None
    at = ocpi_time(published.changed_utc_ms)
    power = connector.rated_power_w
    if connector.current_type == "DC":
        kind, volts, phases = "DC", DC_V, 1
    elif power <= AC_ONE_PHASE_W:
        kind, volts, phases = "AC_1_PHASE", AC_ONE_PHASE_V, 1
    else:
        kind, volts, phases = "AC_3_PHASE", AC_THREE_PHASE_V, 3
    return {
        "uid": object_id(connector.connector_id),
        "status": STATUS[published.state],
        "physical_reference": connector.charger_id[:16],
        "connectors": [
            {
                "id": "1",
                "standard": plug,
                "format": "CABLE" if kind == "DC" else "SOCKET",
                "power_type": kind,
                "max_voltage": volts,
                "max_amperage": -(-power // (volts * phases)),
                "max_electric_power": power,
                "last_updated": at,
            }
        ],
        "last_updated": at,
    }
