"""Endpoints of webhooks, their places in the events, and the letters that they would not take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from anxin.store.database import Database
from anxin.store.events import Scope
from anxin.store.notice_secrets import count, delete_secrets

_CHANNEL = "webhook"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One endpoint. `place`: events up to this number are delivered or are letters; `attempts` of the one after it.

    `operator_id` None: the regulator's. `reason`: why it is paused. `next_utc_ms`: not called before.
    """

    webhook_id: str
    operator_id: str | None
    districts: list[str]
    created_by: str
    created_utc_ms: int
    url: str
    kinds: list[str]
    description: str
    state: str
    place: int
    reason: str = ""
    attempts: int = 0
    failing_since_utc_ms: int | None = None
    next_utc_ms: int = 0
    delivered: int = 0
    last_utc_ms: int | None = None
    last_status: int | None = None
    last_error: str = ""

    @property
    def scope(self) -> Scope:
        """Which events it is told of."""
        return Scope(self.operator_id, tuple(self.districts), tuple(self.kinds))


@dataclass(frozen=True, slots=True)
class Letter:
    """One event that an endpoint did not take: `waiting` for another attempt, or `dead`."""

    webhook_id: str
    event_id: int
    kind: str
    body: bytes
    state: str
    attempts: int
    next_utc_ms: int
    last_utc_ms: int
    last_status: int | None
    last_error: str


_COLUMNS = ", ".join(Webhook.__slots__)
_LETTER = ", ".join(Letter.__slots__)


def add(connection: Any, hook: Webhook, at_most: int) -> bool:
    """Enter an endpoint inside a transaction, unless its owner has so many; return whether it was entered."""
    owner = hook.operator_id or ""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('webhook ' || %s, 0))", (owner,))
    row = connection.execute("select count(*) from webhook where coalesce(operator_id, '') = %s", (owner,)).fetchone()
    if row[0] >= at_most:
        return False
    connection.execute(
        "insert into webhook (webhook_id, operator_id, districts, created_by, created_utc_ms, url, kinds, description,"
        " state, place) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            hook.webhook_id, hook.operator_id, hook.districts, hook.created_by, hook.created_utc_ms, hook.url,
            hook.kinds, hook.description, hook.state, hook.place,
        ),
    )  # fmt: skip
    return True


def owned(database: Database, operator_id: str | None, webhook_id: str | None = None) -> list[Webhook]:
    """Return the endpoints of an owner (None: the regulator), oldest first; the one that is named where one is."""
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=class_row(Webhook))
            .execute(
                f"select {_COLUMNS} from webhook where operator_id is not distinct from %s"
                " and (%s::text is null or webhook_id = %s) order by created_utc_ms, webhook_id",
                (operator_id, webhook_id, webhook_id),
            )
            .fetchall()
        )


def due(database: Database, now_utc_ms: int) -> list[Webhook]:
    """Return the endpoints that may be called now and for which there is something to do."""
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=class_row(Webhook))
            .execute(
                f"select {_COLUMNS} from webhook w where state = 'active' and next_utc_ms <= %(now)s"
                " and (place < coalesce((select max(event_id) from event), 0) or exists (select from webhook_letter l"
                " where l.webhook_id = w.webhook_id and l.state = 'waiting' and l.next_utc_ms <= %(now)s))",
                {"now": now_utc_ms},
            )
            .fetchall()
        )


def change(connection: Any, webhook_id: str, **values: Any) -> None:
    """Change columns of an endpoint inside a transaction."""
    names = ", ".join(f"{name} = %({name})s" for name in values)
    connection.execute(f"update webhook set {names} where webhook_id = %(webhook_id)s", values | {
        "webhook_id": webhook_id})  # fmt: skip


def delete(connection: Any, webhook_id: str) -> None:
    """Delete an endpoint with its letters and secrets inside a transaction."""
    connection.execute("delete from webhook where webhook_id = %s", (webhook_id,))
    delete_secrets(connection, webhook_id)


def note_delivered(connection: Any, hook: Webhook, event_id: int, status: int, now_utc_ms: int) -> bool:
    """Note that an event was taken: the place moves to it, or its letter goes. Return whether the endpoint goes on."""
    connection.execute(
        "delete from webhook_letter where webhook_id = %s and event_id = %s", (hook.webhook_id, event_id)
    )
    row = connection.execute(
        "update webhook set place = greatest(place, %s), attempts = 0, failing_since_utc_ms = null, next_utc_ms = 0,"
        " delivered = delivered + 1, last_utc_ms = %s, last_status = %s, last_error = '' where webhook_id = %s"
        " returning state",
        (event_id, now_utc_ms, status, hook.webhook_id),
    ).fetchone()
    count(connection, _CHANNEL, "delivered")
    return row is not None and row[0] == "active"


def note_place(connection: Any, webhook_id: str, place: int) -> None:
    """Note up to where there was nothing for an endpoint."""
    connection.execute("update webhook set place = greatest(place, %s) where webhook_id = %s", (place, webhook_id))


def note_failure(connection: Any, hook: Webhook, now_utc_ms: int, *, status: int | None, error: str) -> None:
    """Note that a call failed, whatever becomes of its event."""
    connection.execute(
        "update webhook set last_utc_ms = %s, last_status = %s, last_error = %s where webhook_id = %s",
        (now_utc_ms, status, error, hook.webhook_id),
    )
    count(connection, _CHANNEL, "failed")


def put_letter(connection: Any, letter: Letter) -> int:
    """Set an event aside, or note what became of its letter; return how many letters the endpoint has."""
    exists = connection.execute(
        "select from webhook where webhook_id = %s for key share", (letter.webhook_id,)
    ).fetchone()
    if exists is None:  # deleted while its event was on the way
        return 0
    connection.execute(
        f"insert into webhook_letter ({_LETTER}) values ({', '.join(['%s'] * len(Letter.__slots__))})"
        " on conflict (webhook_id, event_id) do update set state = excluded.state, attempts = excluded.attempts,"
        " next_utc_ms = excluded.next_utc_ms, last_utc_ms = excluded.last_utc_ms, last_status = excluded.last_status,"
        " last_error = excluded.last_error",
        tuple(getattr(letter, name) for name in Letter.__slots__),
    )
    if letter.state == "dead":
        count(connection, _CHANNEL, "dead")
    row = connection.execute(
        "select count(*) from webhook_letter where webhook_id = %s", (letter.webhook_id,)
    ).fetchone()
    return int(row[0])


def letters(
    database: Database, webhook_id: str, state: str, *, after: int = 0, limit: int = 100, due_utc_ms: int | None = None
) -> list[Letter]:
    """Return letters of an endpoint after an event, in order; those alone that are due where a moment is given."""
    with database.transaction() as connection:
        return (
            connection.cursor(row_factory=class_row(Letter))
            .execute(
                f"select {_LETTER} from webhook_letter where webhook_id = %s and state = %s and event_id > %s"
                " and (%s::bigint is null or next_utc_ms <= %s) order by event_id limit %s",
                (webhook_id, state, after, due_utc_ms, due_utc_ms, limit),
            )
            .fetchall()
        )


def revive(connection: Any, webhook_id: str, event_id: int | None) -> int:
    """Let dead letters be sent again, one or all; return how many."""
    return int(
        connection.execute(
            "update webhook_letter set state = 'waiting', attempts = 0, next_utc_ms = 0 where webhook_id = %s"
            " and state = 'dead' and (%s::bigint is null or event_id = %s)",
            (webhook_id, event_id, event_id),
        ).rowcount
    )


def standing(database: Database) -> dict[str, int]:
    """Return for the measures: endpoints active and paused, letters dead and waiting, age in ms of the oldest event
    that an active endpoint was not told of (of those that are its own or not: an upper bound)."""
    with database.transaction() as connection:
        row = connection.execute(
            "select count(*) filter (where state = 'active'), count(*) filter (where state = 'paused'),"
            " (select count(*) from webhook_letter where state = 'dead'),"
            " (select count(*) from webhook_letter where state = 'waiting'),"
            " coalesce((select at_utc_ms from event where event_id > min(place) filter (where state = 'active')"
            "  order by event_id limit 1), 0) from webhook"
        ).fetchone()
    names = ("active", "paused", "dead", "waiting", "oldest_utc_ms")
    return dict(zip(names, map(int, row or (0,) * 5), strict=True))
