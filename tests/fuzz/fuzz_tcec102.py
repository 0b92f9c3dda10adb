"""Fuzz the T/CEC 102 decoders: orders, JSON lines, envelopes that open (sealed from the fuzzed text), states, stations,
lists of a check, orders sent again."""

from __future__ import annotations

import json

import atheris

with atheris.instrument_imports(include=["anxin"]):
    from tests.fuzz.formats_harness import run

    from anxin.formats import tcec102, tcec102_check, tcec102_station, tcec102_status, tcec102_supplement
    from anxin.formats.tcec102_envelope import OperatorSecrets, seal_envelope

SECRETS = OperatorSecrets("123456789", bytes(16), bytes(16), b"s")
ORDER = {
    "StartChargeSeq": "123456789000000000000000001", "ConnectorID": "1_1", "StartTime": "2026-03-10 18:03:49",
    "EndTime": "2026-03-10 18:43:49", "TotalPower": 10.5, "TotalElecMoney": 5.25, "TotalServiceMoney": "2.10",
    "TotalMoney": 7.35, "SumPeriod": 1, "MeterNumStart": 1.5, "MeterNumEnd": 12, "LossRatio": 0.01,
    "OriginalPower": 10.4, "UploadTime": 1773137029,
    "ChargeDetails": [{"DetailStartTime": "20260310180349", "DetailEndTime": "2026-03-10 18:43:49", "ElecPrice": 0.5,
                       "SevicePrice": 0.2, "DetailPower": 10.5, "DetailElecMoney": 5.25, "DetailSeviceMoney": 2.1}],
}  # fmt: skip
CHECK = {
    "CheckOrderSeq": "123456789000000000000000002", "StartTime": "2026-03-10 00:00:00",
    "EndTime": "2026-03-11 00:00:00", "OrderCount": 1, "TotalOrderPower": 10.5, "TotalOrderMoney": 7.35,
    "ChargeOrders": [{"StartChargeSeq": "1", "TotalPower": 10.5, "TotalMoney": "7.35"}],
}  # fmt: skip
STATUS = {
    "Total": 1, "StationStatusInfos": [{"StationID": "s", "ConnectorStatusInfos": [
        {"ConnectorID": "c", "Status": 255, "ParkStatus": 10, "LockStatus": 50}]}],
}  # fmt: skip
STATION = {
    "StationInfo": {
        "StationID": "s", "OperatorID": "123456789", "StationName": "站", "AreaCode": "330110", "StationLng": 120.1,
        "StationLat": "30.2", "StationType": 1, "ElectricityFee": "{}", "EquipmentInfos": [
            {"EquipmentID": "e", "EquipmentType": 1, "Power": 60.0, "ConnectorInfos": [
                {"ConnectorID": "c", "ConnectorType": 4, "Power": 60, "Status": "2"}]}]},
}  # fmt: skip
DECODERS = {
    2: lambda data: tcec102_status.decode(data, "fuzz", 0),
    3: lambda data: tcec102_station.decode(data, "fuzz", "123456789", 0),
    4: lambda data: tcec102_check.listed_orders(data, "fuzz"),
    5: tcec102_supplement.order_texts,
}


def target(data: bytes) -> None:
    if data[:1] and data[0] in DECODERS:
        DECODERS[data[0]](data[1:])
        return
    if data[:1] == b"\x01":
        data = seal_envelope(data[1:], SECRETS, "20260310180349")
    tcec102.decode(data, "fuzz", secrets=[SECRETS])


if __name__ == "__main__":
    order, check = json.dumps(ORDER).encode(), json.dumps(CHECK).encode()
    wrapped = json.dumps({"OperatorID": "123456789", "Data": {"ChargeOrderInfo": ORDER}}).encode()
    seeds = [order, check, wrapped, b"\x01" + order, order + b"\n" + order, b"[" + order + b"," + check + b"]"]
    more = ((2, STATUS), (3, STATION), (4, CHECK), (5, {"ChargeOrderInfos": [ORDER]}))
    seeds += [bytes([number]) + json.dumps(value).encode() for number, value in more]
    run(target, seeds, [*STATUS, *STATION["StationInfo"], *ORDER, *CHECK, *ORDER["ChargeDetails"][0]])  # type: ignore[index]  # a list of objects
