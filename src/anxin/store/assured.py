"""Which chargers are assured, and what of them stands in tables: alarms, suspicions, firmware, words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from anxin.store.database import Database


@dataclass(frozen=True, slots=True)
class AssuredRow:
    """One charger's state: codes of reasons by whether they are met, and since when it stands so."""

    charger_id: str
    assured: bool
    met: list[str]
    unmet: list[str]
    unknown: list[str]
    at_utc_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Chargers with a grave alarm, chargers suspected and chargers silent; connectors whose meter runs firmware that is
    not approved, and connectors of which a word was ever heard."""

    grave: frozenset[str]
    suspected: frozenset[str]
    silent: frozenset[str]
    firmware: frozenset[str]
    heard: frozenset[str]


def standing(connection: Any, since_utc_ms: int) -> Standing:
    """Return what stands; firmware counts where a session since `since_utc_ms` named it."""

    def ids(query: str, *values: object) -> frozenset[str]:
        return frozenset(row[0] for row in connection.execute(query.encode(), values))

    return Standing(
        ids("select charger_id from alarm where state <> 'closed' and severity = 'grave' and charger_id is not null"),
        # A charger may also be listed for late data, which says nothing of its meter. 1000: just listed.
        ids(
            "select subject_id from surveillance_subject where kind = 'charger' and score > 0 and exists ("
            " select from jsonb_array_elements(reasons) r where r ->> 'kind' similar to '(lean|gap)%%'"
            " and (r ->> 'strength')::bigint >= 1000)"
        ),
        ids("select subject_id from surveillance_subject where kind = 'charger' and silence is not null"),
        ids(
            "select distinct connector_id from finding where present and rule = 'R19'"
            " and cause = 'firmware_not_approved' and at_utc_ms >= %s and connector_id is not null",
            since_utc_ms,
        ),
        ids("select connector_id from connector_status"),
    )


def rows(connection: Any, changed_after_utc_ms: int = -1) -> list[AssuredRow]:
    """Return the states that changed after a moment, the latest last."""
    found = connection.execute(
        "select charger_id, assured, met, unmet, unknown, at_utc_ms from charger_assured where at_utc_ms > %s"
        " order by at_utc_ms",
        (changed_after_utc_ms,),
    )
    return [AssuredRow(*row) for row in found]


def one(connection: Any, charger_id: str) -> AssuredRow | None:
    """Return a charger's state, None where it was not computed yet."""
    row = connection.execute(
        "select charger_id, assured, met, unmet, unknown, at_utc_ms from charger_assured where charger_id = %s",
        (charger_id,),
    ).fetchone()
    return None if row is None else AssuredRow(*row)


def put(connection: Any, changed: Iterable[AssuredRow]) -> None:
    """Enter states."""
    connection.cursor().executemany(
        "insert into charger_assured values (%s, %s, %s, %s, %s, %s) on conflict (charger_id) do update set"
        " assured = excluded.assured, met = excluded.met, unmet = excluded.unmet, unknown = excluded.unknown,"
        " at_utc_ms = excluded.at_utc_ms",
        [(r.charger_id, r.assured, r.met, r.unmet, r.unknown, r.at_utc_ms) for r in changed],
    )


class AssuredReader:
    """Which chargers are assured, as a face follows it: it reads what has changed since the last look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, bool] = {}
        self._seen = -1

    def __call__(self) -> dict[str, bool]:
        """Return it by charger. Raises StoreError."""
        with self._database.transaction() as connection:
            # Rows of one moment are written in one transaction, and two may share a moment: that one is read again.
            for row in rows(connection, self._seen - 1):
                self._known[row.charger_id] = row.assured
                self._seen = row.at_utc_ms
        return self._known
