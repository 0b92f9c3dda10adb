"""The keys of a register file: which meter signs with which public key, from when to when.

    {"keys": [{"key_id": "K1", "meter_id": "M1", "algorithm": "SM2-sm2p256v1-SM3", "public_key": "3059...",
               "valid_from": "2026-01-01T00:00:00+08:00", "valid_to": null, "revoked": null}]}

Other members of the document are left alone, so that a whole register may be given where its keys are wanted.
"""

from __future__ import annotations

from datetime import datetime

from anxin.domain.errors import FormatError
from anxin.domain.quantities import utc_ms
from anxin.domain.register import MeterKey
from anxin.formats.strict_json import Number, parse_json

#: Most keys read from one file: a country's meters with a few generations of keys each.
MAX_KEYS = 5_000_000


def decode(data: bytes) -> tuple[MeterKey, ...]:
    """Return the keys. Raises FormatError (`register.*`, `json.*`) naming the entry."""
    try:
        document = parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FormatError("register.encoding", f"not UTF-8 at byte {error.start}") from None
    entries = document.get("keys") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise FormatError("register.keys", "no list of keys", "keys")
    if len(entries) > MAX_KEYS:
        raise FormatError("register.keys", f"more than {MAX_KEYS} keys", "keys")
    return tuple(_key(entry, f"keys[{index}]") for index, entry in enumerate(entries))


def _key(entry: object, place: str) -> MeterKey:
    if not isinstance(entry, dict):
        raise FormatError("register.key", f"{place} is no object", place)
    start = _moment(entry, "valid_from", place)
    return MeterKey(
        key_id=_text(entry, "key_id", place),
        meter_id=_text(entry, "meter_id", place),
        algorithm=_text(entry, "algorithm", place),
        public_key=_text(entry, "public_key", place),
        valid_from_utc_ms=0 if start is None else start,
        valid_to_utc_ms=_moment(entry, "valid_to", place),
        revoked_utc_ms=_moment(entry, "revoked", place),
    )


def _text(entry: dict[str, object], name: str, place: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise FormatError("register.key", f"{place} has no {name}", f"{place}.{name}")
    return value


def _moment(entry: dict[str, object], name: str, place: str) -> int | None:
    """Return a moment given as zoned ISO 8601 text (`valid_from`) or as UTC ms (`valid_from_utc_ms`)."""
    number = entry.get(f"{name}_utc_ms")
    if isinstance(number, Number) and number.value == number.value.to_integral_value():
        return int(number.value)
    value = entry.get(name)
    if value is None:
        return None
    try:
        return utc_ms(datetime.fromisoformat(str(value)))
    except ValueError:
        raise FormatError(
            "register.key", f"{place}.{name} is no time: {str(value)[:40]!a}", f"{place}.{name}"
        ) from None
