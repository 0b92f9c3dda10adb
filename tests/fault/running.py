"""The platform as a user starts it, and who is who among its processes."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

#: Who is killed, and how often: a process of the platform, of PostgreSQL, or everything at once.
VICTIMS = {
    "web": 26, "regulator": 2, "backend": 20, "database": 12, "judge": 8, "desk": 2, "log": 8, "parent": 7, "all": 15,
}  # fmt: skip


def free_port() -> int:
    """Return a port where nobody listens now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Running:
    """`anxin serve` in a session of its own. `fault` names a planted one (tests.fault.planted)."""

    def __init__(self, data: Path, port: int, fault: str = "") -> None:
        self.data, self.port, self.fault = data, port, fault
        self.regulator_port = free_port()
        self.output = data.parent / "output"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it; it need not answer yet."""
        module = "tests.fault.planted" if self.fault else "anxin.cli.main"
        words = [sys.executable, "-m", module, "serve", "--data", str(self.data), "--port", str(self.port)]
        words += ["--regulator-port", str(self.regulator_port)]
        environment = dict(os.environ) | ({"FAULT_PLANTED": self.fault} if self.fault else {})
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                words, stdout=output, stderr=output, start_new_session=True, env=environment
            )
        self.starts += 1

    def keep_running(self) -> None:
        """Start it again where its parent process is gone."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def kill(self, rng: random.Random) -> str:
        """Kill somebody with SIGKILL; return who it was. Who is not there now is not killed: another is drawn."""
        while True:
            victim = rng.choices(list(VICTIMS), weights=list(VICTIMS.values()))[0]
            found = self._processes(victim)
            if not found:
                time.sleep(0.01)
                continue
            chosen = found if victim == "all" else [rng.choice(found)]
            for process in chosen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if victim in ("parent", "all") and self.process is not None:
                self.process.wait()
            return victim

    def end(self) -> None:
        """Kill everything."""
        for process in self._processes("all"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.wait()

    def _processes(self, victim: str) -> list[psutil.Process]:
        own: list[psutil.Process] = []
        if self.process is not None and self.process.poll() is None:
            parent = psutil.Process(self.process.pid)
            own = [parent, *parent.children(recursive=True)]
        if victim == "parent":
            return own[:1]
        if victim in ("web", "regulator", "judge", "desk", "log"):
            return [p for p in own[1:] if _name(p) == f"anxin-{victim}"]
        database = self._database()
        if victim == "database":
            return database[:1]
        if victim == "backend":
            return database[1:]
        # PostgreSQL lives in a session of its own, as another user where root started it.
        return own + database

    def _database(self) -> list[psutil.Process]:
        """The server's parent process first, then its others, also where the parent is gone."""
        folder = self.data / "postgres"
        try:
            parent = int((folder / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            parent = 0
        found = [p for p in psutil.process_iter() if _name(p) == "postgres" and _cwd(p) == folder]
        return sorted(found, key=lambda p: (p.pid != parent, p.pid))


def _name(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.name())
    except psutil.Error:
        return ""


def _cwd(process: psutil.Process) -> Path | None:
    try:
        return Path(process.cwd())
    except (OSError, psutil.Error):
        return None
