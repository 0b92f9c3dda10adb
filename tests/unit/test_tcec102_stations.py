"""Whatever an operator sends as a state or a station: a value, a reject, or a declared error, and nothing else."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anxin.domain.connector_status import TCEC102, State
from anxin.domain.errors import FormatError
from anxin.formats import tcec102_check, tcec102_station, tcec102_status, tcec102_supplement
from anxin.formats.tcec102_fields import CONNECTOR_FIELDS, EQUIPMENT_FIELDS, STATION_FIELDS, STATUS_FIELDS

QUIET = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=150)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
NAMES = st.sampled_from(sorted(STATION_FIELDS | EQUIPMENT_FIELDS | CONNECTOR_FIELDS | STATUS_FIELDS))
WRAPPERS = st.sampled_from([
    "StationInfo", "StationInfos", "EquipmentInfos", "ConnectorInfos", "ConnectorStatusInfo", "ConnectorStatusInfos",
    "StationStatusInfos", "stationStatusInfo", "ChargeOrders", "ChargeOrderInfos",
])  # fmt: skip
ANYTHING = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | WRAPPERS, inner, max_size=5),
    max_leaves=20,
)


@QUIET
@given(ANYTHING)
def test_any_json_is_read_or_refused_by_a_declared_error(value: Any) -> None:
    data = json.dumps(value).encode()
    for decode in (
        lambda: tcec102_status.decode(data, "x", 0),
        lambda: tcec102_station.decode(data, "x", "123456789", 0),
        lambda: tcec102_check.listed_orders(data, "x"),
        lambda: tcec102_supplement.order_texts(data),
    ):
        with contextlib.suppress(FormatError):
            decode()


@QUIET
@given(st.lists(st.tuples(st.text("ABC123", min_size=1, max_size=5), st.integers(-3, 300)), min_size=1, max_size=5))
def test_every_state_comes_out_once_and_unknown_ones_are_told(states: list[tuple[str, int]]) -> None:
    infos = [{"ConnectorID": name, "Status": state} for name, state in states]
    body = {"Total": 1, "StationStatusInfos": [{"StationID": "S", "ConnectorStatusInfos": infos}]}
    found = tcec102_status.decode(json.dumps(body).encode(), "x", 77)
    assert [(s.connector_id, s.state, s.at_utc_ms) for s in found.statuses] == [
        (name, TCEC102.get(state, State.UNKNOWN), 77) for name, state in states
    ]
    told = {d.kind for _, d in found.deviations}
    assert told == ({"tcec102.status_unknown"} if any(s not in TCEC102 for _, s in states) else set())


@QUIET
@given(st.decimals("73.1", "135.9", places=6), st.decimals("3.1", "53.9", places=6), st.decimals(0, 9999, places=3))
def test_coordinates_and_power_keep_every_digit(lng: Decimal, lat: Decimal, power: Decimal) -> None:
    connector = f'{{"ConnectorID":"C","Power":{power},"ConnectorType":4}}'
    text = f'''{{"StationInfo":{{"StationID":"S","OperatorID":"1","StationName":"n","AreaCode":"1","StationLng":{lng},
        "StationLat":"{lat}","EquipmentInfos":[{{"EquipmentID":"E","EquipmentType":1,"ConnectorInfos":[{connector}]}}]}}}}'''
    found = tcec102_station.decode(text.encode(), "x", "1", 0)
    (station,), (plug,) = found.declared.stations, found.declared.connectors
    assert (station.longitude, station.latitude, station.crs) == (f"{lng:f}", f"{lat:f}", "GCJ-02")
    assert (plug.rated_power_w, plug.current_type, plug.charger_id) == (int(power * 1000), "DC", "E")
    assert [d.kind for _, d in found.deviations] == ["tcec102.number_as_text"]


def test_the_limits_refuse_one_more() -> None:
    plug = {"ConnectorID": "C", "Status": 1, "Power": 1}
    over: list[tuple[Any, Any]] = [
        (lambda d: tcec102_status.decode(d, "x", 0), {"ConnectorStatusInfos": [plug] * 20_001}),
        (lambda d: tcec102_status.decode(d, "x", 0), {"StationStatusInfos": [{}] * 1_001}),
        (lambda d: tcec102_station.decode(d, "x", "1", 0), {"StationInfos": [{}] * 1_001}),
        (lambda d: tcec102_check.listed_orders(d, "x"), {"ChargeOrders": [0] * 100_001}),
        (tcec102_supplement.order_texts, {"ChargeOrderInfos": [0] * 10_001}),
    ]
    for decode, value in over:
        with pytest.raises(FormatError):
            decode(json.dumps(value).encode())
    site: dict[str, Any] = {"StationID": "S", "EquipmentInfos": [{"EquipmentID": "E", "ConnectorInfos": [plug] * 201}]}
    found = tcec102_station.decode(json.dumps({"StationInfo": site}).encode(), "x", "1", 0)
    assert [r.rule for r in found.rejects] == ["tcec102.list"]
    site["EquipmentInfos"] = [{}] * 2_001
    found = tcec102_station.decode(json.dumps({"StationInfo": site}).encode(), "x", "1", 0)
    assert [r.rule for r in found.rejects] == ["tcec102.list"]


def test_orders_sent_again_keep_their_exact_bytes() -> None:
    data = b'{ "PageNo":1, "ChargeOrderInfos" : [ {"StartChargeSeq":"1","TotalPower":1.50} ,{"a" : 2}]}'
    assert tcec102_supplement.order_texts(data) == [b'{"StartChargeSeq":"1","TotalPower":1.50}', b'{"a" : 2}']


@pytest.mark.parametrize(
    ("said", "address", "opening"),
    [
        ({"Address": " 福中三路 1 号 ", "BusineHours": "周一至周日 00:00-24:00"}, "福中三路 1 号", "24/7"),
        ({"Address": "x" * 256, "BusineHours": "24小时"}, None, "24/7"),
        ({"Address": "a\x00b", "BusineHours": "08:00~22:00"}, None, "08:00~22:00"),
        ({"Address": 7, "BusineHours": {}}, None, None),
        ({}, None, None),
    ],
)
def test_address_hours_and_plug_are_read_and_never_refuse_a_station(
    said: dict[str, Any], address: str | None, opening: str | None
) -> None:
    plugs = [{"ConnectorID": f"C{kind}", "ConnectorType": kind, "Power": 7} for kind in (1, 3, 4, 6)]
    info = {"StationID": "S", "EquipmentInfos": [{"EquipmentID": "E", "ConnectorInfos": plugs}], **said}
    found = tcec102_station.decode(json.dumps({"StationInfo": info}).encode(), "x", "1", 0).declared
    assert (found.stations[0].address, found.stations[0].opening) == (address, opening)
    assert [c.plug for c in found.connectors] == [None, "GBT_AC", "GBT_DC", None]
