"""What the desk reads and writes: the queue of findings, whom they belong to, and the sums of alarms.

The queue is filled by triggers in the judge's transaction and emptied in the desk's: numbers may come late (an identity
is drawn before its commit), entries are never skipped. If the desk dies before its commit, all of it is there again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anxin.domain.alarm import Alarm
from anxin.domain.finding import Severity
from anxin.store.alarms import COLUMNS, alarm_of


@dataclass(frozen=True, slots=True)
class QueuedFinding:
    """A present finding that belongs to no alarm yet. `operator_id` and `at_utc_ms` are the verdict's where the
    finding has none."""

    finding_id: int
    rule: str
    cause: str
    severity: Severity
    session_key: str | None
    connector_id: str | None
    meter_id: str | None
    operator_id: str | None
    at_utc_ms: int | None


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """A session's verdict, None of each where it has none."""

    state: str
    order_energy_milli_wh: int | None
    record_energy_milli_wh: int | None
    amount_e4: int | None


@dataclass(slots=True)
class SessionShare:
    """What a session adds to its alarm."""

    findings: int = 0
    billed_milli_wh: int = 0
    billed_e4: int = 0
    excess_milli_wh: int = 0
    excess_e4: int = 0


@dataclass(slots=True)
class Change:
    """What one batch changes in an alarm's sums. Spans only grow."""

    graves: int = 0
    violations: int = 0
    warnings: int = 0
    sessions: int = 0
    billed_milli_wh: int = 0
    billed_e4: int = 0
    excess_milli_wh: int = 0
    excess_e4: int = 0
    first_utc_ms: int | None = None
    last_utc_ms: int | None = None
    joined: int = 0
    gone: int = 0

    def count(self, severity: Severity, by: int) -> None:
        """Count findings of a severity."""
        name = {Severity.GRAVE: "graves", Severity.VIOLATION: "violations"}.get(severity, "warnings")
        setattr(self, name, getattr(self, name) + by)

    def seen_at(self, at_utc_ms: int | None) -> None:
        """Widen the span to a moment."""
        if at_utc_ms is not None:
            self.first_utc_ms = min(self.first_utc_ms or at_utc_ms, at_utc_ms)
            self.last_utc_ms = max(self.last_utc_ms or at_utc_ms, at_utc_ms)


def take(connection: Any, limit: int) -> tuple[list[int], list[int], int]:
    """Strike the oldest entries off the queue; return findings that came, findings that were retired, entries."""
    rows = connection.execute(
        "with oldest as (select entry_no from finding_queue order by entry_no limit %s)"
        " delete from finding_queue q using oldest where q.entry_no = oldest.entry_no"
        " returning q.finding_id, q.retired",
        (limit,),
    ).fetchall()
    return sorted(r[0] for r in rows if not r[1]), sorted(r[0] for r in rows if r[1]), len(rows)


def defer(connection: Any) -> int | None:
    """Put the oldest entry at the end of the queue; return its finding."""
    row = connection.execute(
        "with oldest as (delete from finding_queue where entry_no = (select min(entry_no) from finding_queue)"
        " returning finding_id, retired)"
        " insert into finding_queue (finding_id, retired) select finding_id, retired from oldest returning finding_id"
    ).fetchone()
    return None if row is None else int(row[0])


def waiting(connection: Any) -> int:
    """Return how many entries the desk has not looked at."""
    row = connection.execute("select count(*) from finding_queue").fetchone()
    return int(row[0])


def present_findings(connection: Any, ids: Sequence[int]) -> list[QueuedFinding]:
    """Return those of these findings that are present and in no alarm yet, with what their verdict knows."""
    rows = connection.execute(
        "select f.finding_id, f.rule, f.cause, f.severity, f.session_key, f.connector_id, f.meter_id,"
        " coalesce(f.operator_id, v.operator_id), coalesce(v.start_utc_ms, f.at_utc_ms, f.judged_utc_ms), v.place"
        " from finding f left join verdict v on v.session_key = f.session_key and v.present"
        " where f.finding_id = any(%s) and f.present and f.severity <> 'note'"
        " and not exists (select from alarm_finding a where a.finding_id = f.finding_id) order by f.finding_id",
        (list(ids),),
    )
    found = []
    for row in rows:
        connector = row[5] or (row[9] if row[9] and ":" not in row[9] else None)
        found.append(QueuedFinding(row[0], row[1], row[2], Severity(row[3]), row[4], connector, *row[6:9]))
    return found


def standing_of_sessions(connection: Any, session_keys: Sequence[str]) -> dict[str, list[int]]:
    """Return the alarms that are not closed which hold findings of these sessions."""
    rows = connection.execute(
        "select s.session_key, s.alarm_id from alarm_session s join alarm a using (alarm_id)"
        " where s.session_key = any(%s) and a.state <> 'closed' order by s.alarm_id",
        (list(session_keys),),
    )
    found: dict[str, list[int]] = {}
    for session, alarm_id in rows:
        found.setdefault(session, []).append(alarm_id)
    return found


def alarms_on(connection: Any, keys: Iterable[tuple[str, str]]) -> list[int]:
    """Return, of each (subject, cause), the alarm that is not closed and the last one that is."""
    pairs = sorted(set(keys))
    rows = connection.execute(
        "select a.alarm_id from unnest(%s::text[], %s::text[]) as w (subject, cause) join alarm a"
        " on a.subject = w.subject and a.cause = w.cause and a.state <> 'closed'"
        " union select (select max(a.alarm_id) from alarm a where a.subject = w.subject and a.cause = w.cause"
        " and a.state = 'closed') from unnest(%s::text[], %s::text[]) as w (subject, cause)",
        ([p[0] for p in pairs], [p[1] for p in pairs]) * 2,
    )
    return [row[0] for row in rows if row[0] is not None]


def retire(connection: Any, ids: Sequence[int]) -> list[tuple[int, str | None, Severity]]:
    """Mark findings of alarms as vanished; return (alarm, session, severity) of each that was present."""
    connection.execute("delete from alarm_waiting where finding_id = any(%s)", (list(ids),))
    rows = connection.execute(
        "update alarm_finding set present = false where finding_id = any(%s) and present"
        " returning alarm_id, session_key, severity",
        (list(ids),),
    )
    return [(row[0], row[1], Severity(row[2])) for row in rows]


def alarms_of_findings(connection: Any, ids: Sequence[int]) -> list[int]:
    """Return the alarms that these findings belong to."""
    rows = connection.execute("select distinct alarm_id from alarm_finding where finding_id = any(%s)", (list(ids),))
    return [row[0] for row in rows]


def known_sessions(connection: Any, alarm_id: int, session_keys: Sequence[str]) -> dict[str, list[Severity]]:
    """Return the severities that an alarm has known of these sessions, also of findings that have vanished."""
    rows = connection.execute(
        "select distinct session_key, severity from alarm_finding where alarm_id = %s and session_key = any(%s)",
        (alarm_id, list(session_keys)),
    )
    found: dict[str, list[Severity]] = {}
    for session, severity in rows:
        found.setdefault(session, []).append(Severity(severity))
    return found


def join(connection: Any, alarm_id: int, findings: Sequence[tuple[int, str | None, Severity]]) -> None:
    """Let findings (number, session, severity) belong to an alarm."""
    connection.cursor().executemany(
        "insert into alarm_finding (finding_id, alarm_id, session_key, severity, present)"
        " values (%s, %s, %s, %s, true)",
        [(number, alarm_id, session, severity.value) for number, session, severity in findings],
    )
    connection.execute("delete from alarm_waiting where finding_id = any(%s)", ([f[0] for f in findings],))


def hold_back(connection: Any, subject: str, cause: str, findings: Sequence[tuple[int, int]]) -> None:
    """Let findings (number, moment) wait until there are enough of them."""
    connection.cursor().executemany(
        "insert into alarm_waiting (finding_id, subject, cause, at_utc_ms) values (%s, %s, %s, %s)"
        " on conflict (finding_id) do nothing",
        [(number, subject, cause, at) for number, at in findings],
    )


def held_back(connection: Any, subject: str, cause: str, since_utc_ms: int) -> list[int]:
    """Return the findings that wait on a subject for a cause, from a moment on; what is older is let go."""
    connection.execute(
        "delete from alarm_waiting where subject = %s and cause = %s and at_utc_ms < %s", (subject, cause, since_utc_ms)
    )
    rows = connection.execute(
        "select finding_id from alarm_waiting where subject = %s and cause = %s order by finding_id", (subject, cause)
    )
    return [row[0] for row in rows]


def newest_held_back(connection: Any, subject: str, cause: str) -> int | None:
    """Return the moment of the latest finding that waits, None where none does."""
    row = connection.execute(
        "select max(at_utc_ms) from alarm_waiting where subject = %s and cause = %s", (subject, cause)
    ).fetchone()
    return None if row is None else row[0]


def sessions_since(connection: Any, operator_id: str, since_utc_ms: int, most: int) -> int:
    """Return how many sessions of an operator began since a moment, counted to `most` and no further."""
    row = connection.execute(
        "select count(*) from (select from verdict where present and operator_id = %s and start_utc_ms >= %s limit %s)"
        " as counted",
        (operator_id, since_utc_ms, most),
    ).fetchone()
    return int(row[0])


def figures(connection: Any, session_keys: Sequence[str]) -> dict[str, SessionFigures]:
    """Return the present verdicts of sessions."""
    rows = connection.execute(
        "select session_key, state, order_energy_milli_wh, record_energy_milli_wh, amount_e4 from verdict"
        " where present and session_key = any(%s)",
        (list(session_keys),),
    )
    return {row[0]: SessionFigures(*row[1:]) for row in rows}


def said_of_sessions(
    connection: Any, pairs: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], list[tuple[str, str, str | None]]]:
    """Return (rule, cause, difference) of the present findings of sessions in their alarms."""
    rows = connection.execute(
        "select a.alarm_id, a.session_key, f.rule, f.cause, f.difference"
        " from unnest(%s::bigint[], %s::text[]) as w (alarm_id, session_key)"
        " join alarm_finding a on a.session_key = w.session_key and a.alarm_id = w.alarm_id"
        " join finding f using (finding_id) where a.present",
        ([p[0] for p in pairs], [p[1] for p in pairs]),
    )
    found: dict[tuple[int, str], list[tuple[str, str, str | None]]] = {}
    for alarm_id, session, rule, cause, difference in rows:
        found.setdefault((alarm_id, session), []).append((rule, cause, difference))
    return found


def shares(connection: Any, pairs: Sequence[tuple[int, str]]) -> dict[tuple[int, str], SessionShare]:
    """Return what sessions add to their alarms so far."""
    rows = connection.execute(
        "select s.alarm_id, s.session_key, s.findings, s.billed_milli_wh, s.billed_e4, s.excess_milli_wh, s.excess_e4"
        " from unnest(%s::bigint[], %s::text[]) as w (alarm_id, session_key)"
        " join alarm_session s using (alarm_id, session_key)",
        ([p[0] for p in pairs], [p[1] for p in pairs]),
    )
    return {(row[0], row[1]): SessionShare(*row[2:]) for row in rows}


def put_shares(connection: Any, new: dict[tuple[int, str], SessionShare]) -> None:
    """Set what sessions add to their alarms; a session without findings goes."""
    empty = [key for key, share in new.items() if not share.findings]
    if empty:
        connection.execute(
            "delete from alarm_session s using unnest(%s::bigint[], %s::text[]) as w (alarm_id, session_key)"
            " where s.alarm_id = w.alarm_id and s.session_key = w.session_key",
            ([k[0] for k in empty], [k[1] for k in empty]),
        )
    connection.cursor().executemany(
        "insert into alarm_session (alarm_id, session_key, findings, billed_milli_wh, billed_e4, excess_milli_wh,"
        " excess_e4) values (%s, %s, %s, %s, %s, %s, %s) on conflict (alarm_id, session_key) do update set"
        " findings = excluded.findings, billed_milli_wh = excluded.billed_milli_wh, billed_e4 = excluded.billed_e4,"
        " excess_milli_wh = excluded.excess_milli_wh, excess_e4 = excluded.excess_e4",
        [
            (*key, s.findings, s.billed_milli_wh, s.billed_e4, s.excess_milli_wh, s.excess_e4)
            for key, s in new.items()
            if s.findings
        ],
    )


def apply(connection: Any, alarm_id: int, by: Change) -> tuple[Alarm, int]:
    """Add a change to an alarm's sums; return it as it is now, and its findings when they were last told of.

    Its severity is that of the gravest present finding; where all have vanished it stays what it was.
    """
    row = connection.execute(
        (
            "update alarm set graves = graves + %(graves)s, violations = violations + %(violations)s,"
            " warnings = warnings + %(warnings)s, sessions = sessions + %(sessions)s,"
            " billed_milli_wh = billed_milli_wh + %(billed_milli_wh)s, billed_e4 = billed_e4 + %(billed_e4)s,"
            " excess_milli_wh = excess_milli_wh + %(excess_milli_wh)s, excess_e4 = excess_e4 + %(excess_e4)s,"
            " first_utc_ms = least(first_utc_ms, %(first_utc_ms)s),"
            " last_utc_ms = greatest(last_utc_ms, %(last_utc_ms)s),"
            " severity = case when graves + %(graves)s > 0 then 'grave'"
            " when violations + %(violations)s > 0 then 'violation'"
            " when warnings + %(warnings)s > 0 then 'warning' else severity end"
            f" where alarm_id = %(alarm_id)s returning told, {COLUMNS}"
        ).encode(),
        {**dataclasses.asdict(by), "alarm_id": alarm_id},
    ).fetchone()
    return alarm_of(row[1:]), int(row[0])
