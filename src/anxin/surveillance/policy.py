"""The surveillance policy: every threshold and weight as a dated file with a source for each value."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from anxin.domain.errors import PolicyError

DEFAULT_POLICY = "surveillance-2026-11.toml"


@dataclass(frozen=True, slots=True)
class SurveillancePolicy:
    """The values in force by name (`lean.delta`), and the SHA-256 of the file that states them."""

    title: str
    dated: str
    sha256: str
    values: dict[str, dict[str, Any]]

    def int(self, name: str) -> int:
        """Return an integer value. Raises PolicyError where there is none, or none above zero."""
        value = self.values.get(name, {}).get("value")
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise PolicyError(f"surveillance policy: {name} must be a whole number above zero, not {value!r}")
        return value

    def words(self, name: str) -> frozenset[str]:
        """Return the words of a text. Raises PolicyError where there is none."""
        value = self.values.get(name, {}).get("value")
        if not isinstance(value, str) or not value.split():
            raise PolicyError(f"surveillance policy: {name} must be words, not {value!r}")
        return frozenset(value.split())


def load_surveillance_policy(name: str = DEFAULT_POLICY) -> SurveillancePolicy:
    """Return the policy of that name. Raises PolicyError where an entry lacks unit, source or status."""
    data = resources.files("anxin.surveillance").joinpath("policies", name).read_bytes()
    document = tomllib.loads(data.decode())
    title, dated = document.pop("title"), document.pop("dated")
    values = {f"{table}.{key}": entry for table, entries in document.items() for key, entry in entries.items()}
    for key, entry in values.items():
        if set(entry) != {"value", "unit", "source", "status"}:
            raise PolicyError(f"surveillance policy: {key} needs exactly value, unit, source and status")
    return SurveillancePolicy(title, dated.isoformat(), hashlib.sha256(data).hexdigest(), values)
