"""From findings to cases: what an inspector would handle as one alarm has one key. Live and in an audit alike.

A cheat leaves several findings on a session (energy, money, pages): they stay together, in the group of the gravest.
A state of the device (an expired verification) or a habit of uploads is a case of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anxin.cases.policy import AlarmPolicy, Group
from anxin.domain.finding import Severity

#: From the least to the gravest.
SEVERITIES = (Severity.NOTE, Severity.WARNING, Severity.VIOLATION, Severity.GRAVE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding with whom it is about by the register. `number` is the finding's own; None of the others is guessed."""

    number: int
    rule: str
    cause: str
    severity: Severity
    session: str | None = None
    charger_id: str | None = None
    connector_id: str | None = None
    meter_id: str | None = None
    operator_id: str | None = None
    district: str | None = None
    at_utc_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """What makes findings one alarm: the group of causes and whom it is about."""

    group: str
    subject: str


def opens(seen: Seen) -> bool:
    """Return whether a finding counts for an alarm: severity WARNING and above."""
    return seen.severity is not Severity.NOTE


def gravest(severities: Iterable[Severity]) -> Severity:
    """Return the gravest of some severities, NOTE of none."""
    return max(severities, key=SEVERITIES.index, default=Severity.NOTE)


def subject_of(seen: Seen, group: Group) -> str:
    """Return whom an alarm of a group is about: a charger, else its meter, else its operator, each of his operator."""
    operator = f"operator:{seen.operator_id or ''}"
    if group.subject == "operator":
        return operator
    for kind, name in (("charger", seen.charger_id), ("connector", seen.connector_id), ("meter", seen.meter_id)):
        if name:
            return f"{operator} {kind}:{name}"
    return operator


def grouped(
    findings: Iterable[Seen], policy: AlarmPolicy, standing: Mapping[str, Key] | None = None
) -> dict[Key, list[Seen]]:
    """Return findings by the alarm that each belongs to.

    `standing` gives the alarm that a session's bound findings belong to already: what comes later joins it.
    """
    standing = standing or {}
    cases: dict[Key, list[Seen]] = {}
    sessions: dict[str, list[Seen]] = {}
    for seen in findings:
        if not opens(seen):
            continue
        group = policy.group_of(seen.rule, seen.cause)
        if group.bound and seen.session is not None:
            sessions.setdefault(seen.session, []).append(seen)
        else:
            cases.setdefault(Key(group.name, subject_of(seen, group)), []).append(seen)
    for session, found in sessions.items():
        cases.setdefault(standing.get(session) or _key_of(found, policy), []).extend(found)
    return cases


def _key_of(found: Sequence[Seen], policy: AlarmPolicy) -> Key:
    """The key of a session's findings: that of the gravest, of equals the one in the weightiest group."""

    def rank(seen: Seen) -> tuple[int, int, int]:
        group = policy.group_of(seen.rule, seen.cause)
        return -SEVERITIES.index(seen.severity), policy.weight(group), seen.number

    lead = min(found, key=rank)
    group = policy.group_of(lead.rule, lead.cause)
    return Key(group.name, subject_of(lead, group))
