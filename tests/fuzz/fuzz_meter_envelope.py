"""Fuzz the meter envelope (binary, text line, and what is inside one that opens), the register and the keys file."""

from __future__ import annotations

import json

import atheris

with atheris.instrument_imports(include=["anxin"]):
    from tests.fuzz.formats_harness import run

    from anxin.domain.batch import Side
    from anxin.domain.source import Source
    from anxin.formats import meter_envelope as axe
    from anxin.formats.register import dump_register, load_keys, load_operator_secrets, load_register
    from anxin.formats.sniff import sniff

KEYS = [
    axe.ContentKey("k-1", axe.Suite.SM4_GCM, bytes(16), "M1"),
    axe.ContentKey("k-2", axe.Suite.AES_256_GCM, bytes(32)),
]
HERE = Source("fuzz", 1)
RECORD = b'OCMF|{"FV":"1.0","PG":"T1","RD":[]}|{"SD":"3006020101020101"}'
REGISTER = {
    "format": "anxin-register-1",
    "operators": [{"operator_id": "O", "name": "x"}],
    "meters": [{"meter_id": "M1", "connector_id": "C1", "installed": "2026-01-01T00:00:00+08:00"}],
    "tariffs": [{"tariff_id": "T1", "operator_id": "O", "currency": "EUR", "zone": "Europe/Oslo",
                 "valid_from": "2026-01-01T00:00:00+08:00", "valid_to": "2028-01-01T00:00:00+08:00",
                 "periods": [{"from": "22:00", "to": "06:00", "energy_price": "0.3"},
                             {"from": "06:00", "to": "22:00", "energy_price": 0.9}]}],
}  # fmt: skip
KEYS_FILE = {
    "format": "anxin-keys-1",
    "keys": [{"key_id": "K", "meter_id": "M", "algorithm": "SM2-SM3", "public_key": "04",
              "valid_from": "2026-01-01T00:00:00Z"}],
    "content_keys": [{"key_id": "k", "suite": "SM4-GCM", "key_hex": "00" * 16}],
    "operator_secrets": [{"operator_id": "O", "data_secret": "1234567890abcdef", "data_secret_iv_hex": "00" * 16,
                          "sig_secret": "s"}],
}  # fmt: skip


def target(data: bytes) -> None:
    choice, rest = data[:1], data[1:]
    if choice == b"\x00":
        axe.decode_binary(rest, HERE, KEYS)
    elif choice == b"\x01":
        axe.decode_line(rest, HERE, KEYS)
    elif choice == b"\x02":
        axe.decode_binary(axe.seal(rest, KEYS[0], counter=1, meter_id="M1", sent_utc_ms=0), HERE, KEYS)
    elif choice == b"\x03":
        register = load_register(rest, "register.json")
        if load_register(dump_register(register), "register.json") != register:
            raise AssertionError("a register that does not come back")
    elif choice == b"\x04":
        load_keys(rest, "keys.json")
        load_operator_secrets(rest, "keys.json")
    elif choice == b"\x05":
        sniff(rest, "fuzz")


if __name__ == "__main__":
    sealed = [
        axe.seal(RECORD, key, counter=1, meter_id="M1", transaction_id="T", side=Side.END, sent_utc_ms=1)
        for key in KEYS
    ]
    lines = [b"\x01" + axe.to_line(data) for data in sealed]
    files = [b"\x03" + json.dumps(REGISTER).encode(), b"\x04" + json.dumps(KEYS_FILE).encode()]
    heads = [b"\x05" + head for head in (b"AXE1.", b'{"StartChargeSeq":', b"\x1f\x8b\x08", b"a,b\n", b"OCMF|")]
    run(target, [*(b"\x00" + data for data in sealed), *lines, b"\x02" + RECORD, *files, *heads], [*REGISTER])
