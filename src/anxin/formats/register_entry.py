"""One entry of a register or keys file while it is read: every complaint names the file and the place in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NoReturn, TypeVar

from anxin.domain.errors import FormatError, PolicyError
from anxin.domain.quantities import amount_e4, utc_ms
from anxin.formats.values import clean_text, exact

#: A key or a long name; a register holds no documents.
MAX_TEXT_CHARS = 4_000
#: Largest whole number in a register: rated power in W stays far below.
MAX_INTEGER = 10**12

_T = TypeVar("_T")


class Entry:
    """One JSON object of the file. What nobody took at the end is an unknown entry and refused."""

    def __init__(self, place: str, values: dict[str, object], *, top: bool = False) -> None:
        self.place = place
        self._values = dict(values)
        self._separator = ": " if top else "."

    def fail(self, key: str, what: str) -> NoReturn:
        """Raise PolicyError for one entry."""
        raise PolicyError(f"{self.place}{self._separator}{key[:80]}: {what}")

    def text(self, key: str) -> str:
        """Return a text that must be there."""
        found = self.optional_text(key)
        if found is None:
            self.fail(key, "is missing")
        return found

    def optional_text(self, key: str) -> str | None:
        """Return a text or None."""
        value = self._values.pop(key, None)
        if value is not None and not isinstance(value, str):
            self.fail(key, "must be a text")
        try:
            return clean_text(value, key, MAX_TEXT_CHARS)
        except FormatError as error:
            self.fail(key, str(error))

    def integer(self, key: str) -> int:
        """Return a whole number from 0 that must be there."""
        value = self._values.pop(key, None)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
            self.fail(key, f"must be a whole number from 0 to {MAX_INTEGER}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            self.fail(key, "must be true or false")
        return value

    def time(self, key: str, needed: bool) -> int | None:
        """Return ISO 8601 text with an offset as UTC ms."""
        text = self.text(key) if needed else self.optional_text(key)
        if text is None:
            return None
        try:
            return utc_ms(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            self.fail(key, f"not a time such as 2026-01-31T08:00:00+08:00: {text[:40]!r}")
        except FormatError as error:
            self.fail(key, str(error))

    def needed_time(self, key: str) -> int:
        """Return a time that must be there."""
        found = self.time(key, needed=True)
        if found is None:
            self.fail(key, "is missing")
        return found

    def money_e4(self, key: str, default: str | None = None) -> int:
        """Return decimal text (or a JSON number) as ten-thousandths; more decimals are refused."""
        value = self._values.pop(key, default)
        try:
            number = exact(value, key)
            if number is None:
                self.fail(key, "is missing")
            found = amount_e4(number, key)
        except FormatError as error:
            self.fail(key, str(error))
        if found < 0 or Decimal(found) != number * 10_000:
            self.fail(key, f"must not be negative and has at most four decimals: {number}")
        return found

    def hex(self, key: str) -> bytes:
        """Return hex text as bytes. The text itself is never quoted in an error: it may be a secret."""
        try:
            return bytes.fromhex(self.text(key))
        except ValueError:
            self.fail(key, "must be hexadecimal")

    def choice(self, key: str, allowed: Mapping[str, _T], default: str | None = None) -> _T:
        """Return what one of the allowed texts stands for."""
        text = self.optional_text(key) or default
        if text is None or text not in allowed:
            self.fail(key, f"must be one of {', '.join(allowed)}")
        return allowed[text]

    def entries(self, key: str) -> list[Entry]:
        """Return a list of objects, empty where absent."""
        value = self._values.pop(key, [])
        if not isinstance(value, list):
            self.fail(key, "must be a list")
        found = []
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                self.fail(f"{key}[{index}]", "must be an object")
            found.append(Entry(f"{self.place}{self._separator}{key}[{index}]", item))
        return found

    def done(self) -> None:
        """Raise PolicyError where an entry was not taken."""
        for key in self._values:
            self.fail(key, "is unknown")
