"""Procedures are data: a number without its source is refused, and what is not confirmed follows into the result."""

from __future__ import annotations

import json

import pytest

from anxin.cli.main import main
from anxin.domain.errors import PolicyError
from anxin.domain.verification import Item, Sourced, SourcedText, SourceStatus, VerificationKind
from anxin.verification.procedures import Place, for_current, load, procedure_of, procedures
from anxin.verification.sourced import package_files, parse, unconfirmed

HEAD = """\
id = "x"
[sources]
a = "somewhere"
"""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("limit = 10000", "has no source"),
        ('limit = { value = 10000, unit = "ppm", status = "confirmed" }', "needs exactly"),
        ('limit = { value = 10000, unit = "ppm", source = "b", status = "confirmed" }', "does not list"),
        ('limit = { value = 10000, unit = "ppm", source = "a", status = "sure" }', "status"),
        ('limit = { value = 1.5, unit = "%", source = "a", status = "confirmed" }', "whole number"),
        ('limit = { value = true, unit = "", source = "a", status = "confirmed" }', "whole number"),
        ('limit = { value = 1, source = "a", status = "confirmed" }', "needs exactly"),
        ('limit = { value = 1, unit = "ppm", source = "a", status = "confirmed", note = "x" }', "needs exactly"),
        ("limit = [1]", "has no source"),
        ("limit = ", "Invalid"),
    ],
)
def test_a_number_that_is_not_whole_with_its_source_is_refused(entry: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse(f"{HEAD}[t]\n{entry}\n", "x.toml")


def test_a_source_must_say_something() -> None:
    with pytest.raises(PolicyError, match="sources"):
        parse('[sources]\na = " "\n', "x.toml")


def test_a_procedure_with_a_gap_is_refused() -> None:
    from importlib import resources

    text = resources.files("anxin.verification").joinpath("data", "procedures", "jjg-1148-2018.toml").read_text("utf-8")
    assert load(text, "x.toml").id == "jjg-1148-2018"
    for line in text.splitlines():
        name = line.partition(" = ")[0]
        optional = {"issued", "in_force", "replaced", "pulses_at_least", "indication_test", "minimum_energy_variable"}
        if (
            " = {" not in line
            or name in optional | {item.value for item in Item}
            or line.startswith("indication_error")
        ):
            continue
        if name in ("from", "to", "more"):
            continue
        with pytest.raises(PolicyError):
            load(text.replace(line + "\n", "", 1), "x.toml")


def test_a_limit_that_the_rounding_does_not_divide_is_refused() -> None:
    from importlib import resources

    text = resources.files("anxin.verification").joinpath("data", "procedures", "jjg-1148-2022.toml").read_text("utf-8")
    with pytest.raises(PolicyError, match="multiple"):
        load(text.replace("value = 10000, unit", "value = 10001, unit"), "x.toml")


def test_the_items_are_those_of_the_regulations() -> None:
    for number in (1148, 1149):
        new, old = procedure_of(f"jjg-{number}-2022").items, procedure_of(f"jjg-{number}-2018").items
        judged = {item for item, place in new.items() if place is Place.ITEM}
        assert judged == {Item.APPEARANCE, Item.WORKING_ERROR, Item.CLOCK_ERROR}
        assert new[Item.INSULATION] is Place.PRECONDITION
        assert len(old) == 6
        assert set(old.values()) == {Place.ITEM}
    assert [procedure_of(f"jjg-{n}-{y}").file.number("load.points_at_least").value
            for n, y in ((1148, 2018), (1149, 2018), (1148, 2022), (1149, 2022))] == [3, 2, 1, 1]  # fmt: skip
    assert [procedure_of(f"jjg-1148-{y}").period_years.value for y in (2018, 2022)] == [1, 3]
    assert [procedure_of(f"jjg-1148-{y}").insulation().value for y in (2018, 2022)] == [10_000, 5_000]


def test_what_is_not_confirmed_follows_into_the_result_once() -> None:
    limit = procedure_of("jjg-1148-2022").working_error("1")
    said = unconfirmed([*limit.used, *limit.used])
    assert len(said) == len(set(said)) == 4
    assert not any("classes.1.working_error" in line for line in said)
    assert any("rounding.parts_of_limit = 10" in line and "(unconfirmed)" in line for line in said)
    of_g22 = unconfirmed(procedure_of("oiml-g22-2022").working_error("A").used)
    assert any("classes.A.working_error = 20000 ppm" in line for line in of_g22)


def test_nothing_that_the_fact_file_could_not_confirm_is_called_confirmed() -> None:
    for procedure in procedures().values():
        values: list[Sourced | SourcedText] = [*procedure.file.numbers.values(), *procedure.file.statements.values()]
        for value in values:
            assert value.source
            if value.name.startswith(("rounding.", "decision.", "uncertainty.", "repeat.")) or "_low" in value.name:
                assert value.status is SourceStatus.UNCONFIRMED, value
    for id_ in ("oiml-g22-2022", "nist-hb44-3.40-ac", "nist-hb44-3.40-dc"):
        numbers = procedure_of(id_).file.numbers
        assert all(v.status is SourceStatus.UNCONFIRMED for n, v in numbers.items() if n.startswith("classes."))


def test_each_current_has_its_procedures() -> None:
    assert {p.id for p in for_current("AC")} == {"jjg-1148-2018", "jjg-1148-2022", "nist-hb44-3.40-ac", "oiml-g22-2022"}
    assert {p.id for p in for_current("DC")} == {"jjg-1149-2018", "jjg-1149-2022", "nist-hb44-3.40-dc", "oiml-g22-2022"}


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(PolicyError, match="jjg-1148-2022"):
        procedure_of("jjg-1")
    with pytest.raises(PolicyError, match="1, 2"):
        procedure_of("jjg-1148-2022").working_error("0.5", VerificationKind.FIRST)
    assert main(["procedures", "nothing"]) == 2


def test_the_command_prints_what_the_files_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["procedures", "--json", "JJG-1149-2022"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["procedures"]
    assert document["values"]["classes.2.working_error"]["value"] == 20_000
    assert document["sha256"] == package_files("procedures")["jjg-1149-2022"].sha256
    assert main(["procedures"]) == 0
    assert "3 项 items" in capsys.readouterr().out
    assert main(["procedures", "jjg-1148-2022"]) == 0
    assert "period.in_use = 3 years (confirmed)" in capsys.readouterr().out
