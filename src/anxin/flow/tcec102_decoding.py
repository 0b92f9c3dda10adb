"""What T/CEC 102 messages say: orders, totals, states of connectors, declared stations. The bytes decide, and for whose
they are the register: what it gives to another operator is no statement of the sender's, but a reject."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from anxin.domain.batch import Batch
from anxin.domain.connector_status import StatusReport
from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.register import Register
from anxin.domain.source import Deviation, Reject, Source
from anxin.flow.platform import Directory
from anxin.formats import json_document, tcec102, tcec102_station, tcec102_status
from anxin.formats.local_time import LocalClock, zone_of
from anxin.formats.tcec102_envelope import oddities
from anxin.formats.tcec102_time import stamp_utc_ms

KINDS = frozenset({Kind.TCEC_ORDER, Kind.TCEC_CHECK, Kind.TCEC_STATION, Kind.TCEC_STATUS})


@dataclass(slots=True)
class TcecFacts:
    """What one message says. `station_ids` are the stations named around its statuses."""

    batch: Batch
    statuses: list[StatusReport] = field(default_factory=list)
    declared: Register = field(default_factory=Register)
    station_ids: list[str] = field(default_factory=list)


def facts_of(message: Message, source: str, received_utc_ms: int, directory: Directory, zone: str) -> TcecFacts:
    """Return what a kept message says; what is not the sender's is a reject. Raises FormatError."""
    facts = said(message, source, received_utc_ms, zone)
    strange = {(what, name): detail for what, name, detail in foreign(directory, message.sender, facts)}
    facts.statuses = [s for s in facts.statuses if ("ConnectorID", s.connector_id) not in strange]
    facts.declared = Register(
        stations=tuple(s for s in facts.declared.stations if ("StationID", s.station_id) not in strange),
        connectors=tuple(
            c
            for c in facts.declared.connectors
            if ("ConnectorID", c.connector_id) not in strange and ("StationID", c.station_id) not in strange
        ),
    )
    facts.batch.rejects += [Reject(Source(source, 1), "admission.tenant", d, what) for (what, _), d in strange.items()]
    facts.batch.deviations += [(Source(source, 1), d) for d in _of_envelope(message)]
    return facts


def said(message: Message, source: str, received_utc_ms: int, zone: str) -> TcecFacts:
    """Return what a message says, whoever may say it. Raises FormatError where nothing can be read."""
    match message.kind:
        case Kind.TCEC_STATION:
            at = status_moment(message, received_utc_ms, zone)
            station = tcec102_station.decode(message.payload, source, message.sender, at)
            batch = Batch(rejects=station.rejects, deviations=station.deviations)
            return TcecFacts(batch, station.statuses, station.declared)
        case Kind.TCEC_STATUS:
            status = tcec102_status.decode(message.payload, source, status_moment(message, received_utc_ms, zone))
            batch = Batch(rejects=status.rejects, deviations=status.deviations)
            return TcecFacts(batch, status.statuses, station_ids=status.station_ids)
        case Kind.TCEC_CHECK:
            batch = tcec102.decode(message.payload, source, zone=zone, operator_id=message.sender)
            batch.operator_totals = [replace(t, operator_id=message.sender) for t in batch.operator_totals]
        case _:
            batch = tcec102.decode(message.payload, source, zone=zone)
            batch.orders = [o if o.operator_id else replace(o, operator_id=message.sender) for o in batch.orders]
    return TcecFacts(batch)


def foreign(directory: Directory, sender: str, facts: TcecFacts) -> Iterator[tuple[str, str, str]]:
    """Yield (field, id, sentence) of stations and connectors that are not the sender's."""
    for station in facts.declared.stations:
        if station.operator_id != sender:
            yield "StationID", station.station_id, f"station {station.station_id[:40]} is said to be another operator's"
    stations = {s.station_id for s in facts.declared.stations} | set(facts.station_ids)
    for station_id in sorted(stations):
        known = directory.stations.get(station_id)
        if known is not None and known.operator_id != sender:
            yield "StationID", station_id, f"station {station_id[:40]} is another operator's"
    connectors = {c.connector_id for c in facts.declared.connectors} | {s.connector_id for s in facts.statuses}
    for connector_id in sorted(connectors):
        if directory.operator_of_connector(connector_id) not in (None, sender):
            yield "ConnectorID", connector_id, f"connector {connector_id[:40]} is another operator's"


def status_moment(message: Message, received_utc_ms: int, zone: str) -> int:
    """Return when a status was so: the envelope's TimeStamp, else when it came. A clock that is ahead counts as now."""
    value = _envelope(message)
    stamp = value.get("TimeStamp")
    if isinstance(stamp, str | int):
        try:
            return min(stamp_utc_ms(str(stamp), LocalClock(zone_of(zone))), received_utc_ms)
        except FormatError:
            pass
    return received_utc_ms


def _of_envelope(message: Message) -> list[Deviation]:
    value = _envelope(message)
    return oddities(value) if value else []


def _envelope(message: Message) -> dict[str, object]:
    if message.envelope is None:
        return {}
    try:
        value = json_document.loads(message.envelope)
    except FormatError:
        return {}
    return value if isinstance(value, dict) else {}
