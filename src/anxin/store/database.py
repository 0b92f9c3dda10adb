"""Connections to PostgreSQL, and the schema brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from anxin.domain.errors import StoreError

#: Any constant: migrations of two processes that start at once wait for one another on it.
_MIGRATION_LOCK = 0x616E78696E
LEAST_VERSION = 150_000


class Database:
    """A pool of connections. Every `transaction` is one transaction; it commits at the end of the block."""

    def __init__(self, url: str, max_connections: int = 8) -> None:
        self.url = url
        self._pool: ConnectionPool[Any] = ConnectionPool(
            url, min_size=1, max_size=max_connections, open=False, kwargs={"options": "-c timezone=UTC"}
        )

    def open(self) -> None:
        """Connect. Raises StoreError where no server answers, or one that is too old."""
        try:
            self._pool.open(wait=True, timeout=30)
            with self._pool.connection() as connection:
                version = connection.info.server_version
        except (psycopg.Error, TimeoutError) as error:
            self._pool.close()
            raise StoreError(f"no PostgreSQL answers: {next(iter(str(error).splitlines()), 'timeout')}") from None
        if version < LEAST_VERSION:
            raise StoreError(f"PostgreSQL 15 or later is needed; this server is {version // 10_000}")

    def close(self) -> None:
        """Give back all connections."""
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection inside one transaction. What the database raises comes out as StoreError."""
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield connection
        except psycopg.Error as error:
            raise StoreError(f"database: {next(iter(str(error).splitlines()), type(error).__name__)}") from error

    def __enter__(self) -> Database:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def migrate(database: Database) -> list[str]:
    """Apply the migrations that this database lacks, each in one transaction with its entry; return their names.

    Raises StoreError where the database was made by a later version: an old program must not write to it.
    """
    files = sorted(
        (f for f in resources.files("anxin.store.migrations").iterdir() if f.name.endswith(".sql")),
        key=lambda f: f.name,
    )
    applied = []
    with database.transaction() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        connection.execute(
            "create table if not exists migration (name text primary key, at timestamptz not null default now())"
        )
        known = {row[0] for row in connection.execute("select name from migration")}
        later = known - {f.name for f in files}
        if later:
            raise StoreError(
                f"数据由更新版本的软件建立 · this database was made by a later version: it has migration {max(later)}"
            )
        for file in files:
            if file.name not in known:
                connection.execute(file.read_text(encoding="utf-8").encode())
                connection.execute("insert into migration (name) values (%s)", (file.name,))
                applied.append(file.name)
    return applied
