"""What desk and casework share: policy and calendar in force, and how a step, its event and its columns go together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from anxin.cases.deadlines import Calendar, due_of, load_calendar
from anxin.cases.policy import AlarmPolicy, load_alarm_policy
from anxin.domain.alarm import Alarm, AlarmState, AlarmStep
from anxin.settings import Settings
from anxin.store import alarms as store
from anxin.store.events import Event

#: Of these steps the operator is told, once the alarm was sent to him; the others are the regulator's own.
TOLD_TO_OPERATOR = frozenset({"sent", "answered", "review", "closed", "reopened"})


@dataclass(frozen=True, slots=True)
class AlarmRules:
    """Policy, calendar and the zone that working days are counted in."""

    policy: AlarmPolicy
    calendar: Calendar
    zone: str

    def due(self, state: AlarmState, now_utc_ms: int) -> int | None:
        """Return when a state that is entered now has to be left."""
        return due_of(state, self.policy, self.calendar, now_utc_ms, self.zone)

    def knows(self, utc_ms: int) -> bool:
        """Return whether the holidays of the year of a moment were read."""
        return self.calendar.knows(datetime.fromtimestamp(utc_ms / 1_000, ZoneInfo(self.zone)).date())


def load_rules(settings: Settings) -> AlarmRules:
    """Return what is in force. Raises InputError, PolicyError."""
    policy = load_alarm_policy(Path(settings.alarm_policy_file) if settings.alarm_policy_file else None)
    calendar = load_calendar(Path(settings.holidays_file) if settings.holidays_file else None)
    return AlarmRules(policy, calendar, settings.zone)


def put_step(
    connection: Any, alarm: Alarm, act: str, by: str, said: dict[str, str], now_utc_ms: int, index: int | None = None
) -> Alarm:
    """Write the next step of an alarm's history; return the alarm with its new version."""
    number = store.next_step(connection, alarm.alarm_id)
    store.put_step(connection, AlarmStep(alarm.alarm_id, number, now_utc_ms, by, act, alarm.state, said, index))
    return replace(alarm, version=number)


def alarm_event(alarm: Alarm, what: str, more: dict[str, Any] | None = None, *, outside: bool | None = None) -> Event:
    """Return the event of a step: numbers and ids, no person's data and no text that a person wrote.

    `outside`: whether the operator may read it; by default what TOLD_TO_OPERATOR says.
    """
    told = what in TOLD_TO_OPERATOR if outside is None else outside
    body = {
        "alarm_id": alarm.alarm_id,
        "version": alarm.version,
        "cause": alarm.cause,
        "severity": alarm.severity.value,
        "state": alarm.state.value,
        "operator_id": alarm.operator_id,
        "charger_id": alarm.charger_id,
        "findings": alarm.findings,
        "sessions": alarm.sessions,
        "excess_milli_wh": alarm.excess_milli_wh,
        "excess_e4": alarm.excess_e4,
        **(more or {}),
    }
    operator = alarm.operator_id if told and alarm.sent_utc_ms is not None else None
    return Event(f"alarm.{what}", body, operator, alarm.district)
