"""Who is told of events by mail, and up to where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from anxin.store.database import Database
from anxin.store.notice_secrets import count, delete_secrets

_CHANNEL = "mail"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. `how`: at_once or digest; `state`: unconfirmed, active or stopped (`reason` says why).

    `place`: events up to this number were told; `up_to`: the mail under way tells up to there.
    """

    subscription_id: str
    party_id: str
    kinds: list[str]
    how: str
    state: str
    created_utc_ms: int
    place: int
    next_utc_ms: int
    reason: str = ""
    code_sha256: bytes | None = None
    code_until_utc_ms: int | None = None
    guesses: int = 0
    up_to: int | None = None
    attempts: int = 0
    sent: int = 0
    last_utc_ms: int | None = None


_COLUMNS = ", ".join(Subscription.__slots__)


def add(connection: Any, one: Subscription, at_most: int) -> bool:
    """Enter a subscription inside a transaction, unless its party has so many; return whether it was entered."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('mail ' || %s, 0))", (one.party_id,))
    row = connection.execute("select count(*) from mail_subscription where party_id = %s", (one.party_id,)).fetchone()
    if row[0] >= at_most:
        return False
    connection.execute(
        "insert into mail_subscription (subscription_id, party_id, kinds, how, state, created_utc_ms, place,"
        " next_utc_ms) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            one.subscription_id, one.party_id, one.kinds, one.how, one.state, one.created_utc_ms, one.place,
            one.next_utc_ms,
        ),
    )  # fmt: skip
    return True


def of_party(database: Database, party_id: str, subscription_id: str | None = None) -> list[Subscription]:
    """Return the subscriptions of a party, oldest first; the one that is named where one is."""
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=class_row(Subscription))
            .execute(
                f"select {_COLUMNS} from mail_subscription where party_id = %s"
                " and (%s::text is null or subscription_id = %s) order by created_utc_ms, subscription_id",
                (party_id, subscription_id, subscription_id),
            )
            .fetchall()
        )


def due(database: Database, now_utc_ms: int) -> list[Subscription]:
    """Return the subscriptions for which there may be a mail to write now."""
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=class_row(Subscription))
            .execute(
                f"select {_COLUMNS} from mail_subscription where next_utc_ms <= %s and (state = 'active' and"
                " place < coalesce((select max(event_id) from event), 0) or state = 'unconfirmed' and sent = 0)"
                " order by next_utc_ms limit 500",
                (now_utc_ms,),
            )
            .fetchall()
        )


def change(connection: Any, subscription_id: str, **values: Any) -> None:
    """Change columns of a subscription inside a transaction."""
    names = ", ".join(f"{name} = %({name})s" for name in values)
    connection.execute(
        f"update mail_subscription set {names} where subscription_id = %(subscription_id)s",
        {**values, "subscription_id": subscription_id},
    )


def guess(connection: Any, subscription_id: str, at_most: int) -> bool:
    """Count a guess of a code; return whether it is one of those allowed."""
    row = connection.execute(
        "update mail_subscription set guesses = guesses + 1 where subscription_id = %s and guesses < %s returning 1",
        (subscription_id, at_most),
    ).fetchone()
    return row is not None


def note(connection: Any, outcome: str) -> None:
    """Count a mail: delivered, failed, dead."""
    count(connection, _CHANNEL, outcome)


def delete(connection: Any, subscription_id: str) -> None:
    """Delete a subscription and its address inside a transaction."""
    connection.execute("delete from mail_subscription where subscription_id = %s", (subscription_id,))
    delete_secrets(connection, subscription_id)
