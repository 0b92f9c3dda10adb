"""Policy of alarms: groups of causes and the values of deadlines and weights, from a dated file with its sources."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError, PolicyError

DEFAULT_POLICY = "alarms-2026-11.toml"
STATUSES = ("confirmed", "secondary", "derived", "unconfirmed")
VALUES = frozenset({
    "open_days", "sent_days", "answered_days", "review_days", "proposed_days", "again_days", "most_escalations",
    "grave_excess_e4",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """What an inspector handles as one case.

    causes       ``R04`` (all causes of a rule) or ``R07.rollback`` (one of them)
    subject      `charger` or `operator`: of what there is one alarm each
    bound        whether a session's findings stay together
    least, window_days, per_mille   when it opens; see the policy's file
    """

    name: str
    zh: str
    en: str
    subject: str
    bound: bool
    causes: tuple[str, ...]
    least: int = 1
    window_days: int = 0
    per_mille: int = 0


@dataclass(frozen=True, slots=True)
class AlarmValue:
    """One value with its unit, its source, and whether the source was read."""

    name: str
    value: int
    unit: str
    source: str
    status: str


@dataclass(frozen=True, slots=True)
class AlarmPolicy:
    """What is in force. Groups stand in the order of their weight."""

    title: str
    dated: str
    groups: tuple[Group, ...]
    values: dict[str, AlarmValue]
    _of: dict[str, Group]

    def __getitem__(self, name: str) -> int:
        return self.values[name].value

    def group_of(self, rule: str, cause: str) -> Group:
        """Return the group of a finding; a cause that none names goes to the weightiest, so that it is seen."""
        return self._of.get(f"{rule}.{cause}") or self._of.get(rule) or self.groups[0]

    def group(self, name: str) -> Group:
        """Return a group by its name; of a name that an older policy had, one that stands alone with its findings."""
        return next((g for g in self.groups if g.name == name), Group(name, name, name, "charger", False, ()))

    def weight(self, group: Group) -> int:
        """Return a group's place: 0 is the weightiest."""
        return self.groups.index(group) if group in self.groups else len(self.groups)


def load_alarm_policy(path: Path | None = None) -> AlarmPolicy:
    """Return the policy of a file, or the one that comes with the software. Raises InputError, PolicyError."""
    try:
        text = (
            resources.files("anxin.cases").joinpath("policies", DEFAULT_POLICY).read_text("utf-8")
            if path is None
            else path.read_text("utf-8")
        )
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"alarm policy {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"alarm policy {path}: {error}") from None
    try:
        groups = tuple(_group(name, entry) for name, entry in document["groups"].items())
        values = {name: _value(name, entry) for name, entry in document["values"].items()}
        title, dated = str(document["title"]), document["dated"].isoformat()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyError(f"alarm policy {path or DEFAULT_POLICY}: {error}") from None
    of: dict[str, Group] = {}
    for group in groups:
        for cause in group.causes:
            if of.setdefault(cause, group) is not group:
                raise PolicyError(f"alarm policy {path or DEFAULT_POLICY}: {cause} stands in two groups")
    if values.keys() != VALUES or not groups:
        raise PolicyError(f"alarm policy {path or DEFAULT_POLICY}: needs groups, and exactly {sorted(VALUES)}")
    return AlarmPolicy(title, dated, groups, values, of)


def _group(name: str, entry: dict[str, Any]) -> Group:
    group = Group(name, **{**entry, "causes": tuple(entry["causes"])})
    numbers = (group.least, group.window_days, group.per_mille)
    if group.subject not in ("charger", "operator") or not isinstance(group.bound, bool):
        raise ValueError(f"{name}: subject is charger or operator, bound true or false")
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers) or group.least < 1:
        raise ValueError(f"{name}: least, window_days and per_mille are whole numbers")
    if group.least > 1 and (group.bound or not group.window_days):
        raise ValueError(f"{name}: a group that waits for its least is not bound and has a window")
    return group


def _value(name: str, entry: dict[str, Any]) -> AlarmValue:
    value = AlarmValue(name, **entry)
    if isinstance(value.value, bool) or not isinstance(value.value, int) or value.value < 1:
        raise ValueError(f"{name}: a whole number above zero")
    if value.status not in STATUSES:
        raise ValueError(f"{name}: status is one of {STATUSES}")
    return value
