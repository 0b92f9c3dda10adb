"""OCPP-J frames: `[2, "id", "Action", {...}]` and the two answers to it, from text to values.

Source: OCPP-J 1.6 section 4, OCPP 2.0.1 part 4 section 4. Written from them, not copied (docs/formats/ocpp-door.md).

MUST       hand on the payload as the slice of the input that it is: its bytes are the identity of what was said
MUST NOT   raise anything but FormatError, on any input
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from anxin.domain.errors import FormatError
from anxin.formats.strict_json import Number, read_json, skip_space
from anxin.formats.text_encoding import decode_utf8

#: Longest id of a call. The standard has 36 characters; longer ones are met and only sent back.
MAX_CALL_ID_CHARS = 255
#: Longest name of an action. The longest of the standard has 34 characters.
MAX_ACTION_CHARS = 64
#: What a call whose id cannot be read is answered under (OCPP 2.0.1 part 4, section 4.2.3).
NO_ID = "-1"
_ID = re.compile(r'\s*\[\s*2\s*,\s*"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"')


class FrameType(IntEnum):
    """The first element of a frame."""

    CALL = 2
    RESULT = 3
    ERROR = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. Of an answer (RESULT, ERROR) only type and id are read: the door asks nothing.

    payload        the call's arguments: dict, list, str, Number, bool or None, nested
    payload_bytes  the same as the slice of what was received
    """

    kind: FrameType
    call_id: str
    action: str = ""
    payload: dict[str, object] | None = None
    payload_bytes: bytes = b""


def parse(raw: bytes) -> Frame:
    """Return the frame that `raw` is.

    Raises FormatError `ocpp.frame` where it is no frame of three kinds, `ocpp.call` where a call lacks a part, and
    those of `strict_json` and `text_encoding`.
    """
    text = decode_utf8(raw)
    at = skip_space(text, 0)
    if text[at : at + 1] != "[":
        raise FormatError("ocpp.frame", "a frame is a JSON list")
    number, at = _element(text, at + 1, "the type of the frame")
    kind = next((k for k in FrameType if isinstance(number, Number) and number.value == k.value), None)
    if kind is None:
        raise FormatError("ocpp.frame", "a frame begins with 2, 3 or 4", "MessageTypeId")
    call_id, at = _element(text, at, "the id of the call")
    if not isinstance(call_id, str) or not 0 < len(call_id) <= MAX_CALL_ID_CHARS:
        raise FormatError("ocpp.call", f"the id of a call has 1 to {MAX_CALL_ID_CHARS} characters", "UniqueId")
    if kind is not FrameType.CALL:
        return Frame(kind, call_id)
    action, at = _element(text, at, "the action")
    if not isinstance(action, str) or not 0 < len(action) <= MAX_ACTION_CHARS:
        raise FormatError("ocpp.call", f"an action has 1 to {MAX_ACTION_CHARS} characters", "Action")
    begin = skip_space(text, at)
    payload, end = read_json(text, begin)
    if not isinstance(payload, dict):
        raise FormatError("ocpp.call", "the payload of a call is an object", "Payload")
    close = skip_space(text, end)
    if text[close : close + 1] != "]" or skip_space(text, close + 1) != len(text):
        raise FormatError("ocpp.frame", "something follows the payload of a call")
    return Frame(kind, call_id, action, payload, text[begin:end].encode())


def id_of(raw: bytes) -> str:
    """Return the id that a call which cannot be read may be answered under: its own where that much can be read."""
    match = _ID.match(raw[:512].decode("utf-8", "replace"))
    return match.group(1) if match else NO_ID


def _element(text: str, at: int, what: str) -> tuple[object, int]:
    """Return one element of the frame's list and the index behind the comma that follows it."""
    value, end = read_json(text, at)
    end = skip_space(text, end)
    if text[end : end + 1] != ",":
        raise FormatError("ocpp.call", f"the frame ends behind {what}")
    return value, end + 1
