"""What operators declare of their own stations, connectors and tariffs, beside the authority's register."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from psycopg.types.json import Jsonb

from anxin.domain.register import Register
from anxin.store.database import Database
from anxin.store.parties import ENTRIES, entry_id


def put_declarations(connection: Any, declared: Iterable[tuple[int, str, Register]]) -> None:
    """Enter (message, operator, what it declares); an entry keeps the word of the latest message."""
    rows = [
        (operator, kind, entry_id(kind, value), Jsonb(dataclasses.asdict(value)), index)
        for index, operator, register in declared
        for kind, (_, field, _names) in ENTRIES.items()
        for value in getattr(register, field)
    ]
    connection.cursor().executemany(
        "insert into declaration (operator_id, kind, entry_id, body, message_index) values (%s, %s, %s, %s, %s)"
        " on conflict (operator_id, kind, entry_id) do update set body = excluded.body,"
        " message_index = excluded.message_index where declaration.message_index <= excluded.message_index",
        rows,
    )


def declared_by(database: Database, operator_id: str) -> Register:
    """Return what an operator declares."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select kind, body from declaration where operator_id = %s order by kind, entry_id", (operator_id,)
        ).fetchall()
    values: dict[str, list[Any]] = {}
    for kind, body in rows:
        values.setdefault(kind, []).append(ENTRIES[kind][0](**body))
    return Register(**{field: tuple(values.get(kind, ())) for kind, (_, field, _) in ENTRIES.items()})
