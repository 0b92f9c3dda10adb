"""Examples of rules about seals, one event a line: `seal ID ACT MOMENT`.

expect R30 seal_broken_unordered 3000       the cause, and the moment of the event that it is about
"""

from __future__ import annotations

import pytest

from anxin.domain.seal_event import SealAct, SealEvent, steps_of
from anxin.reconcile.book import rule_book
from anxin.reconcile.rule import Rule
from anxin.reconcile.sentences import finding_of

ON_SEAL = [rule for rule in rule_book() if rule.on_seal is not None]


@pytest.mark.parametrize("rule", ON_SEAL, ids=lambda r: r.id)
def test_example_yields_what_it_says(rule: Rule) -> None:
    events: dict[str, list[SealEvent]] = {}
    expected = []
    for words in (line.split() for line in rule.example.strip().splitlines()):
        if words[0] == "expect":
            expected.append([words[1], words[2], int(words[3])])
        else:
            event = SealEvent("H1", words[1], "physical", SealAct(words[2]), int(words[3]))
            events.setdefault(words[1], []).append(event)
    assert rule.on_seal is not None
    found = [raw for seal in events.values() for step in steps_of(seal) for raw in rule.on_seal(step)]
    assert [[f.rule, f.cause, f.found] for f in found] == expected
    assert expected
    for raw in found:
        finding = finding_of(raw)
        assert "{" not in finding.zh + finding.en
