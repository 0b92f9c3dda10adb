"""The present state of OCPI objects, and the first CDR of an id. One row an object, changed under its lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anxin.domain.message import Kind
from anxin.store.database import Database


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """What names one object: whose it is, and its ids in capitals. `module` is locations, sessions or tariffs."""

    operator_id: str
    module: str
    country_code: str
    party_id: str
    object_id: str

    @property
    def values(self) -> tuple[str, str, str, str, str]:
        """The columns of the key."""
        return self.operator_id, self.module, self.country_code, self.party_id, self.object_id


_KEY = "operator_id = %s and module = %s and country_code = %s and party_id = %s and object_id = %s"


def state(database: Database, key: ObjectKey) -> str | None:
    """Return an object's state as it was written, None where there is none."""
    with database.transaction(key.operator_id) as connection:
        row = connection.execute(f"select state from ocpi_object where {_KEY}".encode(), key.values).fetchone()
    return None if row is None else str(row[0])


def change(database: Database, key: ObjectKey, index: int, changed: Callable[[str | None], str | None]) -> bool:
    """Exchange an object's state for what `changed` makes of it (None: nothing to change); return whether it was.

    Two changes of one object wait for one another, also of one that is not there yet.
    """
    with database.transaction(key.operator_id) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 20))", ("\n".join(key.values),))
        row = connection.execute(f"select state from ocpi_object where {_KEY}".encode(), key.values).fetchone()
        new = changed(None if row is None else str(row[0]))
        if new is None:
            return False
        connection.execute(
            "insert into ocpi_object (operator_id, module, country_code, party_id, object_id, state, message_index)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict (operator_id, module, country_code, party_id, object_id)"
            " do update set state = excluded.state, message_index = excluded.message_index",
            (*key.values, new, index),
        )
    return True


def first_cdr(database: Database, operator_id: str, message_id: str) -> bytes | None:
    """Return the bytes of the first CDR of an id, None where there is none (or it was erased)."""
    with database.transaction(operator_id) as connection:
        row = connection.execute(
            "select own_payload(index) from message where kind = %s and sender = %s and message_id = %s"
            " order by index limit 1",
            (Kind.OCPI_CDR.value, operator_id, message_id),
            binary=True,
        ).fetchone()
    return None if row is None or row[0] is None else bytes(row[0])
