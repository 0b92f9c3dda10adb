"""Dated data with a source for every number: the one way from a TOML file to values.

A file has texts at its top (`id`, `title_zh`, ...), a table `[sources]` that gives each source a short key, and tables
of entries. An entry is a number `{value = 10_000, unit = "ppm", source = KEY, status = "..."}` or a statement
`{value = "2022-12-28", source = KEY, status = "..."}`. Anything else is refused: a number without a source, a source
that is not listed, a fraction, an unknown status.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from anxin.domain.errors import PolicyError
from anxin.domain.verification import Sourced, SourcedText, SourceStatus

NUMBER_KEYS = {"value", "unit", "source", "status"}
TEXT_KEYS = {"value", "source", "status"}


@dataclass(frozen=True, slots=True)
class SourcedFile:
    """One file of data: its own texts, its numbers and its statements by dotted name, in the order of the file."""

    name: str
    texts: Mapping[str, str]
    numbers: Mapping[str, Sourced]
    statements: Mapping[str, SourcedText]
    sha256: str

    def number(self, name: str) -> Sourced:
        """Return a number by its dotted name; a missing one is a PolicyError."""
        if name not in self.numbers:
            raise PolicyError(f"{self.name}: 缺少数值 · has no number {name}")
        return self.numbers[name]

    def statement(self, name: str) -> SourcedText:
        """Return a statement by its dotted name; a missing one is a PolicyError."""
        if name not in self.statements:
            raise PolicyError(f"{self.name}: 缺少条目 · has no statement {name}")
        return self.statements[name]

    def text(self, name: str) -> str:
        """Return a text of the file's top; a missing one is a PolicyError."""
        if name not in self.texts:
            raise PolicyError(f"{self.name}: needs {name} as text")
        return self.texts[name]


def package_files(folder: str) -> dict[str, SourcedFile]:
    """Return the data files of `verification/data/<folder>` by their names without ending, sorted."""
    there = resources.files("anxin.verification").joinpath("data", folder)
    found = sorted((f for f in there.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): parse(f.read_text("utf-8"), f.name) for f in found}


def parse(text: str, name: str) -> SourcedFile:
    """Return the file whose text is given; `name` stands in messages. Raises PolicyError for any departure."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{name}: {error}") from None
    sources = document.pop("sources", {})
    if not isinstance(sources, dict) or not all(isinstance(s, str) and s.strip() for s in sources.values()):
        raise PolicyError(f"{name}: [sources] gives each key a text")
    texts = {key: document.pop(key) for key in [k for k, v in document.items() if isinstance(v, str)]}
    numbers: dict[str, Sourced] = {}
    statements: dict[str, SourcedText] = {}
    for path, entry in _leaves(document, ()):
        key = ".".join(path)
        value = _entry(key, entry, sources, name)
        if isinstance(value, Sourced):
            numbers[key] = value
        else:
            statements[key] = value
    return SourcedFile(name, texts, numbers, statements, hashlib.sha256(text.encode()).hexdigest())


def _leaves(table: Mapping[str, object], path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], object]]:
    for key, value in table.items():
        if isinstance(value, dict) and "value" not in value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _entry(key: str, entry: object, sources: Mapping[str, str], name: str) -> Sourced | SourcedText:
    if not isinstance(entry, dict):
        raise PolicyError(f"{name}: {key} = {entry!r} has no source: it needs {{value, unit, source, status}}")
    value, status = entry.get("value"), entry.get("status")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PolicyError(f"{name}: {key} must be a whole number or text (no fractions)")
    wanted = TEXT_KEYS if isinstance(value, str) else NUMBER_KEYS
    if set(entry) != wanted:
        raise PolicyError(f"{name}: {key} needs exactly {sorted(wanted)}, not {sorted(entry)}")
    if entry["source"] not in sources:
        raise PolicyError(f"{name}: {key} names the source {entry['source']!r}, which [sources] does not list")
    if status not in set(SourceStatus):
        raise PolicyError(f"{name}: {key} has the status {status!r}; known are {[s.value for s in SourceStatus]}")
    source = sources[entry["source"]]
    if isinstance(value, str):
        return SourcedText(key, value, source, SourceStatus(status))
    return Sourced(key, value, str(entry["unit"]), source, SourceStatus(status))


def unconfirmed(used: Iterable[Sourced | SourcedText]) -> tuple[str, ...]:
    """Return what of `used` is not confirmed, each once, as a result and a certificate state it."""
    return tuple(dict.fromkeys(str(value) for value in used if value.status is not SourceStatus.CONFIRMED))
