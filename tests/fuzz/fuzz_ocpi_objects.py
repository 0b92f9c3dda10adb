"""Fuzz OCPI objects as they are pushed: a location, an EVSE, a session, a tariff; checked, joined, read.

The first byte says which object it is, and whether it is a PUT on an empty state or a PATCH of a seed's.
"""

from __future__ import annotations

import json
from typing import Any

import atheris

with atheris.instrument_imports(include=["anxin"]):
    from tests.fuzz.formats_harness import run

    from anxin.formats import ocpi_locations, ocpi_objects, ocpi_tariffs, ocpi_tree

STAMP = "2026-03-10T10:03:49Z"
PLUG = {"id": "1", "max_electric_power": 60_000, "power_type": "DC", "max_voltage": 400, "last_updated": STAMP}
EVSE = {"uid": "E1", "evse_id": "NL*ABC*E1", "status": "CHARGING", "connectors": [PLUG], "last_updated": STAMP}
LOCATION = {
    "country_code": "NL", "party_id": "ABC", "id": "L", "name": "站", "evses": [EVSE], "last_updated": STAMP,
    "coordinates": {"latitude": "52.1", "longitude": "4.3"}, "time_zone": "Europe/Amsterdam",
}  # fmt: skip
SESSION = {
    "country_code": "NL", "party_id": "ABC", "id": "S", "start_date_time": STAMP, "kwh": 1.5, "status": "ACTIVE",
    "location_id": "L", "evse_uid": "E1", "connector_id": "1", "currency": "EUR", "last_updated": STAMP,
    "charging_periods": [{"start_date_time": STAMP, "dimensions": [{"type": "ENERGY", "volume": 1}]}],
    "cdr_token": {"uid": "u"},
}  # fmt: skip
TARIFF = {
    "country_code": "NL", "party_id": "ABC", "id": "T", "currency": "EUR", "last_updated": STAMP,
    "elements": [{"price_components": [{"type": "ENERGY", "price": 0.25, "vat": 21, "step_size": 1}],
                  "restrictions": {"start_time": "08:00", "end_time": "20:00", "day_of_week": ["MONDAY"]}}],
}  # fmt: skip
#: level in the tree, the seed, and how it is checked.
OBJECTS: list[tuple[str, dict[str, Any], Any]] = [
    ("location", LOCATION, ocpi_objects.check_location),
    ("evse", EVSE, ocpi_objects.check_evse),
    ("connector", PLUG, ocpi_objects.check_connector),
    ("session", SESSION, ocpi_objects.check_session),
    ("tariff", TARIFF, None),
]


def nobody(_: list[str]) -> None:
    """A register without entries."""


def target(data: bytes) -> None:
    which, patched = divmod(data[0] if data else 0, 2)
    level, _, check = OBJECTS[which % len(OBJECTS)]
    value = ocpi_objects.read_object(data[1:])
    if level == "tariff":
        ocpi_objects.check_tariff(value)
        ocpi_tariffs.declared("MA0000001", value, "Europe/Amsterdam")
        return
    check(value, partial=bool(patched))
    root = "session" if level == "session" else "location"
    state = ocpi_tree.node_of(root, SESSION if root == "session" else LOCATION, 0)
    path = {"evse": ["E1"], "connector": ["E1", "1"]}.get(level, [])
    if patched:
        changed, _ = ocpi_tree.patch(state, path, value, 1)
    else:
        changed, _ = ocpi_tree.put(state if path else None, root, path, value, 1)
    whole = ocpi_tree.load(ocpi_tree.dump(changed)).document()
    if root == "location":
        ocpi_locations.declared("NL*ABC", "MA0000001", whole, nobody, nobody)
        for evse in whole.get("evses") or []:
            ocpi_locations.statuses("NL*ABC", evse, nobody)


if __name__ == "__main__":
    seeds = [bytes([2 * n + p]) + json.dumps(seed).encode() for n, (_, seed, _) in enumerate(OBJECTS) for p in (0, 1)]
    run(target, seeds, {k for _, seed, _ in OBJECTS for k in seed})
