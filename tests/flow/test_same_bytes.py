"""The same input gives the same bytes: run again, and with another number of threads."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from anxin.flow.audit import AuditRequest, run_audit
from anxin.reconcile import engine as engines

FILES = ("summary.json", "verdicts.parquet", "findings.parquet", "rejects.csv", "report.html")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small city with every kind of mess and one cheat of some kinds."""
    out = tmp_path_factory.mktemp("city") / "city"
    words = ["city", "make", "--out", out, "--chargers", 40, "--days", 6, "--cheats", "inflated_energy=1", "replay=1"]
    subprocess.run([sys.executable, "-m", "anxin.cli.main", *map(str, words)], check=True, capture_output=True)
    return out


def digests(city: Path, out: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """SHA-256 of every file that an audit of the city leaves, with so many threads of the engine."""

    def opened(name: str, scratch: Path, memory_limit: str) -> engines.Engine:
        assert name == "duckdb"
        return engines.DuckDBEngine(scratch, memory_limit, threads)

    monkeypatch.setattr("anxin.flow.audit.open_engine", opened)
    request = AuditRequest(
        orders=tuple(sorted((city / "orders").iterdir())),
        records=tuple(sorted((city / "records").iterdir())),
        out=out,
        register=city / "register.json",
        keys=city / "keys.json",
    )
    run_audit(request)
    return {name: sha256((out / name).read_bytes()).hexdigest() for name in FILES}


def test_again_and_with_other_threads_the_same_bytes(
    city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digests(city, tmp_path / "first", 2, monkeypatch)
    assert digests(city, tmp_path / "again", 2, monkeypatch) == first
    assert digests(city, tmp_path / "one", 1, monkeypatch) == first
