"""Parties, their credentials, and the register. Secrets stand here sealed; who opens them holds the vault."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

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
Seal_ = Callable[[bytes, str], bytes]
Open_ = Callable[[bytes, str], bytes]


def token_lookup(token: str) -> str:
    """Return what a bearer token is found by: its SHA-256 in hex. Tokens have 32 random bytes; no slow hash is due."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def put_parties(database: Database, parties: Iterable[Party], now_utc_ms: int) -> None:
    """Enter parties, or change name, tenant and suspension of those that are there."""
    rows = [(p.party_id, p.role.value, p.name, p.operator_id, now_utc_ms, p.suspended) for p in parties]
    with database.transaction() as connection:
        connection.cursor().executemany(
            "insert into party (party_id, role, name, operator_id, created_utc_ms, suspended)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (party_id) do update set"
            " name = excluded.name, operator_id = excluded.operator_id, suspended = excluded.suspended",
            rows,
        )
        _changed(connection)


def put_credentials(database: Database, credentials: Iterable[Credential], seal: Seal_) -> None:
    """Enter credentials; one that is there keeps its secret and takes the new dates (revocation, end)."""
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
            " valid_to_utc_ms = excluded.valid_to_utc_ms, revoked_utc_ms = excluded.revoked_utc_ms",
            rows,
        )
        _changed(connection)


def load_parties(database: Database) -> list[Party]:
    """Return all parties."""
    with database.transaction() as connection:
        rows = connection.execute("select party_id, role, name, operator_id, suspended from party order by party_id")
        return [Party(r[0], Role(r[1]), *r[2:]) for r in rows]


def load_credentials(database: Database, open_: Open_) -> list[Credential]:
    """Return all credentials, opened. Raises InputError where the master key is not theirs."""
    with database.transaction() as connection:
        rows = connection.execute(
            "select credential_id, party_id, kind, lookup, public, sealed, valid_from_utc_ms, valid_to_utc_ms,"
            " revoked_utc_ms from credential order by credential_id"
        ).fetchall()
    return [
        Credential(r[0], r[1], r[2], r[3], r[4], None if r[5] is None else open_(bytes(r[5]), r[0]), *r[6:])
        for r in rows
    ]


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
        connection.cursor().executemany(
            "insert into register_entry (kind, entry_id, body) values (%s, %s, %s)"
            " on conflict (kind, entry_id) do update set body = excluded.body",
            rows,
        )
        _changed(connection)


def load_register(database: Database) -> Register:
    """Return the register as it stands."""
    with database.transaction() as connection:
        rows = connection.execute("select kind, body from register_entry order by kind, entry_id").fetchall()
    values: dict[str, list[Any]] = {}
    for kind, body in rows:
        values.setdefault(kind, []).append(ENTRIES[kind][0](**body))
    return Register(**{field: tuple(values.get(kind, ())) for kind, (_, field, _) in ENTRIES.items()})


def version(database: Database) -> int:
    """Return a number that rises with every change of parties, credentials or register."""
    with database.transaction() as connection:
        row = connection.execute("select value from counter where name = 'register_version'").fetchone()
    return int(row[0]) if row else 0


def _changed(connection: Any) -> None:
    connection.execute("update counter set value = value + 1 where name = 'register_version'")
