"""The whole platform as its user starts it: killed with -9, stopped with Ctrl-C, started again; no receipt is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from anxin.cli.main import main
from tests.platform.conftest import open_folder


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start(data: Path, port: int) -> subprocess.Popen[bytes]:
    words = [
        sys.executable,
        "-m",
        "anxin.cli.main",
        "run",
        "--data",
        str(data),
        "--port",
        str(port),
        "--regulator-port",
        str(free_port()),
        "--chargers",
        "150",
    ]
    with (data.parent / "output").open("ab") as output:
        return subprocess.Popen(words, stdout=output, stderr=output, start_new_session=True, env=dict(os.environ))


def wait_for(port: int, name: str, least: int, seconds: float = 90) -> dict[str, Any]:
    end = time.monotonic() + seconds
    numbers: dict[str, Any] = {}
    while time.monotonic() < end:
        try:
            numbers = httpx.get(f"http://127.0.0.1:{port}/api/status", timeout=5).json()
            found = numbers[name]
            if (sum(found.values()) if isinstance(found, dict) else found) >= least:
                return numbers
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{name} did not reach {least}: {numbers}")


@pytest.fixture
def data() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder / "data"


def test_started_killed_started_again_and_stopped_cleanly_nothing_is_lost(data: Path) -> None:
    port = free_port()
    first = start(data, port)
    try:
        wait_for(port, "verdicts", 10)
        before = wait_for(port, "judged", 60)
        children = psutil.Process(first.pid).children(recursive=True)
        for process in [psutil.Process(first.pid), *children]:
            process.kill()
        first.wait(10)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    finally:
        if first.poll() is None:
            first.kill()
    second = start(data, port)
    try:
        after = wait_for(port, "log_size", before["log_size"] + 1)
        assert after["log_size"] > before["log_size"]
        time.sleep(1.5)
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0
    finally:
        if second.poll() is None:
            second.kill()
    assert "已停止 · stopped" in (data.parent / "output").read_text("utf-8")
    assert main(["log", "audit", "--data", str(data)]) == 0
