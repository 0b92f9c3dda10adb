"""Surveillance beside the judge: days that changed are counted anew, chargers weighed, silence looked for.

    1  seed     note the days of some verdicts that stood before surveillance did
    2  take     days that are due, of the places that wait longest
    3  count    each day anew as a whole, from the verdicts, readings and findings that stand present
    4  weigh    the chargers of those places over all their days
    5  keep     days, operators' sums and chargers; strike the days off: one transaction with 3 and 4
    6  sweep    now and then: operators weighed, who is silent against his own rhythm, what has aged

If the process dies before 5 has committed, the same days are taken again. A day is never added to, always exchanged, so
nothing can be counted twice, and what was computed step by step is what a computation from nothing gives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import StoreError
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import surveillance as store
from anxin.store.surveillance import Due, Row
from anxin.surveillance.days import COUNTS, HOURS, Counts, Day, SessionRow, day_of, day_tests
from anxin.surveillance.gaps import Reading
from anxin.surveillance.policy import load_surveillance_policy
from anxin.surveillance.ranking import Evidence, Reason, charger_evidence, late_reasons, score_of, silence_reason
from anxin.surveillance.silence import WEEK_HOURS, Profile, profile_of

LOG = logging.getLogger("anxin.watch")
DAY_MS = 86_400_000
#: Places and days of one step: some thousand verdicts, a second of work, and a transaction nobody waits for.
MAX_PLACES_A_STEP, MAX_DAYS_A_STEP = 100, 2_000
#: Verdicts gone through in one step of seeding.
MAX_SEEDED = 20_000
#: Days that a charger is weighed by: more than a year, and what a step reads of one charger is bounded.
MAX_WEIGHED_DAYS = 400
#: Chargers whose reasons have aged, weighed anew in one sweep.
MAX_AGED = 500
#: Chargers of which the state is read in one go while sweeping.
SWEPT = 5_000
SWEEP_S = 300.0
IDLE_S, RETRY_S = 1.0, 5.0
#: 1970-01-01 was a Thursday; the profile's week begins on Monday.
_THURSDAY = 3


@dataclass(frozen=True, slots=True)
class Watched:
    """What one step did: verdicts left to be seeded, days counted, chargers weighed."""

    seeding: int = 0
    days: int = 0
    chargers: int = 0

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.seeding or self.days)


class Watch:
    """The one watch of a database. `step` does a little and returns; `sweep` looks at the clock."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.policy = load_surveillance_policy()
        self.tests = day_tests(self.policy)
        self.rules = self.policy.words("quality.consistency_rules")

    def settle(self, now: int | None = None) -> None:
        """Step until nothing is left to do, then sweep."""
        while not self.step(now).idle:
            pass
        self.sweep(now)

    def step(self, now: int | None = None) -> Watched:
        """Count and weigh what is due, or note more of what stood before. Bounded, whatever is stored."""
        moment = now_utc_ms() if now is None else now
        if store.asked_again(self.platform.database):
            store.begin_again(self.platform.database)
        seeding = store.seed(self.platform.database, MAX_SEEDED)
        if seeding:  # all days of a place at once are cheaper than each as it turns up
            return Watched(seeding=seeding)
        due = store.due(self.platform.database, MAX_PLACES_A_STEP, MAX_DAYS_A_STEP)
        if not due:
            return Watched()
        self.platform.refresh()
        with self.platform.database.transaction() as connection:
            made = self._counted(connection, due)
            store.exchange_days(connection, due, [_row_of(d) for d in made if not d.empty])
            chargers = self._chargers_of(d.place for d in due)
            self._weigh(connection, chargers, moment)
            store.strike_off(connection, due)
        return Watched(days=len(due), chargers=len(chargers))

    def sweep(self, now: int | None = None) -> None:
        """Weigh operators and look for who is silent; weigh anew what was listed a day ago."""
        moment = now_utc_ms() if now is None else now
        today = moment // DAY_MS
        with self.platform.database.transaction() as connection:
            sums = store.operator_days(connection, today - self._longest())
            profiles = self._profiles(sums)
            self._weigh(connection, store.aged(connection, moment - DAY_MS, MAX_AGED), moment)
            spans: dict[str, list[tuple[int | None, int | None, int]]] = {}
            after = ""
            while found := store.subjects(connection, "charger", after, SWEPT):
                after = found[-1]["subject_id"]
                changed = []
                for row in found:
                    spans.setdefault(row["operator_id"], []).append(
                        (row["first_utc_ms"], row["last_utc_ms"], row["starts"])
                    )
                    silent = self._silence(row, moment, profiles)
                    if silent != row["silence"]:
                        changed.append(_scored(row | {"silence": silent}))
                store.put_subjects(connection, changed)
            store.put_subjects(connection, self._operators(sums, spans, profiles, moment))

    # 3

    def _counted(self, connection: Any, due: Sequence[Due]) -> list[Day]:
        sessions = store.session_rows(connection, due)
        readings = store.reading_rows(connection, due)
        findings = store.contradiction_rows(connection, due, self.rules)
        return [
            day_of(
                d.place,
                d.day,
                [SessionRow(*r) for r in sessions.get((d.place, d.day), ())],
                [Reading(*r) for r in readings.get((d.place, d.day), ())],
                findings.get((d.place, d.day), ()),
                self.tests,
            )
            for d in due
        ]

    # 4

    def _chargers_of(self, places: Iterable[str]) -> list[str]:
        connectors = self.platform.directory.connectors
        return sorted({connectors[p].charger_id for p in places if p in connectors})

    def _weigh(self, connection: Any, chargers: Sequence[str], moment: int) -> None:
        directory, today = self.platform.directory, moment // DAY_MS
        known = {c: directory.connectors_of_charger[c] for c in chargers if c in directory.connectors_of_charger}
        places = [c.connector_id for some in known.values() for c in some]
        days: dict[str, list[Day]] = {}
        for row in store.days_of(connection, places, today - MAX_WEIGHED_DAYS):
            days.setdefault(row["place"], []).append(day_of_row(row))
        rows = []
        for charger, connectors in known.items():
            own = [d for c in connectors for d in days.get(c.connector_id, ())]
            found = charger_evidence(own, today, self.tests, self.policy)
            station = directory.stations.get(connectors[0].station_id)
            rows.append(
                _subject(
                    "charger", charger, connectors[0].operator_id, station.district if station else None, found, moment
                )
            )
        # Who has just charged is not silent; who has not is looked at by the sweep.
        store.put_subjects(connection, rows)

    # 6

    def _longest(self) -> int:
        return max(self.policy.int("silence.profile_days"), self.policy.int("ranking.window_days"))

    def _profiles(self, sums: Sequence[Row]) -> dict[str, Profile]:
        """Each operator's hours of the week, over his last weeks in which something was charged."""
        weeks: dict[str, list[int]] = {}
        newest: dict[str, int] = {}
        for row in sums:
            newest[row["operator_id"]] = max(row["day"], newest.get(row["operator_id"], 0))
        for row in sums:
            if row["day"] > newest[row["operator_id"]] - self.policy.int("silence.profile_days"):
                week = weeks.setdefault(row["operator_id"], [0] * WEEK_HOURS)
                monday = (row["day"] + _THURSDAY) % 7 * HOURS
                for hour, count in enumerate(row["hours"]):
                    week[monday + hour] += count
        return {operator: profile_of(week) for operator, week in weeks.items()}

    def _silence(self, row: Row, moment: int, profiles: dict[str, Profile]) -> Row | None:
        profile = profiles.get(row["operator_id"]) or profile_of([0] * WEEK_HOURS)
        found = silence_reason(row["first_utc_ms"], row["last_utc_ms"], row["starts"], moment, profile, self.policy)
        return None if found is None else store.as_row(found)

    def _operators(
        self,
        sums: Sequence[Row],
        spans: dict[str, list[tuple[int | None, int | None, int]]],
        profiles: dict[str, Profile],
        moment: int,
    ) -> list[Row]:
        window = moment // DAY_MS - self.policy.int("ranking.window_days")
        counts: dict[str, Counts] = {}
        for row in sums:
            if row["day"] > window and row["operator_id"]:
                old = counts.get(row["operator_id"], Counts())
                counts[row["operator_id"]] = old.plus(counts_of(row))
        rows = []
        for operator, total in sorted(counts.items()):
            own = spans.get(operator, [])
            found = Evidence(
                counts=total,
                first_start_utc_ms=min((f for f, _, _ in own if f is not None), default=None),
                last_start_utc_ms=max((t for _, t, _ in own if t is not None), default=None),
                starts=sum(n for _, _, n in own),
                reasons=late_reasons(total, self.policy),
            )
            row = _subject("operator", operator, operator, None, found, moment)
            rows.append(_scored(row | {"silence": self._silence(row, moment, profiles)}))
        return rows


def _subject(kind: str, subject_id: str, operator_id: str, district: str | None, found: Evidence, moment: int) -> Row:
    return _scored(
        {
            "kind": kind, "subject_id": subject_id, "operator_id": operator_id, "district": district,
            "first_utc_ms": found.first_start_utc_ms, "last_utc_ms": found.last_start_utc_ms, "starts": found.starts,
            "reasons": [store.as_row(r) for r in found.reasons], "silence": None, "score": 0, "at_utc_ms": moment,
        }
    )  # fmt: skip


def _scored(row: Row) -> Row:
    reasons = [*row["reasons"], *([row["silence"]] if row["silence"] else [])]
    return row | {"score": score_of(Reason(**r) for r in reasons)}


def counts_of(row: Row) -> Counts:
    """Return the counts of a row of the tables."""
    return Counts(*(int(row[n]) for n in COUNTS))


def day_of_row(row: Row) -> Day:
    """Return the day that a row of surveillance_day holds."""
    return Day(
        place=row["place"], day=row["day"], operator_id=row["operator_id"], counts=counts_of(row),
        hours=list(row["hours"]), first_start_utc_ms=row["first_start_utc_ms"],
        last_start_utc_ms=row["last_start_utc_ms"], lean_up=row["lean_up"], lean_down=row["lean_down"],
        gap_up=row["gap_up"], gap_down=row["gap_down"], first=row["first"] and Reading(**row["first"]),
        last=row["last"] and Reading(**row["last"]), behind=row["behind"],
    )  # fmt: skip


def _row_of(day: Day) -> Row:
    row = store.as_row(day)
    counts: Row = row.pop("counts")
    return row | counts


def count_again(platform: Platform) -> bool:
    """Count everything anew. Returns False where a running watch will do it; it has been asked to."""
    store.ask_again(platform.database)
    if store.watched(platform.database):
        return False
    with store.watch_lock(platform.database):
        Watch(platform).settle()
    return True


def watch_for_ever(platform: Platform, stop: threading.Event) -> None:
    """Watch until `stop` is set. A database that is away is waited for; a second watch is refused (StoreError)."""
    watch, held = Watch(platform), False
    while not stop.is_set():
        try:
            with store.watch_lock(platform.database):
                held = True
                _watch_while_locked(watch, stop)
        except StoreError as error:
            if not held:
                raise
            LOG.error("watch: %s", error)
            stop.wait(RETRY_S)


def _watch_while_locked(watch: Watch, stop: threading.Event) -> None:
    swept = -SWEEP_S
    while not stop.is_set():
        idle = watch.step().idle
        if time.monotonic() - swept >= SWEEP_S:
            watch.sweep()
            swept = time.monotonic()
        if idle:
            stop.wait(IDLE_S)
