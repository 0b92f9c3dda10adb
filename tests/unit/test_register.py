"""register.json and keys.json: what is written comes back, and what is wrong is named by its place."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.errors import PolicyError
from anxin.domain.quantities import moment_of
from anxin.domain.register import Register
from anxin.formats.meter_envelope import ContentKey, Suite
from anxin.formats.register import dump_keys, dump_register, load_keys, load_operator_secrets, load_register
from anxin.formats.tcec102_envelope import OperatorSecrets

PERIODS = [
    {"from": "22:00", "to": "06:00", "energy_price": "0.3512", "service_price": "0.4"},
    {"from": "06:00", "to": "22:00", "energy_price": "0.9", "service_price": "0.4"},
]


def a_register() -> dict[str, object]:
    return {
        "format": "anxin-register-1",
        "operators": [{"operator_id": "MA01H3BQ1", "name": "甲充电"}],
        "stations": [{"station_id": "S", "operator_id": "MA01H3BQ1", "name": "杭州大厦", "longitude": "120.16"}],
        "connectors": [
            {
                "connector_id": "C1", "charger_id": "P1", "station_id": "S", "operator_id": "MA01H3BQ1",
                "rated_power_w": 60000, "current_type": "DC",
            }
        ],
        "meters": [{"meter_id": "M1", "connector_id": "C1", "installed": "2026-01-01T00:00:00+08:00"}],
        "keys": [
            {
                "key_id": "K1", "meter_id": "M1", "algorithm": "SM2-SM3", "public_key": "04ab",
                "valid_from": "2026-01-01T00:00:00+08:00", "revoked": "2026-03-01T00:00:00+08:00",
            }
        ],
        "verifications": [
            {
                "charger_id": "P1", "certificate_no": "HZ-1", "verified": "2026-01-01T00:00:00+08:00",
                "valid_to": "2029-01-01T00:00:00+08:00",
            }
        ],
        "seals": [{"seal_id": "Q1", "charger_id": "P1", "kind": "physical", "applied": "2026-01-01T00:00:00+08:00"}],
        "tariffs": [
            {
                "tariff_id": "T1", "operator_id": "MA01H3BQ1", "currency": "CNY", "zone": "Asia/Shanghai",
                "valid_from": "2026-01-01T00:00:00+08:00", "periods": [dict(period) for period in PERIODS],
            }
        ],
    }  # fmt: skip


def load(document: dict[str, object]) -> Register:
    return load_register(json.dumps(document).encode(), "register.json")


def test_a_register_is_read_and_comes_back() -> None:
    register = load(a_register())
    assert register.meters[0].installed_utc_ms == 1767196800000
    assert register.keys[0].revoked_utc_ms == 1772294400000
    assert (register.connectors[0].rated_power_w, register.verifications[0].passed) == (60_000, True)
    (tariff,) = register.tariffs
    assert (tariff.utc_offset_minutes, tariff.rounding_e4, tariff.rounding_scope) == (480, 100, "period")
    assert [(p.minute_from, p.minute_to, p.energy_price_e4) for p in register.tariff_periods] == [
        (0, 360, 3512),
        (360, 1320, 9000),
        (1320, 1440, 3512),
    ]
    assert load_register(dump_register(register), "register.json") == register


@given(
    st.sampled_from(["Europe/Oslo", "Australia/Lord_Howe", "America/New_York", "Asia/Shanghai"]),
    st.integers(0, 40_000),
    st.integers(1, 1_000_000),
)
def test_a_tariff_of_a_zone_with_daylight_saving_becomes_dated_pieces(zone: str, hour: int, length: int) -> None:
    begin, hours = 1_600_000_000_000 + hour * 3_600_000, min(length, 60_000)
    document = a_register()
    tariff = document["tariffs"][0]  # type: ignore[index]
    tariff["zone"] = zone
    tariff["valid_from"] = moment_of(begin).isoformat()
    tariff["valid_to"] = moment_of(begin + hours * 3_600_000).isoformat()
    register = load(document)
    pieces = register.tariffs
    assert (pieces[0].valid_from_utc_ms, pieces[-1].valid_to_utc_ms) == (begin, begin + hours * 3_600_000)
    assert all(a.valid_to_utc_ms == b.valid_from_utc_ms for a, b in pairwise(pieces))
    assert all(a.utc_offset_minutes != b.utc_offset_minutes for a, b in pairwise(pieces))
    for piece in pieces:
        assert piece.valid_to_utc_ms is not None
        for at in (piece.valid_from_utc_ms, piece.valid_to_utc_ms - 1):
            offset = moment_of(at, ZoneInfo(zone)).utcoffset()
            assert offset == timedelta(minutes=piece.utc_offset_minutes)
    assert load_register(dump_register(register), "register.json") == register


def changed(path: str, value: object) -> dict[str, object]:
    document = a_register()
    holder: object = document
    *parts, last = path.split(".")
    for part in parts:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]  # type: ignore[index]
    if value is ...:
        del holder[last]  # type: ignore[attr-defined]
    else:
        holder[last] = value  # type: ignore[index]
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "anxin-register-9", "register.json: format: "),
        ("chargers", [], "register.json: chargers: is unknown"),
        ("meters", {}, "register.json: meters: must be a list"),
        ("meters.0.installed", "2026-01-01", "register.json: meters[0].installed: a time without a zone"),
        ("meters.0.installed", "yesterday", "register.json: meters[0].installed: not a time"),
        ("meters.0.installed", 5, "register.json: meters[0].installed: must be a text"),
        ("meters.0.installed", ..., "register.json: meters[0].installed: is missing"),
        ("meters.0.serial", "x", "register.json: meters[0].serial: is unknown"),
        ("meters.0.connector_id", "C9", "register.json: meters[0].connector_id: no entry 'C9' among connectors"),
        ("connectors.0.rated_power_w", -5, "register.json: connectors[0].rated_power_w: must be a whole number"),
        ("connectors.0.rated_power_w", True, "register.json: connectors[0].rated_power_w: must be a whole number"),
        ("verifications.0.passed", "yes", "register.json: verifications[0].passed: must be true or false"),
        ("tariffs.0.zone", "Mars/Base", "register.json: tariffs[0].zone: not an IANA time zone"),
        ("tariffs.0.valid_to", "2020-01-01T00:00:00Z", "register.json: tariffs[0].valid_to: lies before"),
        ("tariffs.0.periods", PERIODS[:1], "register.json: tariffs[0].periods: must cover the day"),
        ("tariffs.0.rounding_scope", "day", "register.json: tariffs[0].rounding_scope: must be one of"),
        ("tariffs.0.periods.0.from", "24:30", "register.json: tariffs[0].periods[0].from: not a time of day"),
        ("tariffs.0.periods.0.energy_price", "-1", "register.json: tariffs[0].periods[0].energy_price: "),
        ("tariffs.0.periods.0.energy_price", "0.12345", "register.json: tariffs[0].periods[0].energy_price: "),
    ],
)
def test_a_wrong_entry_is_named_by_its_place(path: str, value: object, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(changed(path, value))
    assert str(caught.value).startswith(message)


def test_an_id_that_stands_twice_is_refused() -> None:
    document = a_register()
    for key in ("operators", "connectors", "keys", "tariffs"):
        entries = document[key]
        assert isinstance(entries, list)
        with pytest.raises(PolicyError, match="stands twice"):
            load({**document, key: entries * 2})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"format": 5}', b"\xff\xfe{", b'{"format": "a", "format": "b"}'])
def test_what_is_no_register_at_all_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(PolicyError, match=r"^register\.json"):
        load_register(data, "register.json")
    with pytest.raises(PolicyError, match=r"^keys\.json"):
        load_keys(data, "keys.json")


def test_keys_of_all_three_kinds_come_back() -> None:
    register = load(a_register())
    content_keys = (ContentKey("c1", Suite.SM4_GCM, bytes(16), "M1"), ContentKey("c2", Suite.AES_256_GCM, bytes(32)))
    secrets = (OperatorSecrets("MA01H3BQ1", bytes(16), b"x" * 16, b"\xff"),)
    data = dump_keys(register.keys, content_keys, secrets)
    assert load_keys(data, "keys.json") == (register.keys, content_keys)
    assert load_operator_secrets(data, "keys.json") == secrets


def test_a_wrong_key_is_named_without_being_quoted() -> None:
    for entry in (
        {"key_id": "c1", "suite": "SM4-GCM", "key_hex": "5ec2e7zz"},
        {"key_id": "c1", "suite": "SM4-GCM", "key_hex": "5ec2e7"},
        {"key_id": "c1", "suite": "AES-128-GCM", "key_hex": "5ec2e7"},
    ):
        data = json.dumps({"format": "anxin-keys-1", "content_keys": [entry]}).encode()
        with pytest.raises(PolicyError, match=r"^keys\.json: content_keys\[0\]") as caught:
            load_keys(data, "keys.json")
        assert "5ec2e7" not in str(caught.value)
