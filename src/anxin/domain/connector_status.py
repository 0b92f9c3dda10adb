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


#: The number of a state where many of them are stored. A number keeps its meaning for ever.
STATE_CODES: dict[State, int] = {
    State.UNKNOWN: 0,
    State.OFFLINE: 1,
    State.IDLE: 2,
    State.OCCUPIED: 3,
    State.CHARGING: 4,
    State.RESERVED: 5,
    State.BLOCKED: 6,
    State.OUT_OF_SERVICE: 7,
    State.FAULT: 8,
    State.PLANNED: 9,
    State.REMOVED: 10,
}
#: The state of each number.
STATES: tuple[State, ...] = tuple(sorted(STATE_CODES, key=STATE_CODES.__getitem__))
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


@dataclass(frozen=True, slots=True)
class StatusWord:
    """One word on a connector as it came in: `at_utc_ms` is when it was so, `received_utc_ms` when we heard it,
    `message_index` the message in the evidence log that says it, `sender` who said it."""

    state: State
    at_utc_ms: int
    received_utc_ms: int
    message_index: int
    sender: str


@dataclass(frozen=True, slots=True)
class StatusRun:
    """A state that was said once or again and again: from its first word (`at_utc_ms`) to the last that repeats it
    (`heard_utc_ms`). `received_utc_ms`, `message_index` and `sender` are those of its first word."""

    state: State
    at_utc_ms: int
    heard_utc_ms: int
    received_utc_ms: int
    message_index: int
    sender: str


@dataclass(frozen=True, slots=True)
class StatusSpan:
    """What a connector was called from one moment to another: `state` is a State's value, `message_index` the message
    in the evidence log that says it."""

    connector_id: str
    state: str
    from_utc_ms: int
    to_utc_ms: int
    message_index: int
