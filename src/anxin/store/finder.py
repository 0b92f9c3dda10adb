"""What the finder reads: the latest word on connectors, all or what is new, and details that operators declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from anxin.store.database import Database

#: Rows fetched at a time.
PAGE = 20_000
# Words of senders on connectors that are not theirs stand apart and are nobody's public state.
_WORDS = "select connector_id, status, at_utc_ms, heard_utc_ms, message_index from connector_status where not apart"


class WordRow(NamedTuple):
    """The latest word on a connector: its state, since when, when it was last repeated, the message that began it."""

    connector_id: str
    status: str
    since_utc_ms: int
    heard_utc_ms: int
    message_index: int


def all_words(database: Database) -> Iterator[list[WordRow]]:
    """Yield the latest words on all connectors, a page at a time, in one transaction."""
    with database.transaction() as connection, connection.cursor("finder_words") as cursor:
        cursor.itersize = PAGE
        cursor.execute(_WORDS)
        while rows := cursor.fetchmany(PAGE):
            yield [WordRow(*r) for r in rows]


def words_after(database: Database, message_index: int, limit: int) -> list[WordRow]:
    """Return words that a message after this one began, at most `limit`, the earliest messages first."""
    with database.transaction() as connection:
        rows = connection.execute(
            f"{_WORDS} and message_index > %s order by message_index limit %s".encode(), (message_index, limit)
        )
        return [WordRow(*r) for r in rows]


def register_changed(database: Database) -> dict[str, dict[str, int]]:
    """Return when each station and connector of the register was last changed: kind -> id -> UTC ms."""
    found: dict[str, dict[str, int]] = {"station": {}, "connector": {}}
    with database.transaction() as connection:
        for kind, name, at in connection.execute(
            "select kind, entry_id, changed_utc_ms from register_entry where kind in ('station', 'connector')"
        ):
            found[kind][name] = at
    return found


class Detail(NamedTuple):
    """What an operator declares that registers often leave out; None: not said."""

    address: str | None
    opening: str | None
    plug: str | None


def declared_details(database: Database) -> dict[tuple[str, str, str], Detail]:
    """Return details by (kind, operator, id) of the stations and connectors of which any is declared."""
    with database.transaction() as connection:
        rows = connection.execute("select kind, operator_id, entry_id, address, opening, plug from declared_detail")
        return {(r[0], r[1], r[2]): Detail(*r[3:]) for r in rows}
