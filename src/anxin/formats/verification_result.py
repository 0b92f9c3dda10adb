"""The whole result of a verification as JSON: what a bench's run writes and a certificate carries inside.

Members are those of `domain.verification.VerificationResult`, all of them (but `simulated` where it is not so), and no
other. What is not exact is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from anxin.domain.errors import FormatError
from anxin.domain.verification import VerificationResult
from anxin.formats import json_document

#: Bytes of one result: a sweep of some hundred points with some readings each is some hundred kilobytes.
MAX_RESULT_BYTES = 1024 * 1024
#: Characters of one text in a result.
MAX_RESULT_TEXT = 500
#: Points, items and readings of one point; numbers used that are not confirmed.
MAX_RESULT_ROWS = 200
#: Whole numbers are within 18 digits, so that they are exact in a database and to most readers of JSON.
_MOST = 10**18


def result_of(data: bytes) -> VerificationResult:
    """Return the result of a document. Raises FormatError `result.shape`, `json.*`, `encoding.*`."""
    if len(data) > MAX_RESULT_BYTES:
        raise FormatError("result.size", f"a result of more than {MAX_RESULT_BYTES} bytes")
    return result_in(json_document.loads(data))


def result_in(value: Any) -> VerificationResult:
    """Return the result that a JSON value says. Raises FormatError `result.shape`."""
    try:
        result = msgspec.convert(value, VerificationResult)
    except msgspec.ValidationError as error:
        raise FormatError("result.shape", str(error)[:300]) from None
    # Every member stands in it, and none that is unknown: a result that is half understood is a wrong one.
    if result_value(result) != value:
        raise FormatError("result.shape", "members are missing, unknown, or not in their one form")
    _bounded(value)
    return result


def result_value(result: VerificationResult) -> dict[str, Any]:
    """Return a result as JSON values. `simulated` stands in it only where it is so: files from before have one form."""
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(result))
    if not result.simulated:
        del value["simulated"]
    return value


def _bounded(value: Any) -> None:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list):
            if len(found) > MAX_RESULT_ROWS:
                raise FormatError("result.size", f"more than {MAX_RESULT_ROWS} rows in one table")
            waiting += found
        elif isinstance(found, str) and (len(found) > MAX_RESULT_TEXT or (found and not found.isprintable())):
            raise FormatError("result.text", f"a text of more than {MAX_RESULT_TEXT} characters, or with controls")
        elif isinstance(found, int) and abs(found) > _MOST:
            raise FormatError("result.number", "a number of more than 18 digits")
