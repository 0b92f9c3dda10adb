"""A real PostgreSQL for each worker, an empty database for each test, and the platform on it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from anxin.assembly import open_platform
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store.embedded import EmbeddedServer

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def pg_server() -> Iterator[EmbeddedServer]:
    """An embedded server of this worker's own."""
    with open_folder() as folder:
        server = EmbeddedServer(folder / "postgres").start()
        yield server
        server.stop()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that a server can enter which runs as another user (started by root): pytest's own are closed anew by
    every worker that starts."""
    with tempfile.TemporaryDirectory(prefix="anxin-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def pg_url(pg_server: EmbeddedServer) -> str:
    """The address of a fresh, empty database."""
    name = f"test_{next(_NUMBERS)}"
    with psycopg.connect(pg_server.url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return pg_server.url.replace("/anxin?", f"/{name}?")


@pytest.fixture(scope="session")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the prepared rule book is kept for all tests and workers: compiling it takes seconds."""
    folder = tmp_path_factory.getbasetemp().parent / "anxin-book"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def platform(pg_url: str, tmp_path: Path, books: Path) -> Iterator[Platform]:
    """A migrated platform; its intake is not started."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "book").symlink_to(books)
    made = open_platform(Settings(data_dir=tmp_path / "data", commit_interval_ms=1), pg_url)
    yield made
    made.database.close()
