"""Deeds on people: entered, changed, suspended, their secrets reset, removed; each with its leaf in one transaction.

    1  deeds on people wait for one another
    2  who acts may act on this person: an administrator on everybody but himself, a manager on his operator's engineers
    3  the change is written, and the sessions that it ends
    4  somebody can still administer
    5  the deed is a leaf of the log, in the same transaction: it names ids, never a name or a login

A person who may not be acted on is not told from one who is not there.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import FormatError, InputError
from anxin.domain.message import Kind
from anxin.domain.party import Party, Role
from anxin.domain.person import Person, checked_login, checked_party
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.store import parties, people, sessions
from anxin.store.database import Database
from anxin.trust import totp
from anxin.trust.passwords import password_hash
from anxin.trust.vault import Vault

#: Who acts, where nobody is logged in: the authority on the platform's own machine.
MACHINE = "machine"
#: Random bytes of a password that is handed over once and changed at the first login.
INITIAL_PASSWORD_BYTES = 18


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What is shown once: the password, and the second factor's secret where one was set up with it."""

    person: Person
    password: str
    totp_secret: str | None = None


class NotYoursError(InputError):
    """There is no such person, or none whom the one who acts may act on."""


def add(
    database: Database,
    vault: Vault,
    by: Party | None,
    login: str,
    name: str,
    role: Role,
    operator_id: str | None = None,
    districts: tuple[str, ...] = (),
    *,
    ready: bool = False,
) -> HandedOver:
    """Enter a person; return him with a password to be shown once, which he changes at his first login.

    `by` is who acts, None for the authority at the machine. `ready` sets up a second factor as well and lets the
    password stand: for people of a virtual city. Raises FormatError, NotYoursError.
    """
    now = now_utc_ms()
    party = checked_party(f"p-{secrets.token_hex(8)}", role, name, operator_id, districts)
    if by is not None and not _may_make(by, party):
        raise NotYoursError(f"{by.role.value} cannot enter a {role.value}")
    password, secret = secrets.token_urlsafe(INITIAL_PASSWORD_BYTES), totp.new_secret() if ready else None
    sealed = None if secret is None else vault.seal(secret.encode(), totp_context(party.party_id))
    person = Person(party, checked_login(login), password_hash(password), not ready, now, sealed, ready)
    with database.transaction() as connection:
        people.hold(connection)
        if operator_id is not None:
            _require_operator(connection, operator_id)
        parties.put_parties_in(connection, [party], now)
        if not people.put(connection, person):
            raise FormatError("person.login_taken", "该登录名已被使用 · this login is taken", "login")
        _deed(connection, by, "added", party, now)
    return HandedOver(person, password, secret)


def listed(database: Database, by: Party | None) -> list[Person]:
    """Return the people whom a party may look after: everybody, or a manager's own operator's."""
    with database.transaction() as connection:
        own = by.operator_id if by is not None and by.role is Role.MANAGER else None
        if by is not None and by.role is not Role.ADMIN and own is None:
            return []
        return people.all_of(connection, own)


def of_login(database: Database, login: str) -> Person:
    """Return a person by his login. Raises NotYoursError."""
    with database.transaction() as connection:
        found = people.by_login(connection, login.strip().casefold())
    if found is None:
        raise NotYoursError(f"没有登录名为 {login} 的人员 · nobody has the login {login}")
    return found


def change(
    database: Database,
    by: Party | None,
    party_id: str,
    role: Role | None = None,
    districts: tuple[str, ...] | None = None,
    suspended: bool | None = None,
) -> Person:
    """Give a person another role or other districts, suspend him or admit him again; None leaves what there is.

    His sessions end. Raises FormatError, NotYoursError.
    """
    with _deed_on(database, by, party_id) as (connection, person, now):
        old = person.party
        chosen = old.districts if districts is None else districts
        party = checked_party(old.party_id, role or old.role, old.name, old.operator_id, chosen)
        party = dataclasses.replace(party, suspended=old.suspended if suspended is None else suspended)
        if by is not None and not _may_make(by, party):
            raise NotYoursError(f"{by.role.value} cannot make a {party.role.value}")
        people.change_party(connection, party)
        sessions.end_all(connection, party_id)
        _require_administrator(connection, old)
        changed = {
            "role": party.role is not old.role, "districts": party.districts != old.districts,
            "suspended" if party.suspended else "admitted": party.suspended != old.suspended,
        }  # fmt: skip
        for what in (name for name, differs in changed.items() if differs):
            _deed(connection, by, what, party, now)
    return dataclasses.replace(person, party=party)


def reset_password(database: Database, by: Party | None, party_id: str) -> HandedOver:
    """Give a person a new password, to be shown once; he changes it at his next login. His sessions end."""
    password = secrets.token_urlsafe(INITIAL_PASSWORD_BYTES)
    hashed = password_hash(password)
    with _deed_on(database, by, party_id) as (connection, person, now):
        people.set_password(connection, party_id, hashed, must_change=True)
        sessions.end_all(connection, party_id)
        _deed(connection, by, "password_reset", person.party, now)
    return HandedOver(person, password)


def reset_totp(database: Database, by: Party | None, party_id: str) -> Person:
    """Take a person's second factor from him, who lost it; he sets up another at his next login. His sessions end."""
    with _deed_on(database, by, party_id) as (connection, person, now):
        people.set_totp(connection, party_id, None)
        sessions.end_all(connection, party_id)
        _deed(connection, by, "second_factor_reset", person.party, now)
    return dataclasses.replace(person, totp_sealed=None, totp_confirmed=False)


def remove(database: Database, by: Party | None, party_id: str) -> None:
    """Remove a person: login, name and secrets are deleted, his sessions and tokens end. His id stays for his deeds."""
    with _deed_on(database, by, party_id) as (connection, person, now):
        people.remove(connection, party_id)
        _require_administrator(connection, person.party)
        _deed(connection, by, "removed", person.party, now)


def totp_context(party_id: str) -> str:
    """Return the context under which a person's second factor is sealed."""
    return f"totp/{party_id}"


def _may_make(by: Party, party: Party) -> bool:
    if by.role is Role.ADMIN:
        return True
    own = by.operator_id is not None and by.operator_id == party.operator_id
    return by.role is Role.MANAGER and own and party.role is Role.ENGINEER


@contextmanager
def _deed_on(database: Database, by: Party | None, party_id: str) -> Iterator[tuple[Any, Person, int]]:
    with database.transaction() as connection:
        people.hold(connection)
        person = None if "\0" in party_id else people.by_id(connection, party_id)
        if person is None or (by is not None and by.party_id != party_id and not _may_make(by, person.party)):
            raise NotYoursError("没有这样的人员 · no such person of yours")
        if by is not None and by.party_id == party_id:
            raise FormatError("person.self", "不能对自己操作，请由他人办理 · nobody acts on himself: ask another one")
        yield connection, person, now_utc_ms()


def _require_administrator(connection: Any, old: Party) -> None:
    if old.role is Role.ADMIN and not people.administrators(connection):
        raise FormatError("person.last_admin", "这是最后一名管理员 · this is the last administrator")


def _require_operator(connection: Any, operator_id: str) -> None:
    row = connection.execute("select role from party where party_id = %s", (operator_id,)).fetchone()
    if row is None or row[0] != Role.OPERATOR.value:
        raise FormatError("person.operator", f"没有运营商 {operator_id} · no operator {operator_id}", "operator_id")


def _deed(connection: Any, by: Party | None, what: str, party: Party, now: int) -> None:
    doer = MACHINE if by is None else by.party_id
    said = {
        "what": what, "person": party.party_id, "role": party.role.value, "operator_id": party.operator_id,
        "districts": list(party.districts), "suspended": party.suspended,
    }  # fmt: skip
    deed_id = f"{what}/{party.party_id}/{now}-{secrets.token_hex(4)}"
    keep_deed(connection, Kind.DEED_PEOPLE, doer, deed_id, said, now)
