"""Values of decoded JSON brought to exact quantities and clean text; what every JSON dialect here shares."""

from __future__ import annotations

from decimal import Decimal

from anxin.domain.errors import FormatError
from anxin.domain.quantities import MAX_NUMBER_CHARS, decimal_of

#: The longest id in any dialect has 255 characters (OCPI `meter_id`); longer ones are a defect or an attack.
MAX_ID_CHARS = 255
_MAX_INT = 10**MAX_NUMBER_CHARS


def exact(value: object, field: str) -> Decimal | None:
    """Return a JSON number, or a number written as text, as an exact finite Decimal; None for null.

    Raises FormatError `number.*` for anything else.
    """
    if value is None:
        return None
    if isinstance(value, Decimal):
        # json_document hands on finite Decimals of at most MAX_NUMBER_CHARS characters: only the size is open.
        if abs(value.adjusted()) > MAX_NUMBER_CHARS:
            raise FormatError("number.length", "a number's exponent is out of range", field)
        return value
    if isinstance(value, str):
        return decimal_of(value, field)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= _MAX_INT:
            raise FormatError("number.length", f"a number has more than {MAX_NUMBER_CHARS} digits", field)
        return Decimal(value)
    raise FormatError("number.syntax", f"not a number: {type(value).__name__}", field)


def clean_text(value: object, field: str, max_chars: int = MAX_ID_CHARS) -> str | None:
    """Return printable text (blanks at both ends taken off), None for null or empty text.

    Raises FormatError `text.*` for other types, control characters, lone surrogates and more than `max_chars`.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_INT:
        value = str(value)
    if not isinstance(value, str):
        raise FormatError("text.type", f"not a text: {type(value).__name__}", field)
    text = value.strip()
    if len(text) > max_chars:
        raise FormatError("text.length", f"more than {max_chars} characters", field)
    # isprintable() is false for control characters and for lone surrogates, which no file could hold as UTF-8.
    if not text.isprintable():
        raise FormatError("text.control", "control characters or halves of a character inside a text", field)
    return text or None
