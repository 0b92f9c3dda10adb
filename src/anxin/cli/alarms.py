"""`anxin alarms`: how findings become alarms and what is done with them, for people and as the page docs/alarms.md."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from anxin.cases.deadlines import Calendar, load_calendar
from anxin.cases.machine import TABLE, Hand, Line, When
from anxin.cases.policy import AlarmPolicy, Group, load_alarm_policy
from anxin.cli.markdown import table
from anxin.domain.alarm import AlarmState

_STATES = {
    AlarmState.OPEN: ("待处理", "open"),
    AlarmState.SENT: ("已发运营商", "sent to the operator"),
    AlarmState.ANSWERED: ("已答复", "answered"),
    AlarmState.REVIEW: ("审核中", "under review"),
    AlarmState.PROPOSED: ("待复核", "waits for a second officer"),
    AlarmState.CLOSED: ("已结案", "closed with a conclusion"),
}
_HANDS = {
    Hand.OFFICER: "his to whom it is assigned, a supervisor's, anyone's while it is nobody's",
    Hand.OPERATOR: "of the operator whom it is about",
    Hand.SECOND: "another person's than the proposer's",
    Hand.PLATFORM: "the platform's own, when findings come that the conclusion did not know",
}
_WHEN = {
    When.ALWAYS: "",
    When.ASKABLE: "an operator is known",
    When.NOBODY: "no operator is known",
    When.OVERDUE: "the deadline has passed",
    When.GRAVE: "it is grave",
    When.PLAIN: "it is not grave",
}


def add_parser(subparsers: Any) -> None:
    """Add `alarms` to the program's parser."""
    alarms = subparsers.add_parser(
        "alarms",
        help="告警规则 · how findings become alarms",
        description="列出告警分组、期限与状态机。 List the groups of causes, the deadlines with their sources, the "
        "holidays and the state machine.",
    )
    alarms.add_argument("--policy", type=Path, metavar="FILE", help="告警参数 · policy of alarms (TOML)")
    alarms.add_argument("--holidays", type=Path, metavar="FILE", help="节假日 · holidays of a country (TOML)")
    form = alarms.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    form.add_argument("--markdown", action="store_true", help="输出文档页 · the page docs/alarms.md")


def run(args: argparse.Namespace) -> int:
    """Print what is in force. Returns 0; raises InputError, PolicyError."""
    policy, calendar = load_alarm_policy(args.policy), load_calendar(args.holidays)
    if args.markdown:
        print(page_of(policy, calendar), end="")
    elif args.json:
        print(json.dumps(document_of(policy, calendar), ensure_ascii=False, indent=2))
    else:
        print(f"{policy.title} ({policy.dated})")
        for group in policy.groups:
            print(f"{group.name:<12} {group.zh} · {group.en}\n    {', '.join(group.causes)}")
        for value in policy.values.values():
            print(f"{value.name:<18} {value.value:>12,} {value.unit}\n    {value.status}: {value.source}")
        print(f"{calendar.country} {sorted(calendar.years)}\n    {calendar.status}: {calendar.source}")
    return 0


def document_of(policy: AlarmPolicy, calendar: Calendar) -> dict[str, Any]:
    """Return all of it as JSON values."""
    return {
        "title": policy.title,
        "dated": policy.dated,
        "groups": [asdict(g) for g in policy.groups],
        "values": [asdict(v) for v in policy.values.values()],
        "machine": [
            {
                "state": line.state.value,
                "act": line.act.value,
                "to": line.to.value,
                "roles": sorted(r.value for r in line.roles),
                "hand": line.hand.value,
                "when": line.when.value,
            }
            for line in TABLE
        ],
        "holidays": {
            "country": calendar.country,
            "source": calendar.source,
            "status": calendar.status,
            "off": sorted(d.isoformat() for d in calendar.off),
            "worked": sorted(d.isoformat() for d in calendar.worked),
        },
    }


def drawing() -> str:
    """Return the machine as a Mermaid state diagram, drawn from the table."""
    lines = ["stateDiagram-v2"]
    lines += [f"  {state.value}: {zh} {en}" for state, (zh, en) in _STATES.items()]
    lines += ["  [*] --> open: findings"]
    for line in TABLE:
        when = _WHEN[line.when]
        who = "platform" if not line.roles else ", ".join(sorted(r.value for r in line.roles))
        lines.append(f"  {line.state.value} --> {line.to.value}: {line.act.value} ({who}{'; ' + when if when else ''})")
    return "\n".join(lines)


def page_of(policy: AlarmPolicy, calendar: Calendar) -> str:
    """Return the page docs/alarms.md."""
    head = ("state", "act", "leads to", "roles", "whose hand", "when")
    machine = table(head, (_row(line) for line in TABLE))
    groups = table(("group", "中文", "English", "one alarm a", "causes", "opens"), (_group(g) for g in policy.groups))
    values = table(
        ("value", "in force", "unit", "status", "source"),
        ((f"`{v.name}`", f"{v.value:,}", v.unit or "–", v.status, v.source) for v in policy.values.values()),
    )
    years = ", ".join(str(y) for y in sorted(calendar.years))
    parts = {
        "@MACHINE@": f"```mermaid\n{drawing()}\n```\n\n" + "\n".join(machine),
        "@GROUPS@": "\n".join(groups).rstrip(),
        "@VALUES@": "\n".join(values).rstrip(),
        "@HOLIDAYS@": f"{calendar.country}, {years} ({calendar.status}): {calendar.source}",
    }
    page = resources.files("anxin.cli").joinpath("pages", "alarms.md").read_text("utf-8")
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def _row(line: Line) -> tuple[str, ...]:
    roles = ", ".join(sorted(r.value for r in line.roles)) or "–"
    states = (f"`{line.state.value}`", f"`{line.act.value}`", f"`{line.to.value}`")
    return (*states, roles, _HANDS[line.hand], _WHEN[line.when] or "–")


def _group(group: Group) -> tuple[str, ...]:
    opens = "at once"
    if group.least > 1:
        opens = (
            f"at {group.least} in {group.window_days} days that are {group.per_mille} in a thousand sessions or more"
        )
    causes = ", ".join(f"`{c}`" for c in group.causes)
    return f"`{group.name}`", group.zh, group.en, group.subject, causes, opens
