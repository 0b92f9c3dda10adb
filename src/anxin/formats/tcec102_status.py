"""T/CEC 102 status of connectors: bytes -> StatusReports.

Read are the body of `notification_stationStatus` (ConnectorStatusInfo), the answer of `query_station_status`
(StationStatusInfos), and what platforms send in their place: a list, ConnectorStatusInfos, ConnectorInfos, one bare
object. A status bears no time of its own; the caller says which to take.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from anxin.domain.connector_status import TCEC102, State, StatusReport
from anxin.domain.errors import FormatError
from anxin.domain.source import Deviation, Reject, Source
from anxin.formats import json_document
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.tcec102_fields import CLAUSE_STATUS, CONNECTOR_FIELDS, STATUS_FIELDS
from anxin.formats.tcec102_item import Item
from anxin.formats.values import exact

#: Fifty stations, the most of one call, with 400 connectors each.
MAX_STATUSES = 20_000
#: Stations of one answer: the standard allows 50 to be asked for.
MAX_STATIONS = 1_000
PARK_CODES = LOCK_CODES = frozenset({0, 10, 50})
_LISTS = ("ConnectorStatusInfos", "ConnectorInfos")
_TOP = frozenset({"ConnectorStatusInfo", *_LISTS, "StationStatusInfos", "StationStatusInfo", "Total", "OperatorID",
                  "StationID"})  # fmt: skip
_STATION = frozenset({"StationID", "OperatorID", "ConnectorStatusInfo", *_LISTS})
_CONNECTOR = STATUS_FIELDS | CONNECTOR_FIELDS


@dataclass(slots=True)
class StatusMessage:
    """What one message says. `station_ids` are the stations that it names around the statuses."""

    statuses: list[StatusReport] = field(default_factory=list)
    station_ids: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    deviations: list[tuple[Source, Deviation]] = field(default_factory=list)


def decode(data: bytes, source_file: str, at_utc_ms: int) -> StatusMessage:
    """Return the statuses of one message, all as of `at_utc_ms`. A bad one among many is a reject.

    Raises FormatError where the whole is no status message: `tcec102.shape`, `tcec102.list`, `json.*`, `encoding.*`.
    """
    reader = _Reader(source_file, at_utc_ms)
    reader.document(json_document.loads(data))
    reader.found.deviations = reader.log.result()
    return reader.found


def status_of(item: Item, at_utc_ms: int) -> StatusReport:
    """Return the state that one object states. Raises FormatError `tcec102.missing`, `number.*`, `text.*`."""
    connector_id = item.needed_text("ConnectorID")
    value = item.named.get("Status")
    if value is None or value == "":
        raise FormatError("tcec102.missing", "a connector without Status", "Status")
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        item.note("tcec102.number_as_text", "Status is a text", "Status")
    elif isinstance(value, str):
        item.note("tcec102.status_unknown", f"Status {value[:40]!r} is none of the standard's", "Status")
        return StatusReport(connector_id, State.UNKNOWN, at_utc_ms)
    number = exact(value, "Status")
    state = TCEC102.get(int(number)) if number is not None and number == int(number) else None
    if state is None:
        item.note("tcec102.status_unknown", f"Status {number} is none of the standard's", "Status")
    return StatusReport(connector_id, state or State.UNKNOWN, at_utc_ms)


class _Reader:
    def __init__(self, source_file: str, at_utc_ms: int) -> None:
        self.file = source_file
        self.at_utc_ms = at_utc_ms
        self.log = DeviationLog()
        self.found = StatusMessage()
        self.row = 0

    def document(self, value: object) -> None:
        if isinstance(value, list):
            self._shape("a list without a name around it")
            self._connectors(value)
            return
        if isinstance(value, dict) and any(key.lower() == "connectorid" for key in value):
            self._shape("a bare object without ConnectorStatusInfo around it")
            self._connectors([value])
            return
        top = Item(value, _TOP, CLAUSE_STATUS, Source(self.file, 1), self.log)
        known = [name for name in top.named if name not in {"Total", "OperatorID", "StationID"}]
        if not known:
            detail = "no ConnectorStatusInfo and no StationStatusInfos"
            raise FormatError("tcec102.shape", detail, "ConnectorStatusInfo")
        for name in known:
            self._named(top, name)

    def _named(self, top: Item, name: str) -> None:
        inner = top.named[name]
        if name.startswith("StationStatusInfo"):
            if name == "StationStatusInfo":
                self._shape("StationStatusInfo in place of StationStatusInfos")
            stations = top.items(name, MAX_STATIONS)
            total = top.number("Total")
            if total is not None and total != len(stations):
                top.note("tcec102.total", f"Total {total}, but {len(stations)} stations are listed", "Total")
            for station in stations:
                self._station(station)
        elif name == "ConnectorStatusInfo" and isinstance(inner, dict):
            self._connectors([inner])
        else:
            self._shape(f"{name} in place of one ConnectorStatusInfo" if name in _LISTS else f"{name} is a list")
            self._connectors(top.items(name, MAX_STATUSES))
        if top.named.get("StationID") is not None:
            self.found.station_ids.append(top.needed_text("StationID"))

    def _station(self, value: object) -> None:
        source = Source(self.file, self.row + 1)
        try:
            station = Item(value, _STATION, CLAUSE_STATUS, source, self.log)
            self.found.station_ids.append(station.needed_text("StationID"))
            names = [name for name in ("ConnectorStatusInfo", *_LISTS) if name in station.named]
            if names != ["ConnectorStatusInfos"]:
                self._shape(f"{', '.join(names) or 'nothing'} in place of ConnectorStatusInfos")
            inner = [c for name in names for c in station.items(name, MAX_STATUSES)]
        except FormatError as error:
            self._reject(error, source)
            return
        self._connectors(inner)

    def _connectors(self, values: list[object]) -> None:
        if self.row + len(values) > MAX_STATUSES:
            raise FormatError("tcec102.list", f"more than {MAX_STATUSES} statuses in one message")
        for value in values:
            self.row += 1
            source = Source(self.file, self.row)
            try:
                item = Item(value, _CONNECTOR, CLAUSE_STATUS, source, self.log)
                item.code("ParkStatus", PARK_CODES)
                item.code("LockStatus", LOCK_CODES)
                self.found.statuses.append(status_of(item, self.at_utc_ms))
            except FormatError as error:
                self._reject(error, source)

    def _shape(self, detail: str) -> None:
        note = Deviation("tcec102.status_shape", CLAUSE_STATUS, detail, "ConnectorStatusInfo")
        self.log.add(Source(self.file, self.row + 1), note)

    def _reject(self, error: FormatError, source: Source) -> None:
        self.found.rejects.append(Reject(source, error.rule, str(error), error.field))
