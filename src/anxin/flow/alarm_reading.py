"""What is read of alarms: lists, one alarm as a document, and what of it an operator sees."""

from __future__ import annotations

import dataclasses
from typing import Any

from anxin.domain.alarm import Alarm, AlarmStep
from anxin.domain.errors import CaseError
from anxin.domain.party import REGULATOR, Party
from anxin.flow.alarm_rules import AlarmRules, load_rules
from anxin.flow.casework import possible, said_digest, shown, visible
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import alarm_reading as store
from anxin.store import alarms

Filter = store.Filter
MAX_PAGE = store.MAX_PAGE
MAX_FILTERS = store.MAX_FILTERS
#: Findings, steps and comments that stand in an alarm's document; the rest is paged.
MAX_SHOWN = 200
#: What is the regulator's own business.
_INNER = ("assigned_to", "proposed_by", "escalated", "follows", "district")


def bounded(wanted: Filter, party: Party) -> Filter:
    """Return a filter within what a party may see."""
    if party.role in REGULATOR:
        return dataclasses.replace(wanted, districts=party.districts)
    return dataclasses.replace(wanted, tenant=party.operator_id or "", assigned=None, unassigned=False)


def listed(
    platform: Platform, rules: AlarmRules, party: Party, wanted: Filter, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return alarms that a party may see, newest first."""
    found = store.page(platform.database, bounded(wanted, party), before, limit)
    return [alarm_fields(alarm, rules, party) for alarm in found]


def counted(platform: Platform, party: Party, wanted: Filter) -> dict[str, dict[str, int]]:
    """Return counts of alarms that a party may see, by state, severity and cause."""
    return store.counts(platform.database, bounded(wanted, party))


def document(platform: Platform, rules: AlarmRules, party: Party, alarm_id: int) -> dict[str, Any]:
    """Return one alarm as a party sees it. Raises CaseError `case.absent`."""
    found = alarm_document(platform, alarm_id, rules, party)
    if found is None:
        raise CaseError("case.absent", f"没有此告警 · no alarm {alarm_id} of yours")
    return found


def alarm_document(
    platform: Platform, alarm_id: int, rules: AlarmRules | None = None, party: Party | None = None
) -> dict[str, Any] | None:
    """Return an alarm with findings, verdicts' figures, steps and comments; None where it is not there for this party.

    `party` None: the whole of it, as an evidence pack needs it, with all findings and steps.
    """
    if not 0 < alarm_id < 1 << 63:
        return None
    rules = rules or load_rules(platform.settings)
    inside = party is None or party.role in REGULATOR
    limit = MAX_SHOWN if party is not None else 1_000_000
    with platform.database.transaction() as connection:
        alarm = alarms.one(connection, alarm_id)
        if alarm is None or (party is not None and not visible(alarm, party)):
            return None
        findings = store.findings(connection, alarm_id, 0, limit)
        while party is None and findings and len(findings) % MAX_PAGE == 0:
            more = store.findings(connection, alarm_id, findings[-1]["finding_id"], MAX_PAGE)
            if not more:
                break
            findings += more
        steps = alarms.steps(connection, alarm_id, limit=limit)
        comments = alarms.comments(connection, alarm_id, inside, limit)
    return {
        **alarm_fields(alarm, rules, party),
        "present_findings": findings,
        "steps": [step_fields(s) for s in steps if inside or shown(s)],
        "comments": comments,
        "acts": [] if party is None else possible(alarm, party, rules),
    }


def findings(platform: Platform, party: Party, alarm_id: int, after: int, limit: int) -> list[dict[str, Any]]:
    """Return an alarm's findings from a number on. Raises CaseError `case.absent`."""
    with platform.database.transaction() as connection:
        alarm = alarms.one(connection, alarm_id) if 0 < alarm_id < 1 << 63 else None
        if alarm is None or not visible(alarm, party):
            raise CaseError("case.absent", f"没有此告警 · no alarm {alarm_id} of yours")
        return store.findings(connection, alarm_id, after, limit)


def alarm_fields(alarm: Alarm, rules: AlarmRules, party: Party | None) -> dict[str, Any]:
    """Return an alarm's own fields, with what its cause is called and whether its deadline rests on read holidays."""
    group = rules.policy.group(alarm.cause)
    fields = dataclasses.asdict(alarm)
    if party is not None and party.role not in REGULATOR:
        fields = {k: v for k, v in fields.items() if k not in _INNER}
        # A conclusion that waits for a second officer is none yet.
        fields["state"] = "review" if alarm.state.value == "proposed" else alarm.state.value
        if alarm.state.value != "closed":
            fields["conclusion"] = None
    return {
        **fields,
        "number": f"AL-{alarm.alarm_id}",
        "cause_zh": group.zh,
        "cause_en": group.en,
        "overdue": alarm.due_utc_ms is not None and alarm.due_utc_ms <= now_utc_ms(),
        "deadline_confirmed": alarm.due_utc_ms is None or rules.knows(alarm.due_utc_ms),
    }


def step_fields(step: AlarmStep) -> dict[str, Any]:
    """Return a step's fields; `said_sha256` is what its deed in the log says of its words."""
    return {**dataclasses.asdict(step), "said_sha256": said_digest(step.said)}
