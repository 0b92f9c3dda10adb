"""The desk: findings become alarms, alarms follow their findings, deadlines are kept. One process, no person.

    1  take entries off the queue of findings that came or were retired (store/alarm_queue.py)
    2  lock the alarms that they may belong to
    3  retired ones: their alarms grow lighter; an alarm whose findings all vanished says so and stays as it is
    4  group the others (cases/grouping.py); each group joins its alarm, opens one, or waits for its rate
    5  sums of the alarms that changed, their steps, events; commit

If the process dies before 5 has committed, the entries are on the queue again and nothing else has happened. Beside
that, every second: deadlines that have passed are escalated, alarms of officers who are gone become nobody's.

A closed alarm is opened again by findings on what happened before its closing and that it did not know: the conclusion
was reached without them. What happened after the closing is a new alarm, which names the closed one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from anxin.cases.escalation import escalate
from anxin.cases.excess import Figures, Said, excess_of
from anxin.cases.grouping import SEVERITIES, Key, Seen, gravest, grouped, subject_of
from anxin.cases.machine import Line, decide, may_hold
from anxin.domain.alarm import Alarm, AlarmAct, AlarmState
from anxin.domain.errors import StoreError
from anxin.flow.alarm_places import Places
from anxin.flow.alarm_rules import AlarmRules, alarm_event, load_rules, put_step
from anxin.flow.assured import ASSURED_S, keep_assured
from anxin.flow.complaints import compare_complaints
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import alarm_queue as queue
from anxin.store import alarms as store
from anxin.store.alarm_queue import Change, SessionShare
from anxin.store.events import Event, put_events

LOG = logging.getLogger("anxin.desk")
#: Queue entries of one transaction: some hundred milliseconds of work at most, acts of people wait no longer for it.
MAX_ENTRIES = 1_000
#: Pause where nothing is to be done.
IDLE_S = 0.05
#: Pause after the database failed.
RETRY_S = 1.0
#: How often deadlines and officers are looked at.
CLOCK_S = 1.0
#: Deadlines escalated in one transaction.
MAX_DUE = 200
DAY_MS = 86_400_000


class Desk:
    """Opens, joins and lightens alarms. `step` does one batch; `keep_time` what the clock asks for."""

    def __init__(self, platform: Platform, rules: AlarmRules | None = None) -> None:
        self.platform = platform
        self.database = platform.database
        self.rules = rules or load_rules(platform.settings)
        self._places = Places()
        self._register: int | None = None
        self._entries = MAX_ENTRIES

    def step(self, now: int | None = None) -> int:
        """Handle one batch of the queue; return how many entries it had."""
        now = now_utc_ms() if now is None else now
        with self.database.transaction() as connection:
            store.lock_opening(connection)
            # 1 Take.
            came, gone, taken = queue.take(connection, self._entries)
            if taken:
                self.follow()
                _Batch(connection, self.rules, self._places, now).handle(came, gone)
        self._entries = min(MAX_ENTRIES, self._entries * 2)
        return taken

    def give_way(self) -> None:
        """After a batch that failed: try smaller ones. One entry that fails by itself goes to the end of the queue, so
        that it holds up no other."""
        if self._entries > 1:
            self._entries = 1
            return
        with self.database.transaction() as connection:
            LOG.error("desk: finding %s cannot be handled; it is tried again after the others", queue.defer(connection))

    def settle(self, now: int | None = None) -> int:
        """Step until the queue is empty; return how many entries it had."""
        total = 0
        while taken := self.step(now):
            total += taken
        return total

    def follow(self) -> None:
        """Take the register anew where it has changed."""
        self.platform.refresh()
        directory = self.platform.directory
        if directory.version.register != self._register:
            self._places, self._register = Places.of(directory.register), directory.version.register

    def keep_time(self, now: int | None = None) -> int:
        """Escalate what is overdue; take alarms from officers who are gone. Returns how many alarms changed."""
        now = now_utc_ms() if now is None else now
        self.platform.refresh()
        parties = self.platform.directory.parties
        with self.database.transaction() as connection:
            due = store.due(connection, now, MAX_DUE)
            lost = [
                number
                for number, holder, district in store.holders(connection)
                if not may_hold(parties.get(holder), district)
            ]
            events: list[Event] = []
            for alarm in store.locked(connection, [*due, *lost]).values():
                if alarm.due_utc_ms is not None and alarm.due_utc_ms <= now:
                    alarm = self._escalated(connection, alarm, events, now)  # noqa: PLW2901
                holder = alarm.assigned_to
                if (
                    holder
                    and not may_hold(parties.get(holder), alarm.district)
                    and alarm.state is not AlarmState.CLOSED
                ):
                    store.change(connection, alarm.alarm_id, {"assigned_to": None})
                    alarm = put_step(  # noqa: PLW2901
                        connection, alarm, "assigned", store.SYSTEM, {"from": holder, "why": "officer.gone"}, now
                    )
                    events.append(alarm_event(alarm, "assigned", {"to": None}))
            put_events(connection, events, now)
        return len(events)

    def _escalated(self, connection: Any, alarm: Alarm, events: list[Event], now: int) -> Alarm:
        found = escalate(alarm, self.rules.policy, self.rules.calendar, now, self.rules.zone)
        values = {"escalated": found.level, "due_utc_ms": found.due_utc_ms}
        store.change(connection, alarm.alarm_id, values)
        alarm = put_step(connection, alarm, "escalated", store.SYSTEM, {"level": str(found.level)}, now)
        events.append(alarm_event(alarm, "escalated", {"level": found.level, "to": [r.value for r in found.to]}))
        return alarm


class _Batch:
    """One transaction of the desk."""

    def __init__(self, connection: Any, rules: AlarmRules, places: Places, now: int) -> None:
        self.connection, self.rules, self.places, self.now = connection, rules, places, now
        self.policy = rules.policy
        self.alarms: dict[int, Alarm] = {}
        self.changes: dict[int, Change] = {}
        self.sessions: set[tuple[int, str]] = set()
        self.opened: set[int] = set()
        self.events: list[Event] = []

    def handle(self, came: Sequence[int], gone: Sequence[int]) -> None:
        """Steps 2 to 5."""
        found = queue.present_findings(self.connection, came)
        seen = [self.places.seen(f.finding_id, f.session_key, f, f.operator_id) for f in found]
        # 2 Lock: a person who acts on one of these alarms is waited for, or waits.
        of_session = queue.standing_of_sessions(self.connection, [s.session for s in seen if s.session])
        keys = [(subject_of(s, g), g.name) for s in seen if (g := self.policy.group_of(s.rule, s.cause))]
        wanted = {*queue.alarms_of_findings(self.connection, gone), *queue.alarms_on(self.connection, keys)}
        wanted |= {number for numbers in of_session.values() for number in numbers}
        self.alarms = store.locked(self.connection, wanted)
        # 3 Retire.
        for alarm_id, session, severity in queue.retire(self.connection, gone):
            change = self._change(alarm_id)
            change.count(severity, -1)
            change.gone += 1
            self._touch(alarm_id, session)
        # 4 Group, join, open.
        for key, group in grouped(seen, self.policy, self._standing(of_session)).items():
            self._place(key, group)
        # 5 Sums, steps, events.
        self._sum_sessions()
        for alarm_id, change in sorted(self.changes.items()):
            self._tell(alarm_id, change)
        put_events(self.connection, self.events, self.now)

    def _standing(self, of_session: dict[str, list[int]]) -> dict[str, Key]:
        """Session -> key of the alarm that holds its bound findings."""
        found = {}
        for session, numbers in of_session.items():
            for alarm in (self.alarms[n] for n in numbers if n in self.alarms):
                if alarm.state is not AlarmState.CLOSED and self.policy.group(alarm.cause).bound:
                    found[session] = Key(alarm.cause, alarm.subject)
        return found

    def _place(self, key: Key, group: list[Seen]) -> None:
        on_key = [a for a in self.alarms.values() if (a.cause, a.subject) == (key.group, key.subject)]
        standing = next((a for a in on_key if a.state is not AlarmState.CLOSED), None)
        if standing is not None:
            self._join(standing, group)
            return
        closed = max((a for a in on_key), key=lambda a: a.alarm_id, default=None)
        rest = group if closed is None else self._after_closing(closed, group)
        if rest and (enough := self._enough(key, rest)):
            self._open(key, enough, closed)

    def _after_closing(self, closed: Alarm, group: list[Seen]) -> list[Seen]:
        """Give a closed alarm what belongs to it; return what happened after its closing."""
        before = [s for s in group if s.at_utc_ms is not None and s.at_utc_ms <= (closed.closed_utc_ms or 0)]
        if not before:
            return group
        known = queue.known_sessions(self.connection, closed.alarm_id, [s.session for s in before if s.session])
        new = [s for s in before if s.session is None or not _known(s, known.get(s.session, []))]
        if not new:
            self._join(closed, before)
            return [s for s in group if s not in before]
        line = decide(closed, AlarmAct.REOPEN, None, self.policy, self.now)
        if not isinstance(line, Line):
            raise StoreError(f"alarm {closed.alarm_id} cannot be opened again: {line.why}")
        values = {"state": line.to.value, "due_utc_ms": self.rules.due(line.to, self.now), "escalated": 0,
                  "closed_utc_ms": None}  # fmt: skip
        store.change(self.connection, closed.alarm_id, values)
        self._reload(closed.alarm_id)
        self._step(closed.alarm_id, "reopen", "reopened", {"why": "findings", "new": str(len(new))})
        self._join(self.alarms[closed.alarm_id], group)
        return []

    def _enough(self, key: Key, group: list[Seen]) -> list[Seen]:
        """Return the findings that open an alarm: these, or these and those that waited; [] while they are too few."""
        rule = self.policy.group(key.group)
        if rule.least <= 1:
            return group
        queue.hold_back(
            self.connection, key.subject, key.group, [(s.number, s.at_utc_ms or self.now) for s in group]
        )  # fmt: skip
        newest = queue.newest_held_back(self.connection, key.subject, key.group) or self.now
        since = newest - rule.window_days * DAY_MS
        held = queue.held_back(self.connection, key.subject, key.group, since)
        if len(held) < rule.least:
            return []
        operator = group[0].operator_id
        if rule.per_mille and operator is not None:
            # So many sessions, and the share is too small: no need to count them all.
            most = len(held) * 1_000 // rule.per_mille + 1
            if queue.sessions_since(self.connection, operator, since, most) >= most:
                return []
        found = queue.present_findings(self.connection, held)
        return [self.places.seen(f.finding_id, f.session_key, f, f.operator_id) for f in found]

    def _open(self, key: Key, group: list[Seen], follows: Alarm | None) -> None:
        lead = max(group, key=lambda s: (SEVERITIES.index(s.severity), -s.number))
        charger = self.policy.group(key.group).subject == "charger"
        alarm = store.insert(
            self.connection,
            {
                "cause": key.group,
                "subject": key.subject,
                "charger_id": lead.charger_id if charger else None,
                "connector_id": _same(s.connector_id for s in group) if charger else None,
                "meter_id": _same(s.meter_id for s in group) if charger else None,
                "operator_id": lead.operator_id,
                "district": lead.district if charger else None,
                "state": AlarmState.OPEN.value,
                "severity": gravest(s.severity for s in group).value,
                "opened_utc_ms": self.now,
                "due_utc_ms": self.rules.due(AlarmState.OPEN, self.now),
                "follows": follows and follows.alarm_id,
            },
        )
        self.alarms[alarm.alarm_id] = alarm
        self.opened.add(alarm.alarm_id)
        self._join(alarm, group)

    def _join(self, alarm: Alarm, group: list[Seen]) -> None:
        queue.join(self.connection, alarm.alarm_id, [(s.number, s.session, s.severity) for s in group])
        change = self._change(alarm.alarm_id)
        change.joined += len(group)
        for seen in group:
            change.count(seen.severity, 1)
            change.seen_at(seen.at_utc_ms)
            self._touch(alarm.alarm_id, seen.session)

    def _sum_sessions(self) -> None:
        """What each touched session adds to its alarm, against what it added before."""
        pairs = sorted(self.sessions)
        if not pairs:
            return
        before = queue.shares(self.connection, pairs)
        said = queue.said_of_sessions(self.connection, pairs)
        figures = queue.figures(self.connection, sorted({session for _, session in pairs}))
        after: dict[tuple[int, str], SessionShare] = {}
        for pair in pairs:
            alarm_id, session = pair
            found, verdict = said.get(pair, []), figures.get(session)
            share = SessionShare(len(found))
            if found and verdict is not None:
                share.billed_milli_wh = verdict.order_energy_milli_wh or 0
                share.billed_e4 = verdict.amount_e4 or 0
                if self.policy.group(self.alarms[alarm_id].cause).bound:
                    excess = excess_of(
                        Figures(verdict.state, verdict.order_energy_milli_wh, verdict.record_energy_milli_wh,
                                verdict.amount_e4), [Said(*s) for s in found],
                    )  # fmt: skip
                    share.excess_milli_wh, share.excess_e4 = excess.milli_wh, excess.e4
            old = before.get(pair, SessionShare())
            change = self._change(alarm_id)
            change.sessions += bool(share.findings) - bool(old.findings)
            for name in ("billed_milli_wh", "billed_e4", "excess_milli_wh", "excess_e4"):
                setattr(change, name, getattr(change, name) + getattr(share, name) - getattr(old, name))
            after[pair] = share
        queue.put_shares(self.connection, after)

    def _tell(self, alarm_id: int, change: Change) -> None:
        """Bring an alarm's sums up to date; write a step and an event where they say something new.

        Told are: its opening, a graver severity, the count each time it has doubled, the last finding's end, and every
        change of an alarm that waits for a second officer, who must see what he confirms.
        """
        before = self.alarms[alarm_id]
        alarm, told = queue.apply(self.connection, alarm_id, change)
        self.alarms[alarm_id] = alarm
        counts = {"findings": str(alarm.findings), "joined": str(change.joined), "retired": str(change.gone)}
        graver = SEVERITIES.index(alarm.severity) > SEVERITIES.index(before.severity)
        watched = alarm.state is AlarmState.PROPOSED
        if alarm_id in self.opened:
            self._step(alarm_id, "opened", "opened", counts)
        elif not alarm.findings and change.gone:
            self._step(alarm_id, "lightened", "joined", counts | {"why": "all findings have vanished"})
        elif change.joined and (graver or watched or alarm.findings >= 2 * told):
            self._step(alarm_id, "joined", "joined", counts)
        elif change.gone and (alarm.severity is not before.severity or watched or 2 * alarm.findings <= told):
            self._step(alarm_id, "lightened", "joined", counts)
        else:
            return
        store.change(self.connection, alarm_id, {"told": alarm.findings})

    def _step(self, alarm_id: int, act: str, event: str, said: dict[str, str]) -> None:
        alarm = put_step(self.connection, self.alarms[alarm_id], act, store.SYSTEM, said, self.now)
        self.alarms[alarm_id] = alarm
        self.events.append(alarm_event(alarm, event))

    def _reload(self, alarm_id: int) -> None:
        found = store.one(self.connection, alarm_id)
        if found is not None:
            self.alarms[alarm_id] = found

    def _change(self, alarm_id: int) -> Change:
        return self.changes.setdefault(alarm_id, Change())

    def _touch(self, alarm_id: int, session: str | None) -> None:
        if session is not None:
            self.sessions.add((alarm_id, session))


def _known(seen: Seen, severities: Sequence[Any]) -> bool:
    """Whether an alarm knew something as grave of the same session: the finding says it in other words."""
    return any(SEVERITIES.index(s) >= SEVERITIES.index(seen.severity) for s in severities)


def _same(names: Iterable[str | None]) -> str | None:
    """The one name among these, None where there are several."""
    found = {n for n in names if n}
    return found.pop() if len(found) == 1 else None


def desk_for_ever(platform: Platform, stop: threading.Event) -> None:
    """Work until `stop` is set. A database that is away is waited for; two desks do no harm, they take turns."""
    desk = Desk(platform)
    looked = assured = 0.0
    while not stop.is_set():
        try:
            taken = desk.step()
            if time.monotonic() - looked >= CLOCK_S:
                desk.keep_time()
                compare_complaints(platform, desk.rules)
                looked = time.monotonic()
            if time.monotonic() - assured >= ASSURED_S:
                keep_assured(platform)
                assured = time.monotonic()
            if not taken:
                stop.wait(IDLE_S)
        except Exception as error:  # also a bug of ours: one finding must not stop the desk for all others
            LOG.error("desk: %s: %s", type(error).__name__, error)
            stop.wait(RETRY_S)
            with contextlib.suppress(StoreError):
                desk.give_way()
