"""Every rule's example is its test: it yields exactly the findings that it says, in two whole sentences each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anxin.reconcile.book import rule_book
from anxin.reconcile.sentences import finding_of
from tests.scenarios.notation import parse, run

if TYPE_CHECKING:
    from pathlib import Path

    from anxin.reconcile.rule import Rule

ON_FACTS = [r for r in rule_book() if r.on_facts is not None]


@pytest.mark.parametrize("rule", ON_FACTS, ids=lambda r: r.id)
def test_example_yields_what_it_says(rule: Rule, tmp_path: Path) -> None:
    scenario = parse(rule.example)
    outcome = run(scenario, tmp_path)
    assert outcome.findings == scenario.expected
    assert any(found_rule == rule.id for found_rule, _, _ in scenario.expected)
    for raw in outcome.raw:
        finding = finding_of(raw)
        for sentence in (finding.zh, finding.en):
            assert sentence
            assert "{" not in sentence
