"""Events of seals become findings (R30) as soon as they are judged, whether anyone charges there or not.

Each finding stands at a place of the seal's own, which no slice of the facts ever holds: what a replay finds again is
the same finding, and an event that comes late takes away what was not in order without it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from anxin.domain.finding import Finding
from anxin.domain.seal_event import SealAct, SealEvent, SealStep, steps_of, with_register
from anxin.flow.platform import Directory
from anxin.reconcile.book import rule_book
from anxin.reconcile.sentences import finding_of
from anxin.store import reports, verdicts
from anxin.store.verdicts import Scope, Standing

PLACE = "seal:"


def steps_of_chargers(connection: Any, chargers: Collection[str]) -> dict[tuple[str, str], tuple[SealStep, ...]]:
    """Return the steps of every seal of these chargers of which there is an event, by charger and seal. What the
    authority's register says of a seal stands among them."""
    events = reports.seal_events(connection, chargers)
    known = reports.entered_seals(connection, chargers)
    return {key: steps_of(found) for key, found in with_register(known, events).items()}


def keep_seals(connection: Any, chargers: Collection[str], directory: Directory, standing: Standing) -> int:
    """Make the findings on these chargers' seals the present ones; return how many are new."""
    if not chargers:
        return 0
    rules = [rule for rule in rule_book() if rule.on_seal is not None]
    found: list[tuple[str | None, str | None, Finding]] = []
    places = []
    for (charger, seal), steps in sorted(steps_of_chargers(connection, chargers).items()):
        place = f"{PLACE}{charger}/{seal}"
        places.append(place)
        connectors = directory.connectors_of_charger.get(charger, ())
        for rule in rules:
            raw = [finding for step in steps if rule.on_seal is not None for finding in rule.on_seal(step)]
            if connectors:
                first = connectors[0]
                raw = [replace(r, connector_id=first.connector_id, operator_id=first.operator_id) for r in raw]
            found += [(None, place, finding_of(r)) for r in raw]
    scope = Scope(places, 0, 1 << 62)
    return verdicts.exchange_findings(connection, scope, (), [rule.id for rule in rules], found, standing)


def whole_before(connection: Any, events: Sequence[SealEvent]) -> dict[str, int]:
    """Return since when each charger's sessions have to be judged again: a break puts in doubt what lies between it and
    the last good check."""
    since: dict[str, int] = {}
    chargers = {e.charger_id for e in events}
    for (charger, _), steps in steps_of_chargers(connection, chargers).items() if chargers else ():
        for step in steps:
            if step.event.act is SealAct.BROKEN and step.whole_utc_ms is not None:
                since[charger] = min(step.whole_utc_ms, since.get(charger, step.whole_utc_ms))
    return since
