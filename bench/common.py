"""What the benchmarks share: a city of columns, a child process with its time and memory, results on disk."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILD = Path("build/bench")
#: Chargers and days that give a size its shape: Hangzhou's 14,000 chargers in 2022 saw about 1,030 orders each.
SESSIONS_PER_CHARGER = 1_030
DAYS = 365


@dataclass(frozen=True)
class Ran:
    """A child process that ended: seconds of wall clock, peak memory in bytes, exit code and standard output."""

    seconds: float
    peak_bytes: int
    exit_code: int
    output: str


def run(*words: str | Path) -> Ran:
    """Run a command to its end and return what it cost, its children's memory included."""
    began = time.perf_counter()
    process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    seconds = time.perf_counter() - began
    # ru_maxrss of the children is the peak of the largest of them; each command here is run in a process of its own.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return Ran(seconds, peak, process.returncode, output)


def anxin(*words: str | Path) -> Ran:
    """Run `anxin` of this environment."""
    return run(Path(sys.executable).with_name("anxin"), *words)


def columns_city(sessions: int, cheats_each: int = 0) -> Path:
    """Return a city of `sessions` in canonical Parquet columns, made once."""
    place = BUILD / f"columns-{sessions}-{cheats_each}"
    if not (place / "honest.json").exists():
        chargers = max(13, sessions // SESSIONS_PER_CHARGER)
        days = max(5, min(DAYS, sessions // chargers // 3))
        words = {
            "--out": place,
            "--format": "columns",
            "--sessions": sessions,
            "--chargers": chargers,
            "--days": days,
            "--districts": "all",
            "--cheats-each": cheats_each,
        }
        made = anxin("city", "make", *(str(word) for pair in words.items() for word in pair))
        if made.exit_code:
            raise SystemExit(f"the city of {sessions} sessions could not be made")
    return place


def write(name: str, document: dict[str, Any]) -> None:
    """Write a benchmark's figures to build/bench/NAME.json and to standard output."""
    BUILD.mkdir(parents=True, exist_ok=True)
    document = {"commit": _commit(), "cores": os.cpu_count(), **document}
    (BUILD / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=2))


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
