"""T/CEC 102 stations: bytes -> what an operator declares of his stations and connectors.

Read are the body of `notification_stationInfo` (StationInfo) and the answer of `query_stations_info` (StationInfos).
Coordinates are GCJ-02, kept as the decimal text that was sent. `district` is AreaCode (GB/T 2260). A connector's
`current_type` is empty where neither ConnectorType nor EquipmentType tells it. Fees and policies are not read.
`opening` is BusineHours, `24/7` where that says that the station never closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from anxin.domain.connector_status import StatusReport
from anxin.domain.errors import FormatError
from anxin.domain.register import Connector, Register, Station
from anxin.domain.source import Deviation, Reject, Source
from anxin.formats import json_document
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.tcec102_fields import (
    CLAUSE_STATION,
    CONNECTOR_FIELDS,
    EQUIPMENT_FIELDS,
    STATION_FIELDS,
    STATUS_FIELDS,
)
from anxin.formats.tcec102_item import Item
from anxin.formats.tcec102_status import status_of

#: Stations of one message: pages of the standard have some tens.
MAX_STATIONS = 1_000
#: Chargers of one station: the largest public one has some hundreds.
MAX_EQUIPMENT = 2_000
#: Connectors of one charger: a group charger (群充) has some tens.
MAX_CONNECTORS = 200
#: A charger of more than 10 MW was written in watts.
MAX_POWER_W = 10_000_000
#: Characters of an address or of opening hours; longer ones are read as not stated.
MAX_WORDS_CHARS = 255
CRS = "GCJ-02"
AC, DC = "AC", "DC"
STATION_TYPES = frozenset({1, 50, 100, 101, 102, 103, 255})
STATION_STATUSES = frozenset({0, 1, 5, 6, 50})
CONSTRUCTIONS = frozenset({*range(1, 13), 255})
NATIONAL_STANDARDS = frozenset({1, 2})
CURRENT_OF_CONNECTOR = {1: AC, 2: AC, 3: AC, 4: DC, 5: "", 6: ""}
#: ConnectorType as OCPI 2.2.1 names it: 2 and 3 are of GB/T 20234.2, 4 of GB/T 20234.3. 1 is a household socket of GB/T
#: 1002, 5 wireless, 6 anything else: OCPI has no name for them, or several.
PLUG_OF_CONNECTOR = {2: "GBT_AC", 3: "GBT_AC", 4: "GBT_DC"}
#: BusineHours is a text for people; these forms of it say that a station never closes.
ALWAYS_OPEN = frozenset({"24", "24小时", "24h", "全天", "全天24小时", "24小时营业", "全天营业", "全天开放",
                         "00:00-24:00", "0:00-24:00", "00:00-23:59", "0:00-23:59", "周一至周日00:00-24:00",
                         "周一至周日00:00-23:59", "7*24", "7x24", "24/7",
                         "24小时开放"})  # fmt: skip
CURRENT_OF_EQUIPMENT = {1: DC, 2: AC, 3: "", 4: "", 5: ""}
#: Outermost longitudes and latitudes of China, to tell an exchanged pair.
CHINA_LONGITUDE, CHINA_LATITUDE = (73, 136), (3, 54)
_TOP = frozenset({"StationInfo", "StationInfos", "PageNo", "PageCount", "ItemSize", "OperatorID"})


@dataclass(slots=True)
class StationMessage:
    """What one message declares; `statuses` where states stand among its connectors."""

    declared: Register = field(default_factory=Register)
    statuses: list[StatusReport] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    deviations: list[tuple[Source, Deviation]] = field(default_factory=list)


def decode(data: bytes, source_file: str, operator_id: str, at_utc_ms: int) -> StationMessage:
    """Return what a message of `operator_id` declares. A bad station or connector among many is a reject.

    Raises FormatError where the whole is no station message: `tcec102.shape`, `tcec102.list`, `json.*`, `encoding.*`.
    """
    reader = _Reader(source_file, operator_id, at_utc_ms)
    reader.document(json_document.loads(data))
    reader.found.declared = Register(stations=tuple(reader.stations), connectors=tuple(reader.connectors))
    reader.found.deviations = reader.log.result()
    return reader.found


class _Reader:
    def __init__(self, source_file: str, operator_id: str, at_utc_ms: int) -> None:
        self.file, self.operator_id, self.at_utc_ms = source_file, operator_id, at_utc_ms
        self.log = DeviationLog()
        self.found = StationMessage()
        self.stations: list[Station] = []
        self.connectors: list[Connector] = []

    def document(self, value: object) -> None:
        shape = None
        if isinstance(value, list):
            shape, stations = "a list without StationInfos around it", value
        elif isinstance(value, dict) and any(key.lower() == "stationid" for key in value):
            shape, stations = "a bare object without StationInfo around it", [value]
        else:
            top = Item(value, _TOP, CLAUSE_STATION, Source(self.file, 1), self.log)
            if "StationInfos" in top.named:
                stations = top.items("StationInfos", MAX_STATIONS)
            elif isinstance(inner := top.named.get("StationInfo"), dict):
                stations = [inner]
            elif isinstance(inner, list):
                shape, stations = "StationInfo is a list", inner
            else:
                raise FormatError("tcec102.shape", "no StationInfo and no StationInfos", "StationInfo")
        if shape is not None:
            note = Deviation("tcec102.station_shape", CLAUSE_STATION, shape, "StationInfo")
            self.log.add(Source(self.file, 1), note)
        if len(stations) > MAX_STATIONS:
            raise FormatError("tcec102.list", f"more than {MAX_STATIONS} stations in one message", "StationInfo")
        for row, station in enumerate(stations, 1):
            try:
                self._station(station, Source(self.file, row))
            except FormatError as error:
                self._reject(error, Source(self.file, row))

    def _station(self, value: object, source: Source) -> None:
        item = Item(value, STATION_FIELDS, CLAUSE_STATION, source, self.log)
        station_id = item.needed_text("StationID")
        for name, allowed in (("StationType", STATION_TYPES), ("StationStatus", STATION_STATUSES),
                              ("Construction", CONSTRUCTIONS)):  # fmt: skip
            item.code(name, allowed)
        fee = item.named.get("ElectricityFee")
        if isinstance(fee, dict | list) or (isinstance(fee, str) and fee.lstrip()[:1] in {"{", "["}):
            item.note("tcec102.fee_structured", "ElectricityFee is JSON, not a text for people", "ElectricityFee")
        longitude, latitude = self._place(item)
        operator_id = item.text("OperatorID") or self.operator_id
        station = Station(
            station_id,
            operator_id,
            item.text("StationName") or station_id,
            item.text("AreaCode"),
            longitude,
            latitude,
            CRS if longitude is not None else None,
            _said(item, "Address"),
            _opening(_said(item, "BusineHours")),
        )
        chargers: list[object] = []
        if item.named.get("EquipmentInfos") is None:
            item.note("tcec102.missing", "EquipmentInfos is missing", "EquipmentInfos")
        else:
            chargers = item.items("EquipmentInfos", MAX_EQUIPMENT)
        self.stations.append(station)
        for charger in chargers:
            try:
                self._charger(charger, station, source)
            except FormatError as error:
                self._reject(error, source)

    def _place(self, item: Item) -> tuple[str | None, str | None]:
        longitude, latitude = item.number("StationLng"), item.number("StationLat")
        if longitude is None or latitude is None:
            item.note("tcec102.missing", "StationLng or StationLat is missing", "StationLng")
            return None, None
        if abs(longitude) > 180 or abs(latitude) > 90 or not (longitude or latitude):
            where = f"{longitude}, {latitude}"
            item.note("tcec102.coordinates", f"{where} is no place: read as not stated", "StationLng")
            return None, None
        if _within(longitude, CHINA_LATITUDE) and _within(latitude, CHINA_LONGITUDE):
            item.note("tcec102.coordinates", "longitude and latitude look exchanged; read as sent", "StationLng")
        elif not (_within(longitude, CHINA_LONGITUDE) and _within(latitude, CHINA_LATITUDE)):
            item.note("tcec102.coordinates", f"{longitude}, {latitude} is far from China; read as sent", "StationLng")
        return f"{longitude:f}", f"{latitude:f}"

    def _charger(self, value: object, station: Station, source: Source) -> None:
        item = Item(value, EQUIPMENT_FIELDS, CLAUSE_STATION, source, self.log)
        charger_id = item.needed_text("EquipmentID")
        current = CURRENT_OF_EQUIPMENT.get(item.code("EquipmentType", frozenset(CURRENT_OF_EQUIPMENT)) or 0, "")
        power = item.number("Power")
        for connector in item.items("ConnectorInfos", MAX_CONNECTORS):
            try:
                self._connector(connector, charger_id, station, current, power, source)
            except FormatError as error:
                self._reject(error, source)

    def _connector(
        self,
        value: object,
        charger_id: str,
        station: Station,
        current: str,
        charger_power: Decimal | None,
        source: Source,
    ) -> None:
        item = Item(value, CONNECTOR_FIELDS | STATUS_FIELDS, CLAUSE_STATION, source, self.log)
        connector_id = item.needed_text("ConnectorID")
        kind = item.code("ConnectorType", frozenset(CURRENT_OF_CONNECTOR))
        item.code("NationalStandard", NATIONAL_STANDARDS)
        own = CURRENT_OF_CONNECTOR.get(kind or 0, "")
        if own and current and own != current:
            item.note("tcec102.current_type", f"ConnectorType says {own}, EquipmentType {current}", "ConnectorType")
        power = item.number("Power")
        if power is None and charger_power is not None:
            item.note("tcec102.power_of_equipment", "no Power of its own: the charger's is taken", "Power")
            power = charger_power
        if power is None:
            raise FormatError("tcec102.missing", f"connector {connector_id[:40]} without Power", "Power")
        watts = int((power * 1_000).to_integral_value())
        if not 0 <= watts <= MAX_POWER_W:
            raise FormatError("number.range", f"no power of a connector: {power} kW", "Power")
        connector = Connector(
            connector_id, charger_id, station.station_id, station.operator_id, watts, own or current,
            PLUG_OF_CONNECTOR.get(kind or 0),
        )  # fmt: skip
        self.connectors.append(connector)
        if "Status" in item.named:
            item.note("tcec102.status_in_station", "Status stands in station information: read as a status", "Status")
            self.found.statuses.append(status_of(item, self.at_utc_ms))

    def _reject(self, error: FormatError, source: Source) -> None:
        self.found.rejects.append(Reject(source, error.rule, str(error), error.field))


def _said(item: Item, name: str) -> str | None:
    """A text for people, None where there is no usable one: nobody's station is refused for its words."""
    value = item.named.get(name)
    usable = isinstance(value, str) and value.strip() and len(value) <= MAX_WORDS_CHARS and value.isprintable()
    return str(value).strip() if usable else None


def _opening(text: str | None) -> str | None:
    if text is None:
        return None
    plain = text.lower().replace(" ", "").replace("：", ":").replace("～", "-").replace("~", "-").replace("至24", "-24")
    return "24/7" if plain in ALWAYS_OPEN else text


def _within(value: Decimal, span: tuple[int, int]) -> bool:
    return span[0] <= value <= span[1]
