"""Numbers for the status page and for metrics, read from running totals: their cost does not grow with the tables.

The totals are kept in the transactions of what they count: messages in `messages.append`, all else by triggers
(migrations/0070_total.sql). `counted` counts the tables themselves; a test holds the two to the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anxin.store.database import Database

NAMES = ("messages", "verdicts", "findings", "severities", "refused", "deviations", "alarms")
#: The full counts behind the totals, name by name.
_COUNTS = {
    "messages": "select kind, count(*) from message group by kind",
    "conflicts": "select 'all', count(*) from message where conflicts_with is not null",
    "verdicts": "select state, count(*) from verdict where present group by state",
    "findings": "select rule, count(*) from finding where present group by rule",
    "severities": "select severity, count(*) from finding where present group by severity",
    "refused": "select door, count(*) from refused group by door",
    "deviations": "select kind, count(*) from deviation group by kind",
    "alarms": "select state, count(*) from alarm group by state",
}


def totals(database: Database) -> dict[str, Any]:
    """Return counts of messages, verdicts, findings, refusals, deviations, of what doors did not even keep, and how far
    the judge is."""
    with database.transaction() as connection:
        found = _by_name(
            connection.execute("select name, label, sum(value) from total group by name, label order by name, label")
        )
        size, judged = connection.execute(
            "select (select size from log_head), (select value from counter where name = 'judged')"
        ).fetchone() or (0, 0)
        # Bucket 0 is due at 0, and nothing else is: the index on what is due counts without reading the table.
        waiting = connection.execute("select count(*) from touched where due_utc_ms = 0").fetchone()
        turned_away = connection.execute(
            "select door, rule, rejected from door_rejection order by door, rule"
        ).fetchall()
        connectors = connection.execute(
            "select status, count(*) from connector_status group by status order by status"
        ).fetchall()
    return {
        "log_size": int(size),
        "judged": int(judged),
        "places_waiting": int(waiting[0]) if waiting else 0,
        "connectors": {str(r[0]): int(r[1]) for r in connectors},
        **{name: found.get(name, {}) for name in NAMES},
        "conflicts": found.get("conflicts", {}).get("all", 0),
        "turned_away": {f"{door}.{rule}": int(count) for door, rule, count in turned_away},
    }


def counted(database: Database) -> dict[str, dict[str, int]]:
    """Return the same counts, counted in the tables: as slow as they are large."""
    with database.transaction() as connection:
        return {
            name: dict(sorted((str(r[0]), int(r[1])) for r in connection.execute(query.encode()) if r[1]))
            for name, query in _COUNTS.items()
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far judge and publisher are, and when the oldest message came that waits for them (None: none waits)."""

    log_size: int
    judged: int
    unjudged_utc_ms: int | None
    unpublished_utc_ms: int | None


def progress(database: Database, published: int) -> Progress:
    """Return how far the judge is, and the publisher, who has published so many."""
    with database.transaction() as connection:
        row = connection.execute(
            "with judged as (select value from counter where name = 'judged')"
            " select (select size from log_head), (select value from judged),"
            " (select received_utc_ms from message where index = (select value from judged)),"
            " (select received_utc_ms from message where index = %s)",
            (published,),
        ).fetchone()
    return Progress(0, 0, None, None) if row is None else Progress(*row)


def _by_name(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, label, value in rows:
        if value:
            found.setdefault(name, {})[label] = int(value)
    return found
