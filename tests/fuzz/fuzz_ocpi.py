"""Fuzz the OCPI decoder with the records inside."""

from __future__ import annotations

import json

import atheris

with atheris.instrument_imports(include=["anxin"]):
    from tests.fuzz.formats_harness import run

    from anxin.formats import ocpi

RECORD = 'OCMF|{"FV":"1.0","PG":"T1","RD":[]}|{"SD":"3006020101020101"}'
CDR = {
    "country_code": "NL", "party_id": "XYZ", "id": "cdr-1", "session_id": "s-1", "meter_id": "M7", "currency": "EUR",
    "start_date_time": "2026-03-10T10:03:49Z", "end_date_time": "1970-1-1T00:00:00Z", "credit": True,
    "cdr_location": {"evse_uid": "77", "evse_id": "NL*XYZ*E7", "connector_id": "2"}, "tariffs": [{"id": "T1"}],
    "charging_periods": [{"start_date_time": "2026-03-10T10:03:49+01:00",
                          "dimensions": [{"type": "ENERGY", "volume": 4}]}],
    "total_cost": {"before_taxes": 4.0, "taxes": [{"amount": 0.84}]},
    "total_energy_cost": {"excl_vat": 4.0, "incl_vat": 4.84},
    "total_energy": 10.5, "last_updated": "2026-03-10T11:00:00",
    "signed_data": {"encoding_method": "OCMF", "public_key": "3059", "signed_values": [
        {"nature": "Start", "plain_data": "", "signed_data": RECORD}]},
}  # fmt: skip


def target(data: bytes) -> None:
    ocpi.decode(data, "fuzz")


if __name__ == "__main__":
    cdr = json.dumps(CDR).encode()
    run(target, [cdr, b"[" + cdr + b"]", b'{"data":' + cdr + b"}", cdr + b"\n" + cdr], [*CDR, "incl_vat", "OCMF|"])
