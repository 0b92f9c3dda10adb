"""The documents say what the code does: no rule, value, command or page is missing, and none is invented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anxin.cli import policy as policy_command
from anxin.cli import rules as rules_command
from anxin.cli.main import main
from anxin.reconcile.book import rule_book
from anxin.reconcile.policy import load_policy
from tests.vectors.shared import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def test_the_page_of_rules_is_the_rule_book(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--markdown"]) == 0
    assert capsys.readouterr().out == text_of(DOCS / "rules.md"), "run `make docs`"


def test_the_page_of_the_policy_is_the_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "--markdown"]) == 0
    assert capsys.readouterr().out == text_of(DOCS / "policy.md"), "run `make docs`"


def test_every_rule_has_its_section_with_every_sentence() -> None:
    page = text_of(DOCS / "rules.md")
    for rule in rule_book():
        assert f"## {rule.id} · {rule.title_zh} · {rule.title_en}\n" in page
        for cause in rule.causes:
            assert f"| `{cause.id}` |" in page
            assert cause.zh in page
            assert cause.en in page


def test_every_value_of_the_policy_has_its_line() -> None:
    page = text_of(DOCS / "policy.md")
    for value in load_policy().values.values():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{value.name}` |")]
        assert value.source in line
        assert value.status in line


def test_the_policy_of_the_page_can_be_used(tmp_path: Path) -> None:
    _, _, rest = text_of(DOCS / "policy.md").partition("```toml\n")
    example = tmp_path / "policy.toml"
    example.write_text(rest.partition("```")[0], "utf-8")
    assert load_policy(example).int("late.record_window") == 172_800_000
    assert load_policy(example).sha256 != load_policy().sha256


@pytest.mark.parametrize("command", [["rules", "--json"], ["policy", "--json"], ["rules", "r04"], ["policy"]])
def test_rules_and_policy_are_printed(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert ("R04" if command[0] == "rules" else "late.record_window") in printed


def test_an_unknown_rule_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "R99"]) == 2
    assert "R99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (180_000, "ms", "3 min"),
        (259_200_000, "ms", "3 d"),
        (1_500, "ms", "1500 ms"),
        (50_000, "mWh", "0.05 kWh"),
        (2_000_000_000, "mWh", "2,000 kWh"),
        (3_750_500, "W", "3,750.5 kW"),
        (100_000, "ppm", "10 %"),
        (True, "", "–"),
        (2010, "year", "–"),
    ],
)
def test_a_value_in_the_unit_that_people_use(value: int | bool, unit: str, words: str) -> None:
    known = load_policy().values["late.record_window"]
    assert policy_command.in_words(type(known)("x", value, unit, "s", "derived")) == words


def test_the_worst_severity_is_the_gravest() -> None:
    by_id = {rule.id: rule for rule in rule_book()}
    assert rules_command.worst(by_id["R19"]).value == "grave"
    assert rules_command.worst(by_id["R27"]).value == "note"
