"""Erasing a message: its bytes and salt, and what its facts hold of a person. Its entry and its verdict stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Erasable:
    """What is known of a message that is to be erased."""

    kind: str
    erased: bool
    judged: bool


def look(connection: Any, index: int) -> Erasable | None:
    """Return what is known of a message, None where there is none; its row is locked to the end of the transaction."""
    row = connection.execute(
        "select kind, payload is null, index < (select value from counter where name = 'judged')"
        " and not exists (select 1 from requeued where message_index = index) from message where index = %s"
        " for no key update",
        (index,),
    ).fetchone()
    return None if row is None else Erasable(*row)


def erase(connection: Any, index: int) -> None:
    """Erase a message. Its digests stay: by them a copy that is sent again is known, and not kept anew."""
    # No judge writes facts until this is committed: what it decoded before gets no user (migration 0060).
    connection.execute("lock table fact_record in share row exclusive mode")
    connection.execute("update message set payload = null, envelope = null, salt = null where index = %s", (index,))
    connection.execute(
        "insert into erased_transaction select distinct transaction_key, message_index from fact_signed_record"
        " where message_index = %s on conflict do nothing",
        (index,),
    )
    connection.execute(
        "update fact_record set user_ref = null where user_ref is not null and transaction_key in"
        " (select transaction_key from fact_signed_record where message_index = %s)",
        (index,),
    )
    # Oddities quote what was odd.
    connection.execute("update deviation set detail = '' where message_index = %s", (index,))


def erased_transactions(connection: Any, keys: list[str]) -> set[str]:
    """Return those of these transactions of which a record was erased."""
    rows = connection.execute("select transaction_key from erased_transaction where transaction_key = any(%s)", (keys,))
    return {row[0] for row in rows}
