"""What operators declare beside the register, and where the two differ; and how asking their platforms goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from anxin.domain.party import Sight
from anxin.flow.platform import Directory, Platform
from anxin.store import pulls, reading

#: Kind -> the entry of the register with that id.
_KNOWN: Mapping[str, Callable[[Directory, str], Any]] = {
    "station": lambda directory, name: directory.stations.get(name),
    "connector": lambda directory, name: directory.connectors.get(name),
}


def deviations(
    platform: Platform, sight: Sight, kind: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return the oddities of messages that are seen, newest first."""
    senders = platform.directory.senders_in(sight.districts) if sight.districts else None
    return reading.deviations(platform.database, sight.operator_id, senders, kind, before, limit)


def declarations(platform: Platform, sight: Sight, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return what operators declare, as far as it is seen, each with where it differs from the register.

    `in_register` None: the register keeps no entries of this kind to compare with (tariffs are compared by the rules).
    """
    entries = platform.directory.entries_in(sight.districts) if sight.districts else None
    found = []
    for row in reading.declarations(platform.database, sight.operator_id, entries, before, limit):
        find = _KNOWN.get(row["kind"])
        known = None if find is None else find(platform.directory, row["entry_id"])
        in_register = None if find is None else known is not None
        found.append(row | {"in_register": in_register, "differences": _differences(row["body"], known)})
    return found


def pulls_of(platform: Platform, sight: Sight) -> list[dict[str, Any]]:
    """Return how asking operators' platforms goes, as far as it is seen."""
    found = pulls.pulls(platform.database, sight.operator_id)
    if not sight.districts:
        return found
    senders = platform.directory.senders_in(sight.districts)
    return [row for row in found if row["operator_id"] in senders]


def silent_operators(platform: Platform) -> dict[str, int]:
    """Return, for each kind of question, how many operators did not answer the last one."""
    return pulls.silent(platform.database)


def _differences(declared: Mapping[str, Any], known: Any) -> list[dict[str, Any]]:
    """(field, declared, register) where both say something and not the same."""
    if known is None:
        return []
    register = dataclasses.asdict(known)
    return [
        {"field": name, "declared": value, "register": register[name]}
        for name, value in declared.items()
        if name in register and value not in (None, "") and not _same(name, value, register[name])
    ]


def _same(name: str, declared: Any, register: Any) -> bool:
    if register is None or declared == register:
        return True
    if name in {"longitude", "latitude"}:
        try:
            return Decimal(declared) == Decimal(register)
        except (InvalidOperation, TypeError):
            return False
    # T/CEC states a district by its code, a register may by its name: two ways to say it are no difference.
    return name == "district" and str(declared).isdigit() != str(register).isdigit()
