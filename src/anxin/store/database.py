"""Connections to PostgreSQL, and the schema brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from anxin.domain.errors import StoreError

#: Any constant: migrations of two processes that start at once wait for one another on it.
_MIGRATION_LOCK = 0x616E78696E
LEAST_VERSION = 150_000
#: Whoever lost his connection tries again by himself for so long, in ever longer steps; after that the next transaction
#: that wants one tries at once. The pool's own 300 s let a server that was away for two minutes be found two minutes
#: after its return.
RECONNECT_S = 4.0


@dataclass(slots=True)
class Tenant:
    """Whose rows the request in hand is bound to: set once, where its caller is known, and no query can forget it."""

    name: str | None = None


#: Of the request in hand; None outside of requests, where who needs a tenant names it.
TENANT: ContextVar[Tenant | None] = ContextVar("tenant", default=None)


class Database:
    """A pool of connections. Every `transaction` is one transaction; it commits at the end of the block."""

    def __init__(self, url: str, max_connections: int = 8) -> None:
        self.url = url
        self._pool: ConnectionPool[Any] = ConnectionPool(
            url, min_size=1, max_size=max_connections, open=False, reconnect_timeout=RECONNECT_S,
            # A backend that waits for a lock looks now and then whether its client still lives: those of processes that
            # were killed would else hold their connections until the lock is theirs.
            kwargs={"options": "-c timezone=UTC -c client_connection_check_interval=5s"},
        )  # fmt: skip

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
    def transaction(self, tenant: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """A connection inside one transaction. What the database raises comes out as StoreError.

        `tenant` is whose rows a face's role sees in it (store/rights.sql), None: the request's own; without one it
        sees nobody's.
        """
        if tenant is None and (request := TENANT.get()) is not None:
            tenant = request.name
        try:
            with self._pool.connection() as connection, connection.transaction():
                if tenant is not None:
                    set_tenant(connection, tenant)
                yield connection
        except psycopg.Error as error:
            raise StoreError(f"database: {next(iter(str(error).splitlines()), type(error).__name__)}") from error

    def __enter__(self) -> Database:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def set_tenant(connection: Any, tenant: str) -> None:
    """Let a transaction go on for another tenant, up to its end."""
    connection.execute("select set_config('anxin.tenant', %s, true)", (tenant,))


def require_migrated(database: Database) -> None:
    """Raise StoreError where a database is not of this version: who may not migrate it must not work on it."""
    with database.transaction() as connection:
        known = {row[0] for row in connection.execute("select name from migration")}
    if known != {f.name for f in _migrations()}:
        raise StoreError("数据库版本与软件不符 · the database is of another version: `anxin serve` updates it")


def _migrations() -> list[Any]:
    found = resources.files("anxin.store.migrations").iterdir()
    return sorted((f for f in found if f.name.endswith(".sql")), key=lambda f: f.name)


def migrate(database: Database) -> list[str]:
    """Apply the migrations that this database lacks, each in one transaction with its entry; return their names.

    Raises StoreError where the database was made by a later version: an old program must not write to it.
    """
    files = _migrations()
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
