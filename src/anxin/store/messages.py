"""Messages as evidence: one row each, numbered without a gap in the order in which they became durable.

MUST      number messages without a gap, and give the same id with the same bytes its first receipt for ever
MUST NOT  return before the transaction is committed with fsync (the embedded server runs with fsync and
          synchronous_commit on; an external one is refused where they are off, see `refuse_unsafe`)
MUST NOT  overwrite: the same id with other bytes is kept beside the first and marked as its conflict

If the process dies before the commit, nothing is there and nobody has a receipt: the sender sends again. If it dies
after the commit and before the answer, the sender sends again and gets the receipt that was written.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from anxin.domain.errors import StoreError
from anxin.domain.message import Accepted, Kind, Message, Receipt
from anxin.store.database import Database

_RECEIPT = "index, kind, sender, message_id, received_utc_ms, payload_sha256, envelope_sha256, salt, entry"
SALT_BYTES = 32


def append(database: Database, messages: Sequence[Message], received_utc_ms: int, entry_of: Any) -> list[Accepted]:
    """Keep messages and return what became of each, in their order. One transaction for all.

    `entry_of(salt, message, received_utc_ms)` gives the 32 bytes that the log will hold.
    """
    with database.transaction() as connection:
        return append_in(connection, messages, received_utc_ms, entry_of)


def append_in(connection: Any, messages: Sequence[Message], received_utc_ms: int, entry_of: Any) -> list[Accepted]:
    """Do as `append` does, inside a transaction that the caller commits."""
    # The lock is held to the commit: who comes next sees every message that was numbered before.
    size = _one(connection.execute("select size from log_head for update"))
    known = _known(connection, messages)
    accepted: list[Accepted] = []
    fresh: list[tuple[Any, ...]] = []
    for message in messages:
        identity = (message.kind.value, message.sender, message.message_id)
        earlier = known.setdefault(identity, [])
        digest = message.payload_sha256
        same = next((r for r in earlier if r.payload_sha256 == digest), None)
        if same is not None:
            accepted.append(Accepted(same, repeated=True, conflicts_with=_first_other(earlier, same)))
            continue
        salt = secrets.token_bytes(SALT_BYTES)
        receipt = Receipt(
            size, *identity, received_utc_ms, digest, message.envelope_sha256, salt,
            entry_of(salt, message, received_utc_ms),
        )  # fmt: skip
        conflict = earlier[0].index if earlier else None
        earlier.append(receipt)
        fresh.append((*_columns(receipt), message.payload, message.envelope, conflict))
        accepted.append(Accepted(receipt, conflicts_with=conflict))
        size += 1
    if fresh:
        _insert(connection, fresh)
        _advance(connection, size, fresh)
    return accepted


def _first_other(earlier: list[Receipt], same: Receipt) -> int | None:
    return None if earlier[0] is same else earlier[0].index


def _columns(r: Receipt) -> tuple[Any, ...]:
    return (
        r.index, r.kind, r.sender, r.message_id, r.received_utc_ms, r.payload_sha256, r.envelope_sha256, r.salt, r.entry
    )  # fmt: skip


def _known(connection: Any, messages: Sequence[Message]) -> dict[tuple[str, str, str], list[Receipt]]:
    """What is kept already under the ids of these messages, first one first."""
    rows = connection.execute(
        "select m.index, m.kind, m.sender, m.message_id, m.received_utc_ms, m.payload_sha256, m.envelope_sha256,"
        " m.salt, m.entry from unnest(%s::text[], %s::text[], %s::text[]) as w (kind, sender, message_id)"
        " join message m using (kind, sender, message_id) order by m.index",
        (
            [m.kind.value for m in messages],
            [m.sender for m in messages],
            [m.message_id for m in messages],
        ),
        binary=True,
    )
    known: dict[tuple[str, str, str], list[Receipt]] = {}
    for row in rows:
        receipts = known.setdefault((row[1], row[2], row[3]), [])
        if not any(r.index == row[0] for r in receipts):
            receipts.append(Receipt(*row))
    return known


def _insert(connection: Any, rows: list[tuple[Any, ...]]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy message ({_RECEIPT}, payload, envelope, conflicts_with) from stdin (format binary)") as copy,
    ):
        copy.set_types(
            ["int8", "text", "text", "text", "int8", "bytea", "bytea", "bytea", "bytea", "bytea", "bytea", "int8"]
        )
        for row in rows:
            copy.write_row(row)


def _advance(connection: Any, size: int, rows: list[tuple[Any, ...]]) -> None:
    """Move the head of the log and the running totals (store/totals.py) in one statement."""
    kinds = Counter(row[1] for row in rows)
    conflicts = sum(row[-1] is not None for row in rows)
    changed = [("messages", kind, count) for kind, count in sorted(kinds.items())]
    changed += [("conflicts", "all", conflicts)] if conflicts else []
    names, labels, values = (list(column) for column in zip(*changed, strict=True))
    connection.execute(
        "with counted as (insert into total (name, label, slot, value)"
        " select name, label, 0, value from unnest(%s::text[], %s::text[], %s::bigint[]) as n (name, label, value)"
        " on conflict (name, label, slot) do update set value = total.value + excluded.value)"
        " update log_head set size = %s",
        (names, labels, values, size),
    )


def receipt(database: Database, index: int) -> Receipt | None:
    """Return the receipt of one message, None where there is none. Of an erased one the salt is gone."""
    with database.transaction() as connection:
        row = connection.execute(f"select {_RECEIPT} from message where index = %s", (index,)).fetchone()
    return None if row is None else Receipt(*row)


def entries(database: Database, first: int, count: int) -> list[bytes]:
    """Return the log entries from number `first` on, `count` of them; fewer say that one is missing."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select entry from message where index >= %s and index < %s order by index",
            (first, first + count),
            binary=True,
        )
        return [bytes(row[0]) for row in rows]


def size(database: Database) -> int:
    """Return the number of messages kept."""
    with database.transaction() as connection:
        return _one(connection.execute("select size from log_head"))


def stored(database: Database, indexes: Sequence[int]) -> Iterator[tuple[int, Message, int]]:
    """Yield (index, message, received_utc_ms) of messages whose payload was not erased, by index."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select index, kind, sender, message_id, payload, envelope, received_utc_ms from message"
            " where index = any(%s) and payload is not null order by index",
            (list(indexes),),
            binary=True,
        ).fetchall()
    for index, kind, sender, message_id, payload, envelope, received in rows:
        yield index, Message(Kind(kind), sender, message_id, payload, envelope), received


def refuse_unsafe(database: Database) -> None:
    """Raise StoreError where the server would acknowledge a commit before it is on disk."""
    with database.transaction() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            value = connection.execute("select current_setting(%s)", (name,)).fetchone()
            if value is None or value[0] in {"off", "local"}:
                raise StoreError(f"the database runs with {name} = {value and value[0]}: a receipt would prove nothing")


def _one(cursor: Any) -> int:
    row = cursor.fetchone()
    if row is None:
        raise StoreError("the database lacks a row that every migration makes")
    return int(row[0])
