"""Alarms as the trade handles them: the machine against a second statement of its rules, deadlines, groups, excess."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from anxin.cases.deadlines import due_of, load_calendar
from anxin.cases.escalation import escalate
from anxin.cases.excess import Excess, Figures, Said, excess_of
from anxin.cases.grouping import Key, Seen, grouped
from anxin.cases.machine import TABLE, Line, Refusal, Why, decide, may_hold
from anxin.cases.policy import load_alarm_policy
from anxin.cases.texts import MAX_TEXT_CHARS, checked_text
from anxin.domain.alarm import Alarm, AlarmAct, AlarmState
from anxin.domain.errors import FormatError, PolicyError
from anxin.domain.finding import Severity
from anxin.domain.party import Party, Role
from anxin.reconcile.book import rule_book

POLICY = load_alarm_policy()
CHINA = load_calendar()
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = 1_790_000_000_000
OFFICERS = [
    Party("li", Role.INSPECTOR, "李"),
    Party("wang", Role.INSPECTOR, "王"),
    Party("chen", Role.SUPERVISOR, "陈"),
    Party("zhao", Role.SUPERVISOR, "赵", suspended=True),
    Party("qian", Role.AUDITOR, "钱"),
    Party("sun", Role.ADMIN, "孙"),
]
OPERATORS = [
    Party("OP1", Role.OPERATOR, "甲", "OP1"),
    Party("m1", Role.MANAGER, "甲经理", "OP1"),
    Party("e1", Role.ENGINEER, "甲工", "OP1"),
    Party("m2", Role.MANAGER, "乙经理", "OP2"),
    Party("bench", Role.BENCH, "台"),
]
OPEN = Alarm(1, "billing", Severity.VIOLATION, AlarmState.OPEN, 1, NOW, operator_id="OP1", due_utc_ms=NOW + 10)


def legal(alarm: Alarm, act: AlarmAct, who: Party | None, now: int) -> AlarmState | None:  # noqa: PLR0911
    """The rules once more, as an inspector tells them and apart from the table; the state after the act, or None.

    Nobody who is suspended does anything. The platform does one thing: it opens closed alarms again. Only inspectors
    and supervisors handle alarms; only the manager or the platform of the very operator answers, and only when asked.
    """
    if who is None:
        return AlarmState.OPEN if (alarm.state, act) == (AlarmState.CLOSED, AlarmAct.REOPEN) else None
    if who.suspended:
        return None
    if act is AlarmAct.ANSWER:
        asked = alarm.state is AlarmState.SENT
        speaks = who.role in (Role.MANAGER, Role.OPERATOR) and who.operator_id == alarm.operator_id is not None
        return AlarmState.ANSWERED if asked and speaks else None
    if who.role not in (Role.INSPECTOR, Role.SUPERVISOR):
        return None
    if act in (AlarmAct.CONFIRM, AlarmAct.REFUSE):
        if alarm.state is not AlarmState.PROPOSED or who.party_id == alarm.proposed_by:
            return None
        return AlarmState.CLOSED if act is AlarmAct.CONFIRM else AlarmState.REVIEW
    if who.role is Role.INSPECTOR and alarm.assigned_to is not None and alarm.assigned_to != who.party_id:
        return None
    known = alarm.operator_id is not None
    late = alarm.escalated >= 1 or (alarm.due_utc_ms is not None and now >= alarm.due_utc_ms)
    grave = alarm.severity is Severity.GRAVE or alarm.excess_e4 >= 100_000_000
    if act is AlarmAct.SEND:
        return AlarmState.SENT if known and alarm.state in (AlarmState.OPEN, AlarmState.REVIEW) else None
    if act is AlarmAct.REVIEW:
        ready = {
            AlarmState.ANSWERED: True,
            AlarmState.SENT: late,
            AlarmState.OPEN: not known,
        }.get(alarm.state, False)
        return AlarmState.REVIEW if ready else None
    if act is AlarmAct.PROPOSE and alarm.state is AlarmState.REVIEW:
        return AlarmState.PROPOSED if grave else AlarmState.CLOSED
    if act is AlarmAct.REOPEN and alarm.state is AlarmState.CLOSED:
        return AlarmState.REVIEW
    return None


def walk(steps: int, seed: int) -> Counter[str]:
    """Let many hands try anything, and compare every answer; returns what happened how often."""
    rng = random.Random(seed)
    people = {p.party_id: p for p in [*OFFICERS, *OPERATORS]}
    alarm, now, seen = OPEN, NOW, Counter[str]()
    proposer: str | None = None
    for _ in range(steps):
        now += rng.choice((0, 0, 1, 5))
        who = rng.choice([None, *people.values()])
        act = rng.choice(list(AlarmAct))
        found = decide(alarm, act, who, POLICY, now)
        expected = legal(alarm, act, who, now)
        if isinstance(found, Refusal):
            assert expected is None, (alarm, act, who, found)
            seen[f"refused {found.why.value}"] += 1
        else:
            assert expected is found.to, (alarm, act, who, found)
            seen[f"{alarm.state.value} {act.value} {found.to.value}"] += 1
            if act in (AlarmAct.CONFIRM, AlarmAct.REFUSE):
                assert who is not None
                assert who.party_id != proposer, "nobody decides on what he proposed"
            if act is AlarmAct.PROPOSE:
                proposer = None if who is None else who.party_id
            alarm = replace(
                alarm,
                state=found.to,
                due_utc_ms=None if found.to is AlarmState.CLOSED else now + 20,
                escalated=0,
                proposed_by=proposer,
                assigned_to=who.party_id if who and alarm.assigned_to is None and may_hold(who, None) else
                alarm.assigned_to,
            )  # fmt: skip
        # The world goes on: findings come and go, deadlines pass, people are renamed, promoted, removed.
        match rng.randrange(12):
            case 0:
                alarm = replace(alarm, severity=rng.choice([Severity.WARNING, Severity.VIOLATION, Severity.GRAVE]))
            case 1:
                alarm = replace(alarm, excess_e4=rng.choice([0, 99_999_999, 100_000_000]))
            case 2:
                alarm = replace(alarm, operator_id=rng.choice(["OP1", "OP1", "OP2", None]))
            case 3:
                alarm = replace(alarm, assigned_to=rng.choice([None, "li", "wang", "chen"]))
            case 4 if alarm.due_utc_ms is not None and alarm.due_utc_ms <= now:
                alarm = replace(alarm, escalated=alarm.escalated + 1, due_utc_ms=rng.choice([None, now + 5]))
            case 5:
                one = people[rng.choice(["li", "wang", "chen", "zhao"])]
                role = rng.choice([Role.INSPECTOR, Role.SUPERVISOR, Role.AUDITOR])
                changed = replace(one, name=f"{one.name}'", role=role, suspended=rng.random() < 0.2)
                people[one.party_id] = changed
            case _:
                pass
    return seen


def test_a_walk_of_many_hands_meets_every_line_of_the_table_and_no_other() -> None:
    seen = walk(60_000, 1)
    assert {k for k in seen if not k.startswith("refused")} == {
        f"{line.state.value} {line.act.value} {line.to.value}" for line in TABLE
    }
    assert {k.removeprefix("refused ") for k in seen if k.startswith("refused")} == {w.value for w in Why}


@pytest.mark.long
def test_a_million_steps_of_the_machine_hold_to_the_rules() -> None:
    assert sum(sum(walk(250_000, seed).values()) for seed in range(4)) == 1_000_000


def test_no_two_lines_of_the_table_fit_the_same_act() -> None:
    for line in TABLE:
        like = [o for o in TABLE if (o.state, o.act) == (line.state, line.act) and o.roles & line.roles]
        assert len({o.when for o in like}) == len(like)
        if len(like) > 1:
            assert {o.when.value for o in like} == {"plain", "grave"}


def test_an_alarm_reaches_its_closing_only_past_the_operator_and_an_officer() -> None:
    def ways(state: AlarmState, path: tuple[AlarmState, ...]) -> Iterator[tuple[AlarmState, ...]]:
        if state is AlarmState.CLOSED:
            yield path
            return
        for line in TABLE:
            if line.state is state and line.to not in path and line.when.value != "nobody":
                yield from ways(line.to, (*path, line.to))

    found = list(ways(AlarmState.OPEN, (AlarmState.OPEN,)))
    assert found
    assert all(AlarmState.SENT in path and AlarmState.REVIEW in path for path in found)


def test_the_proposer_stays_the_proposer_under_another_name_and_role() -> None:
    alarm = replace(OPEN, state=AlarmState.PROPOSED, proposed_by="li", severity=Severity.GRAVE)
    promoted = Party("li", Role.SUPERVISOR, "李主任")
    assert decide(alarm, AlarmAct.CONFIRM, promoted, POLICY, NOW) == Refusal(Why.FOUR_EYES)
    assert decide(alarm, AlarmAct.REFUSE, promoted, POLICY, NOW) == Refusal(Why.FOUR_EYES)
    found = decide(alarm, AlarmAct.CONFIRM, Party("wang", Role.INSPECTOR, "李"), POLICY, NOW)
    assert isinstance(found, Line)
    assert found.to is AlarmState.CLOSED


def test_an_officer_holds_alarms_of_his_districts_alone() -> None:
    li = Party("li", Role.INSPECTOR, "李", districts=("余杭区",))
    assert may_hold(li, "余杭区")
    assert not may_hold(li, "西湖区")
    assert not may_hold(li, None)
    assert not may_hold(replace(li, suspended=True), "余杭区")
    assert not may_hold(replace(li, role=Role.AUDITOR), "余杭区")
    assert not may_hold(None, None)


@pytest.mark.parametrize(
    ("begin", "days", "last"),
    [
        ("2026-11-26 10:00", 1, "2026-11-27"),  # Thursday, Friday
        ("2026-11-26 23:59", 2, "2026-11-30"),  # over a weekend
        ("2026-09-30 09:00", 1, "2026-10-08"),  # over the National Day
        ("2026-10-08 09:00", 2, "2026-10-10"),  # a Saturday that is worked
        ("2026-02-13 09:00", 1, "2026-02-14"),  # the Saturday before the Spring Festival is worked
        ("2026-02-14 09:00", 1, "2026-02-24"),  # nine days off
        ("2026-01-02 09:00", 1, "2026-01-04"),  # a Sunday that is worked
        ("2027-01-01 09:00", 1, "2027-01-04"),  # a year that was not read: weekends alone
    ],
)
def test_a_deadline_ends_with_its_last_working_day(begin: str, days: int, last: str) -> None:
    began = int(datetime.fromisoformat(begin).replace(tzinfo=SHANGHAI).timestamp() * 1_000)
    end = datetime.fromtimestamp(CHINA.after(began, days, "Asia/Shanghai") / 1_000, SHANGHAI)
    assert (end.hour, end.minute) == (0, 0)
    assert date.fromisoformat(last).toordinal() + 1 == end.date().toordinal()


def test_the_calendar_of_2026_has_33_days_off_and_six_worked_weekend_days() -> None:
    assert len(CHINA.off) == 3 + 9 + 3 + 5 + 3 + 3 + 7
    assert len(CHINA.worked) == 6
    assert all(day.isoweekday() in (6, 7) for day in CHINA.worked)
    assert CHINA.knows(date(2026, 5, 1))
    assert not CHINA.knows(date(2027, 5, 1))


def test_another_country_s_calendar_is_another_file(tmp_path: Path) -> None:
    other = tmp_path / "ae.toml"
    text = (
        'country = "AE"\ndated = 2025-11-01\nyears = [2026]\nweekend = [5, 6]\nsource = "s"\nstatus = "unconfirmed"\n'
        'off = [{ name = "d", from = 2026-12-02, to = 2026-12-03 }]\nworked = []\n'
    )
    other.write_text(text)
    friday = int(datetime(2026, 12, 1, 8, tzinfo=UTC).timestamp() * 1_000)
    end = load_calendar(other).after(friday, 1, "Asia/Dubai")
    assert datetime.fromtimestamp(end / 1_000, ZoneInfo("Asia/Dubai")).date() == date(2026, 12, 7)
    for wrong in (text.replace("2026-12-03", "2026-12-01"), text.replace("[5, 6]", "[1,2,3,4,5,6,7]"),
                  text.replace("worked = []", "worked = [2026-12-02]"), text.replace('"unconfirmed"', '"sure"'),
                  "country = 1"):  # fmt: skip
        other.write_text(wrong)
        with pytest.raises(PolicyError):
            load_calendar(other)


def test_every_state_but_the_last_has_a_deadline() -> None:
    for state in AlarmState:
        due = due_of(state, POLICY, CHINA, NOW, "Asia/Shanghai")
        assert (due is None) is (state is AlarmState.CLOSED)


def test_escalations_rise_and_end() -> None:
    alarm, levels = OPEN, []
    for _ in range(5):
        found = escalate(alarm, POLICY, CHINA, NOW, "Asia/Shanghai")
        levels.append((found.level, len(found.to), found.due_utc_ms is None))
        alarm = replace(alarm, escalated=found.level)
    assert levels[:3] == [(1, 1, False), (2, 2, False), (3, 3, True)]


def test_every_cause_of_the_rule_book_has_its_group() -> None:
    named = {c for g in POLICY.groups for c in g.causes}
    for rule in rule_book():
        for cause in rule.causes:
            assert rule.id in named or f"{rule.id}.{cause.id}" in named, f"{rule.id}.{cause.id}"
    known = {f"{r.id}.{c.id}" for r in rule_book() for c in r.causes} | {r.id for r in rule_book()} | {"complaint"}
    assert named <= known


def seen(number: int, rule: str, cause: str, severity: Severity, session: str | None = "S", **more: str) -> Seen:
    return Seen(number, rule, cause, severity, session, more.get("charger", "CH1"), operator_id="OP1")


def test_the_marks_of_one_cheat_stay_together_and_a_state_of_the_device_stands_apart() -> None:
    cases = grouped(
        [
            seen(1, "R26", "period_money", Severity.WARNING),
            seen(2, "R04", "billed_more", Severity.VIOLATION),
            seen(3, "R03", "replayed_record", Severity.GRAVE),
            seen(4, "R19", "verification_expired", Severity.VIOLATION),
            seen(5, "R27", "above_request", Severity.NOTE),
        ],
        POLICY,
    )
    assert {k.group: [s.number for s in v] for k, v in cases.items()} == {"record": [1, 2, 3], "device": [4]}


def test_what_comes_later_on_a_session_goes_where_the_session_is() -> None:
    there = Key("billing", "operator:OP1 charger:CH1")
    late = [seen(9, "R17", "forged", Severity.GRAVE), seen(10, "R20", "late_upload", Severity.WARNING)]
    cases = grouped(late, POLICY, {"S": there})
    assert {k.group: [s.number for s in v] for k, v in cases.items()} == {"billing": [9], "late": [10]}


@pytest.mark.parametrize(
    ("figures", "said", "expected"),
    [
        (Figures("disagree", 12_000_000, 10_000_000, 120_001), [], Excess(2_000_000, 20_000)),
        (Figures("disagree", 12_000_000, 10_000_000, 1), [Said("R06", "amount_over", "3")], Excess(2_000_000, 30_000)),
        (Figures("disagree", 10_000_000, 12_000_000, 120_000), [], Excess()),
        (Figures("disagree", 10_000_000, 10_000_000, 120_000), [Said("R06", "amount_over", "1")], Excess(0, 10_000)),
        (Figures("agree", 12_000_000, 11_999_000, 120_000), [], Excess()),
        (Figures("pending", 12_000_000, None, 120_000), [], Excess()),
        (Figures("order_only", 12_000_000, None, 120_000), [], Excess(12_000_000, 120_000)),
        (Figures("disagree", 12_000_000, None, 120), [Said("R07", "gap_overbilled", "3")], Excess(3_000_000, 30)),
        (Figures("disagree", None, 5_000, None), [], Excess()),
        (Figures("disagree", 12_000_000, 0, None), [], Excess(12_000_000, 0)),
        (Figures("disagree", 1, 0, 7), [Said("R06", "amount_over", "much")], Excess(1, 7)),
        (None, [Said("R06", "amount_over", "3.5")], Excess()),
    ],
)  # fmt: skip
def test_excess_is_exact(figures: Figures | None, said: list[Said], expected: Excess) -> None:
    assert excess_of(figures, said) == expected


def test_words_are_kept_as_they_are_or_refused() -> None:
    html = "<script>alert(1)</script> & <b>否</b>"
    assert checked_text(f"  {html}\r\n二\t行 ", "text") == f"{html}\n二\t行"
    for wrong, rule in (
        ("a\x00b", "text.control"), ("a\x1b[2J", "text.control"), ("a\u202eb", "text.control"),
        ("\ud800", "text.control"), ("a\x85b", "text.control"), (" \n", "text.empty"),
        ("x" * (MAX_TEXT_CHARS + 1), "text.length"),
    ):  # fmt: skip
        with pytest.raises(FormatError) as refused:
            checked_text(wrong, "text")
        assert refused.value.rule == rule
    assert checked_text("", "text", may_be_empty=True) == ""


def test_a_policy_that_is_wrong_is_refused(tmp_path: Path) -> None:
    from importlib import resources

    text = resources.files("anxin.cases").joinpath("policies", "alarms-2026-11.toml").read_text("utf-8")
    path = tmp_path / "alarms.toml"
    path.write_text(text, "utf-8")
    assert load_alarm_policy(path) == POLICY
    for old, new in (
        ('causes = ["R25"]', 'causes = ["R25", "R04"]'),
        ("again_days = { value = 3", "again_days = { value = 0"),
        ("again_days =", "sometimes ="),
        ('subject = "operator"', 'subject = "driver"'),
        ("least = 20", "least = -1"),
        ('status = "unconfirmed"', 'status = "sure"'),
        ("per_mille = 5", "per_thousand = 5"),
    ):
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        with pytest.raises(PolicyError):
            load_alarm_policy(path)
