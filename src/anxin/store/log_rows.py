"""Message rows for the auditor, one after the other, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anxin.store.database import Database

FETCH = 500


def message_rows(database: Database) -> Iterator[tuple[Any, ...]]:
    """Yield the columns that the auditor looks at, by index."""
    with (
        database.transaction() as connection,
        connection.cursor(name="audit", binary=True) as cursor,
    ):
        cursor.itersize = FETCH
        cursor.execute(
            "select index, kind, sender, message_id, received_utc_ms, payload_sha256, envelope_sha256, salt, entry,"
            " payload, envelope from message order by index"
        )
        yield from cursor
