"""Database roles of the faces: made where the owner may make roles, and given the rights of rights.sql.

Whoever holds the outer role can at most: keep messages and refusals in anybody's name; read who sent what when and its
digest; and, one tenant at a time, what that tenant may read. He cannot read what others sent, nor anything of the
regulator's people, nor change or delete evidence, verdicts, parties or the register.
"""

from __future__ import annotations

import re
from importlib import resources

from psycopg import sql

from anxin.domain.errors import StoreError
from anxin.store.database import Database

#: PostgreSQL cuts a longer name off.
MAX_NAME_BYTES = 63
_STAND_INS = ("anxin_outer", "anxin_regulator")
#: Any constant: two starts at once wait for one another on it.
_LOCK = 0x616E7269


def role_names(database: Database) -> tuple[str, str]:
    """Return what the outer and the regulator's role of this database are called: roles are shared by a whole server.

    Raises StoreError where the database's name leaves no room for them.
    """
    with database.transaction() as connection:
        row = connection.execute("select current_database()").fetchone()
    name = str(row[0]) if row else ""
    names = (f"{name}_outer", f"{name}_regulator")
    if max(len(n.encode()) for n in names) > MAX_NAME_BYTES:
        raise StoreError(f"the database's name {name} is too long for roles of its own")
    return names


def may_make_roles(database: Database) -> bool:
    """Return whether the owner may make roles on this server."""
    with database.transaction() as connection:
        row = connection.execute(
            "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
        ).fetchone()
    return bool(row and row[0])


def make_roles(database: Database, passwords: dict[str, str]) -> None:
    """Make login roles, or give those that are there these passwords: role -> password."""
    with database.transaction() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        known = {r[0] for r in connection.execute("select rolname from pg_roles where rolname = any(%s)",
                                                  (list(passwords),))}  # fmt: skip
        for role, password in passwords.items():
            verb = sql.SQL("alter" if role in known else "create")
            connection.execute(
                sql.SQL("{} role {} login nosuperuser nocreatedb nocreaterole password {}").format(
                    verb, sql.Identifier(role), sql.Literal(password)
                )
            )


def quoted(name: str) -> str:
    """Return a role's name as SQL writes it."""
    return sql.Identifier(name).as_string()


def rights_text(outer: str, regulator: str) -> str:
    """Return rights.sql for two roles."""
    text = resources.files("anxin.store").joinpath("rights.sql").read_text(encoding="utf-8")
    names = dict(zip(_STAND_INS, (outer, regulator), strict=True))
    return re.sub("|".join(_STAND_INS), lambda m: quoted(names[m[0]]), text)


def give_rights(database: Database, outer: str, regulator: str) -> None:
    """Apply rights.sql as a whole, in one transaction: no face ever sees half of it. Raises StoreError."""
    with database.transaction() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(rights_text(outer, regulator).encode())
