"""The public OCMF records and attacks, through the command that a user runs: no forgery passes, no true one fails."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from anxin.cli import check
from tests.vectors.shared import REASON, attacks, vectors

VECTORS, ATTACKS = vectors(), attacks()
ANSWER_OF_VERDICT = {
    "valid": "authentic",
    "invalid": "forged",
    "bad_key": "cannot_judge",
    "no_key": "cannot_judge",
    "unparseable": "malformed",
}
ALARMS = {"warning", "violation", "grave"}

pytestmark = pytest.mark.skipif(not VECTORS, reason=REASON)


def checked(tmp_path: Path, text: str, key: str | None, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Run `anxin check FILE --key KEY --json` and return exit code and document."""
    file = tmp_path / "record.ocmf"
    file.write_text(text, "utf-8")
    parser = argparse.ArgumentParser()
    check.add_parser(parser.add_subparsers())
    args = parser.parse_args(["check", str(file), "--json", *(["--key", key] if key else [])])
    code = check.run(args)
    return code, json.loads(capsys.readouterr().out)


def alarms_of(document: Any) -> list[Any]:
    findings = [f for r in document["records"] for f in r["findings"]] + document["session"]["findings"]
    return [f for f in findings if f["severity"] in ALARMS]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_public_record_gets_its_answer(
    vector: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = checked(tmp_path, vector["record"], vector["public_key"], capsys)
    (record,) = document["records"]
    assert record["answer"] == ANSWER_OF_VERDICT[vector["signature_verdict"]]
    if record["answer"] == "cannot_judge" or record["says"] is None:
        assert code == 2
    elif record["answer"] != "authentic":
        assert code == 1


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a["name"])
def test_attack_is_treated_as_it_should(
    attack: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = attack["record"] if "record" in attack else attack["begin"] + "\n" + attack["end"] + "\n"
    code, document = checked(tmp_path, text, attack["public_key"], capsys)
    answers = {r["answer"] for r in document["records"]}
    should = attack["should"]
    if should == "reject":
        assert answers <= {"malformed", "forged"}
        assert code in (1, 2)
        return
    assert answers == {"authentic"}
    if should == "flag":
        assert alarms_of(document)
        assert code == 1
        if "begin" in attack:
            assert document["session"]["findings"]
        return
    assert alarms_of(document) == []
    assert code == 0
    deviations = [d for r in document["records"] for d in r["deviations"]]
    if should in ("warn", "reject-or-parse"):
        assert deviations
    if should == "accept":
        assert [f for r in document["records"] for f in r["findings"]] == []
        assert deviations == []
    if should == "accept-but-not-a-new-record":
        original = next(a for a in ATTACKS if a["name"] == "ok-single")
        _, first = checked(tmp_path, original["record"], original["public_key"], capsys)
        assert document["records"][0]["record_id"] == first["records"][0]["record_id"]


def test_high_s_twin_beside_its_original_is_no_new_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_name = {a["name"]: a for a in ATTACKS}
    text = by_name["ok-single"]["record"] + "\n" + by_name["high-s"]["record"]
    code, document = checked(tmp_path, text, by_name["high-s"]["public_key"], capsys)
    assert code == 0
    assert len({r["record_id"] for r in document["records"]}) == 1
    assert [f["cause"] for f in document["records"][1]["findings"]] == ["twin_signature_in_file"]
    assert len(document["session"]["sessions"]) == 1
