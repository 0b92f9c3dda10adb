"""Sealed secrets of notices, and the counts of what became of them. The id of a secret is its context in the vault."""

from __future__ import annotations

from typing import Any

from anxin.store.database import Database


def put_secret(connection: Any, secret_id: str, subject: str, sealed: bytes, now_utc_ms: int) -> None:
    """Enter a secret inside a transaction."""
    connection.execute(
        "insert into notice_secret (secret_id, subject, sealed, made_utc_ms) values (%s, %s, %s, %s)",
        (secret_id, subject, sealed, now_utc_ms),
    )


def end_secrets(connection: Any, subject: str, valid_to_utc_ms: int, now_utc_ms: int) -> None:
    """Let the secrets of a subject end at a moment, or earlier where they do already; those that ended are deleted."""
    connection.execute("delete from notice_secret where subject = %s and valid_to_utc_ms <= %s", (subject, now_utc_ms))
    connection.execute(
        "update notice_secret set valid_to_utc_ms = least(valid_to_utc_ms, %s) where subject = %s",
        (valid_to_utc_ms, subject),
    )


def secrets_of(database: Database, subject: str, now_utc_ms: int) -> list[tuple[str, bytes]]:
    """Return (id, sealed) of the secrets of a subject that are valid, newest first."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select secret_id, sealed from notice_secret where subject = %s"
            " and (valid_to_utc_ms is null or valid_to_utc_ms > %s) order by made_utc_ms desc, secret_id",
            (subject, now_utc_ms),
        ).fetchall()
    return [(row[0], bytes(row[1])) for row in rows]


def delete_secrets(connection: Any, subject: str) -> None:
    """Delete the secrets of a subject inside a transaction."""
    connection.execute("delete from notice_secret where subject = %s", (subject,))


def count(connection: Any, channel: str, outcome: str, by: int = 1) -> None:
    """Count what became of notices, in the transaction that notes it."""
    connection.execute(
        "insert into notice_count values (%s, %s, %s)"
        " on conflict (channel, outcome) do update set count = notice_count.count + excluded.count",
        (channel, outcome, by),
    )


def counts(database: Database) -> dict[tuple[str, str], int]:
    """Return the counts by channel and outcome."""
    with database.transaction() as connection:
        rows = connection.execute("select channel, outcome, count from notice_count order by 1, 2").fetchall()
    return {(row[0], row[1]): int(row[2]) for row in rows}
