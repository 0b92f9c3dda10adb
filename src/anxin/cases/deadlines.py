"""Deadlines in working days: weekends, holidays, and weekends that are worked, from a dated file of a country."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from anxin.cases.policy import STATUSES, AlarmPolicy
from anxin.domain.alarm import AlarmState
from anxin.domain.errors import InputError, PolicyError

DEFAULT_HOLIDAYS = "cn-2026.toml"
#: A calendar on which no day for so long is worked is wrong.
MAX_IDLE_DAYS = 60
#: The longest holiday that a file may state.
MAX_HOLIDAY_DAYS = 60
_DAYS = {
    AlarmState.OPEN: "open_days",
    AlarmState.SENT: "sent_days",
    AlarmState.ANSWERED: "answered_days",
    AlarmState.REVIEW: "review_days",
    AlarmState.PROPOSED: "proposed_days",
}


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days off and days worked against the rule. Outside its `years` weekends alone count: `knows` says so."""

    country: str
    source: str
    status: str
    years: frozenset[int]
    weekend: frozenset[int]
    off: frozenset[date]
    worked: frozenset[date]

    def works(self, day: date) -> bool:
        """Return whether a day is worked."""
        if day in self.worked:
            return True
        return day not in self.off and day.isoweekday() not in self.weekend

    def knows(self, day: date) -> bool:
        """Return whether the holidays of its year were read."""
        return day.year in self.years

    def after(self, utc_ms: int, working_days: int, zone: str) -> int:
        """Return the end (UTC ms) of the so-many-th working day after the day of a moment, in a place's zone.

        The day of the moment does not count: 民法典 第二百零一条, a term in days begins with the next one.
        """
        place = ZoneInfo(zone)
        day, left, idle = datetime.fromtimestamp(utc_ms / 1_000, place).date(), working_days, 0
        while left:
            day += timedelta(days=1)
            idle += 1
            if self.works(day):
                left, idle = left - 1, 0
            if idle > MAX_IDLE_DAYS:
                raise PolicyError(f"holidays of {self.country}: no day is worked before {day}")
        end = datetime.combine(day + timedelta(days=1), time(), place)
        return int(end.astimezone(UTC).timestamp() * 1_000)


def due_of(state: AlarmState, policy: AlarmPolicy, calendar: Calendar, now_utc_ms: int, zone: str) -> int | None:
    """Return when a state that is entered now has to be left, None where it has no deadline."""
    name = _DAYS.get(state)
    return None if name is None else calendar.after(now_utc_ms, policy[name], zone)


def load_calendar(path: Path | None = None) -> Calendar:
    """Return the calendar of a file, or the one that comes with the software. Raises InputError, PolicyError."""
    name = DEFAULT_HOLIDAYS if path is None else str(path)
    try:
        text = (
            resources.files("anxin.cases").joinpath("holidays", DEFAULT_HOLIDAYS).read_text("utf-8")
            if path is None
            else path.read_text("utf-8")
        )
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"holidays {name}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"holidays {name}: {error}") from None
    try:
        calendar = Calendar(
            str(document["country"]),
            str(document["source"]),
            str(document["status"]),
            frozenset(int(y) for y in document["years"]),
            frozenset(int(d) for d in document["weekend"]),
            frozenset(day for span in document["off"] for day in _span(span["from"], span["to"])),
            frozenset(_day(d) for d in document["worked"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"holidays {name}: {error}") from None
    if calendar.status not in STATUSES or not calendar.weekend <= set(range(1, 8)) or len(calendar.weekend) > 6:
        raise PolicyError(f"holidays {name}: status is one of {STATUSES}, weekend at most six days of 1 to 7")
    if calendar.off & calendar.worked:
        raise PolicyError(f"holidays {name}: {min(calendar.off & calendar.worked)} is both off and worked")
    return calendar


def _day(value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError(f"{value!r} is no date")
    return value


def _span(first: object, last: object) -> list[date]:
    begin, count = _day(first), (_day(last) - _day(first)).days + 1
    if not 1 <= count <= MAX_HOLIDAY_DAYS:
        raise ValueError(f"a holiday from {first} to {last}")
    return [begin + timedelta(days=n) for n in range(count)]
