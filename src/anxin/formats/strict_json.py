"""JSON as strict as metrology needs it: no duplicate keys, no NaN, exact numbers, named limits, one exception.

Python's own scanner does the reading (RFC 8259 grammar, C speed); the hooks here take away what it is lenient about.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from anxin.domain.errors import FormatError
from anxin.domain.quantities import decimal_of

#: Deepest nesting read. OCMF nests three levels, OCPI six; deeper input only serves to exhaust a stack.
MAX_DEPTH = 32
#: Largest text read as one JSON document. The longest real records met have 6 kB, uploads of orders some MB.
MAX_JSON_CHARS = 64 * 1024 * 1024

_SPACE = re.compile(r"[ \t\n\r]*")
# The closing quote is optional, so that an unterminated string is one match and the scan stays linear.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number: the exact value, and the text that it was written as (its digits are part of a reading)."""

    value: Decimal
    text: str


#: What `read_json` returns: dict, list, str, Number, bool or None, nested.
Json = object


def _number(text: str) -> Number:
    return Number(decimal_of(text), text)


def _constant(text: str) -> NoReturn:
    raise FormatError("json.not_finite", f"{text} is not a number of JSON (RFC 8259 section 6)")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise FormatError("json.duplicate_key", f"the key {name[:40]!a} stands twice in one object", name[:40])
            seen.add(name)
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_constant, strict=True
)


def read_json(text: str, start: int = 0) -> tuple[Json, int]:
    """Return the JSON value that begins at `start` (white space before it allowed) and the index just behind it.

    Raises FormatError: `json.size`, `json.depth`, `json.syntax`, `json.duplicate_key`, `json.not_finite`,
    `json.surrogate`, `number.*`.
    """
    if len(text) > MAX_JSON_CHARS:
        raise FormatError("json.size", f"a JSON document of more than {MAX_JSON_CHARS} characters")
    begin = skip_space(text, start)
    _refuse_depth(text, begin)
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except json.JSONDecodeError as error:
        raise FormatError("json.syntax", f"not JSON at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise FormatError("json.depth", f"JSON nested deeper than {MAX_DEPTH} levels") from None
    if "\\u" in text:
        _refuse_surrogates(value)
    return value, end


def parse_json(text: str) -> Json:
    """Return the one JSON value that `text` is. Raises FormatError as `read_json`, and `json.trailing`."""
    value, end = read_json(text)
    if skip_space(text, end) != len(text):
        raise FormatError("json.trailing", f"text after the JSON value, at character {end}")
    return value


def skip_space(text: str, start: int) -> int:
    """Return the index of the first character from `start` on that is no JSON white space."""
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _refuse_depth(text: str, start: int) -> None:
    # So few brackets cannot nest too deep; only a text with more is scanned bracket by bracket.
    if text.count("[", start) + text.count("{", start) <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text, start):
        first = match.group()[0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise FormatError("json.depth", f"JSON nested deeper than {MAX_DEPTH} levels")
        elif first in "]}":
            depth -= 1


def _refuse_surrogates(value: object) -> None:
    """A lone surrogate escape is no Unicode text: it can be neither stored, hashed nor shown."""
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise FormatError("json.surrogate", "a lone surrogate escape is no Unicode text")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_surrogates(name)
            _refuse_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_surrogates(inner)
