"""Alarms as rows: read and locked, changed with a step of their history. Callers hold the transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from anxin.domain.alarm import Alarm, AlarmState, AlarmStep, Conclusion
from anxin.domain.errors import StoreError
from anxin.domain.finding import Severity

#: Any constant: whoever opens alarms waits for the others on it, so that one cause of one subject is one alarm.
_OPENING_LOCK = 0x616C6172
#: Who makes the steps that no person makes.
SYSTEM = "system"
COLUMNS = (
    "alarm_id, cause, severity, state, version, opened_utc_ms, subject, graves + violations + warnings, sessions,"
    " billed_milli_wh, billed_e4, excess_milli_wh, excess_e4, first_utc_ms, last_utc_ms, charger_id, connector_id,"
    " meter_id, operator_id, district, due_utc_ms, escalated, assigned_to, proposed_by, conclusion, sent_utc_ms,"
    " closed_utc_ms, follows"
)

_FIELDS = tuple(f.name for f in dataclasses.fields(Alarm))


def alarm_of(row: Sequence[Any]) -> Alarm:
    """Return the alarm of a row of COLUMNS."""
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["severity"], values["state"] = Severity(values["severity"]), AlarmState(values["state"])
    values["conclusion"] = values["conclusion"] and Conclusion(values["conclusion"])
    return Alarm(**values)


def lock_opening(connection: Any) -> None:
    """Let nobody else open alarms until this transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (_OPENING_LOCK,))


def locked(connection: Any, alarm_ids: Iterable[int]) -> dict[int, Alarm]:
    """Return alarms by number and lock them until the transaction ends, in the order of their numbers."""
    rows = connection.execute(
        f"select {COLUMNS} from alarm where alarm_id = any(%s) order by alarm_id for update".encode(),
        (sorted(set(alarm_ids)),),
    )
    return {row[0]: alarm_of(row) for row in rows}


def one(connection: Any, alarm_id: int) -> Alarm | None:
    """Return one alarm, None where there is none."""
    row = connection.execute(f"select {COLUMNS} from alarm where alarm_id = %s".encode(), (alarm_id,)).fetchone()
    return None if row is None else alarm_of(row)


def insert(connection: Any, values: Mapping[str, Any]) -> Alarm:
    """Return a new alarm with these columns."""
    names = ", ".join(values)
    row = connection.execute(
        f"insert into alarm ({names}) values ({', '.join(['%s'] * len(values))}) returning {COLUMNS}".encode(),
        list(values.values()),
    ).fetchone()
    return alarm_of(row)


def change(connection: Any, alarm_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of an alarm."""
    if values:
        sets = ", ".join(f"{name} = %s" for name in values)
        connection.execute(f"update alarm set {sets} where alarm_id = %s".encode(), [*values.values(), alarm_id])


def next_step(connection: Any, alarm_id: int) -> int:
    """Count an alarm's version up and return it: the number of the step that the caller writes."""
    row = connection.execute(
        "update alarm set version = version + 1 where alarm_id = %s returning version", (alarm_id,)
    ).fetchone()
    if row is None:
        raise StoreError(f"there is no alarm {alarm_id}")
    return int(row[0])


def put_step(connection: Any, step: AlarmStep) -> None:
    """Write a step of an alarm's history."""
    connection.execute(
        "insert into alarm_step (alarm_id, step_no, at_utc_ms, by, act, state, said, index)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (step.alarm_id, step.step_no, step.at_utc_ms, step.by, step.act, step.state.value, Jsonb(step.said),
         step.index),
    )  # fmt: skip


def steps(connection: Any, alarm_id: int, after: int = 0, limit: int = 1_000) -> list[AlarmStep]:
    """Return an alarm's history from a step on."""
    rows = connection.execute(
        "select alarm_id, step_no, at_utc_ms, by, act, state, said, index from alarm_step"
        " where alarm_id = %s and step_no > %s order by step_no limit %s",
        (alarm_id, after, limit),
    )
    return [AlarmStep(r[0], r[1], r[2], r[3], r[4], AlarmState(r[5]), r[6], r[7]) for r in rows]


def due(connection: Any, now_utc_ms: int, limit: int) -> list[int]:
    """Return alarms whose deadline has passed, the oldest first."""
    rows = connection.execute(
        "select alarm_id from alarm where due_utc_ms <= %s order by due_utc_ms limit %s", (now_utc_ms, limit)
    )
    return [row[0] for row in rows]


def holders(connection: Any) -> list[tuple[int, str, str | None]]:
    """Return (alarm, party, district) of alarms that are assigned and not closed."""
    rows = connection.execute(
        "select alarm_id, assigned_to, district from alarm where assigned_to is not null and state <> 'closed'"
    )
    return [tuple(row) for row in rows]


def put_comment(
    connection: Any, alarm_id: int, step_no: int, at_utc_ms: int, by: str, text: str, inner_only: bool
) -> int:
    """Keep a comment; return its number."""
    row = connection.execute(
        "insert into alarm_comment (alarm_id, step_no, at_utc_ms, by, inner_only, text) values (%s, %s, %s, %s, %s, %s)"
        " returning comment_id",
        (alarm_id, step_no, at_utc_ms, by, inner_only, text),
    ).fetchone()
    return int(row[0])


def comments(connection: Any, alarm_id: int, with_inner: bool, limit: int) -> list[dict[str, Any]]:
    """Return an alarm's comments in their order; without those that are for the regulator alone where so asked."""
    found: list[dict[str, Any]] = connection.cursor(row_factory=dict_row).execute(
        "select comment_id, step_no, at_utc_ms, by, inner_only, text from alarm_comment"
        " where alarm_id = %s and (%s or not inner_only) order by comment_id limit %s",
        (alarm_id, with_inner, limit),
    ).fetchall()  # fmt: skip
    return found


def stands(connection: Any, subject: str, cause: str) -> int | None:
    """Return the alarm on a subject and cause that is not closed, None where there is none."""
    row = connection.execute(
        "select alarm_id from alarm where subject = %s and cause = %s and state <> 'closed'", (subject, cause)
    ).fetchone()
    return None if row is None else int(row[0])


def standing_of_session(connection: Any, session_key: str) -> int | None:
    """Return the first alarm, not closed, that holds findings of a session."""
    row = connection.execute(
        "select min(s.alarm_id) from alarm_session s join alarm a using (alarm_id)"
        " where s.session_key = %s and a.state <> 'closed'",
        (session_key,),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def expect_session(connection: Any, alarm_id: int, session_key: str) -> None:
    """Let findings that come on a session join an alarm, which has none on it yet."""
    connection.execute(
        "insert into alarm_session (alarm_id, session_key, findings, billed_milli_wh, billed_e4, excess_milli_wh,"
        " excess_e4) values (%s, %s, 0, 0, 0, 0, 0) on conflict do nothing",
        (alarm_id, session_key),
    )
