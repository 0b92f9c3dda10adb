"""Lists of alarms, their findings with the verdict's figures, and saved filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from anxin.domain.alarm import Alarm
from anxin.store.alarms import COLUMNS, alarm_of
from anxin.store.database import Database

#: Rows of one page.
MAX_PAGE = 500
#: Filters that one person keeps.
MAX_FILTERS = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """What alarms are asked for; None: whatever. `districts` bounds an officer, `tenant` an operator (sent ones)."""

    state: str | None = None
    severity: str | None = None
    district: str | None = None
    operator: str | None = None
    cause: str | None = None
    assigned: str | None = None
    unassigned: bool = False
    overdue_at_utc_ms: int | None = None
    districts: Sequence[str] = ()
    tenant: str | None = None


def page(database: Database, wanted: Filter, before: int | None, limit: int) -> list[Alarm]:
    """Return alarms, newest first, below a number."""
    where, values = _where(wanted)
    if before is not None:
        where, values = [*where, "alarm_id < %s"], [*values, before]
    with database.transaction() as connection:
        rows = connection.execute(
            f"select {COLUMNS} from alarm where {' and '.join(where)} order by alarm_id desc limit %s".encode(),
            [*values, min(limit, MAX_PAGE)],
        ).fetchall()
    return [alarm_of(row) for row in rows]


def counts(database: Database, wanted: Filter) -> dict[str, dict[str, int]]:
    """Return how many alarms there are by state, severity and cause."""
    where, values = _where(wanted)
    with database.transaction() as connection:
        rows = connection.execute(
            f"select state, severity, cause, count(*) from alarm where {' and '.join(where)} group by 1, 2, 3".encode(),
            values,
        ).fetchall()
    found: dict[str, dict[str, int]] = {"state": {}, "severity": {}, "cause": {}}
    for *labels, count in rows:
        for name, label in zip(found, labels, strict=True):
            found[name][label] = found[name].get(label, 0) + count
    return {name: dict(sorted(each.items())) for name, each in found.items()}


def _where(wanted: Filter) -> tuple[list[str], list[Any]]:
    where: list[str] = ["true"]
    values: list[Any] = []
    for column, value in (
        ("state", wanted.state), ("severity", wanted.severity), ("district", wanted.district),
        ("operator_id", wanted.operator), ("cause", wanted.cause), ("assigned_to", wanted.assigned),
    ):  # fmt: skip
        if value is not None:
            where.append(f"{column} = %s")
            values.append(value)
    if wanted.unassigned:
        where.append("assigned_to is null and state <> 'closed'")
    if wanted.overdue_at_utc_ms is not None:
        where.append("(due_utc_ms <= %s or escalated > 0)")
        values.append(wanted.overdue_at_utc_ms)
    if wanted.districts:
        where.append("district = any(%s)")
        values.append(list(wanted.districts))
    if wanted.tenant is not None:
        where.append("operator_id = %s and sent_utc_ms is not null")
        values.append(wanted.tenant)
    return where, values


def findings(connection: Any, alarm_id: int, after: int, limit: int) -> list[dict[str, Any]]:
    """Return an alarm's findings from a number on, each with the figures of its session's present verdict."""
    found: list[dict[str, Any]] = connection.cursor(row_factory=dict_row).execute(
        "select f.finding_id, a.present, f.rule, f.cause, f.severity, f.disagrees, f.zh, f.en, f.expected, f.found,"
        " f.difference, f.tolerance, f.unit, f.order_ids, f.record_ids, f.connector_id, f.meter_id, f.operator_id,"
        " f.at_utc_ms, f.judged_utc_ms, f.retired_utc_ms, f.policy, f.software, f.session_key,"
        " v.state as verdict, v.order_id, v.record_id, v.start_utc_ms, v.end_utc_ms, v.order_energy_milli_wh,"
        " v.record_energy_milli_wh, v.amount_e4, s.excess_milli_wh, s.excess_e4"
        " from alarm_finding a join finding f using (finding_id)"
        " left join verdict v on v.session_key = f.session_key and v.present"
        " left join alarm_session s on s.alarm_id = a.alarm_id and s.session_key = f.session_key"
        " where a.alarm_id = %s and a.finding_id > %s order by a.finding_id limit %s",
        (alarm_id, after, min(limit, MAX_PAGE)),
    ).fetchall()  # fmt: skip
    return found


def put_filter(database: Database, party_id: str, name: str, query: dict[str, Any]) -> bool:
    """Keep a person's filter under a name; False where he has too many."""
    with database.transaction() as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext(%s))", (party_id,))
        row = connection.execute(
            "select count(*) from saved_filter where party_id = %s and name <> %s", (party_id, name)
        ).fetchone()
        if row is not None and row[0] >= MAX_FILTERS:
            return False
        connection.execute(
            "insert into saved_filter (party_id, name, query) values (%s, %s, %s)"
            " on conflict (party_id, name) do update set query = excluded.query",
            (party_id, name, Jsonb(query)),
        )
    return True


def filters(database: Database, party_id: str) -> list[dict[str, Any]]:
    """Return a person's filters by name."""
    with database.transaction() as connection:
        return connection.cursor(row_factory=dict_row).execute(
            "select name, query from saved_filter where party_id = %s order by name", (party_id,)
        ).fetchall()  # fmt: skip


def drop_filter(database: Database, party_id: str, name: str) -> bool:
    """Forget a person's filter; False where there is none of that name."""
    with database.transaction() as connection:
        gone = connection.execute("delete from saved_filter where party_id = %s and name = %s", (party_id, name))
        return bool(gone.rowcount)
