"""Filters that officers keep under names of their own."""

from __future__ import annotations

from typing import Any

from anxin.cases.texts import MAX_NAME_CHARS, checked_text
from anxin.domain.errors import FormatError
from anxin.domain.party import Party
from anxin.flow.platform import Platform
from anxin.store import alarm_reading as store

#: Parameters of the list that a filter may hold, and the longest value of one.
PARAMETERS = frozenset({"state", "severity", "district", "operator", "cause", "assigned", "unassigned", "overdue"})
MAX_VALUE_CHARS = 64


def filters(platform: Platform, party: Party) -> list[dict[str, Any]]:
    """Return a person's filters by name."""
    return store.filters(platform.database, party.party_id)


def save(platform: Platform, party: Party, name: str, query: dict[str, str]) -> dict[str, Any]:
    """Keep a filter; one of the same name is exchanged. Raises FormatError (`filter.*`, `text.*`)."""
    name = checked_text(name, "name", MAX_NAME_CHARS)
    unknown = sorted(query.keys() - PARAMETERS)
    if unknown:
        raise FormatError("filter.parameter", f"the list has no parameter {unknown[0][:MAX_NAME_CHARS]!r}", "query")
    checked = {k: checked_text(v, f"query.{k}", MAX_VALUE_CHARS) for k, v in query.items()}
    if not store.put_filter(platform.database, party.party_id, name, checked):
        raise FormatError("filter.count", f"最多保存 {store.MAX_FILTERS} 个 · at most {store.MAX_FILTERS}", "name")
    return {"name": name, "query": checked}


def drop(platform: Platform, party: Party, name: str) -> bool:
    """Forget a filter; False where there is none of that name."""
    return "\x00" not in name and store.drop_filter(platform.database, party.party_id, name)
