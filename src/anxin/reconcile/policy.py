"""The policy: every tolerance and limit that the rule book uses, as a dated file with a source for each value.

A policy file is TOML. Each value stands in its table as `name = {value = ..., unit = "...", source = "...",
status = "confirmed|secondary|derived|unconfirmed"}`. A missing value takes the default policy's; an unknown one is
refused. The digest of what is in force stands in every report.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError, PolicyError

DEFAULT_POLICY = "default-2026-11.toml"
STATUSES = ("confirmed", "secondary", "derived", "unconfirmed")


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """One value with its unit, its source and whether the source was read."""

    name: str
    value: int | bool | str
    unit: str
    source: str
    status: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The values in force. `policy["energy.display_digits_each_side"]` returns the bare value."""

    title: str
    dated: str
    values: dict[str, PolicyValue]

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def int(self, name: str) -> int:
        """Return an integer value; a wrong type is a PolicyError."""
        value = self.values[name].value
        if isinstance(value, bool) or not isinstance(value, int):
            raise PolicyError(f"policy value {name} must be an integer, not {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean value; a wrong type is a PolicyError."""
        value = self.values[name].value
        if not isinstance(value, bool):
            raise PolicyError(f"policy value {name} must be true or false, not {value!r}")
        return value

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) over the canonical JSON of title, date and all values with their sources."""
        document = {
            "title": self.title,
            "dated": self.dated,
            "values": {
                n: {"value": v.value, "unit": v.unit, "source": v.source, "status": v.status}
                for n, v in sorted(self.values.items())
            },
        }
        text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_policy(path: Path | None = None) -> Policy:
    """Return the default policy, overlaid with the file at `path` if given.

    Raises InputError where the file cannot be read, PolicyError where an entry is unknown or of a wrong shape.
    """
    default_text = resources.files("anxin.reconcile").joinpath("policies", DEFAULT_POLICY).read_text("utf-8")
    default = _parse(default_text, DEFAULT_POLICY)
    if path is None:
        return default
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"policy file {path}: {error}") from None
    overlay = _parse(text, str(path))
    for name, value in overlay.values.items():
        if name not in default.values:
            raise PolicyError(f"policy file {path}: unknown value {name}")
        if type(value.value) is not type(default.values[name].value):
            raise PolicyError(f"policy file {path}: {name} must be like {default.values[name].value!r}")
        if isinstance(value.value, int) and not isinstance(value.value, bool) and value.value < 0:
            raise PolicyError(f"policy file {path}: {name} must not be negative")
        if value.unit != default.values[name].unit:
            raise PolicyError(f"policy file {path}: {name} is stated in {default.values[name].unit}, not {value.unit}")
    return Policy(overlay.title, overlay.dated, {**default.values, **overlay.values})


def _parse(text: str, name: str) -> Policy:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"policy file {name}: {error}") from None
    title, dated = document.pop("title", None), document.pop("dated", None)
    if not isinstance(title, str) or not hasattr(dated, "isoformat"):
        raise PolicyError(f"policy file {name}: needs a title and a date (dated = YYYY-MM-DD)")
    values: dict[str, PolicyValue] = {}
    for table, entries in document.items():
        if not isinstance(entries, dict):
            raise PolicyError(f"policy file {name}: {table} is no table of values")
        for key, entry in entries.items():
            values[f"{table}.{key}"] = _value(f"{table}.{key}", entry, name)
    return Policy(title, dated.isoformat(), values)


def _value(key: str, entry: object, name: str) -> PolicyValue:
    if not isinstance(entry, dict) or set(entry) != {"value", "unit", "source", "status"}:
        raise PolicyError(f"policy file {name}: {key} needs exactly value, unit, source and status")
    value, unit, source, status = entry["value"], entry["unit"], entry["source"], entry["status"]
    if not isinstance(value, int | bool | str):
        raise PolicyError(f"policy file {name}: {key} must be an integer, true/false or text (no floats)")
    if not isinstance(unit, str) or not isinstance(source, str) or status not in STATUSES:
        raise PolicyError(f"policy file {name}: {key} needs unit and source as text, status one of {STATUSES}")
    return PolicyValue(key, value, unit, source, status)
