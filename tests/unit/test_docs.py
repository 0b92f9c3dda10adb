"""The documents say what the code does: no rule, value, command or page is missing, and none is invented."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
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


def test_the_page_of_procedures_is_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["procedures", "--markdown"]) == 0
    assert capsys.readouterr().out == text_of(DOCS / "procedures.md"), "run `make docs`"


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


def limits() -> dict[str, str]:
    """Return every named limit of the code, `module.NAME`, with its value as text."""
    package = ROOT / "src" / "anxin"
    found = {}
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        for line in re.findall(r"^(MAX_[A-Z0-9_, ]+?)(?:: \w+)? =", text_of(path), re.MULTILINE):
            for name in line.split(", "):
                found[f"{module}.{name}"] = f"{getattr(importlib.import_module(f'anxin.{module}'), name):,}"
    return found


def test_every_limit_stands_on_its_page_with_its_value_and_a_reason() -> None:
    told = rows_of(sections(text_of(DOCS / "operations.md"))["Limits"])
    told.pop("limit", None)
    assert {name: row[1] for name, row in told.items()} == limits()
    assert all(len(row[2]) > 10 for row in told.values())


READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def lines_of_shell(path: Path) -> list[str]:
    """Return the commands of a page's shell blocks, continued lines joined, remarks taken off."""
    text = "".join(blocks(text_of(path), "sh")).replace("\\\n", " ")
    return [" ".join(line.partition("  #")[0].split()) for line in text.splitlines() if line.strip()]


def test_each_readme_names_the_other_at_its_top() -> None:
    for own, other in (READMES, READMES[::-1]):
        assert f"]({other.name})" in text_of(own).splitlines()[2]


def test_both_readmes_give_the_same_commands_figures_and_outputs() -> None:
    pages = [text_of(path) for path in READMES]
    for read in (
        lambda page: [re.sub(r" +# .*", "", block) for block in blocks(page, "sh")],
        lambda page: blocks(page, "text"),
        lambda page: re.findall(r"`((?:make|anxin) [a-z-]+[^`]*)`", page),
        lambda page: sorted(set(re.findall(r"\d{1,3}(?:,\d{3})+|\d+\.\d+", page))),
        lambda page: sorted(set(re.findall(r"\]\(([^)]+\.(?:md|png))\)", page)) - {path.name for path in READMES}),
    ):
        assert set(read(pages[0])) - {"docs/glossary.md"} == set(read(pages[1])) - {"docs/glossary.md"}


@pytest.mark.parametrize("path", [*READMES, DOCS / "commands.md"], ids=lambda path: path.name)
def test_the_commands_of_the_examples_are_commands(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    told = lines_of_shell(path)
    assert len(told) > 2
    for line in told:
        words = shlex.split(line.removeprefix(".venv/bin/"))
        if words[0] == "make":
            assert set(words[1:]) <= targets
        else:
            assert words[0] == "anxin"
            assert program().parse_args(words[1:]).command == words[1]


def test_what_the_readme_shows_of_a_check_is_what_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (command,) = [line for line in lines_of_shell(READMES[0]) if " check " in line]
    assert main(shlex.split(command)[1:]) == 1
    (_, shown) = text_of(READMES[0]).split("<!-- output: check altered -->\n```text\n")
    assert capsys.readouterr().out == shown.partition("```")[0]
    assert main(["check", "examples/check/session.ocmf", "--key", "examples/check/public-key.txt"]) == 0


@pytest.mark.long
def test_what_the_readme_shows_of_a_run_is_what_it_says_and_a_second_run_leaves_the_same_bytes(tmp_path: Path) -> None:
    def anxin(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "anxin.cli.main", *words],
            cwd=tmp_path, env=os.environ | {"COLUMNS": "120"}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    city = "build/example-city/city"
    # The words of the Makefile's target `example-city`.
    assert anxin("city", "make", "--districts", "余杭区", "--out", city).returncode == 0
    files = {n: sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / city / n).iterdir())
             for n in ("orders", "checks", "records")}  # fmt: skip
    audit = ("audit", "--orders", *files["orders"], *files["checks"], "--records", *files["records"],
             "--register", f"{city}/register.json", "--keys", f"{city}/keys.json",
             "--truth", f"{city}/truth.jsonl", "--out", "build/example-city/audit")  # fmt: skip
    done = anxin(*audit)
    assert done.returncode == 1, done.stderr
    left = {path.name: path.read_bytes() for path in (tmp_path / "build/example-city/audit").iterdir()}
    assert len(left) == 5
    assert anxin(*audit).stdout == done.stdout
    again = {path.name: path.read_bytes() for path in (tmp_path / "build/example-city/audit").iterdir()}
    assert [name for name in left if again[name] != left[name]] == []
    printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
    (_, shown) = text_of(READMES[0]).split("<!-- output: make example-city -->\n```text\n")
    wanted = [" ".join(line.split()) for line in shown.partition("```")[0].splitlines()]
    assert [line for line in wanted if line not in printed] == []
    assert json.loads((tmp_path / "build/example-city/audit/summary.json").read_text("utf-8"))["findings"].keys() == {
        line[:3] for line in wanted if re.match(r"R\d\d", line)
    }


def test_the_picture_of_the_report_is_there_and_small() -> None:
    picture = DOCS / "images" / "report.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 400_000


def test_the_index_names_every_page() -> None:
    index = text_of(DOCS / "README.md")
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path.name != "README.md"]
    assert len(pages) > 15
    assert [name for name in pages if f"]({name})" not in index] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_something(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(path)):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        if anchor:
            page = text_of(found)
            headings = {
                re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", page, re.M)
            }
            assert anchor in headings or f'id="{anchor}"' in page, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_names_a_path_of_one_machine(path: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|root|home|tmp|Users|mnt|opt)/\S*|[A-Z]:\\\S+", text_of(path)) == []


def test_every_kind_of_deviation_and_refusal_has_its_line_on_a_page() -> None:
    pages = "".join(text_of(path) for path in [*(DOCS / "formats").glob("*.md"), DOCS / "trust.md"])
    source = "".join(
        text_of(path) for part in ("formats", "trust") for path in (ROOT / "src" / "anxin" / part).glob("*.py")
    )
    prefixes = "ocmf|safe_xml|key|signature|tcec102|ocpi|ocpp|table|envelope|json"
    kinds = set(re.findall(rf'"((?:{prefixes})\.[a-z][a-z0-9_]+)"', source))
    assert len(kinds) > 100
    assert sorted(kind for kind in kinds if f"`{kind}`" not in pages) == []


def test_every_word_of_the_code_in_the_glossary_is_in_the_code() -> None:
    source = "".join(text_of(path) for path in (ROOT / "src").rglob("*.py"))
    source += text_of(ROOT / "src/anxin/reconcile/policies/default-2026-11.toml")
    rows = [line.split(" | ") for line in text_of(DOCS / "glossary.md").splitlines() if line.startswith("| ")]
    words = {word for row in rows if len(row) == 5 for word in re.findall(r"`([^`]+)`", row[2])}
    assert len(words) > 50
    known = {policy for value in load_policy().values for policy in (value, value.rpartition(".")[2])}
    missing = {word for word in words - known if word.rpartition(".")[2] not in source and word not in source}
    assert missing == set()
    assert all(
        re.search("[\u4e00-\u9fff]", row[1])
        for row in rows
        if len(row) == 5 and row[0] not in ("| English", "| Ed25519")
    )


def test_the_page_of_alarms_is_drawn_from_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alarms", "--markdown"]) == 0
    assert capsys.readouterr().out == text_of(DOCS / "alarms.md"), "run `make docs`"
    for form in ([], ["--json"]):
        assert main(["alarms", *form]) == 0
        assert "grave_excess_e4" in capsys.readouterr().out
