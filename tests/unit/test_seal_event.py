"""The machine of seals, against a table written apart from it, and what follows for the register."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.register import Seal
from anxin.domain.seal_event import (
    MACHINE,
    Irregular,
    SealAct,
    SealEvent,
    SealState,
    seals_of,
    steps_of,
)

ACTS = st.sampled_from(list(SealAct))
WALKS = st.lists(st.tuples(ACTS, st.integers(0, 30)), max_size=14)


def events(walk: list[tuple[SealAct, int]]) -> list[SealEvent]:
    return [SealEvent("H1", "S1", "physical", act, at) for act, at in walk]


def test_every_pair_of_state_and_act_has_its_line() -> None:
    assert set(MACHINE) == {(state, act) for state in SealState for act in SealAct}
    assert SealState.ABSENT not in {state for state, _ in MACHINE.values()}


@given(WALKS)
def test_a_walk_is_what_a_plain_reading_says(walk: list[tuple[SealAct, int]]) -> None:
    """Independent of the table: whole after it was put on, whole stays whole when seen, a break waits for a new one."""
    rank = ["applied", "checked", "broken", "removed", "replaced"]
    there, gone, whole_at = False, False, None
    for step in steps_of(events(walk)):
        assert step.whole_utc_ms == whole_at
        word = step.event.act.value
        before = (there, gone)
        if word in ("applied", "replaced"):
            there, gone = True, False
        elif word == "checked":
            there = there or not gone
        else:
            there, gone = False, True
        assert (step.state is SealState.WHOLE) is there
        assert (step.irregular is Irregular.BROKEN) is (word == "broken" and not before[1])
        assert (step.irregular is Irregular.SEEN_WHOLE) is (word == "checked" and before[1])
        if there:
            whole_at = step.event.at_utc_ms
    moments = [(s.event.at_utc_ms, rank.index(s.event.act.value)) for s in steps_of(events(walk))]
    assert moments == sorted(moments)


@given(WALKS, st.randoms())
def test_the_order_of_arrival_changes_nothing(walk: list[tuple[SealAct, int]], rng: object) -> None:
    told = events(walk)
    mixed = sorted(told, key=lambda _: rng.random())  # type: ignore[attr-defined]
    assert seals_of((), told) == seals_of((), mixed)


@given(WALKS)
def test_breaks_of_the_register_are_the_breaks_of_the_steps(walk: list[tuple[SealAct, int]]) -> None:
    told = events(walk)
    entries = seals_of((), told)
    breaks = [s for s in steps_of(told) if s.irregular is Irregular.BROKEN]
    assert [e.broken_utc_ms for e in entries if e.broken_utc_ms is not None] == [s.event.at_utc_ms for s in breaks]
    assert [e.checked_utc_ms for e in entries if e.broken_utc_ms is not None] == [s.whole_utc_ms for s in breaks]
    last = steps_of(told)[-1].state if told else SealState.ABSENT
    assert any(e.broken_utc_ms is None for e in entries) is (last is SealState.WHOLE)


def test_a_seal_taken_off_by_order_is_no_break() -> None:
    told = events([(SealAct.APPLIED, 1), (SealAct.REMOVED, 5), (SealAct.APPLIED, 9), (SealAct.BROKEN, 12)])
    assert seals_of((), told) == (Seal("S1", "H1", "physical", 9, 12, None, 9),)
    assert [s.irregular for s in steps_of(told)] == [None, None, None, Irregular.BROKEN]
