"""What a missed deadline does: who is told, and when it is told again."""

from __future__ import annotations

from dataclasses import dataclass

from anxin.cases.deadlines import Calendar
from anxin.cases.policy import AlarmPolicy
from anxin.domain.alarm import Alarm
from anxin.domain.party import Role

#: Whom the first, the second and every later missed deadline in a row is told to.
AUDIENCES: tuple[tuple[Role, ...], ...] = (
    (Role.INSPECTOR,),
    (Role.INSPECTOR, Role.SUPERVISOR),
    (Role.INSPECTOR, Role.SUPERVISOR, Role.ADMIN),
)


@dataclass(frozen=True, slots=True)
class Escalation:
    """The next escalation of an alarm: its number in a row, who is told, and when the next would be (None: never)."""

    level: int
    to: tuple[Role, ...]
    due_utc_ms: int | None


def escalate(alarm: Alarm, policy: AlarmPolicy, calendar: Calendar, now_utc_ms: int, zone: str) -> Escalation:
    """Return what a deadline that has passed at this moment does to an alarm."""
    level = alarm.escalated + 1
    again = None if level >= policy["most_escalations"] else calendar.after(now_utc_ms, policy["again_days"], zone)
    return Escalation(level, AUDIENCES[min(level, len(AUDIENCES)) - 1], again)
