"""Sessions of people, by the hash of their cookie. What ends a person, ends his sessions in the same transaction."""

from __future__ import annotations

from typing import Any

from anxin.domain.person import Session, Side
from anxin.store.people import COLUMNS, person_of_row

#: Sessions of one person at once; beginning another ends the oldest.
MAX_SESSIONS_OF_PERSON = 10


def begin(connection: Any, session_hash: bytes, session: Session) -> None:
    """Enter a session; the person's oldest beyond the limit end."""
    party_id = session.person.party.party_id
    connection.execute(
        "insert into session (session_hash, party_id, side, second_factor, created_utc_ms, seen_utc_ms)"
        " values (%s, %s, %s, %s, %s, %s)",
        (
            session_hash, party_id, session.side.value, session.second_factor, session.created_utc_ms,
            session.seen_utc_ms,
        ),
    )  # fmt: skip
    connection.execute(
        "delete from session where session_hash in (select session_hash from session where party_id = %s"
        " order by seen_utc_ms desc, created_utc_ms desc offset %s)",
        (party_id, MAX_SESSIONS_OF_PERSON),
    )


def find(connection: Any, session_hash: bytes, side: Side, created_after: int, seen_after: int) -> Session | None:
    """Return a session of this side whose person is admitted and that is not over; None for all else alike."""
    row = connection.execute(
        f"select {COLUMNS}, s.second_factor, s.created_utc_ms, s.seen_utc_ms from session s"
        " join person using (party_id) join party p using (party_id) where s.session_hash = %s and s.side = %s"
        " and not p.suspended and s.created_utc_ms > %s and s.seen_utc_ms > %s"
        " and not exists (select 1 from party o where o.party_id = p.operator_id and o.suspended)",
        (session_hash, side.value, created_after, seen_after),
    ).fetchone()
    return None if row is None else Session(person_of_row(row), side, *row[-3:])


def seen(connection: Any, session_hash: bytes, now_utc_ms: int) -> None:
    """Note that a session was used."""
    connection.execute("update session set seen_utc_ms = %s where session_hash = %s", (now_utc_ms, session_hash))


def end(connection: Any, session_hash: bytes) -> bool:
    """End a session; return whether there was such a one."""
    return bool(connection.execute("delete from session where session_hash = %s", (session_hash,)).rowcount == 1)


def end_all(connection: Any, party_id: str) -> None:
    """End every session of a person."""
    connection.execute("delete from session where party_id = %s", (party_id,))


def sweep(connection: Any, created_before: int, seen_before: int) -> None:
    """Delete sessions that are over."""
    connection.execute(
        "delete from session where created_utc_ms <= %s or seen_utc_ms <= %s", (created_before, seen_before)
    )
