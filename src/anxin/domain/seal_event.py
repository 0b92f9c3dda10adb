"""What happens to a seal, and what follows for its state: a function of the set of events, in any order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from anxin.domain.register import Seal


class SealAct(StrEnum):
    """What was done to a seal, or seen of it."""

    APPLIED = "applied"
    CHECKED = "checked"
    BROKEN = "broken"
    REPLACED = "replaced"


#: At one moment: a seal is there before it breaks, and broken before it is replaced.
_ORDER = {SealAct.APPLIED: 0, SealAct.CHECKED: 1, SealAct.BROKEN: 2, SealAct.REPLACED: 3}


@dataclass(frozen=True, slots=True, order=True)
class SealEvent:
    """One event of a seal. `kind` is `physical` or `electronic`."""

    charger_id: str
    seal_id: str
    kind: str
    act: SealAct
    at_utc_ms: int


def seals_of(known: Sequence[Seal], events: Iterable[SealEvent]) -> tuple[Seal, ...]:
    """Return all seals: those of the register with what events add, and those that only events know of.

    A break lasts from the first `broken` to the next `replaced` or `applied`; a seal that broke twice is two entries.
    That a seal was seen whole ends no break: a broken seal does not heal.
    """
    changed: dict[tuple[str, str], set[SealEvent]] = {}
    for event in events:
        changed.setdefault((event.charger_id, event.seal_id), set()).add(event)
    found = [seal for seal in known if (seal.charger_id, seal.seal_id) not in changed]
    for seal in known:
        if (seal.charger_id, seal.seal_id) in changed:
            changed[seal.charger_id, seal.seal_id].update(_events_of(seal))
    for key in sorted(changed):
        found += _intervals(changed[key])
    return tuple(found)


def _events_of(seal: Seal) -> list[SealEvent]:
    moments = (
        (SealAct.APPLIED, seal.applied_utc_ms),
        (SealAct.BROKEN, seal.broken_utc_ms),
        (SealAct.REPLACED, seal.replaced_utc_ms),
    )
    return [SealEvent(seal.charger_id, seal.seal_id, seal.kind, act, at) for act, at in moments if at is not None]


def _intervals(events: set[SealEvent]) -> list[Seal]:
    told = sorted(events, key=lambda e: (e.at_utc_ms, _ORDER[e.act], e.kind))
    first = told[0]
    applied, broken = first.at_utc_ms, None
    found: list[Seal] = []
    for event in told:
        if event.act is SealAct.BROKEN and broken is None:
            broken = event.at_utc_ms
        elif event.act in (SealAct.APPLIED, SealAct.REPLACED) and broken is not None:
            found.append(Seal(first.seal_id, first.charger_id, first.kind, applied, broken, event.at_utc_ms))
            applied, broken = event.at_utc_ms, None
    if broken is not None or not found:
        found.append(Seal(first.seal_id, first.charger_id, first.kind, applied, broken))
    return found
