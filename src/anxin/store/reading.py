"""What is read of verdicts, findings, refusals: pages by number, newest first."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from psycopg.rows import dict_row

from anxin.domain.party import Sight
from anxin.store.database import Database

#: Rows of one page.
MAX_PAGE = 500
_TABLES = {
    "verdicts": ("verdict", "verdict_id", "state"),
    "findings": ("finding", "finding_id", "rule"),
}


def page(
    database: Database, what: str, sight: Sight, kind: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return present verdicts or findings that are seen, newest first, below number `before`."""
    table, number, column = _TABLES[what]
    within = " and district = any(%(districts)s)" if sight.districts else ""
    with database.transaction(sight.operator_id) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        rows = cursor.execute(
            f"select * from {table} where present and (%(operator)s::text is null or operator_id = %(operator)s)"
            f" and (%(kind)s::text is null or {column} = %(kind)s)"
            f" and (%(before)s::bigint is null or {number} < %(before)s){within}"
            f" order by {number} desc limit %(limit)s".encode(),
            {
                "operator": sight.operator_id, "districts": list(sight.districts), "kind": kind, "before": before,
                "limit": min(limit, MAX_PAGE),
            },
        ).fetchall()  # fmt: skip
    for row in rows:
        row["digest"] = bytes(row["digest"]).hex()
    return rows


def refused(
    database: Database, operator_id: str | None, senders: Collection[str] | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return entries of the failed-write ledger, newest first; of an operator and his chargers where one is given, and
    of some senders where they are."""
    with database.transaction(operator_id) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute(
            "select refused_id, at_utc_ms, door, sender, message_id, rule, field, detail, corrected_by from refused"
            " where (%(operator)s::text is null or sender = %(operator)s"
            " or sender in (select party_id from party where operator_id = %(operator)s))"
            " and (%(senders)s::text[] is null or sender = any(%(senders)s))"
            " and (%(before)s::bigint is null or refused_id < %(before)s) order by refused_id desc limit %(limit)s",
            {
                "operator": operator_id, "senders": _list(senders), "before": before, "limit": min(limit, MAX_PAGE),
            },
        ).fetchall()  # fmt: skip


def deviations(
    database: Database,
    sender: str | None,
    senders: Collection[str] | None,
    kind: str | None,
    before: int | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return oddities that were read all the same, newest first; of one sender, or of some, where given."""
    with database.transaction(sender) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute(
            "select deviation_id, message_index, sender, kind, field, clause, detail, row_no from deviation"
            " where (%(sender)s::text is null or sender = %(sender)s) and (%(kind)s::text is null or kind = %(kind)s)"
            " and (%(senders)s::text[] is null or sender = any(%(senders)s))"
            " and (%(before)s::bigint is null or deviation_id < %(before)s) order by deviation_id desc limit %(limit)s",
            {
                "sender": sender,
                "senders": _list(senders),
                "kind": kind,
                "before": before,
                "limit": min(limit, MAX_PAGE),
            },
        ).fetchall()


def declarations(
    database: Database, operator_id: str | None, entries: Collection[str] | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return what operators declare, newest entry first; of one operator, and of some stations and connectors, where
    given."""
    with database.transaction(operator_id) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute(
            "select declaration_id, operator_id, kind, entry_id, body, message_index from declaration"
            " where (%(operator)s::text is null or operator_id = %(operator)s)"
            " and (%(entries)s::text[] is null or (entry_id = any(%(entries)s) and kind in ('station', 'connector')))"
            " and (%(before)s::bigint is null or declaration_id < %(before)s)"
            " order by declaration_id desc limit %(limit)s",
            {
                "operator": operator_id, "entries": _list(entries), "before": before, "limit": min(limit, MAX_PAGE),
            },
        ).fetchall()  # fmt: skip


def _list(ids: Collection[str] | None) -> list[str] | None:
    return None if ids is None else list(ids)
