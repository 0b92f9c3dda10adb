"""`anxin city make` as a user meets it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from anxin.cli import city


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    city.add_parser(parser.add_subparsers())
    return city.run(parser.parse_args(["city", "make", *words]))


def test_a_small_city_with_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "city"
    words = ("--out", str(out), "--chargers", "20", "--days", "6", "--cheats", "replay=1", "splice=2", "--workers", "1")
    assert run(*words, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "honest.json").read_text("utf-8"))
    assert document["options"]["cheats"]["splice"] == 2
    assert document["options"]["cheats"]["broken_seal"] == 0
    assert len((out / "truth.jsonl").read_text("utf-8").splitlines()) == 3
    assert document["counts"]["honest_sessions"] == document["counts"]["sessions"] - 4, "a splice touches two"
    before = {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert run(*words) == 0, "an earlier city is replaced"
    assert "sessions" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_other_peoples_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "mine.jsonl").write_text("mine")
    assert run("--out", str(tmp_path), "--chargers", "4", "--days", "2", "--cheats-each", "0") == 2
    assert (tmp_path / "orders" / "mine.jsonl").read_text() == "mine"
    streams = capsys.readouterr()
    assert "holds other things" in streams.err
    assert streams.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--districts", "浦东"), "浦东"),
        (("--cheats", "bribery=3"), "bribery"),
        (("--chargers", "0"), "chargers"),
        (("--chargers", "2", "--days", "2", "--cheats-each", "9"), "too small"),
        (("--workers", "0"), "workers"),
        (("--cheats-each", "-1"), "negative"),
    ],
)
def test_wrong_options_end_with_two_and_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run("--out", str(tmp_path / "city"), *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "city").exists()


def test_a_file_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "city").write_text("a file")
    assert run("--out", str(tmp_path / "city"), "--chargers", "4", "--days", "2", "--cheats-each", "0") == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["2026-13-01", "tomorrow", "01/02/2026"])
def test_a_date_is_a_date(text: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("--out", "x", "--start", text)
    assert stopped.value.code == 2
