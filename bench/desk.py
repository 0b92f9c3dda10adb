"""How soon a finding is an alarm: a desk in a process of its own, on a real database.

python -m bench.desk [--findings 200] [--flood 10000]

Written: ms from a finding's commit to its alarm's, one at a time; seconds for a flood of findings of one cause.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.platform.test_desk import BILLED_MORE, REGISTER, ROLLBACK, judge, rows

from anxin.assembly import open_platform
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import parties
from anxin.store.embedded import EmbeddedServer
from bench.common import write

PATIENCE_S = 120.0


def main() -> None:
    """Start a database and a desk, let findings come in, write build/bench/desk.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=200)
    parser.add_argument("--flood", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anxin-desk-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedServer(folder / "postgres").start()
        try:
            platform = open_platform(Settings(data_dir=folder / "data"), server.url)
            parties.put_register(platform.database, REGISTER)
            words = [sys.executable, "-m", "tests.platform.desk_process", server.url, str(folder / "data")]
            desk = subprocess.Popen(words)
            try:
                delays = singles(platform, args.findings)
                flood_s = flood(platform, args.flood)
            finally:
                desk.kill()
                desk.wait()
            platform.database.close()
        finally:
            server.stop()
    delays.sort()
    write(
        "desk",
        {
            "findings": len(delays),
            "finding_to_alarm_ms": {
                "p50": round(delays[len(delays) // 2]),
                "p99": round(delays[len(delays) * 99 // 100]),
                "max": round(delays[-1]),
            },
            "flood": args.flood,
            "flood_seconds": round(flood_s, 2),
        },
    )


def singles(platform: Platform, count: int) -> list[float]:
    """Return ms from the commit of each of some findings to the moment when its alarm is read back."""
    delays = []
    for number in range(count + 1):
        name = f"S{number}"
        judge(platform, {name: [ROLLBACK]}, connector="C2", operator="OP2")
        began = time.monotonic()
        wait_for(lambda name=name: rows(platform, "select 1 from alarm_finding where session_key = %s", name))  # type: ignore[misc]
        delays.append((time.monotonic() - began) * 1_000)
        time.sleep(0.03)
    return delays[1:]  # the first one waits for the desk's start


def flood(platform: Platform, count: int) -> float:
    """Return seconds from the last of many findings of one cause to their single alarm."""
    for start in range(0, count, 1_000):
        judge(platform, {f"F{n}": [BILLED_MORE] for n in range(start, start + 1_000)})
    began = time.monotonic()
    wait_for(lambda: not rows(platform, "select 1 from finding_queue limit 1"))
    took = time.monotonic() - began
    found = rows(platform, "select violations from alarm where cause = 'billing'")
    if found != [(count,)]:
        raise SystemExit(f"the flood is no single alarm: {found}")
    return took


def wait_for(found: Callable[[], object]) -> None:
    """Wait until something is found."""
    end = time.monotonic() + PATIENCE_S
    while not found():
        if time.monotonic() > end:
            raise SystemExit("the desk did not do its work")
        time.sleep(0.002)


if __name__ == "__main__":
    main()
