"""Conflicts at the door become findings, when a message is judged and again whenever it is judged again.

Each stands at a place of its own, named by the message, which no slice of the facts ever holds: what a replay finds
again is the same finding, and nothing else takes it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from anxin.domain.finding import Finding
from anxin.domain.message import Conflict, Kind
from anxin.domain.party import Role
from anxin.flow.platform import Directory
from anxin.reconcile.book import rule_book
from anxin.reconcile.sentences import finding_of
from anxin.store import verdicts
from anxin.store.conflicts import conflicts_among
from anxin.store.verdicts import Scope, Standing

PLACE = "conflict:"


def keep_conflicts(connection: Any, indexes: Sequence[int], directory: Directory, standing: Standing) -> int:
    """Make the findings on conflicts among these messages the present ones; return how many are new."""
    found: list[tuple[str | None, str | None, Finding]] = []
    rules = [rule for rule in rule_book() if rule.on_conflict is not None]
    conflicts = conflicts_among(connection, indexes)
    if not conflicts:
        return 0
    for conflict in conflicts:
        about = _about(conflict, directory)
        raw = [finding for rule in rules if rule.on_conflict is not None for finding in rule.on_conflict(about)]
        found += [(None, f"{PLACE}{conflict.index}", finding_of(finding)) for finding in raw]
    scope = Scope([f"{PLACE}{c.index}" for c in conflicts], 0, 1 << 62)
    return verdicts.exchange_findings(connection, scope, (), [rule.id for rule in rules], found, standing)


def _about(conflict: Conflict, directory: Directory) -> Conflict:
    """Whom a conflict is about: a meter's operator by the register, a charger's, else the operator that sent it."""
    if conflict.kind is Kind.METER_ENVELOPE:
        stays = [m for m in directory.register.meters if m.meter_id == conflict.sender]
        place = max(stays, key=lambda m: m.installed_utc_ms).connector_id if stays else None
        owner = directory.operator_of_connector(place) if place is not None else None
        return replace(conflict, meter_id=conflict.sender, connector_id=place, operator_id=owner)
    party = directory.parties.get(conflict.sender)
    supervised = party is not None and party.role in (Role.OPERATOR, Role.CHARGER)
    return replace(conflict, operator_id=party.operator_id if party is not None and supervised else None)
