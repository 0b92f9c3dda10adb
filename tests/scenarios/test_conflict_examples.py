"""Examples of rules about messages at a door, one a line: `message KIND SENDER ID TEXT`, numbered from 0.

expect R28 conflicting_message 0 1       the pair that excludes one another: the first of the id, and the later one
"""

from __future__ import annotations

import pytest

from anxin.domain.message import Conflict, Kind
from anxin.reconcile.book import rule_book
from anxin.reconcile.rule import RawFinding, Rule
from anxin.reconcile.sentences import finding_of

ON_CONFLICT = [rule for rule in rule_book() if rule.on_conflict is not None]


def run(rule: Rule, text: str) -> tuple[list[RawFinding], list[list[str]]]:
    """Return what a rule finds on the messages of a scenario, and what the scenario expects."""
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    found: list[RawFinding] = []
    expected, number = [], 0
    for words in (line.split(maxsplit=4) for line in text.strip().splitlines()):
        if words[0] == "expect":
            expected.append(words[1:3] + words[3].split() + words[4].split())
            continue
        kind, sender, name, said = words[1:]
        index, before = first.setdefault((kind, sender, name), (number, said))
        if before != said and rule.on_conflict is not None:
            found += rule.on_conflict(Conflict(Kind(kind), sender, name, index, number, 1_790_000_000_000))
        number += 1
    return found, expected


@pytest.mark.parametrize("rule", ON_CONFLICT, ids=lambda r: r.id)
def test_example_yields_what_it_says(rule: Rule) -> None:
    found, expected = run(rule, rule.example)
    assert [[f.rule, f.cause, f.expected_text, f.found_text] for f in found] == expected
    assert expected
    for raw in found:
        finding = finding_of(raw)
        assert "{" not in finding.zh + finding.en


def test_a_counter_used_twice_names_the_meter_and_a_repetition_is_nothing() -> None:
    (rule,) = ON_CONFLICT
    text = """
        message meter.envelope M-1 KEY/7 one
        message meter.envelope M-1 KEY/7 one
        message meter.envelope M-1 KEY/8 one
        message meter.envelope M-2 KEY/7 two
        message meter.envelope M-1 KEY/7 two
        message ocpi.cdr       OP  CDR-1 one
        message ocpi.cdr       OP  CDR-1 two
        expect R28 counter_used_twice 0 4
    """
    found, expected = run(rule, text)
    assert [[f.rule, f.cause, f.expected_text, f.found_text] for f in found] == expected
