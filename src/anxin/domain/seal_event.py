"""What happens to a seal, and what follows for its state: a function of the set of events, in any order of arrival.

    absent   --applied-->  whole   --broken-->  broken   --replaced, applied-->  whole
    whole    --checked-->  whole   --removed (by order)-->  removed   --applied, replaced-->  whole

Every event is kept, whatever it says; one that the machine does not allow is an irregularity, which rule R30 tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from anxin.domain.register import Seal


class SealAct(StrEnum):
    """What was done to a seal, or seen of it. REMOVED: taken off by an order of the authority, for a repair."""

    APPLIED = "applied"
    CHECKED = "checked"
    BROKEN = "broken"
    REMOVED = "removed"
    REPLACED = "replaced"


class SealState(StrEnum):
    """How a seal stands. ABSENT: nobody has applied it, as far as anyone has said."""

    ABSENT = "absent"
    WHOLE = "whole"
    BROKEN = "broken"
    REMOVED = "removed"


class Irregular(StrEnum):
    """What is not in order about an event. BROKEN: a seal went without an order."""

    BROKEN = "seal_broken_unordered"
    NOT_APPLIED = "seal_not_applied"
    APPLIED_TWICE = "seal_applied_twice"
    SEEN_WHOLE = "seal_seen_whole"


#: At one moment: a seal is there before it breaks or is taken off, and gone before it is replaced.
_ORDER = {act: n for n, act in enumerate(SealAct)}
_S, _A, _I = SealState, SealAct, Irregular
#: (state, act) -> (state after it, what is not in order). All pairs stand here.
MACHINE: dict[tuple[SealState, SealAct], tuple[SealState, Irregular | None]] = {
    (_S.ABSENT, _A.APPLIED): (_S.WHOLE, None),
    (_S.ABSENT, _A.CHECKED): (_S.WHOLE, _I.NOT_APPLIED),
    (_S.ABSENT, _A.BROKEN): (_S.BROKEN, _I.BROKEN),
    (_S.ABSENT, _A.REMOVED): (_S.REMOVED, _I.NOT_APPLIED),
    (_S.ABSENT, _A.REPLACED): (_S.WHOLE, _I.NOT_APPLIED),
    (_S.WHOLE, _A.APPLIED): (_S.WHOLE, _I.APPLIED_TWICE),
    (_S.WHOLE, _A.CHECKED): (_S.WHOLE, None),
    (_S.WHOLE, _A.BROKEN): (_S.BROKEN, _I.BROKEN),
    (_S.WHOLE, _A.REMOVED): (_S.REMOVED, None),
    (_S.WHOLE, _A.REPLACED): (_S.WHOLE, None),
    (_S.BROKEN, _A.APPLIED): (_S.WHOLE, None),
    # A broken seal does not heal: who sees it whole sees another one, or does not look.
    (_S.BROKEN, _A.CHECKED): (_S.BROKEN, _I.SEEN_WHOLE),
    # Two people may see one break.
    (_S.BROKEN, _A.BROKEN): (_S.BROKEN, None),
    (_S.BROKEN, _A.REMOVED): (_S.REMOVED, None),
    (_S.BROKEN, _A.REPLACED): (_S.WHOLE, None),
    (_S.REMOVED, _A.APPLIED): (_S.WHOLE, None),
    (_S.REMOVED, _A.CHECKED): (_S.REMOVED, _I.SEEN_WHOLE),
    (_S.REMOVED, _A.BROKEN): (_S.REMOVED, None),
    (_S.REMOVED, _A.REMOVED): (_S.REMOVED, None),
    (_S.REMOVED, _A.REPLACED): (_S.WHOLE, None),
}


@dataclass(frozen=True, slots=True, order=True)
class SealEvent:
    """One event of a seal. `kind` is `physical` or `electronic`."""

    charger_id: str
    seal_id: str
    kind: str
    act: SealAct
    at_utc_ms: int


@dataclass(frozen=True, slots=True)
class SealStep:
    """One event in its place: the state after it, what was not in order, and when the seal was last known whole before
    it (None: never)."""

    event: SealEvent
    state: SealState
    irregular: Irregular | None
    whole_utc_ms: int | None


def steps_of(events: Iterable[SealEvent]) -> tuple[SealStep, ...]:
    """Return the steps of one seal, in the order of time."""
    state, whole = SealState.ABSENT, None
    found = []
    for event in sorted(set(events), key=lambda e: (e.at_utc_ms, _ORDER[e.act], e.kind)):
        state, irregular = MACHINE[state, event.act]
        found.append(SealStep(event, state, irregular, whole))
        if state is SealState.WHOLE:
            whole = event.at_utc_ms
    return tuple(found)


def seals_of(known: Sequence[Seal], events: Iterable[SealEvent]) -> tuple[Seal, ...]:
    """Return all seals: those of the register with what events add, and those that only events know of.

    A break lasts from the first `broken` to the next `replaced` or `applied`; a seal that broke twice is two entries.
    That a seal was seen whole ends no break: a broken seal does not heal. One taken off by order is no entry any more.
    """
    changed = with_register(known, events)
    found = [seal for seal in known if (seal.charger_id, seal.seal_id) not in changed]
    for key in sorted(changed):
        found += _intervals(changed[key])
    return tuple(found)


def with_register(known: Sequence[Seal], events: Iterable[SealEvent]) -> dict[tuple[str, str], set[SealEvent]]:
    """Return the events of each seal of which there is one, by charger and seal, with what the register says of it."""
    changed: dict[tuple[str, str], set[SealEvent]] = {}
    for event in events:
        changed.setdefault((event.charger_id, event.seal_id), set()).add(event)
    for seal in known:
        if (seal.charger_id, seal.seal_id) in changed:
            changed[seal.charger_id, seal.seal_id].update(events_of(seal))
    return changed


def events_of(seal: Seal) -> list[SealEvent]:
    """Return what the register says of a seal, as events."""
    moments = (
        (SealAct.APPLIED, seal.applied_utc_ms),
        (SealAct.BROKEN, seal.broken_utc_ms),
        (SealAct.REPLACED, seal.replaced_utc_ms),
    )
    return [SealEvent(seal.charger_id, seal.seal_id, seal.kind, act, at) for act, at in moments if at is not None]


def _intervals(events: set[SealEvent]) -> list[Seal]:
    """The times of one seal from when it was whole to the end of its break."""
    steps = steps_of(events)
    first = steps[0].event
    found: list[Seal] = []
    applied: int | None = None
    broken: int | None = None
    whole: int | None = None

    def entry(until: int | None) -> Seal:
        begun = first.at_utc_ms if applied is None else applied
        return Seal(first.seal_id, first.charger_id, first.kind, begun, broken, until, whole if broken else None)

    for step in steps:
        at, act = step.event.at_utc_ms, step.event.act
        if act is SealAct.BROKEN and broken is None and step.state is SealState.BROKEN:
            broken, whole = at, step.whole_utc_ms
        elif step.state is SealState.WHOLE and broken is not None:
            found.append(entry(at))
            applied, broken = at, None
        elif step.state is SealState.WHOLE and applied is None:
            applied = at
        elif act is SealAct.REMOVED and broken is None:
            applied = None
    if broken is not None or applied is not None:
        found.append(entry(None))
    return found
