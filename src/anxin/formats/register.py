"""register.json and keys.json <-> the register of operators, chargers, meters, keys, verifications, seals, tariffs.

docs/formats/register.md describes every entry. Times are ISO 8601 with an offset, money is decimal text, unknown and
missing entries are refused by their place (`register.json: meters[3].installed: ...`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from anxin.domain.errors import FormatError, PolicyError
from anxin.domain.quantities import iso_of
from anxin.domain.register import (
    Connector,
    Meter,
    MeterKey,
    Operator,
    Register,
    Seal,
    Station,
    Verification,
)
from anxin.formats.json_document import loads
from anxin.formats.meter_envelope import SUITE_NAMES, ContentKey
from anxin.formats.register_entry import Entry
from anxin.formats.register_tariff import dump_tariffs, read_tariffs
from anxin.formats.tcec102_envelope import OperatorSecrets

REGISTER_FORMAT = "anxin-register-1"
KEYS_FORMAT = "anxin-keys-1"

_T = TypeVar("_T")
_LISTS: dict[str, type[Any]] = {
    "operators": Operator,
    "stations": Station,
    "connectors": Connector,
    "meters": Meter,
    "keys": MeterKey,
    "verifications": Verification,
    "seals": Seal,
}
#: Where an id must be found among the entries of another list, if that list is given at all.
_REFERENCES = (
    ("stations", "operator_id", "operators"),
    ("connectors", "operator_id", "operators"),
    ("connectors", "station_id", "stations"),
    ("meters", "connector_id", "connectors"),
    ("keys", "meter_id", "meters"),
)
_UNIQUE = ("operators", "stations", "connectors", "keys")
_ID = {"operators": "operator_id", "stations": "station_id", "connectors": "connector_id", "meters": "meter_id",
       "keys": "key_id"}  # fmt: skip


def load_register(data: bytes, name: str) -> Register:
    """Return the register in a JSON file. Raises PolicyError naming file and entry."""
    top = _document(data, name, REGISTER_FORMAT)
    lists = {key: [_read(entry, kind) for entry in top.entries(key)] for key, kind in _LISTS.items()}
    tariffs, periods = read_tariffs(top.entries("tariffs"))
    top.done()
    _check_ids(lists, name)
    return Register(
        operators=tuple(lists["operators"]),
        stations=tuple(lists["stations"]),
        connectors=tuple(lists["connectors"]),
        meters=tuple(lists["meters"]),
        keys=tuple(lists["keys"]),
        verifications=tuple(lists["verifications"]),
        seals=tuple(lists["seals"]),
        tariffs=tariffs,
        tariff_periods=periods,
        sources=(name,),
    )


def dump_register(register: Register) -> bytes:
    """Return a register as JSON bytes that `load_register` reads back to the same register (`sources` apart)."""
    document: dict[str, object] = {"format": REGISTER_FORMAT}
    for key in _LISTS:
        document[key] = [_written(value) for value in getattr(register, key)]
    document["tariffs"] = dump_tariffs(register.tariffs, register.tariff_periods)
    return _json({key: value for key, value in document.items() if value})


def load_keys(data: bytes, name: str) -> tuple[tuple[MeterKey, ...], tuple[ContentKey, ...]]:
    """Return the meters' public keys and the content-encryption keys of a keys file. Raises PolicyError."""
    keys, content_keys, _ = _load_all_keys(data, name)
    return keys, content_keys


def load_operator_secrets(data: bytes, name: str) -> tuple[OperatorSecrets, ...]:
    """Return the operators' T/CEC 102.4 secrets of a keys file. Raises PolicyError."""
    return _load_all_keys(data, name)[2]


def dump_keys(
    keys: Iterable[MeterKey] = (),
    content_keys: Iterable[ContentKey] = (),
    operator_secrets: Iterable[OperatorSecrets] = (),
) -> bytes:
    """Return a keys file as JSON bytes. It holds secrets where content keys or operator secrets are given."""
    suites = {suite: name for name, suite in SUITE_NAMES.items()}
    document: dict[str, object] = {"format": KEYS_FORMAT, "keys": [_written(key) for key in keys]}
    document["content_keys"] = [
        {"key_id": key.key_id, "suite": suites[key.suite], "key_hex": key.key.hex()}
        | ({"meter_id": key.meter_id} if key.meter_id else {})
        for key in content_keys
    ]
    document["operator_secrets"] = [
        {
            "operator_id": secret.operator_id,
            "data_secret_hex": secret.data_secret.hex(),
            "data_secret_iv_hex": secret.data_secret_iv.hex(),
            "sig_secret_hex": secret.sig_secret.hex(),
        }
        for secret in operator_secrets
    ]
    return _json({key: value for key, value in document.items() if value})


def _load_all_keys(
    data: bytes, name: str
) -> tuple[tuple[MeterKey, ...], tuple[ContentKey, ...], tuple[OperatorSecrets, ...]]:
    top = _document(data, name, KEYS_FORMAT)
    keys = [_read(entry, MeterKey) for entry in top.entries("keys")]
    content_keys = [_content_key(entry) for entry in top.entries("content_keys")]
    secrets = [_secrets(entry) for entry in top.entries("operator_secrets")]
    top.done()
    _refuse_twice([key.key_id for key in keys], f"{name}: keys")
    _refuse_twice([key.key_id for key in content_keys], f"{name}: content_keys")
    return tuple(keys), tuple(content_keys), tuple(secrets)


def _content_key(entry: Entry) -> ContentKey:
    suite = entry.choice("suite", SUITE_NAMES)
    key_id, key = entry.text("key_id"), entry.hex("key_hex")
    meter_id = entry.optional_text("meter_id")
    entry.done()
    return _made(entry, lambda: ContentKey(key_id, suite, key, meter_id))


def _secrets(entry: Entry) -> OperatorSecrets:
    operator_id, values = entry.text("operator_id"), []
    for key in ("data_secret", "data_secret_iv", "sig_secret"):
        # Secrets are stated as text by most platforms; bytes that are no text need the _hex form.
        text = entry.optional_text(key)
        values.append(entry.hex(f"{key}_hex") if text is None else text.encode())
    entry.done()
    return _made(entry, lambda: OperatorSecrets(operator_id, *values))


def _made(entry: Entry, make: Callable[[], _T]) -> _T:
    try:
        return make()
    except FormatError as error:
        raise PolicyError(f"{entry.place}: {error}") from None


def _document(data: bytes, name: str, expected: str) -> Entry:
    try:
        value = loads(data)
    except FormatError as error:
        raise PolicyError(f"{name}: {error}") from None
    if not isinstance(value, dict):
        raise PolicyError(f"{name}: not a JSON object")
    top = Entry(f"{name}", value, top=True)
    if top.text("format") != expected:
        raise PolicyError(f'{name}: format: must be "{expected}"')
    return top


def _read(entry: Entry, kind: type[_T]) -> _T:
    """Read one entry field by field as its class declares them; `*_utc_ms` stands in the file as ISO 8601."""
    values: dict[str, object] = {}
    for item in fields(kind):  # type: ignore[arg-type]  # every class in _LISTS is a dataclass
        needed = item.default is MISSING
        if item.name.endswith("_utc_ms"):
            value: object = entry.time(item.name.removesuffix("_utc_ms"), needed)
        elif item.type == "int":
            value = entry.integer(item.name)
        elif item.type == "bool":
            value = entry.flag(item.name, bool(item.default))
        else:
            value = entry.text(item.name) if needed else entry.optional_text(item.name)
            value = item.default if value is None else value
        values[item.name] = value
    entry.done()
    return kind(**values)


def _written(value: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for item in fields(value):  # type: ignore[arg-type]  # every class in _LISTS is a dataclass
        content = getattr(value, item.name)
        # What is not so and need not be said is left out.
        if content is None or (content is False and item.default is False):
            continue
        if item.name.endswith("_utc_ms"):
            found[item.name.removesuffix("_utc_ms")] = iso_of(content)
        else:
            found[item.name] = content
    return found


def _check_ids(lists: dict[str, list[Any]], name: str) -> None:
    ids = {key: {getattr(value, _ID[key]) for value in lists[key]} for key in _ID}
    for key in _UNIQUE:
        _refuse_twice([getattr(value, _ID[key]) for value in lists[key]], f"{name}: {key}")
    for key, attribute, target in _REFERENCES:
        for index, value in enumerate(lists[key]):
            wanted = getattr(value, attribute)
            if ids[target] and wanted not in ids[target]:
                raise PolicyError(f"{name}: {key}[{index}].{attribute}: no entry {wanted!r} among {target}")


def _refuse_twice(ids: list[str], place: str) -> None:
    seen: set[str] = set()
    for index, value in enumerate(ids):
        if value in seen:
            raise PolicyError(f"{place}[{index}]: the id {value!r} stands twice")
        seen.add(value)


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"
