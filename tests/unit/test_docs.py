"""The documents say what the code does: no rule, value, command or page is missing, and none is invented."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from anxin.cli import policy as policy_command
from anxin.cli import rules as rules_command
from anxin.cli.main import main
from anxin.cli.main import parser as program
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


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return every command with its parser: `anxin`, `anxin audit`, `anxin city make`, ... but no mere group."""
    found: dict[str, argparse.ArgumentParser] = {}

    def walk(name: str, parser: argparse.ArgumentParser) -> None:
        groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not groups or name == "anxin":
            found[name] = parser
        for group in groups:
            for word, child in group.choices.items():
                walk(f"{name} {word}", child)

    walk("anxin", program())
    return found


def sections(page: str) -> dict[str, str]:
    """Return the text under each heading of the second level."""
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the rows of a section's tables, by the first word of their first cell that is set as code."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    return {match[1]: row for row in rows if (match := re.match(r"\|? ?`([^ `]+)", row[0]))}


def test_every_command_and_option_stands_on_its_page_and_no_other() -> None:
    found = {name: text for name, text in sections(text_of(DOCS / "commands.md")).items() if name.startswith("anxin")}
    assert found.keys() == commands().keys()
    for name, parser in commands().items():
        real = set()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                continue
            real.add(action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest))
        told = {word for word in rows_of(found[name]) if word.startswith("--") or word.isupper()}
        assert told == real, name


def test_defaults_of_options_are_those_of_the_program() -> None:
    page = sections(text_of(DOCS / "commands.md"))
    for name in ("anxin audit", "anxin city make"):
        for action in commands()[name]._actions:
            if isinstance(action.default, str | int) and not isinstance(action.default, bool):
                if action.default == argparse.SUPPRESS:
                    continue
                cell = rows_of(page[name])[action.option_strings[-1]][-1].strip("` |")
                assert cell == str(action.default), (name, action.option_strings)
            if action.required:
                assert "needed" in rows_of(page[name])[action.option_strings[-1]][-1]


def test_every_target_of_the_makefile_stands_on_its_page() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", text_of(ROOT / "Makefile"), re.MULTILINE))
    told = set(re.findall(r"^\| `make ([a-z-]+)` \|", text_of(DOCS / "commands.md"), re.MULTILINE))
    assert len(targets) > 8
    assert told == targets


#: The modules whose numbered steps docs/flow.md repeats.
STEPPED = ("flow.audit", "flow.importing", "flow.check", "flow.make_city", "flow.report_view", "reconcile.matching",
           "reconcile.judge")  # fmt: skip


def told_steps(name: str) -> list[str]:
    """Return the numbered steps that a module states: in its first lines, else in comments along its main function."""
    module = importlib.import_module(f"anxin.{name}")
    # A module may state its steps in two columns.
    found = re.findall(r"(?:^|\s{3,})(\d)\.? +(\S.*?)(?=\s{3,}\d\. |$)", module.__doc__ or "", re.MULTILINE)
    steps = [step for _, step in sorted(found)]
    source = inspect.getsource(module)
    return steps or re.findall(r"^ +# \d (.+)\.$", source, re.MULTILINE)


@pytest.mark.parametrize("name", STEPPED)
def test_the_way_data_goes_has_the_steps_of_the_code(name: str) -> None:
    page = text_of(DOCS / "flow.md")
    _, _, after = page.partition(f"`src/anxin/{name.replace('.', '/')}.py`")
    told = [row[2:].strip() for row in re.findall(r"^\| \d (\|.+)\|$", after.partition("\n#")[0], re.MULTILINE)]
    if name == "reconcile.judge":
        told = told[:4]  # the steps of matching stand in the same section
    steps = told_steps(name)
    assert len(told) == len(steps) >= 4
    for row, step in zip(told, steps, strict=True):
        # Two columns in the code lie side by side: the step's first word, or its first clause, opens the row.
        words = re.split(r" {2,}|[;,(]", step)[0].strip().lower()
        assert row.lower().replace("`", "").startswith(words), (row, step)
