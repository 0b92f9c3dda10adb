"""The state machine of an alarm as one table: what may be done in which state, by whom, and where it leads.

MUST      refuse every act that no line of the table allows to this doer on this alarm
MUST NOT  let who proposed a conclusion confirm or refuse it, whatever he is called or has become since

docs/alarms.md is drawn from the table. Nothing here asks for names: a doer is his party's id, which never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from anxin.cases.policy import AlarmPolicy
from anxin.domain.alarm import Alarm, AlarmAct, AlarmState
from anxin.domain.finding import Severity
from anxin.domain.party import Party, Role


class Hand(StrEnum):
    """Whose hand an act needs, beside the role.

    OFFICER    his to whom the alarm is assigned, a supervisor's, or anyone's while it is nobody's
    OPERATOR   of the operator whom the alarm is about
    SECOND     anyone's but the proposer's
    PLATFORM   the platform's own
    """

    OFFICER = "officer"
    OPERATOR = "operator"
    SECOND = "second"
    PLATFORM = "platform"


class When(StrEnum):
    """What must hold of the alarm, beside its state.

    ASKABLE, NOBODY   an operator is known whom it can be sent to, or none is
    OVERDUE           its deadline has passed
    GRAVE, PLAIN      whether it is closed by two officers or by one (`needs_second`)
    """

    ALWAYS = "always"
    ASKABLE = "askable"
    NOBODY = "nobody"
    OVERDUE = "overdue"
    GRAVE = "grave"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `roles` is empty for what the platform does by itself."""

    state: AlarmState
    act: AlarmAct
    to: AlarmState
    roles: frozenset[Role]
    hand: Hand
    when: When = When.ALWAYS


_S, _A = AlarmState, AlarmAct
_OFFICERS = frozenset({Role.INSPECTOR, Role.SUPERVISOR})
_ANSWERING = frozenset({Role.MANAGER, Role.OPERATOR})

TABLE: tuple[Line, ...] = (
    Line(_S.OPEN, _A.SEND, _S.SENT, _OFFICERS, Hand.OFFICER, When.ASKABLE),
    Line(_S.OPEN, _A.REVIEW, _S.REVIEW, _OFFICERS, Hand.OFFICER, When.NOBODY),
    Line(_S.SENT, _A.ANSWER, _S.ANSWERED, _ANSWERING, Hand.OPERATOR),
    Line(_S.SENT, _A.REVIEW, _S.REVIEW, _OFFICERS, Hand.OFFICER, When.OVERDUE),
    Line(_S.ANSWERED, _A.REVIEW, _S.REVIEW, _OFFICERS, Hand.OFFICER),
    Line(_S.REVIEW, _A.SEND, _S.SENT, _OFFICERS, Hand.OFFICER, When.ASKABLE),
    Line(_S.REVIEW, _A.PROPOSE, _S.CLOSED, _OFFICERS, Hand.OFFICER, When.PLAIN),
    Line(_S.REVIEW, _A.PROPOSE, _S.PROPOSED, _OFFICERS, Hand.OFFICER, When.GRAVE),
    Line(_S.PROPOSED, _A.CONFIRM, _S.CLOSED, _OFFICERS, Hand.SECOND),
    Line(_S.PROPOSED, _A.REFUSE, _S.REVIEW, _OFFICERS, Hand.SECOND),
    Line(_S.CLOSED, _A.REOPEN, _S.REVIEW, _OFFICERS, Hand.OFFICER),
    Line(_S.CLOSED, _A.REOPEN, _S.OPEN, frozenset(), Hand.PLATFORM),
)


class Why(StrEnum):
    """Why an act is refused."""

    STATE = "state"
    ROLE = "role"
    HAND = "hand"
    FOUR_EYES = "four_eyes"
    NOT_YET = "not_yet"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An act that is not done, and why."""

    why: Why


def needs_second(alarm: Alarm, policy: AlarmPolicy) -> bool:
    """Return whether an alarm is closed by two: severity grave, or money beyond the policy's threshold."""
    return alarm.severity is Severity.GRAVE or alarm.excess_e4 >= policy["grave_excess_e4"]


def overdue(alarm: Alarm, now_utc_ms: int) -> bool:
    """Return whether the deadline of the alarm's present state has passed."""
    return alarm.escalated > 0 or (alarm.due_utc_ms is not None and alarm.due_utc_ms <= now_utc_ms)


def decide(alarm: Alarm, act: AlarmAct, doer: Party | None, policy: AlarmPolicy, now_utc_ms: int) -> Line | Refusal:
    """Return the line that allows this act to this doer (None: the platform itself), or why there is none."""
    in_state = [line for line in TABLE if line.state is alarm.state and line.act is act]
    if not in_state:
        return Refusal(Why.STATE)
    if doer is not None and doer.suspended:
        return Refusal(Why.SUSPENDED)
    mine = [line for line in in_state if (doer is None and not line.roles) or (doer and doer.role in line.roles)]
    if not mine:
        return Refusal(Why.ROLE)
    fitting = [line for line in mine if _holds(line.when, alarm, policy, now_utc_ms)]
    if not fitting:
        return Refusal(Why.NOT_YET)
    (line,) = fitting  # the table has no two lines for one state, act, role and condition
    if doer is not None and not _in_hand(line.hand, alarm, doer):
        return Refusal(Why.FOUR_EYES if line.hand is Hand.SECOND else Why.HAND)
    return line


def _holds(when: When, alarm: Alarm, policy: AlarmPolicy, now_utc_ms: int) -> bool:
    match when:
        case When.ASKABLE | When.NOBODY:
            return (alarm.operator_id is not None) is (when is When.ASKABLE)
        case When.GRAVE | When.PLAIN:
            return needs_second(alarm, policy) is (when is When.GRAVE)
        case When.OVERDUE:
            return overdue(alarm, now_utc_ms)
        case When.ALWAYS:
            return True


def _in_hand(hand: Hand, alarm: Alarm, doer: Party) -> bool:
    match hand:
        case Hand.SECOND:
            return doer.party_id != alarm.proposed_by
        case Hand.OPERATOR:
            return alarm.operator_id is not None and doer.operator_id == alarm.operator_id
        case Hand.OFFICER:
            return has_hand(alarm, doer)
        case Hand.PLATFORM:
            return False


def has_hand(alarm: Alarm, officer: Party) -> bool:
    """Return whether an alarm is this officer's to handle: his own, nobody's, or he is a supervisor."""
    return officer.role is Role.SUPERVISOR or alarm.assigned_to in (None, officer.party_id)


def may_hold(party: Party | None, district: str | None) -> bool:
    """Return whether an alarm of a district may be (or stay) assigned to a party."""
    if party is None or party.suspended or party.role not in _OFFICERS:
        return False
    return not party.districts or district in party.districts
