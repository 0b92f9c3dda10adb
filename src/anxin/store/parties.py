"""Parties, their credentials, and the register. Secrets stand here sealed; who opens them holds the vault."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from anxin.domain.party import Credential, Party, Role
from anxin.domain.register import (
    Connector,
    Meter,
    MeterKey,
    Operator,
    Register,
    Seal,
    Station,
    Tariff,
    TariffPeriod,
    Verification,
)
from anxin.store.database import Database

#: Kind of a register entry -> (its value, the field of Register that holds it, what names one entry).
ENTRIES: dict[str, tuple[type[Any], str, tuple[str, ...]]] = {
    "operator": (Operator, "operators", ("operator_id",)),
    "station": (Station, "stations", ("station_id",)),
    "connector": (Connector, "connectors", ("connector_id",)),
    "meter": (Meter, "meters", ("meter_id", "connector_id", "installed_utc_ms")),
    "key": (MeterKey, "keys", ("key_id",)),
    "verification": (Verification, "verifications", ("charger_id", "certificate_no")),
    "seal": (Seal, "seals", ("seal_id", "charger_id")),
    "tariff": (Tariff, "tariffs", ("tariff_id", "valid_from_utc_ms")),
    "tariff_period": (TariffPeriod, "tariff_periods", ("tariff_id", "minute_from")),
}
_PUT_ENTRY = (
    "insert into register_entry (kind, entry_id, body) values (%s, %s, %s)"
    " on conflict (kind, entry_id) do update set body = excluded.body"
)
_CREDENTIAL = "credential_id, party_id, kind, lookup, public, valid_from_utc_ms, valid_to_utc_ms, revoked_utc_ms"
#: Where sealed secrets stand: table, what names a row, column, and what stands before the name in the seal's context.
_SEALED = (
    ("credential", "credential_id", "sealed", ""),
    ("person", "party_id", "totp_sealed", "totp/"),
    ("notice_secret", "secret_id", "sealed", ""),
    ("complaint", "number", "sealed_text", "complaint.text/"),
    ("complaint", "number", "sealed_contact", "complaint.contact/"),
)
Seal_ = Callable[[bytes, str], bytes]
Open_ = Callable[[bytes, str], bytes]


def token_lookup(token: str) -> str:
    """Return what a bearer token is found by: its SHA-256 in hex. Tokens have 32 random bytes; no slow hash is due."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def put_parties(database: Database, parties: Iterable[Party], now_utc_ms: int) -> None:
    """Enter parties, or change name, tenant, districts and suspension of those that are there."""
    with database.transaction() as connection:
        put_parties_in(connection, parties, now_utc_ms)


def put_parties_in(connection: Any, parties: Iterable[Party], now_utc_ms: int) -> None:
    """Do as `put_parties` does, inside a transaction that the caller commits."""
    rows = [
        (p.party_id, p.role.value, p.name, p.operator_id, now_utc_ms, p.suspended, list(p.districts)) for p in parties
    ]
    connection.cursor().executemany(
        "insert into party (party_id, role, name, operator_id, created_utc_ms, suspended, districts)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (party_id) do update set"
        " name = excluded.name, operator_id = excluded.operator_id, suspended = excluded.suspended,"
        " districts = excluded.districts",
        rows,
    )
    _changed(connection, "party_version")


def put_credentials(database: Database, credentials: Iterable[Credential], seal: Seal_) -> None:
    """Enter credentials; one that is there keeps its secret and takes the new dates. A revocation is never undone."""
    rows = [
        (
            c.credential_id, c.party_id, c.kind, c.lookup, Jsonb(c.public),
            None if c.secret is None else seal(c.secret, c.credential_id),
            c.valid_from_utc_ms, c.valid_to_utc_ms, c.revoked_utc_ms,
        )
        for c in credentials
    ]  # fmt: skip
    with database.transaction() as connection:
        connection.cursor().executemany(
            "insert into credential (credential_id, party_id, kind, lookup, public, sealed, valid_from_utc_ms,"
            " valid_to_utc_ms, revoked_utc_ms) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (credential_id) do update set"
            " valid_to_utc_ms = excluded.valid_to_utc_ms,"
            " revoked_utc_ms = least(credential.revoked_utc_ms, excluded.revoked_utc_ms)",
            rows,
        )
        _changed(connection, "party_version")


def load_parties(database: Database) -> list[Party]:
    """Return all parties."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select party_id, role, name, operator_id, suspended, districts from party order by party_id"
        )
        return [Party(r[0], Role(r[1]), r[2], r[3], r[4], tuple(r[5])) for r in rows]


def load_credentials(database: Database, open_: Open_) -> list[Credential]:
    """Return all credentials, opened. Raises InputError where the master key is not theirs."""
    with database.transaction() as connection:
        rows = connection.execute(f"select {_CREDENTIAL}, sealed from credential order by credential_id").fetchall()
    return [_credential(r, None if r[-1] is None else open_(bytes(r[-1]), r[0])) for r in rows]


def list_credentials(database: Database) -> list[Credential]:
    """Return all credentials without their secrets: no master key is needed."""
    with database.transaction() as connection:
        rows = connection.execute(f"select {_CREDENTIAL} from credential order by party_id, kind, valid_from_utc_ms")
        return [_credential(r, None) for r in rows]


def revoke_credential(database: Database, credential_id: str, at_utc_ms: int) -> bool:
    """End a credential at a moment, or earlier where it was revoked already; return whether there is such a one."""
    with database.transaction() as connection:
        cursor = connection.execute(
            "update credential set revoked_utc_ms = least(revoked_utc_ms, %s) where credential_id = %s",
            (at_utc_ms, credential_id),
        )
        _changed(connection, "party_version")
        return cursor.rowcount == 1


def reseal(database: Database, convert: Callable[[bytes, str], bytes | None]) -> int:
    """Exchange sealed secrets for what `convert` makes of them (None: it stays); one transaction. Return how many.

    Nobody enters a credential, a second factor, a secret of notices or a complaint meanwhile.
    """
    with database.transaction() as connection:
        connection.execute("lock table credential, person, notice_secret, complaint in share row exclusive mode")
        count = sum(_reseal(connection, convert, *place) for place in _SEALED)
        if count:
            _changed(connection, "party_version")
    return count


def _reseal(
    connection: Any, convert: Callable[[bytes, str], bytes | None], table: str, key: str, column: str, prefix: str
) -> int:
    rows = connection.execute(f"select {key}, {column} from {table} where {column} is not null").fetchall()
    sealed = [(convert(bytes(value), prefix + name), name) for name, value in rows]
    fresh = [item for item in sealed if item[0] is not None]
    connection.cursor().executemany(f"update {table} set {column} = %s where {key} = %s", fresh)
    return len(fresh)


def _credential(row: tuple[Any, ...], secret: bytes | None) -> Credential:
    return Credential(row[0], row[1], row[2], row[3], row[4], secret, *row[5:8])


def entry_id(kind: str, value: object) -> str:
    """Return what names one entry of the register among those of its kind."""
    return "|".join(str(getattr(value, name)) for name in ENTRIES[kind][2])


def put_register(database: Database, register: Register) -> None:
    """Enter or replace every entry of a register; entries that it lacks stay."""
    rows = [
        (kind, entry_id(kind, value), Jsonb(dataclasses.asdict(value)))
        for kind, (_, field, _) in ENTRIES.items()
        for value in getattr(register, field)
    ]
    with database.transaction() as connection:
        connection.cursor().executemany(_PUT_ENTRY, rows)
        _changed(connection, "register_version")


def change_keys(database: Database, keys: Iterable[MeterKey]) -> int:
    """Enter or replace meter keys, and mark what rests on them as to be judged again; return how many messages.

    One transaction. The version changes first: a judge that keeps facts under the old keys has either committed (and
    they are seen here) or finds the version changed and takes its messages again (facts.hold_version).
    """
    changed = list(keys)
    with database.transaction() as connection:
        _changed(connection, "register_version")
        connection.cursor().executemany(
            _PUT_ENTRY, [("key", entry_id("key", k), Jsonb(dataclasses.asdict(k))) for k in changed]
        )
        cursor = connection.execute(
            "insert into requeued select distinct message_index from fact_signed_record"
            " join message on index = message_index and payload is not null where key_id = any(%s)"
            " on conflict do nothing",
            ([k.key_id for k in changed],),
        )
        return int(cursor.rowcount)


def load_register(database: Database) -> Register:
    """Return the register as it stands."""
    with database.transaction() as connection:
        rows = connection.execute("select kind, body from register_entry order by kind, entry_id").fetchall()
    values: dict[str, list[Any]] = {}
    for kind, body in rows:
        values.setdefault(kind, []).append(ENTRIES[kind][0](**body))
    return Register(**{field: tuple(values.get(kind, ())) for kind, (_, field, _) in ENTRIES.items()})


class Version(NamedTuple):
    """Numbers that rise with every change of the register, and of parties and credentials."""

    register: int = -1
    parties: int = -1


def version(source: Any, lock: str = "") -> Version:
    """Return the version as a connection sees it; `lock` is a locking clause, such as `for share`."""
    rows = source.execute(
        f"select name, value from counter where name in ('register_version', 'party_version') order by name {lock}"
    )
    found = dict(rows.fetchall())
    return Version(found["register_version"], found["party_version"])


def register_changed(connection: Any) -> None:
    """Let every process read the register anew."""
    _changed(connection, "register_version")


def _changed(connection: Any, name: str) -> None:
    connection.execute("update counter set value = value + 1 where name = %s", (name,))
