"""How much each door turned away without keeping it: strangers, and what was too large to be looked at."""

from __future__ import annotations

from collections.abc import Mapping

from anxin.store.database import Database


def add_rejected(database: Database, door: str, counts: Mapping[str, int]) -> None:
    """Add to the counts of a door, by rule."""
    with database.transaction() as connection:
        connection.cursor().executemany(
            "insert into door_rejection (door, rule, rejected) values (%s, %s, %s)"
            " on conflict (door, rule) do update set rejected = door_rejection.rejected + excluded.rejected",
            [(door, rule, count) for rule, count in sorted(counts.items())],
        )


def rejected(database: Database, door: str) -> dict[str, int]:
    """Return what a door has turned away so far, by rule."""
    with database.transaction() as connection:
        rows = connection.execute("select rule, rejected from door_rejection where door = %s order by rule", (door,))
        return {str(rule): int(count) for rule, count in rows}
