"""Uploads in JSON: bytes -> plain values, as strict as `strict_json`, for files of a million orders.

`strict_json` keeps the text of every number, because a reading's digits are signed. An order's are not: here numbers
become int or Decimal at once (exact, the digits after the point kept), which is what makes bulk uploads quick.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from anxin.domain.errors import FormatError
from anxin.domain.quantities import MAX_NUMBER_CHARS
from anxin.formats.strict_json import MAX_DEPTH, MAX_JSON_CHARS
from anxin.formats.text_encoding import decode_utf8


def loads(data: bytes) -> object:
    """Return dict, list, str, int, Decimal, bool or None. Text is checked where it is read (`values.clean_text`).

    Raises FormatError: `json.size`, `json.depth`, `json.syntax`, `json.number`, `json.not_finite`,
    `json.duplicate_key`, `encoding.utf8`.
    """
    if len(data) > MAX_JSON_CHARS:
        limit = f"a JSON document of more than {MAX_JSON_CHARS} bytes; write one order a line instead"
        raise FormatError("json.size", limit)
    try:
        value: object = _DECODER.decode(decode_utf8(data))
    except json.JSONDecodeError as error:
        raise FormatError("json.syntax", f"not JSON at line {error.lineno} column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise FormatError("json.depth", f"JSON nested deeper than {MAX_DEPTH} levels") from None
    except (InvalidOperation, ValueError):
        raise FormatError("json.number", "a number of a size that no quantity has") from None
    # So few brackets cannot nest too deep; only a text with more is walked.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _refuse_depth(value)
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError("json.duplicate_key", f"the key {twice[:40]!a} stands twice in one object", twice[:40])
    return found


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARS:
        raise FormatError("number.length", f"a number has more than {MAX_NUMBER_CHARS} characters")
    return Decimal(text)


def _constant(text: str) -> NoReturn:
    raise FormatError("json.not_finite", f"{text} is not a number of JSON (RFC 8259 section 6)")


def _refuse_depth(value: object) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise FormatError("json.depth", f"JSON nested deeper than {MAX_DEPTH} levels")
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_decimal, parse_constant=_constant)
