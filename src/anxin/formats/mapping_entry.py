"""One table of a mapping file (TOML) while it is read: every complaint names the file and the entry."""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from typing import TypeVar

from anxin.domain.errors import PolicyError

_T = TypeVar("_T")


class MappingEntry:
    """One TOML table while it is read; what nobody took at the end is an unknown key."""

    def __init__(self, file: str, path: str, values: dict[str, object]) -> None:
        self.file, self.path, self.values = file, path, dict(values)

    def fail(self, what: str) -> None:
        """Raise PolicyError naming this entry."""
        raise PolicyError(f"{self.file}: {self.path or 'the file'} {what}")

    def take(self, key: str, kind: type[_T]) -> _T | None:
        """Return the value under `key`, None where it is absent."""
        value = self.values.pop(key, None)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            self.fail(f"{key} must be of type {kind.__name__}")
        return value  # type: ignore[return-value]  # just checked

    def scalar(self, key: str) -> str | None:
        """Return a text or an integer as text."""
        value = self.values.pop(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
            self.fail(f"{key} must be a text or a whole number")
        return None if value is None else str(value)

    def choice(self, key: str, allowed: tuple[str, ...]) -> str | None:
        """Return one of `allowed`."""
        value = self.take(key, str)
        if value is not None and value not in allowed:
            self.fail(f"{key} = {value!r} must be one of {', '.join(allowed) or 'none here'}")
        return value

    def positive(self, key: str) -> int | None:
        """Return a whole number from 1."""
        value = self.take(key, int)
        if value is not None and value < 1:
            self.fail(f"{key} must be at least 1")
        return value

    def character(self, key: str) -> str | None:
        """Return a text of one character."""
        value = self.take(key, str)
        if value is not None and (len(value) != 1 or value in '\r\n"' or (not value.isprintable() and value != "\t")):
            self.fail(f"{key} must be one character")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where absent."""
        found = self.take(key, list) or []
        if not all(isinstance(item, str) for item in found):
            self.fail(f"{key} must be a list of texts")
        return tuple(found)

    def text_table(self, key: str) -> dict[str, str] | None:
        """Return a table of texts or whole numbers as texts, None where absent."""
        found = self.take(key, dict)
        if found is None:
            return None
        entry = MappingEntry(self.file, f"{self.path}.{key}", found)
        return {name: str(entry.scalar(name)) for name in list(found)}

    def pattern(self, key: str) -> re.Pattern[str] | None:
        """Return a compiled regular expression."""
        text = self.take(key, str)
        if text is None:
            return None
        try:
            return re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise PolicyError(f"{self.file}: {self.path}.{key}: {error}") from None

    def table(self, key: str) -> MappingEntry:
        """Return a table inside this one, empty where absent."""
        path = f"{self.path}.{key}" if self.path else key
        value = self.values.pop(key, {})
        if not isinstance(value, dict):
            raise PolicyError(f"{self.file}: {path} must be a table")
        return MappingEntry(self.file, path, value)

    def tables(self, key: str) -> list[MappingEntry]:
        """Return the entries of an array of tables."""
        found = self.take(key, list) or []
        if not all(isinstance(item, dict) for item in found):
            self.fail(f"{key} must be written as [[{key}]]")
        return [MappingEntry(self.file, f"{key}[{number}]", item) for number, item in enumerate(found, 1)]

    def names(self, allowed: AnyMapping[str, str]) -> list[str]:
        """Return all keys; one that is not allowed is refused."""
        for key in self.values:
            if key not in allowed:
                self.fail(f"has an unknown field {key}")
        return list(self.values)

    def done(self) -> None:
        """Raise PolicyError where a key was not taken."""
        for key in self.values:
            self.fail(f"has an unknown key {key}")
