"""People beside their parties: entered, found, changed, and their attempts to log in counted.

Every function works inside a transaction of the caller's, who writes the deed in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anxin.domain.party import Party, Role
from anxin.domain.person import Person

#: Failed attempts in a row that cost nothing but an answer; from there each one locks the account for twice as long.
FREE_FAILURES = 5
FIRST_LOCK_S, LONGEST_LOCK_S = 15, 900
#: NIST SP 800-63B 5.2.2: no more than 100 consecutive failed attempts. The account then waits for an administrator.
MOST_FAILURES = 100
FOR_EVER_UTC_MS = 1 << 62
#: Any constant: deeds on people wait for one another on it, so that two cannot remove the last two administrators.
_LOCK = 0x616E7065

COLUMNS = (
    "p.party_id, p.role, p.name, p.operator_id, p.suspended, p.districts, person.login, person.password_hash,"
    " person.must_change, person.created_utc_ms, person.totp_sealed, person.totp_confirmed, person.totp_step,"
    " person.last_login_utc_ms"
)
_FROM = f"select {COLUMNS} from person join party p using (party_id)"


def person_of_row(row: Sequence[Any]) -> Person:
    """Return the person of a row of COLUMNS."""
    party = Party(row[0], Role(row[1]), row[2], row[3], row[4], tuple(row[5]))
    sealed = None if row[10] is None else bytes(row[10])
    return Person(party, row[6], row[7], row[8], row[9], sealed, row[11], row[12], row[13])


def hold(connection: Any) -> None:
    """Wait until no other deed on people is under way; hold others off to the end of the transaction."""
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))


def put(connection: Any, person: Person) -> bool:
    """Enter a person whose party is there; return False where the login is taken."""
    cursor = connection.execute(
        "insert into person (party_id, login, password_hash, must_change, created_utc_ms, totp_sealed, totp_confirmed)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (login) do nothing",
        (
            person.party.party_id, person.login, person.password_hash, person.must_change, person.created_utc_ms,
            person.totp_sealed, person.totp_confirmed,
        ),
    )  # fmt: skip
    return bool(cursor.rowcount == 1)


def by_login(connection: Any, login: str) -> Person | None:
    """Return a person by his login."""
    row = connection.execute(f"{_FROM} where person.login = %s", (login,)).fetchone()
    return None if row is None else person_of_row(row)


def by_id(connection: Any, party_id: str) -> Person | None:
    """Return a person by the id of his party."""
    row = connection.execute(f"{_FROM} where party_id = %s", (party_id,)).fetchone()
    return None if row is None else person_of_row(row)


def all_of(connection: Any, operator_id: str | None = None) -> list[Person]:
    """Return everybody, or the people of one operator, by login."""
    rows = connection.execute(
        f"{_FROM} where %s::text is null or p.operator_id = %s order by person.login", (operator_id, operator_id)
    )
    return [person_of_row(row) for row in rows]


def administrators(connection: Any) -> int:
    """Return how many administrators can log in."""
    row = connection.execute(
        "select count(*) from person join party using (party_id) where role = 'admin' and not suspended"
    ).fetchone()
    return int(row[0])


def change_party(connection: Any, party: Party) -> None:
    """Write name, role, districts and suspension of a person's party."""
    connection.execute(
        "update party set role = %s, name = %s, districts = %s, suspended = %s where party_id = %s",
        (party.role.value, party.name, list(party.districts), party.suspended, party.party_id),
    )
    connection.execute("update counter set value = value + 1 where name = 'party_version'")


def set_password(connection: Any, party_id: str, password_hash: str, must_change: bool) -> None:
    """Write a password's hash and unlock the account."""
    connection.execute(
        "update person set password_hash = %s, must_change = %s, failures = 0, locked_until_utc_ms = 0"
        " where party_id = %s",
        (password_hash, must_change, party_id),
    )


def rehash(connection: Any, party_id: str, old: str, new: str) -> None:
    """Exchange the hash of an unchanged password for one under newer parameters."""
    connection.execute(
        "update person set password_hash = %s where party_id = %s and password_hash = %s", (new, party_id, old)
    )


def set_totp(connection: Any, party_id: str, sealed: bytes | None) -> None:
    """Write a new secret, not confirmed yet, or none; recovery codes of the old one go."""
    connection.execute(
        "update person set totp_sealed = %s, totp_confirmed = false, totp_step = 0, failures = 0,"
        " locked_until_utc_ms = 0 where party_id = %s",
        (sealed, party_id),
    )
    connection.execute("delete from recovery_code where party_id = %s", (party_id,))


def confirm_totp(connection: Any, party_id: str, digests: Sequence[bytes]) -> None:
    """Let the secret count from now on, with its recovery codes."""
    connection.execute("update person set totp_confirmed = true where party_id = %s", (party_id,))
    connection.cursor().executemany(
        "insert into recovery_code (party_id, digest) values (%s, %s)", [(party_id, digest) for digest in digests]
    )


def use_step(connection: Any, party_id: str, step: int) -> bool:
    """Note that the code of a time step was used; return False where it, or a later one, was used before."""
    cursor = connection.execute(
        "update person set totp_step = %s where party_id = %s and totp_step < %s", (step, party_id, step)
    )
    return bool(cursor.rowcount == 1)


def use_recovery_code(connection: Any, party_id: str, digest: bytes) -> bool:
    """Use up a recovery code; return whether there was such a one."""
    cursor = connection.execute("delete from recovery_code where party_id = %s and digest = %s", (party_id, digest))
    return bool(cursor.rowcount == 1)


def begin_attempt(connection: Any, login: str, now_utc_ms: int) -> bool:
    """Count an attempt as failed before it is looked at, so that a hundred at once are a hundred; return whether it
    may be looked at. False for an account that waits and for one that is not there."""
    cursor = connection.execute(
        "update person set failures = failures + 1, locked_until_utc_ms = case"
        " when failures + 1 >= %(most)s then %(ever)s"
        " when failures + 1 < %(free)s then locked_until_utc_ms"
        " else %(now)s + 1000 * least(%(longest)s, %(first)s * (1 << least(failures + 1 - %(free)s, 16))) end"
        " where login = %(login)s and locked_until_utc_ms <= %(now)s",
        {
            "most": MOST_FAILURES, "ever": FOR_EVER_UTC_MS, "free": FREE_FAILURES, "now": now_utc_ms,
            "longest": LONGEST_LOCK_S, "first": FIRST_LOCK_S, "login": login,
        },
    )  # fmt: skip
    return bool(cursor.rowcount == 1)


def end_attempt(connection: Any, party_id: str, now_utc_ms: int, whole: bool) -> None:
    """Note that an attempt succeeded. A `whole` login forgives what failed before; half of one, a password with a
    code still due, takes back itself alone: whoever has the password must not get more codes to guess by it."""
    if whole:
        connection.execute(
            "update person set failures = 0, locked_until_utc_ms = 0, last_login_utc_ms = %s where party_id = %s",
            (now_utc_ms, party_id),
        )
        return
    connection.execute(
        "update person set failures = greatest(failures - 1, 0), locked_until_utc_ms = 0 where party_id = %s",
        (party_id,),
    )


def remove(connection: Any, party_id: str) -> None:
    """Delete a person with his sessions. His party stays, suspended and without a name: deeds point to its id."""
    connection.execute("delete from person where party_id = %s", (party_id,))
    connection.execute(
        "update credential set revoked_utc_ms = least(revoked_utc_ms, (extract(epoch from now()) * 1000)::bigint)"
        " where party_id = %s",
        (party_id,),
    )
    connection.execute(
        "update party set suspended = true, name = '', districts = '{}' where party_id = %s", (party_id,)
    )
    connection.execute("update counter set value = value + 1 where name = 'party_version'")
