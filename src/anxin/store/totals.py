"""Numbers for the status page and for metrics."""

from __future__ import annotations

from typing import Any

from anxin.store.database import Database


def totals(database: Database) -> dict[str, Any]:
    """Return counts of messages, verdicts, findings, refusals, and how far the judge is."""
    with database.transaction() as connection:

        def counts(query: str) -> dict[str, int]:
            return {str(r[0]): int(r[1]) for r in connection.execute(query.encode())}

        size = connection.execute("select size from log_head").fetchone()
        judged = connection.execute("select value from counter where name = 'judged'").fetchone()
        waiting = connection.execute("select count(*) from touched where bucket = 0").fetchone()
        return {
            "log_size": int(size[0]) if size else 0,
            "judged": int(judged[0]) if judged else 0,
            "places_waiting": int(waiting[0]) if waiting else 0,
            "messages": counts("select kind, count(*) from message group by kind order by kind"),
            "verdicts": counts("select state, count(*) from verdict where present group by state order by state"),
            "findings": counts("select rule, count(*) from finding where present group by rule order by rule"),
            "severities": counts("select severity, count(*) from finding where present group by 1 order by 1"),
            "refused": counts("select door, count(*) from refused group by door order by door"),
            "conflicts": counts("select 'all', count(*) from message where conflicts_with is not null").get("all", 0),
        }
