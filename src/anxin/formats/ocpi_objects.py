"""OCPI objects as operators push them: what a locations, sessions or tariffs receiver needs of them, checked.

Fields that OCPI requires and this platform does not use are not asked for; fields that nobody knows are kept (OCPI
forbids to refuse them). What is read is of its type, within its length, and within a named number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from anxin.domain.errors import FormatError
from anxin.domain.quantities import utc_ms
from anxin.formats.json_document import loads
from anxin.formats.ocpi import MAX_PERIODS
from anxin.formats.values import exact

#: Bytes of one pushed object: a location with 2,000 EVSEs stays below.
MAX_OBJECT_BYTES = 4 * 1024 * 1024
#: Characters of the ids that stand in a URL (CiString(36)), of a CDR's (CiString(39)), of an EVSE's (CiString(48)).
MAX_OBJECT_ID_CHARS = 36
MAX_CDR_ID_CHARS = 39
MAX_EVSE_ID_CHARS = 48
#: EVSEs of one location, connectors of one EVSE: the largest sites have some hundreds, a charger a handful.
MAX_EVSES = 2_000
MAX_CONNECTORS = 50
#: Items of any list, and characters of any text of an object: OCPI's longest text is a URL of 255.
MAX_ITEMS = 10_000
MAX_TEXT_CHARS = 4_000

SESSION_STATUSES = frozenset({"ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION"})
CLAUSE = "OCPI 2.2.1/2.3.0"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?")


def read_object(data: bytes, max_text_chars: int = MAX_TEXT_CHARS) -> dict[str, Any]:
    """Return the object that a body is.

    Raises FormatError: `json.*`, `encoding.*`, `number.length`, `ocpi.size`, `ocpi.shape`, `ocpi.items`, `text.*`.
    """
    if len(data) > MAX_OBJECT_BYTES:
        raise FormatError("ocpi.size", f"an object has at most {MAX_OBJECT_BYTES} bytes")
    value = loads(data)
    if not isinstance(value, dict):
        raise FormatError("ocpi.shape", "the body is no JSON object")
    for inner in _inside(value):
        if isinstance(inner, list) and len(inner) > MAX_ITEMS:
            raise FormatError("ocpi.items", f"a list has more than {MAX_ITEMS} items")
        if isinstance(inner, str):
            _refuse_text(inner, max_text_chars)
    return value


def text_field(value: dict[str, Any], name: str, max_chars: int = 255) -> str:
    """Return a required text. Raises FormatError `ocpi.missing`, `text.*` with the field's name."""
    text = optional_text(value, name, max_chars)
    if not text:
        raise FormatError("ocpi.missing", f"{name} is missing", name)
    return text


def optional_text(value: dict[str, Any], name: str, max_chars: int = 255) -> str | None:
    """Return a text, None where there is none. Raises FormatError `text.*`."""
    text = value.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise FormatError("text.type", f"{name} is no text", name)
    if len(text) > max_chars:
        raise FormatError("text.length", f"{name} has more than {max_chars} characters", name)
    if not text.isprintable():
        raise FormatError("text.control", f"{name} holds control characters", name)
    return text


def id_field(value: dict[str, Any], name: str, max_chars: int = MAX_OBJECT_ID_CHARS) -> str:
    """Return a required CiString: printable ASCII. Raises FormatError."""
    text = text_field(value, name, max_chars)
    if not text.isascii():
        raise FormatError("text.ascii", f"{name} is not printable ASCII (types, CiString)", name)
    return text


def time_field(value: dict[str, Any], name: str = "last_updated") -> int:
    """Return a required time as UTC ms; one without zone is UTC. Raises FormatError `ocpi.missing`, `time.*`."""
    text = text_field(value, name, 40)
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FormatError("time.syntax", f"{name} is not an RFC 3339 time", name) from None
    return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def objects_field(value: dict[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    """Return a list of objects, empty where there is none. Raises FormatError `ocpi.shape`, `ocpi.items`."""
    items = value.get(name)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise FormatError("ocpi.shape", f"{name} is no list of objects", name)
    if len(items) > most:
        raise FormatError("ocpi.items", f"{name} has more than {most} items", name)
    return items


def check_location(value: dict[str, Any], *, partial: bool = False) -> None:
    """Raise FormatError where a location (or a part of one, as PATCH sends it) cannot be used."""
    if not partial:
        id_field(value, "id")
        if not isinstance(value.get("coordinates"), dict):
            raise FormatError("ocpi.missing", "coordinates is missing", "coordinates")
    time_field(value)
    optional_text(value, "name")
    if value.get("coordinates") is not None:
        coordinates(value)
    for evse in distinct(objects_field(value, "evses", MAX_EVSES), "uid"):
        check_evse(evse)


def check_evse(value: dict[str, Any], *, partial: bool = False) -> None:
    """Raise FormatError where an EVSE (or a part of one) cannot be used."""
    if not partial:
        id_field(value, "uid")
        text_field(value, "status", 40)
    optional_text(value, "evse_id", MAX_EVSE_ID_CHARS)
    optional_text(value, "status", 40)
    time_field(value)
    for connector in distinct(objects_field(value, "connectors", MAX_CONNECTORS), "id"):
        check_connector(connector)


def check_connector(value: dict[str, Any], *, partial: bool = False) -> None:
    """Raise FormatError where a connector (or a part of one) cannot be used."""
    if not partial:
        id_field(value, "id")
    time_field(value)
    optional_text(value, "power_type", 40)
    for name in ("max_voltage", "max_amperage", "max_electric_power"):
        number = exact(value.get(name), name)
        if number is not None and not 0 <= number <= 100_000_000:
            raise FormatError("number.range", f"{name} is out of range", name)


def check_session(value: dict[str, Any], *, partial: bool = False) -> None:
    """Raise FormatError where a session (or a part of one) cannot be used."""
    if not partial:
        id_field(value, "id")
        text_field(value, "status", 40)
        time_field(value, "start_date_time")
        if value.get("kwh") is None:
            raise FormatError("ocpi.missing", "kwh is missing", "kwh")
    time_field(value)
    status = optional_text(value, "status", 40)
    if status is not None and status not in SESSION_STATUSES:
        raise FormatError("ocpi.status", f"status is none of {', '.join(sorted(SESSION_STATUSES))}", "status")
    energy = exact(value.get("kwh"), "kwh")
    if energy is not None and energy < 0:
        raise FormatError("number.range", "kwh is below zero", "kwh")
    for name in ("start_date_time", "end_date_time"):
        if value.get(name) is not None:
            time_field(value, name)
    objects_field(value, "charging_periods", MAX_PERIODS)


def check_tariff(value: dict[str, Any]) -> None:
    """Raise FormatError where a tariff cannot be used."""
    id_field(value, "id")
    text_field(value, "currency", 3)
    time_field(value)
    if not objects_field(value, "elements", MAX_ITEMS):
        raise FormatError("ocpi.missing", "elements is missing", "elements")


def coordinates(value: dict[str, Any]) -> tuple[str, str]:
    """Return longitude and latitude (WGS-84, decimal text). Raises FormatError."""
    found = value.get("coordinates")
    if not isinstance(found, dict):
        raise FormatError("ocpi.missing", "coordinates is missing", "coordinates")
    texts = []
    for name, most in (("longitude", 180), ("latitude", 90)):
        number = exact(found.get(name), name)
        if number is None or abs(number) > most:
            raise FormatError("number.range", f"{name} is not a number of degrees up to {most}", name)
        texts.append(str(found[name]))
    return texts[0], texts[1]


def distinct(items: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the items; two of one id cannot be told apart. Raises FormatError `ocpi.twice`."""
    ids = [id_field(item, name).upper() for item in items]
    if len(set(ids)) != len(ids):
        raise FormatError("ocpi.twice", f"two items of one {name}", name)
    return items


def _inside(value: object) -> Iterator[object]:
    stack = [value]
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, dict):
            stack += item.keys()
            stack += item.values()
        elif isinstance(item, list) and len(item) <= MAX_ITEMS:
            stack += item


def _refuse_text(text: str, max_chars: int) -> None:
    if len(text) > max_chars:
        raise FormatError("text.length", f"a text has more than {max_chars} characters")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise FormatError("text.control", "a text holds NUL or half of a character")
