"""How asking the operators' platforms goes: one row an operator and kind of question."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from anxin.store.database import Database


def note_success(database: Database, operator_id: str, what: str, at_utc_ms: int, next_utc_ms: int, kept: int) -> None:
    """Note that an operator answered; `kept` answers became messages."""
    with database.transaction() as connection:
        connection.execute(
            "insert into pull (operator_id, what, last_success_utc_ms, kept, next_utc_ms) values (%s, %s, %s, %s, %s)"
            " on conflict (operator_id, what) do update set last_success_utc_ms = excluded.last_success_utc_ms,"
            " failures = 0, kept = pull.kept + excluded.kept, next_utc_ms = excluded.next_utc_ms",
            (operator_id, what, at_utc_ms, kept, next_utc_ms),
        )


def note_failure(
    database: Database, operator_id: str, what: str, at_utc_ms: int, next_utc_ms: int, kept: int, error: str
) -> None:
    """Note that an operator did not answer as he should; `kept` answers became messages before."""
    with database.transaction() as connection:
        connection.execute(
            "insert into pull (operator_id, what, last_error_utc_ms, last_error, failures, kept, next_utc_ms)"
            " values (%s, %s, %s, %s, 1, %s, %s)"
            " on conflict (operator_id, what) do update set last_error_utc_ms = excluded.last_error_utc_ms,"
            " last_error = excluded.last_error, failures = pull.failures + 1, kept = pull.kept + excluded.kept,"
            " next_utc_ms = excluded.next_utc_ms",
            (operator_id, what, at_utc_ms, error, kept, next_utc_ms),
        )


def pulls(database: Database, operator_id: str | None) -> list[dict[str, Any]]:
    """Return how it goes; of one operator where one is given."""
    with database.transaction(operator_id) as connection:
        return (
            connection.cursor(row_factory=dict_row)
            .execute(
                "select * from pull where (%(operator)s::text is null or operator_id = %(operator)s)"
                " order by operator_id, what",
                {"operator": operator_id},
            )
            .fetchall()
        )


def silent(database: Database) -> dict[str, int]:
    """Return, for each kind of question, how many operators did not answer the last one."""
    with database.transaction() as connection:
        rows = connection.execute("select what, silent from silent_operators order by 1")
        return {row[0]: int(row[1]) for row in rows}
