"""Acts of people on alarms: state, step, deed in the log and event are one transaction, or nothing is done.

1  lock the alarm; one that the caller may not see is not there
2  compare the version that he acted on: of two edits at once the later one is told who did what
3  ask the machine (cases/machine.py)
4  change the state, append the deed to the evidence log, write step and event; commit
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from anxin.cases.machine import Line, Refusal, Why, decide, has_hand, may_hold
from anxin.cases.texts import checked_text
from anxin.domain.alarm import Alarm, AlarmAct, AlarmState, AlarmStep, Conclusion
from anxin.domain.errors import CaseError, FormatError
from anxin.domain.finding import Severity
from anxin.domain.message import Kind
from anxin.domain.party import OF_OPERATOR, REGULATOR, Party
from anxin.flow.alarm_rules import AlarmRules, alarm_event
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import alarms as store
from anxin.store.events import put_events

#: Alarms of one bulk act: each is a transaction of its own.
MAX_BULK = 200
#: Acts that need words: what is asked, what is answered, why.
_NEEDS_TEXT = frozenset({AlarmAct.SEND, AlarmAct.ANSWER, AlarmAct.PROPOSE, AlarmAct.REFUSE, AlarmAct.REOPEN})
_EVENTS = {
    AlarmAct.SEND: "sent",
    AlarmAct.ANSWER: "answered",
    AlarmAct.REVIEW: "review",
    AlarmAct.REFUSE: "review",
    AlarmAct.REOPEN: "reopened",
}
_WORDS = {
    Why.STATE: "此状态下不能这样处理 · this is not done in the state that the alarm is in",
    Why.ROLE: "您的角色不能这样处理 · your role does not do this",
    Why.HAND: "此告警由他人处理 · the alarm is in another hand",
    Why.FOUR_EYES: "提出结论者不能自行复核 · who proposed a conclusion does not decide on it",
    Why.NOT_YET: "条件尚未满足 · not yet: the operator's deadline has not passed, or there is nobody to ask",
    Why.SUSPENDED: "账户已停用 · the account is suspended",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says with an act. `version` is the alarm's as he saw it."""

    version: int
    text: str = ""
    conclusion: Conclusion | None = None


def visible(alarm: Alarm | None, party: Party) -> bool:
    """Return whether a party may see an alarm: the regulator those of his districts, an operator his own once sent."""
    if alarm is None:
        return False
    if party.role in REGULATOR:
        return not party.districts or alarm.district in party.districts
    if party.role in OF_OPERATOR:
        operator = party.operator_id
        return operator is not None and operator == alarm.operator_id and alarm.sent_utc_ms is not None
    return False


def act(
    platform: Platform, rules: AlarmRules, party: Party, alarm_id: int, what: AlarmAct, said: Said,
    cause: str | None = None,
) -> Alarm:  # fmt: skip
    """Do one act and return the alarm as it is then. `cause` bounds a bulk act to alarms of one cause.

    Raises CaseError (`case.absent`, `case.version`, `case.cause`, `case.<why>`), FormatError (`text.*`).
    """
    text = checked_text(said.text, "text", may_be_empty=what not in _NEEDS_TEXT)
    if (what is AlarmAct.PROPOSE) is (said.conclusion is None):
        raise FormatError("case.conclusion", "结论只在提出时给出 · a conclusion goes with a proposal", "conclusion")
    now = now_utc_ms()
    with platform.database.transaction() as connection:
        # 1 Lock, 2 compare.
        alarm = locked_alarm(connection, party, alarm_id)
        _same_version(connection, alarm, said.version, party)
        if cause is not None and alarm.cause != cause:
            raise CaseError("case.cause", f"此告警不属该类 · alarm {alarm_id} is of another cause")
        # 3 Ask.
        line = decide(alarm, what, party, rules.policy, now)
        if isinstance(line, Refusal):
            raise CaseError(f"case.{line.why.value}", _WORDS[line.why], {"state": alarm.state.value})
        if what is AlarmAct.REOPEN and store.stands(connection, alarm.subject, alarm.cause):
            raise CaseError("case.stands", "同一对象同类告警尚未结案 · another alarm on the same is not closed")
        # 4 Do.
        values = _columns(alarm, line, party, said, rules, now)
        store.change(connection, alarm_id, values)
        words = {"text": text} if text else {}
        if said.conclusion is not None:
            words["conclusion"] = said.conclusion.value
        changed = written(connection, party, alarm_id, what.value, words, now, {"from": alarm.state.value})
        event = "closed" if line.to is AlarmState.CLOSED else _EVENTS.get(what, line.to.value)
        put_events(connection, [alarm_event(changed, event)], now)
    return changed


def assign(platform: Platform, party: Party, alarm_id: int, version: int, to: str | None) -> Alarm:
    """Give an alarm to an officer (None: to nobody). A supervisor gives to anyone, an inspector takes and gives what is
    nobody's or his own. Raises CaseError."""
    now = now_utc_ms()
    receiver = None if to is None else platform.directory.parties.get(to)
    with platform.database.transaction() as connection:
        alarm = locked_alarm(connection, party, alarm_id)
        _same_version(connection, alarm, version, party)
        if alarm.state is AlarmState.CLOSED:
            raise CaseError("case.state", _WORDS[Why.STATE], {"state": alarm.state.value})
        if not has_hand(alarm, party) or not may_hold(party, alarm.district):
            raise CaseError("case.hand", _WORDS[Why.HAND])
        if to is not None and not may_hold(receiver, alarm.district):
            raise CaseError("case.officer", "不能指派给此人 · no officer of this district has that id")
        store.change(connection, alarm_id, {"assigned_to": to})
        changed = written(connection, party, alarm_id, "assigned", {"to": to or ""}, now, {})
        put_events(connection, [alarm_event(changed, "assigned", {"to": to})], now)
    return changed


def comment(
    platform: Platform, party: Party, alarm_id: int, text: str, inner_only: bool, version: int | None = None
) -> Alarm:
    """Add a comment. An operator's are read by both sides; the regulator's by itself alone unless it says otherwise.

    It overwrites nothing and so needs no version; one that is given is compared. Raises CaseError, FormatError.
    """
    text = checked_text(text, "text")
    inner_only = inner_only and party.role in REGULATOR
    now = now_utc_ms()
    with platform.database.transaction() as connection:
        alarm = locked_alarm(connection, party, alarm_id)
        if version is not None:
            _same_version(connection, alarm, version, party)
        words = {"text": text, "inner": "true" if inner_only else "false"}
        changed = written(connection, party, alarm_id, "comment", words, now, {})
        store.put_comment(connection, alarm_id, changed.version, now, party.party_id, text, inner_only)
        put_events(connection, [alarm_event(changed, "comment", outside=not inner_only)], now)
    return changed


def bulk(
    platform: Platform, rules: AlarmRules, party: Party, cause: str, what: AlarmAct,
    items: Mapping[int, int], said: Said,
) -> list[dict[str, Any]]:  # fmt: skip
    """Do one act on alarms (number -> version) of one cause; each is done or refused by itself and reported so.

    Raises FormatError where there are more than MAX_BULK.
    """
    if len(items) > MAX_BULK:
        raise FormatError("case.bulk", f"一次最多处理 {MAX_BULK} 条 · at most {MAX_BULK} alarms at once", "items")
    told: list[dict[str, Any]] = []
    for alarm_id, version in items.items():
        try:
            alarm = act(platform, rules, party, alarm_id, what, replace(said, version=version), cause)
            told.append({"alarm_id": alarm_id, "done": True, "state": alarm.state.value, "version": alarm.version})
        except CaseError as error:
            told.append({"alarm_id": alarm_id, "done": False, "rule": error.rule, "detail": str(error), **error.more})
    return told


def possible(alarm: Alarm, party: Party, rules: AlarmRules) -> list[str]:
    """Return the acts that a party may do on an alarm now."""
    now = now_utc_ms()
    return [a.value for a in AlarmAct if isinstance(decide(alarm, a, party, rules.policy, now), Line)]


def join_complaint(
    connection: Any,
    platform: Platform,
    rules: AlarmRules,
    complaint_id: str,
    session_key: str | None,
    connector_id: str | None,
    now: int,
    operator_id: str | None = None,
) -> int:
    """Let a driver's complaint join the alarm of its session or its charger, or open one; return the alarm's number.

    Inside the caller's transaction, which keeps the complaint itself; its text and the driver are never in the alarm.
    A complaint opens an alarm of cause `complaint`, which findings on the same session join. Raises StoreError.
    """
    from anxin.cases.grouping import Seen, subject_of
    from anxin.flow.alarm_places import Places

    store.lock_opening(connection)
    directory = platform.directory
    connector = directory.connectors.get(connector_id or "")
    charger = None if connector is None else connector.charger_id
    operator = operator_id or (None if connector is None else connector.operator_id)
    district = None if connector is None else Places.of(directory.register).districts.get(connector.station_id)
    seen = Seen(0, "complaint", "complaint", Severity.WARNING, session_key, charger, connector_id, None, operator,
                district, now)  # fmt: skip
    group = rules.policy.group("complaint")
    subject = subject_of(seen, group)
    number = store.standing_of_session(connection, session_key) if session_key else None
    number = number or store.stands(connection, subject, group.name)
    if number is None:
        alarm = store.insert(
            connection,
            {
                "cause": group.name, "subject": subject, "charger_id": charger, "connector_id": connector_id,
                "operator_id": operator, "district": district, "state": AlarmState.OPEN.value,
                "severity": Severity.WARNING.value, "opened_utc_ms": now, "due_utc_ms": rules.due(AlarmState.OPEN, now),
                "first_utc_ms": now, "last_utc_ms": now,
            },
        )  # fmt: skip
        number, what = alarm.alarm_id, "opened"
    else:
        alarm, what = store.locked(connection, [number])[number], "joined"
    if session_key is not None:
        store.expect_session(connection, number, session_key)
    version = store.next_step(connection, number)
    step = AlarmStep(number, version, now, store.SYSTEM, "complaint", alarm.state, {"complaint": complaint_id}, None)
    store.put_step(connection, step)
    put_events(connection, [alarm_event(replace(alarm, version=version), what, {"complaint": complaint_id})], now)
    return number


def locked_alarm(connection: Any, party: Party, alarm_id: int) -> Alarm:
    """Return an alarm that a party may see, locked until the transaction ends. Raises CaseError `case.absent`."""
    alarm = store.locked(connection, [alarm_id]).get(alarm_id) if 0 < alarm_id < 1 << 63 else None
    # Foreign and absent are told alike: the number of an alarm is nobody's news.
    if alarm is None or not visible(alarm, party):
        raise CaseError("case.absent", f"没有此告警 · no alarm {alarm_id} of yours")
    return alarm


def _same_version(connection: Any, alarm: Alarm, version: int, party: Party) -> None:
    if version == alarm.version:
        return
    since = store.steps(connection, alarm.alarm_id, after=max(0, version), limit=100)
    inside = party.role in REGULATOR
    seen = [s for s in since if inside or shown(s)]
    told = [{"step": s.step_no, "by": s.by, "act": s.act, "at_utc_ms": s.at_utc_ms} for s in seen]
    raise CaseError(
        "case.version",
        "告警已被他人更改，请先查看 · the alarm has changed since you saw it",
        {"version": alarm.version, "state": alarm.state.value, "changed": told},
    )


def shown(step: AlarmStep) -> bool:
    """Return whether the operator may see a step: what he is told or did himself, never what is the regulator's own."""
    if step.act in ("comment", "attachment"):
        return step.said.get("inner") == "false"
    return step.act in _SHOWN and (step.act != AlarmAct.PROPOSE.value or step.state is AlarmState.CLOSED)


_SHOWN = frozenset({a.value for a in AlarmAct} - {AlarmAct.REFUSE.value})


def _columns(alarm: Alarm, line: Line, party: Party, said: Said, rules: AlarmRules, now: int) -> dict[str, Any]:
    closed = line.to is AlarmState.CLOSED
    values: dict[str, Any] = {
        "state": line.to.value,
        "due_utc_ms": rules.due(line.to, now),
        "escalated": 0,
        "closed_utc_ms": now if closed else None,
    }
    if line.act is AlarmAct.SEND and alarm.sent_utc_ms is None:
        values["sent_utc_ms"] = now
    if line.act is AlarmAct.PROPOSE:
        values |= {"proposed_by": party.party_id, "conclusion": said.conclusion and said.conclusion.value}
    if line.act in (AlarmAct.REFUSE, AlarmAct.REOPEN):
        values["conclusion"] = None
    takes = line.act in (AlarmAct.SEND, AlarmAct.REVIEW, AlarmAct.PROPOSE, AlarmAct.REOPEN)
    if takes and alarm.assigned_to is None and may_hold(party, alarm.district):
        values["assigned_to"] = party.party_id
    return values


def written(
    connection: Any, party: Party, alarm_id: int, what: str, words: dict[str, str], now: int, more: dict[str, str]
) -> Alarm:
    """Write deed and step of an act whose columns are set; return the alarm as it is then.

    The deed holds the digest of the words, not the words: those can be erased, and can be proven as long as they stand.
    """
    number = store.next_step(connection, alarm_id)
    changed = store.one(connection, alarm_id)
    assert changed is not None  # it is locked
    said = {
        "alarm": alarm_id,
        "step": number,
        "act": what,
        **more,
        "to": changed.state.value,
        "role": party.role.value,
        "said_sha256": said_digest(words),
        **{k: v for k, v in words.items() if k != "text"},
    }
    receipt = keep_deed(connection, Kind.DEED_ALARM, party.party_id, f"{alarm_id}/{number}", said, now)
    store.put_step(
        connection, AlarmStep(alarm_id, number, now, party.party_id, what, changed.state, words, receipt.index)
    )
    return changed


def said_digest(words: Mapping[str, str]) -> str:
    """Return SHA-256 (hex) over the canonical JSON (sorted keys, no blanks, UTF-8) of what was said with a step."""
    text = json.dumps(dict(words), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def officers(platform: Platform, alarm: Alarm) -> list[str]:
    """Return the ids of those to whom an alarm can be given."""
    return sorted(p.party_id for p in platform.directory.parties.values() if may_hold(p, alarm.district))
