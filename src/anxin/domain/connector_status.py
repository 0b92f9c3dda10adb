"""The state of a connector, in the platform's own words, and how other dialects say it.

Unknown, offline, faulty and idle are four different things and stay so. `docs/formats/status.md` prints the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a connector is doing."""

    IDLE = "idle"
    OCCUPIED = "occupied"
    CHARGING = "charging"
    RESERVED = "reserved"
    BLOCKED = "blocked"
    OUT_OF_SERVICE = "out_of_service"
    FAULT = "fault"
    OFFLINE = "offline"
    PLANNED = "planned"
    REMOVED = "removed"
    UNKNOWN = "unknown"


#: T/CEC 102.2 `ConnectorStatusInfo.Status`.
TCEC102: dict[int, State] = {
    0: State.OFFLINE,
    1: State.IDLE,
    2: State.OCCUPIED,
    3: State.CHARGING,
    4: State.RESERVED,
    255: State.FAULT,
}
#: OCPI 2.2.1 and 2.3.0, `EVSE.status`.
OCPI: dict[str, State] = {
    "AVAILABLE": State.IDLE,
    "BLOCKED": State.BLOCKED,
    "CHARGING": State.CHARGING,
    "INOPERATIVE": State.OUT_OF_SERVICE,
    "OUTOFORDER": State.FAULT,
    "PLANNED": State.PLANNED,
    "REMOVED": State.REMOVED,
    "RESERVED": State.RESERVED,
    "UNKNOWN": State.UNKNOWN,
}
#: OCPP 1.6 `StatusNotification.status`.
OCPP16: dict[str, State] = {
    "Available": State.IDLE,
    "Preparing": State.OCCUPIED,
    "Charging": State.CHARGING,
    "SuspendedEVSE": State.OCCUPIED,
    "SuspendedEV": State.OCCUPIED,
    "Finishing": State.OCCUPIED,
    "Reserved": State.RESERVED,
    "Unavailable": State.OUT_OF_SERVICE,
    "Faulted": State.FAULT,
}
#: OCPP 2.0.1 `StatusNotification.connectorStatus`; whether energy flows stands in transactions.
OCPP201: dict[str, State] = {
    "Available": State.IDLE,
    "Occupied": State.OCCUPIED,
    "Reserved": State.RESERVED,
    "Unavailable": State.OUT_OF_SERVICE,
    "Faulted": State.FAULT,
}


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A connector's state as its sender says it. `at_utc_ms` is the sender's time of it, else when it came."""

    connector_id: str
    state: State
    at_utc_ms: int
