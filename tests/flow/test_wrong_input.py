"""Wrong input through the real command: a clear word on stderr, an exit code of 0, 1 or 2, never a traceback."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

START = 1_777_593_600_000
HOUR = 3_600_000
GOOD_ORDER = {
    "OperatorID": "MA33CT003", "StartChargeSeq": "MA33CT003260501100000000001", "ConnectorID": "C1",
    "StartTime": "2026-05-01 10:00:00", "EndTime": "2026-05-01 11:00:00", "TotalPower": 20.0, "TotalElecMoney": 16.0,
    "TotalSeviceMoney": 8.0, "TotalMoney": 24.0, "StopReason": 0,
}  # fmt: skip
LINE = json.dumps(GOOD_ORDER)
SAFE = b'<?xml version="1.0"?>\n<values><value transactionId="1"><signedData format="OCMF">OCMF|{}|{}</signedData>'


@dataclass(frozen=True)
class Said:
    """What the command left: its exit code and both streams."""

    code: int
    out: str
    err: str


def anxin(*words: object) -> Said:
    """Run the command in a process of its own. Whatever it is given, it never shows a traceback."""
    command = [sys.executable, "-m", "anxin.cli.main", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2)
    return Said(done.returncode, done.stdout, done.stderr)


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


#: Files of which nothing can be judged: what they are given as, their bytes, and a word that the message must hold.
UNUSABLE: dict[str, tuple[str, bytes, str]] = {
    "empty": ("orders", b"", "empty"),
    "blank_lines": ("orders", b"\n\n  \n", "empty"),
    "truncated_tcec102": ("orders", LINE.encode()[:90], "line 1"),
    "truncated_ocpi": ("orders", b'{"data": [{"id": "1", "country_code": "NL", "cdr_token": {"uid"', "JSON"),
    "truncated_safe_xml": ("records", SAFE[:80], "XML"),
    "truncated_envelope": ("records", b"AXE1.QVhFAQEDAAAA", "row 1"),
    "truncated_xlsx": ("orders", b"PK\x03\x04\x14\x00", "XLSX"),
    "truncated_parquet": ("orders", b"PAR1\x15\x04\x15", "Parquet"),
    "document_type": ("records", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
    "utf_16": ("orders", LINE.encode("utf-16"), "UTF-16"),
    "gbk": ("orders", '{"StartChargeSeq": "订单", "x": 1}\n'.encode("gbk"), "GBK"),
    "latin_1": ("orders", '{"StartChargeSeq": "é"}\n'.encode("latin-1"), "8859-1"),
    "duplicate_keys": ("orders", (LINE[:-1] + ', "StartChargeSeq": "X"}\n').encode(), "twice"),
    "nan": ("orders", (LINE[:-1] + ', "SumPeriod": NaN}\n').encode(), "NaN"),
    "random_bytes": ("orders", bytes(range(128, 256)) * 40, "dialect"),
    "zeros": ("orders", bytes(1000), "dialect"),
    "deeply_nested": ("orders", b"[" * 100_000, "JSON"),
    "csv_without_mapping": ("orders", b"a,b\n1,2\n", "mapping"),
    "records_given_as_orders": ("orders", SAFE, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_nothing_to_judge_is_exit_2_with_file_and_reason(name: str, tmp_path: Path) -> None:
    kind, content, word = UNUSABLE[name]
    path = put(tmp_path, name, content)
    said = anxin("audit", f"--{kind}", path, "--out", tmp_path / "out", "--json")
    assert said.code == 2
    assert str(path) in said.err
    assert word in said.err
    assert said.out == ""


def test_what_is_no_file_is_exit_2(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        said = anxin("audit", "--orders", path, "--out", tmp_path / "out")
        assert (said.code, str(path) in said.err) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_rights_is_exit_2(tmp_path: Path) -> None:
    path = put(tmp_path, "secret", LINE)
    path.chmod(0)
    said = anxin("audit", "--orders", path, "--out", tmp_path / "out")
    assert said.code == 2
    assert "Permission denied" in said.err


def test_an_out_that_cannot_be_written_is_exit_2(tmp_path: Path) -> None:
    orders, file = put(tmp_path, "orders.jsonl", LINE), put(tmp_path, "a-file", "x")
    for out in (file, file / "below"):
        said = anxin("audit", "--orders", orders, "--out", out)
        assert (said.code, str(out) in said.err) == (2, True)


@pytest.mark.parametrize(
    ("option", "content", "word"),
    [
        ("--policy", "[energy", "policy"),
        ("--policy", "title = 1", "title"),
        ("--mapping", "= = =", "mapping"),
        ("--register", '{"format": ', "register"),
        ("--register", '{"format": "anxin-register-1", "meters": [1]}', "register"),
        ("--keys", "[]", "keys"),
        ("--engine", "abacus", "abacus"),
        ("--memory", "much", "Memory"),
    ],
)
def test_a_broken_setting_is_exit_2(option: str, content: str, word: str, tmp_path: Path) -> None:
    orders = put(tmp_path, "orders.jsonl", LINE)
    value: object = content if option in ("--engine", "--memory") else put(tmp_path, f"broken{option}", content)
    said = anxin("audit", "--orders", orders, option, value, "--out", tmp_path / "out")
    assert said.code == 2
    assert word in said.err


def table(folder: Path, name: str, **columns: Any) -> Path:
    """A canonical Parquet file of three orders, some columns replaced."""
    plain: dict[str, Any] = {
        "order_id": list("ABC"), "connector_id": ["C1"] * 3, "start_utc_ms": [START, START + HOUR, START + 2 * HOUR],
        "end_utc_ms": [START + HOUR, START + 2 * HOUR, START + 3 * HOUR], "energy_milli_wh": [10**7] * 3,
    }  # fmt: skip
    path = folder / name
    pq.write_table(pa.table(plain | columns), path)
    return path


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"energy_milli_wh": [2**62] * 3}, "row 1: energy_milli_wh"),
        ({"energy_milli_wh": [-(2**63)] * 3}, "row 1: energy_milli_wh"),
        ({"energy_milli_wh": [1.5, float("nan"), 1e300]}, "column energy_milli_wh holds double"),
        ({"energy_milli_wh": ["x", "y", "z"]}, "column energy_milli_wh holds string"),
        ({"start_utc_ms": [-(2**62)] * 3, "end_utc_ms": [2**62] * 3}, "row 3: start_utc_ms"),
        ({"time_quantum_ms": [2**62] * 3}, "time_quantum_ms"),
        ({"amount_e4": [2**63 - 1] * 3}, "amount_e4"),
        ({"order_id": pa.array([None] * 3, pa.string())}, "no order_id"),
        ({"order_id": [1, 2, 3]}, "column order_id holds int64"),
        ({"order_id": [["a"], ["b"], ["c"]]}, "column order_id holds list"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value).replace(" ", "_"),
)
def test_hostile_columns_are_exit_2(columns: dict[str, Any], word: str, tmp_path: Path) -> None:
    path = table(tmp_path, "hostile.parquet", **columns)
    said = anxin("audit", "--orders", path, "--out", tmp_path / "out")
    assert said.code == 2
    assert str(path) in said.err
    assert word in said.err


def test_the_rest_is_judged_and_the_rejects_say_why(tmp_path: Path) -> None:
    """One good order among broken files and rows: it is judged, and everything else is named with its place."""
    broken = [
        put(tmp_path, f"broken-{name}", content) for name, (kind, content, _) in UNUSABLE.items() if kind == "orders"
    ]
    bad_lines = [LINE, LINE.replace("20.0", '"many"'), LINE.replace("2026-05-01 10", "2026-99-01 10"), "{"]
    lines = put(tmp_path, "some.jsonl", "\n".join(bad_lines) + "\n")
    rows = table(
        tmp_path, "rows.parquet", order_id=["A", None, "C"], energy_milli_wh=[10**7, 10**7, 2**62],
        start_utc_ms=[0, START, START],
    )  # fmt: skip
    out = tmp_path / "out"
    said = anxin("audit", "--orders", *broken, lines, rows, tmp_path / "absent", "--out", out, "--json")
    assert said.code == 1
    summary = json.loads(said.out)
    assert sum(summary["sessions"].values()) == 2
    assert summary == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    # What could not be read at all is said first.
    assert {n["file"] for n in summary["notices"]} >= {str(tmp_path / "absent"), str(broken[0])}
    with (out / "rejects.csv").open(encoding="utf-8", newline="") as file:
        rejects = list(csv.DictReader(file))
    assert {r["file"] for r in rejects} == {str(p) for p in (*broken, lines, rows, tmp_path / "absent")}
    assert {(r["row"], r["field"], r["rule"]) for r in rejects if r["file"] == str(rows)} == {
        ("2", "order_id", "canonical.id_missing"),
        ("3", "energy_milli_wh", "canonical.range"),
    }
    assert {(r["row"], r["field"]) for r in rejects if r["file"] == str(lines)} >= {("2", "TotalPower")}
    assert {r["row"] for r in rejects if r["file"] == str(lines)} == {"2", "3", "4"}
    assert all(r["rule"] and r["message"] for r in rejects)
    # A start of 1970 is no error of the file but a finding.
    assert summary["findings_by_cause"]["R15.clock_unset"] == 1


def test_check_never_fails_loudly(tmp_path: Path) -> None:
    """Records of ten megabytes, of unknown curves, with NaN or double keys: each has one of the four answers."""
    records = {
        "big": b'OCMF|{"FV":"1.0","PG":"T1","XX":"' + b"a" * 10_000_000 + b'"}|{"SD":"00"}',
        "curve": b'OCMF|{"FV":"1.0","PG":"T1","RD":[]}|{"SA":"ECDSA-moon-SHA256","SD":"3000"}',
        "nan": b'OCMF|{"FV":"1.0","PG":"T1","RD":[{"RV":NaN}]}|{"SD":"3000"}',
        "twice": b'OCMF|{"FV":"1.0","FV":"1.0","PG":"T1","RD":[]}|{"SD":"3000"}',
        "cut": b'OCMF|{"FV":"1.0","PG":"T1"',
    }
    for name, content in records.items():
        said = anxin("check", put(tmp_path, name, content), "--json")
        assert said.code in (1, 2), name
        if said.out:
            answers = {record["answer"] for record in json.loads(said.out)["records"]}
            assert answers <= {"forged", "malformed", "cannot_judge"}, name
        else:
            assert name in said.err
