"""Field names of T/CEC 102, and the spellings of them that are met on the wire.

The standard itself misspells (`Sevice`); platforms correct it, drop letters or change the case. Each other spelling
is read as the standard's and reported as deviation `tcec102.spelling`.
"""

from __future__ import annotations

from functools import cache

from anxin.domain.errors import FormatError
from anxin.domain.source import Deviation

CLAUSE_ORDER = "T/CEC 102.3-2016 ChargeOrderInfo"
CLAUSE_CHECK = "T/CEC 102.3-2016 check_charge_orders"
CLAUSE_STATION = "T/CEC 102.2-2016 StationInfo"
CLAUSE_STATUS = "T/CEC 102.2-2016 ConnectorStatusInfo"

#: The standard's fields, then extensions seen in public payloads, then ours (see docs/formats/tcec102.md).
ORDER_FIELDS = frozenset({
    "StartChargeSeq", "ConnectorID", "StartTime", "EndTime", "TotalPower", "TotalElecMoney", "TotalSeviceMoney",
    "TotalMoney", "StopReason", "SumPeriod", "ChargeDetails",
    "OperatorID", "Vin", "MeterNumStart", "MeterNumEnd", "TotalOriginalElecMoney", "TotalOriginalSeviceMoney",
    "TotalOriginalMoney", "TotalBusinessElecMoney", "TotalBusinessSeviceMoney", "TotalBusinessMoney", "AccountDate",
    "StayCost",
    "MeterID", "LossRatio", "OriginalPower", "TariffID", "UploadTime",
})  # fmt: skip
DETAIL_FIELDS = frozenset({
    "DetailStartTime", "DetailEndTime", "ElecPrice", "SevicePrice", "DetailPower", "DetailElecMoney",
    "DetailSeviceMoney",
})  # fmt: skip
CHECK_FIELDS = frozenset({
    "CheckOrderSeq", "StartTime", "EndTime", "OrderCount", "TotalOrderPower", "TotalOrderMoney", "ChargeOrders",
    "OperatorID",
})  # fmt: skip
LISTED_ORDER_FIELDS = frozenset({"StartChargeSeq", "TotalPower", "TotalMoney"})

STATION_FIELDS = frozenset({
    "StationID", "OperatorID", "EquipmentOwnerID", "StationName", "CountryCode", "AreaCode", "Address", "StationTel",
    "ServiceTel", "StationType", "StationStatus", "ParkNums", "StationLng", "StationLat", "SiteGuide", "Construction",
    "Pictures", "MatchCars", "ParkInfo", "BusineHours", "ElectricityFee", "ServiceFee", "ParkFee", "Payment",
    "SupportOrder", "Remark", "EquipmentInfos",
})  # fmt: skip
EQUIPMENT_FIELDS = frozenset({
    "EquipmentID", "ManufacturerID", "ManufacturerName", "EquipmentModel", "ProductionDate", "EquipmentType",
    "ConnectorInfos", "EquipmentLng", "EquipmentLat", "Power", "EquipmentName",
})  # fmt: skip
CONNECTOR_FIELDS = frozenset({
    "ConnectorID", "ConnectorName", "ConnectorType", "VoltageUpperLimits", "VoltageLowerLimits", "Current", "Power",
    "ParkNo", "NationalStandard",
})  # fmt: skip
STATUS_FIELDS = frozenset({
    "ConnectorID", "EquipmentID", "Status", "ParkStatus", "LockStatus", "CurrentA", "CurrentB", "CurrentC", "VoltageA",
    "VoltageB", "VoltageC", "SOC",
})  # fmt: skip

_LETTERS = (("sevice", "service"), ("elec", "elect"), ("total", "tatal"), ("starttime", "startime"),
            ("starttime", "statrtime"), ("sumperiod", "subperiod"),
            ("busine", "business"))  # fmt: skip


@cache
def _spellings(fields: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(fields):
        forms = {name.lower()}
        for right, wrong in _LETTERS:
            forms |= {form.replace(right, wrong) for form in forms}
        for form in forms:
            found.setdefault(form, name)
    return found


def by_standard_names(
    raw: dict[str, object], fields: frozenset[str], clause: str
) -> tuple[dict[str, object], list[Deviation]]:
    """Return the object under the standard's names, and one deviation per field spelt otherwise or unknown.

    Raises FormatError `tcec102.field_twice` where two spellings of one field contradict each other.
    """
    if fields.issuperset(raw):
        return raw, []
    named: dict[str, object] = {}
    deviations: list[Deviation] = []
    for key, value in raw.items():
        name = key if key in fields else _spellings(fields).get(key.lower())
        if name is None:
            deviations.append(Deviation("tcec102.unknown_field", clause, "a field that is not read", key[:64]))
            continue
        if name != key:
            deviations.append(Deviation("tcec102.spelling", clause, f"{key[:64]} read as {name}", name))
        if name in named and named[name] != value:
            raise FormatError("tcec102.field_twice", f"{name} stands twice with different values", name)
        named[name] = value
    return named, deviations
