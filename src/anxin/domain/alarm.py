"""Alarms: findings as one case that an inspector handles, and what became of it.

The state machine itself, who may do what, and when a deadline falls stand in cases/; its drawing is docs/alarms.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from anxin.domain.finding import Severity


class AlarmState(StrEnum):
    """Where the handling of an alarm is."""

    OPEN = "open"
    SENT = "sent"
    ANSWERED = "answered"
    REVIEW = "review"
    PROPOSED = "proposed"
    CLOSED = "closed"


class AlarmAct(StrEnum):
    """What is done with an alarm. Only these acts change its state; each is a deed in the evidence log.

    SEND      to the operator, for an answer by a date
    ANSWER    the operator says what it was
    REVIEW    an inspector takes the answer (or, after the deadline, its absence) under review
    PROPOSE   an inspector proposes a conclusion; a grave alarm waits for a second officer, another is closed by it
    CONFIRM   a second officer closes with the proposed conclusion
    REFUSE    a second officer sends a proposal back to review
    REOPEN    a closed alarm is opened again: new findings, or a reason that is stated
    """

    SEND = "send"
    ANSWER = "answer"
    REVIEW = "review"
    PROPOSE = "propose"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    REOPEN = "reopen"


class Conclusion(StrEnum):
    """With what an alarm is closed."""

    OPERATOR_FAULT = "operator_fault"
    DEVICE_FAULT = "device_fault"
    PLATFORM_FAULT = "platform_fault"
    EXPLAINED = "explained"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm, as it stands now.

    alarm_id         number, shown as AL-<number>
    cause            what an inspector would handle as one case: the group of the rule book's causes
    charger_id, connector_id, meter_id, operator_id, district   whom it is about; None where no finding says
    severity         the gravest of its present findings
    subject          whom it is about as one text: what makes it one alarm together with the cause
    findings         present findings, 0 where all have vanished; `sessions` distinct sessions among them
    billed_milli_wh, billed_e4   energy and money billed in those sessions
    excess_milli_wh, excess_e4   energy and money billed beyond what was measured in them (cases/excess.py)
    first_utc_ms, last_utc_ms    when what they are about happened
    version          number of its last step: who acts on an older one is told (409)
    due_utc_ms       when the present state's deadline falls, None where it has none
    escalated        how many deadlines in a row were missed
    assigned_to      party id of an inspector, None where nobody has it yet
    proposed_by      who proposed the last conclusion: he can neither confirm nor refuse it
    sent_utc_ms      when it was first sent to the operator, who sees it from then on
    follows          the closed alarm on the same whom and what, where this one is about what happened after its closing
    """

    alarm_id: int
    cause: str
    severity: Severity
    state: AlarmState
    version: int
    opened_utc_ms: int
    subject: str = ""
    findings: int = 0
    sessions: int = 0
    billed_milli_wh: int = 0
    billed_e4: int = 0
    excess_milli_wh: int = 0
    excess_e4: int = 0
    first_utc_ms: int | None = None
    last_utc_ms: int | None = None
    charger_id: str | None = None
    connector_id: str | None = None
    meter_id: str | None = None
    operator_id: str | None = None
    district: str | None = None
    due_utc_ms: int | None = None
    escalated: int = 0
    assigned_to: str | None = None
    proposed_by: str | None = None
    conclusion: Conclusion | None = None
    sent_utc_ms: int | None = None
    closed_utc_ms: int | None = None
    follows: int | None = None


@dataclass(frozen=True, slots=True)
class AlarmStep:
    """One step of an alarm's history. `by` is a party id, or `system` for what deadlines and the judge do.

    act      an AlarmAct, or one of: opened, joined, lightened, comment, attachment, assigned, escalated, complaint
    said     what was said with it: reason, answer, conclusion, ...
    index    where its deed stands in the evidence log; None where it is no deed of a person
    """

    alarm_id: int
    step_no: int
    at_utc_ms: int
    by: str
    act: str
    state: AlarmState
    said: dict[str, str]
    index: int | None
