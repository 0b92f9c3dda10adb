"""Promise 12, reconciliation is exact: a second implementation by another hand finds the same, world by world."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from anxin.domain.finding import SessionState
from anxin.reconcile.book import rule_book
from tests.scenarios.together import Heard, judge_together, present_in
from tests.unit.reconcile_oracle import Found, Oracle, Stated
from tests.unit.reconcile_worlds import AS_OF, random_world

Values = dict[str, list[Any]]

#: Causes that only a decoded record can show.
OF_READINGS = {"same_record_in_file", "twin_signature_in_file", "page_context_mixed", "other_gateway", "other_meter",
               "other_place", "other_register", "other_unit", "other_user", "key_came_with_record",
               "authentic_if_read_so", "undecodable"}  # fmt: skip


def worlds_of(seed: int, count: int) -> list[Values]:
    return [random_world(Random(f"{seed}/{n}")).values for n in range(count)]


def heard_findings(heard: Heard) -> set[Found]:
    return {
        Found(
            row["rule"], row["cause"], frozenset((row["order_ids"] or "").split()),
            frozenset((row["record_ids"] or "").split()), row["expected"], row["found"], row["tolerance"],
        )
        for row in heard.findings
    }  # fmt: skip


def heard_sessions(heard: Heard) -> list[Stated]:
    return [
        Stated(s["state"], s["method"], frozenset(s["order_ids"].split()), frozenset(s["record_ids"].split()))
        for s in heard.sessions
    ]


def differences(worlds: list[Values], scratch: Path, **how: Any) -> list[tuple[int, list[Any], list[Any]]]:
    """(world, said by the judge alone, said by the oracle alone) of every world on which they differ."""
    present = present_in(worlds)
    found = []
    for number, (world, heard) in enumerate(
        zip(worlds, judge_together(worlds, AS_OF, scratch, **how), strict=True)
    ):  # fmt: skip
        oracle = Oracle(world, AS_OF, present)
        judged: list[Any] = [*heard_findings(heard), *heard_sessions(heard)]
        expected: list[Any] = [*oracle.findings, *oracle.stated]
        alone = [v for v in judged if v not in expected], [v for v in expected if v not in judged]
        if any(alone) or len(heard.sessions) != len(oracle.stated):
            found.append((number, *alone))
    return found


def told(worlds: list[Values], differing: list[tuple[int, list[Any], list[Any]]]) -> str:
    """The first few differences, with the world of the first one."""
    lines = [f"{len(differing)} of {len(worlds)} worlds differ"]
    for number, judged, expected in differing[:5]:
        lines += [
            f"world {number}",
            *(f"  judge alone:  {v}" for v in judged),
            *(f"  oracle alone: {v}" for v in expected),
        ]
    for number, _, _ in differing[:1]:
        lines += [f"{name}: {value}" for name, values in worlds[number].items() for value in values]
    return "\n".join(lines)


@pytest.mark.parametrize("seed", [1, 2])
def test_judge_and_oracle_agree(seed: int, tmp_path: Path) -> None:
    worlds = worlds_of(seed, 750)
    differing = differences(worlds, tmp_path)
    assert not differing, told(worlds, differing)


def test_other_numbers_and_two_threads_change_nothing(tmp_path: Path) -> None:
    """Numbers follow the input's order, and threads an engine's: neither decides anything."""
    worlds = worlds_of(3, 150)
    differing = differences(worlds, tmp_path, threads=2, backwards=True)
    assert not differing, told(worlds, differing)


def test_a_planted_fault_is_seen(tmp_path: Path) -> None:
    """The comparison is no formality: a thousand kWh more on one record is a difference."""
    worlds = worlds_of(4, 40)
    heard = judge_together(worlds, AS_OF, tmp_path)
    present = present_in(worlds)
    number, record = next((n, r) for n, w in enumerate(worlds) for r in w.get("records", []) if r.energy_milli_wh)
    off = replace(record, energy_milli_wh=record.energy_milli_wh + 10**9)
    worlds[number]["records"] = [off if r is record else r for r in worlds[number]["records"]]
    said = [heard_findings(h) == Oracle(w, AS_OF, present).findings for w, h in zip(worlds, heard, strict=True)]
    assert [n for n, same in enumerate(said) if not same] == [number]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_worlds_agree(seed: int, tmp_path: Path) -> None:
    worlds = worlds_of(seed, 8000)
    differing = differences(worlds, tmp_path)
    assert not differing, told(worlds, differing)


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.randoms(use_true_random=False), min_size=1, max_size=25))
def test_hypothesis_finds_no_world_that_differs(rngs: list[Random]) -> None:
    worlds = [random_world(rng).values for rng in rngs]
    assume(present_in(worlds) >= {"orders", "records"})
    with tempfile.TemporaryDirectory() as scratch:
        differing = differences(worlds, Path(scratch))
    assert not differing, told(worlds, differing)


def test_worlds_reach_every_cause() -> None:
    """An instrument that has never caught anything proves nothing: every cause of the rules occurs in the worlds."""
    worlds = worlds_of(1, 750)
    present = present_in(worlds)
    oracles = [Oracle(world, AS_OF, present) for world in worlds]
    seen = {(found.rule, found.cause) for oracle in oracles for found in oracle.findings}
    states = {stated.state for oracle in oracles for stated in oracle.stated}
    methods = {stated.method for oracle in oracles for stated in oracle.stated}
    of_facts = {(rule.id, cause.id) for rule in rule_book() if rule.on_facts for cause in rule.causes}
    # What is left is said of one record's own readings, pages and bytes, which stand in no facts.
    unseen = of_facts - seen
    assert all("record_" in cause or "_within" in cause or cause in OF_READINGS for _, cause in unseen), unseen
    assert states == set(SessionState)
    assert methods == {"id", "overlap", "bracket", "none"}
