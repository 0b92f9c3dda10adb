"""Drivers' complaints: rows; what is sealed in them is opened by flow/complaints.py alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_COLUMNS = (
    "complaint_id, number, secret_sha256, filed_utc_ms, order_id, amount_e4, reason, sealed_text, sealed_contact, salt,"
    " deed_index, compared, alarm_id, matched_utc_ms, erased_utc_ms, state, conclusion"
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A complaint as it stands. `compared`: whether it is compared with orders at all (tries on an order are few);
    `alarm_id` the alarm that it joined, None where it fits no order so far."""

    complaint_id: int
    number: str
    secret_sha256: bytes
    filed_utc_ms: int
    order_id: str
    amount_e4: int
    reason: str
    sealed_text: bytes | None
    sealed_contact: bytes | None
    salt: bytes | None
    deed_index: int
    compared: bool
    alarm_id: int | None = None
    matched_utc_ms: int | None = None
    erased_utc_ms: int | None = None
    state: str = "kept"
    conclusion: str | None = None


@dataclass(frozen=True, slots=True)
class Billed:
    """An order that a complaint is about: its session, place and operator."""

    session_key: str | None
    connector_id: str | None
    operator_id: str | None


def tries(connection: Any, order_id: str, since_utc_ms: int) -> int:
    """Return how many complaints named an order since a moment; others on it wait until this transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 7))", (order_id,))
    row = connection.execute(
        "select count(*) from complaint where order_id = %s and filed_utc_ms >= %s", (order_id, since_utc_ms)
    ).fetchone()
    return int(row[0])


def put(connection: Any, c: Complaint) -> None:
    """Keep a complaint."""
    connection.execute(
        "insert into complaint (number, secret_sha256, filed_utc_ms, order_id, amount_e4, reason, sealed_text,"
        " sealed_contact, salt, deed_index, compared) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (c.number, c.secret_sha256, c.filed_utc_ms, c.order_id, c.amount_e4, c.reason, c.sealed_text, c.sealed_contact,
         c.salt, c.deed_index, c.compared),
    )  # fmt: skip


def one(connection: Any, number: str) -> Complaint | None:
    """Return a complaint by its number, None where there is none."""
    row = connection.execute(f"select {_COLUMNS} from complaint where number = %s", (number,)).fetchone()
    return None if row is None else Complaint(*row)


@dataclass(frozen=True, slots=True)
class Told:
    """What the filer of a complaint is told of it, and the digest of the secret that he shows."""

    secret_sha256: bytes
    filed_utc_ms: int
    reason: str
    state: str
    conclusion: str | None


def told(connection: Any, number: str) -> Told | None:
    """Return what a complaint's filer is told, None where there is no such number. Nothing sealed is read."""
    row = connection.execute(
        "select secret_sha256, filed_utc_ms, reason, state, conclusion from complaint where number = %s", (number,)
    ).fetchone()
    return None if row is None else Told(*row)


def waiting(connection: Any, since_utc_ms: int, limit: int) -> list[Complaint]:
    """Return complaints that fit no order so far, oldest first, locked; those that another process has are left."""
    rows = connection.execute(
        f"select {_COLUMNS} from complaint where alarm_id is null and compared and filed_utc_ms >= %s"
        " order by filed_utc_ms limit %s for update skip locked",
        (since_utc_ms, limit),
    )
    return [Complaint(*row) for row in rows]


def billed(connection: Any, order_id: str, amount_e4: int) -> Billed | None:
    """Return the order of this number whose bill has this amount, None where there is none."""
    row = connection.execute(
        "select v.session_key, o.connector_id, o.operator_id from fact_order o left join verdict v on v.present"
        # A session that has an order is called by it (flow/live_slice.py).
        " and v.session_key = 'order:' || coalesce(o.operator_id, '') || ':' || o.order_id"
        " where o.order_id = %s and o.amount_e4 = %s order by o.message_index limit 1",
        (order_id, amount_e4),
    ).fetchone()
    return None if row is None else Billed(*row)


def join(connection: Any, complaint_id: int, alarm_id: int, now_utc_ms: int) -> None:
    """Note the alarm that a complaint joined."""
    connection.execute(
        "update complaint set alarm_id = %s, matched_utc_ms = %s where complaint_id = %s",
        (alarm_id, now_utc_ms, complaint_id),
    )


def erase(connection: Any, complaint_id: int, now_utc_ms: int) -> None:
    """Erase what a driver wrote and how he can be reached."""
    connection.execute(
        "update complaint set sealed_text = null, sealed_contact = null, salt = null, erased_utc_ms = %s"
        " where complaint_id = %s",
        (now_utc_ms, complaint_id),
    )


def page(connection: Any, districts: Sequence[str], before: int | None, limit: int) -> list[Complaint]:
    """Return complaints, newest first, below a number of the table; of these districts where some are given."""
    rows = connection.execute(
        f"select {_COLUMNS} from complaint where (%(before)s::bigint is null or complaint_id < %(before)s)"
        " and (%(districts)s::text[] = '{}' or alarm_id in"
        "  (select alarm_id from alarm where district = any(%(districts)s)))"
        " order by complaint_id desc limit %(limit)s",
        {"before": before, "districts": list(districts), "limit": limit},
    )
    return [Complaint(*row) for row in rows]


def follow(connection: Any) -> int:
    """Let complaints say what their alarms' states come to, for their filers; return how many changed."""
    done = connection.execute(
        "update complaint c set state = a.told, conclusion = a.conclusion from (select alarm_id,"
        "  case state when 'open' then 'kept' when 'closed' then 'closed' else 'in_hand' end as told,"
        "  case state when 'closed' then conclusion end as conclusion from alarm) a"
        " where a.alarm_id = c.alarm_id and (c.state, c.conclusion) is distinct from (a.told, a.conclusion)"
        # Few are open, on either side; the others are not looked at.
        " and c.complaint_id in (select complaint_id from complaint where alarm_id is not null and state <> 'closed'"
        "  union select o.complaint_id from alarm w join complaint o using (alarm_id) where w.state <> 'closed')"
    )
    return int(done.rowcount)
