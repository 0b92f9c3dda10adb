"""What the city's operators declare of their stations: notification_stationInfo of T/CEC 102.2, from the register."""

from __future__ import annotations

import json

from anxin.domain.register import Connector, Register

#: Codes of T/CEC 102.2: public, in service, at the roadside; equipment DC or AC; plugs of GB/T 20234.
PUBLIC, IN_SERVICE, ROADSIDE = 1, 50, 10
EQUIPMENT = {"DC": 1, "AC": 2}
PLUG = {"DC": 4, "AC": 3}


def station_texts(register: Register) -> list[tuple[str, str]]:
    """Return (operator, text) of each station that has connectors, as its operator's platform would send it."""
    connectors: dict[str, list[Connector]] = {}
    for connector in register.connectors:
        connectors.setdefault(connector.station_id, []).append(connector)
    texts = []
    for station in register.stations:
        chargers: dict[str, list[Connector]] = {}
        for connector in connectors.get(station.station_id, ()):
            chargers.setdefault(connector.charger_id, []).append(connector)
        if not chargers:
            continue
        info = {
            "StationID": station.station_id,
            "OperatorID": station.operator_id,
            "EquipmentOwnerID": station.operator_id,
            "StationName": station.name,
            "CountryCode": "CN",
            "AreaCode": station.station_id[:6],
            "Address": station.district,
            "StationType": PUBLIC,
            "StationStatus": IN_SERVICE,
            "ParkNums": sum(len(c) for c in chargers.values()),
            "StationLng": float(station.longitude or 0),
            "StationLat": float(station.latitude or 0),
            "Construction": ROADSIDE,
            "EquipmentInfos": [_equipment(charger, plugs) for charger, plugs in chargers.items()],
        }
        text = json.dumps({"StationInfo": info}, ensure_ascii=False, separators=(",", ":"))
        texts.append((station.operator_id, text))
    return texts


def _equipment(charger: str, connectors: list[Connector]) -> dict[str, object]:
    return {
        "EquipmentID": charger,
        "EquipmentType": EQUIPMENT[connectors[0].current_type],
        "Power": sum(c.rated_power_w for c in connectors) / 1_000,
        "ConnectorInfos": [
            {
                "ConnectorID": c.connector_id,
                "ConnectorName": f"{number}号枪",
                "ConnectorType": PLUG[c.current_type],
                "VoltageUpperLimits": 1_000 if c.current_type == "DC" else 220,
                "VoltageLowerLimits": 200 if c.current_type == "DC" else 220,
                "Current": 250 if c.current_type == "DC" else 32,
                "Power": c.rated_power_w / 1_000,
                "NationalStandard": 2,
            }
            for number, c in enumerate(connectors, 1)
        ],
    }
