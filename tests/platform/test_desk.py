"""The desk on a real database: findings become alarms, once each, whatever happens in between."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anxin.domain.alarm import AlarmState
from anxin.domain.finding import Finding, Severity
from anxin.domain.party import Party, Role
from anxin.domain.register import Connector, Meter, Operator, Register, Station
from anxin.flow.alarm_places import Places
from anxin.flow.desk import Desk
from anxin.flow.platform import Platform
from anxin.store import alarms, parties, verdicts
from anxin.store.events import events_after
from anxin.store.verdicts import Scope, Standing, Verdict

NOW = 1_790_000_000_000
HOUR = 3_600_000
REGISTER = Register(
    operators=(Operator("OP1", "甲"), Operator("OP2", "乙")),
    stations=(Station("S1", "OP1", "站一", "余杭区"), Station("S2", "OP2", "站二", "西湖区")),
    connectors=(
        Connector("C1", "CH1", "S1", "OP1", 120_000, "DC"),
        Connector("C1b", "CH1", "S1", "OP1", 120_000, "DC"),
        Connector("C2", "CH2", "S2", "OP2", 60_000, "DC"),
    ),
    meters=(Meter("M1", "C1", 0), Meter("M2", "C2", 0)),
)
BILLED_MORE = ("R04", "billed_more", Severity.VIOLATION)
AMOUNT_OVER = ("R06", "amount_over", Severity.VIOLATION)
ROLLBACK = ("R07", "rollback", Severity.GRAVE)
EXPIRED = ("R19", "verification_expired", Severity.VIOLATION)
LATE = ("R20", "late_upload", Severity.WARNING)


@pytest.fixture
def desk(platform: Platform) -> Desk:
    parties.put_register(platform.database, REGISTER)
    return Desk(platform)


def judge(
    platform: Platform,
    sessions: Mapping[str, Sequence[tuple[str, str, Severity]]],
    connector: str = "C1",
    at: int = NOW - HOUR,
    more: dict[str, Any] | None = None,
    figures: tuple[int, int | None, int] = (12_000_000, 10_000_000, 120_000),
    operator: str = "OP1",
) -> None:
    """Do what the judge does: exchange the verdicts and findings of sessions at one connector, in one transaction."""
    state = "order_only" if figures[1] is None else "disagree"
    made = [
        Verdict(key, state, "by_id", connector, operator, key, key, at, at + HOUR, *figures, len(found))
        for key, found in sessions.items()
    ]
    findings = [
        (key, connector, replace(Finding(rule, cause, severity, True, "一", f"{key} {rule}", order_ids=(key,),
                                         connector_id=connector, at_utc_ms=at), **(more or {})))
        for key, found in sessions.items()
        for rule, cause, severity in found
    ]  # fmt: skip
    standing = Standing("p", "s", NOW, NOW)
    scope = Scope([], 0, 0)
    with platform.database.transaction() as connection:
        _, keys = verdicts.exchange_verdicts(connection, scope, made, standing)
        rules = sorted({f"R{n:02d}" for n in range(1, 29)})
        verdicts.exchange_findings(connection, scope, keys, rules, findings, standing)


def rows(platform: Platform, query: str, *values: Any) -> list[Any]:
    with platform.database.transaction() as connection:
        return connection.execute(query.encode(), values).fetchall()


def all_alarms(platform: Platform) -> list[Any]:
    with platform.database.transaction() as connection:
        numbers = [r[0] for r in connection.execute("select alarm_id from alarm order by alarm_id")]
        return [alarms.one(connection, n) for n in numbers]


def close(platform: Platform, alarm_id: int, at: int = NOW) -> None:
    with platform.database.transaction() as connection:
        alarms.change(
            connection,
            alarm_id,
            {"state": "closed", "closed_utc_ms": at, "conclusion": "explained", "due_utc_ms": None, "sent_utc_ms": at},
        )


def test_a_cheated_session_is_one_alarm_with_what_it_cost(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE, AMOUNT_OVER]}, more={"difference": "2.10"})
    assert desk.settle(NOW) == 2
    (alarm,) = all_alarms(platform)
    assert (alarm.cause, alarm.charger_id, alarm.connector_id, alarm.operator_id) == ("billing", "CH1", "C1", "OP1")
    assert (alarm.state, alarm.severity, alarm.district) == (AlarmState.OPEN, Severity.VIOLATION, "余杭区")
    assert (alarm.findings, alarm.sessions, alarm.version) == (2, 1, 1)
    assert (alarm.excess_milli_wh, alarm.excess_e4) == (2_000_000, 21_000)
    assert (alarm.billed_milli_wh, alarm.billed_e4) == (12_000_000, 120_000)
    assert alarm.due_utc_ms is not None
    (event,) = events_after(platform.database, 0, 10)
    assert (event.kind, event.body["alarm_id"], event.operator_id, event.district) == (
        "alarm.opened", alarm.alarm_id, None, "余杭区",
    )  # fmt: skip


def test_notes_open_nothing(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [("R20", "lost_record", Severity.NOTE)]})
    assert desk.settle(NOW) == 0
    assert all_alarms(platform) == []


def test_ten_thousand_findings_of_one_cause_are_one_alarm_in_bounded_time(platform: Platform, desk: Desk) -> None:
    for start in range(0, 10_000, 1_000):
        judge(platform, {f"O{n}": [BILLED_MORE] for n in range(start, start + 1_000)}, more={"difference": "2"})
    began = time.monotonic()
    assert desk.settle(NOW) == 10_000
    took = time.monotonic() - began
    (alarm,) = all_alarms(platform)
    assert (alarm.findings, alarm.sessions) == (10_000, 10_000)
    assert alarm.excess_milli_wh == 10_000 * 2_000_000
    assert alarm.excess_e4 == 10_000 * 20_000  # 2/12 of 12.0000
    assert alarm.version <= 6, "told when the count has doubled, not each time"
    assert took < 30, took


def test_other_chargers_operators_and_causes_are_other_alarms(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    judge(platform, {"O2": [BILLED_MORE]}, connector="C1b")
    judge(platform, {"O3": [BILLED_MORE]}, connector="C2", operator="OP2")
    judge(platform, {"O4": [ROLLBACK]})
    judge(platform, {"O5": [EXPIRED]})
    desk.settle(NOW)
    found = {(a.cause, a.charger_id, a.operator_id): a.findings for a in all_alarms(platform)}
    assert found == {
        ("billing", "CH1", "OP1"): 2,
        ("billing", "CH2", "OP2"): 1,
        ("record", "CH1", "OP1"): 1,
        ("device", "CH1", "OP1"): 1,
    }


def test_what_comes_later_on_a_session_joins_its_alarm(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    desk.settle(NOW)
    judge(platform, {"O1": [BILLED_MORE, ROLLBACK, EXPIRED]})
    desk.settle(NOW)
    billing, device = all_alarms(platform)
    assert (billing.cause, billing.findings, billing.severity) == ("billing", 2, Severity.GRAVE)
    assert device.cause == "device"


def test_an_alarm_whose_findings_vanish_says_so_and_stays(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE], "O2": [BILLED_MORE]})
    desk.settle(NOW)
    judge(platform, {"O1": []}, figures=(10_000_000, 10_000_000, 100_000))
    desk.settle(NOW)
    (alarm,) = all_alarms(platform)
    assert (alarm.findings, alarm.sessions, alarm.excess_milli_wh) == (1, 1, 2_000_000)
    judge(platform, {"O2": []}, figures=(10_000_000, 10_000_000, 100_000))
    desk.settle(NOW)
    (alarm,) = all_alarms(platform)
    assert (alarm.state, alarm.findings, alarm.sessions) == (AlarmState.OPEN, 0, 0)
    assert (alarm.excess_milli_wh, alarm.excess_e4, alarm.billed_e4) == (0, 0, 0)
    with platform.database.transaction() as connection:
        last = alarms.steps(connection, alarm.alarm_id)[-1]
    assert (last.act, last.said["why"]) == ("lightened", "all findings have vanished")


def test_a_finding_that_came_and_went_before_the_desk_looked_is_no_alarm(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    judge(platform, {"O1": []})
    assert desk.settle(NOW) == 2
    assert all_alarms(platform) == []


def test_what_a_closed_alarm_did_not_know_opens_it_again(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    desk.settle(NOW)
    close(platform, 1)
    judge(platform, {"O2": [BILLED_MORE]}, at=NOW - 2 * HOUR)
    desk.settle(NOW + HOUR)
    (alarm,) = all_alarms(platform)
    assert (alarm.state, alarm.findings, alarm.closed_utc_ms) == (AlarmState.OPEN, 2, None)
    kinds = [(e.kind, e.operator_id) for e in events_after(platform.database, 0, 10)]
    assert ("alarm.reopened", "OP1") in kinds


def test_the_same_in_other_words_leaves_an_alarm_closed(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]}, more={"difference": "2.0"})
    desk.settle(NOW)
    close(platform, 1)
    judge(platform, {"O1": [BILLED_MORE]}, more={"difference": "2.1"})
    desk.settle(NOW + HOUR)
    (alarm,) = all_alarms(platform)
    assert (alarm.state, alarm.findings) == (AlarmState.CLOSED, 1)


def test_what_happens_after_the_closing_is_a_new_alarm_that_names_the_old(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    desk.settle(NOW)
    close(platform, 1)
    judge(platform, {"O2": [BILLED_MORE]}, at=NOW + HOUR)
    desk.settle(NOW + 2 * HOUR)
    old, new = all_alarms(platform)
    assert (old.state, new.state, new.follows) == (AlarmState.CLOSED, AlarmState.OPEN, old.alarm_id)


def test_late_uploads_are_an_alarm_only_above_their_rate(platform: Platform, desk: Desk) -> None:
    judge(platform, {f"L{n}": [LATE] for n in range(19)})
    desk.settle(NOW)
    assert all_alarms(platform) == []
    # Twenty of five thousand are below five in a thousand.
    judge(platform, {f"H{n}": [] for n in range(5_000)})
    judge(platform, {"L19": [LATE]})
    desk.settle(NOW)
    assert all_alarms(platform) == []
    judge(platform, {f"M{n}": [LATE] for n in range(10)})
    desk.settle(NOW)
    (alarm,) = all_alarms(platform)
    assert (alarm.cause, alarm.findings, alarm.operator_id, alarm.charger_id) == ("late", 30, "OP1", None)
    judge(platform, {"L20": [LATE]})
    desk.settle(NOW)
    assert [a.findings for a in all_alarms(platform)] == [31]
    assert rows(platform, "select count(*) from alarm_waiting") == [(0,)]


def test_a_missed_deadline_is_escalated_so_often_and_no_more(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    desk.settle(NOW)
    levels = []
    while (alarm := all_alarms(platform)[0]).due_utc_ms is not None:
        assert desk.keep_time(alarm.due_utc_ms - 1) == 0
        assert desk.keep_time(alarm.due_utc_ms) == 1
        levels.append(all_alarms(platform)[0].escalated)
    assert levels == [1, 2, 3]
    told = [e.body["to"] for e in events_after(platform.database, 0, 10) if e.kind == "alarm.escalated"]
    assert told == [["inspector"], ["inspector", "supervisor"], ["inspector", "supervisor", "admin"]]


def test_an_officer_removed_in_mid_case_loses_his_alarms_and_the_step_says_so(platform: Platform, desk: Desk) -> None:
    judge(platform, {"O1": [BILLED_MORE]})
    desk.settle(NOW)
    li = Party("li", Role.INSPECTOR, "李")
    parties.put_parties(platform.database, [li], NOW)
    with platform.database.transaction() as connection:
        alarms.change(connection, 1, {"assigned_to": "li"})
    assert desk.keep_time(NOW) == 0
    parties.put_parties(platform.database, [replace(li, suspended=True)], NOW)
    assert desk.keep_time(NOW) == 1
    assert all_alarms(platform)[0].assigned_to is None
    with platform.database.transaction() as connection:
        step = alarms.steps(connection, 1)[-1]
    assert (step.act, step.by, step.said) == ("assigned", "system", {"from": "li", "why": "officer.gone"})


def test_an_alarm_of_what_the_register_does_not_know_is_about_its_meter(platform: Platform, desk: Desk) -> None:
    judge(
        platform, {"O1": [("R17", "forged", Severity.GRAVE)]}, connector="X9", more={"meter_id": "M9"}, operator="OP1"
    )
    desk.settle(NOW)
    (alarm,) = all_alarms(platform)
    assert (alarm.charger_id, alarm.connector_id, alarm.meter_id, alarm.operator_id) == (None, "X9", "M9", "OP1")


def test_sums_are_those_of_their_findings_after_many_changes(platform: Platform, desk: Desk) -> None:
    rng = random.Random(7)
    kinds = [BILLED_MORE, AMOUNT_OVER, ROLLBACK, EXPIRED, LATE]
    for turn in range(40):
        some = {f"O{rng.randrange(30)}": rng.sample(kinds, rng.randrange(4)) for _ in range(6)}
        over = rng.randrange(1, 9) * 500_000
        judge(platform, some, figures=(10_000_000 + over, 10_000_000, 100_000 + over // 100))
        if turn % 3 == 0:
            desk.settle(NOW)
    desk.settle(NOW)
    counted = rows(
        platform,
        "select a.alarm_id, count(*) filter (where f.present), count(distinct f.session_key) filter (where f.present)"
        " from alarm a join alarm_finding f using (alarm_id) group by 1 order by 1",
    )
    shared = rows(
        platform,
        "select alarm_id, sum(excess_milli_wh), sum(excess_e4), sum(billed_e4) from alarm_session group by 1",
    )
    for alarm, (number, findings, sessions) in zip(all_alarms(platform), counted, strict=True):
        assert (alarm.alarm_id, alarm.findings, alarm.sessions) == (number, findings, sessions)
        sums = next(([int(v) for v in s[1:]] for s in shared if s[0] == number), [0, 0, 0])
        assert [alarm.excess_milli_wh, alarm.excess_e4, alarm.billed_e4] == sums
    every_finding_has_its_place(platform)


def handled(platform: Platform) -> int:
    """How many findings desks have taken off the queue so far, found or retired."""
    ((count,),) = rows(platform, "select coalesce(sum(1 + (not present)::int), 0) from alarm_finding")
    return int(count)


def every_finding_has_its_place(platform: Platform) -> None:
    """Each present finding that counts is in one alarm or waits for its rate; sums are those of the findings."""
    stray = rows(
        platform,
        "select count(*) from finding f where present and severity <> 'note' and not exists"
        " (select from alarm_finding a where a.finding_id = f.finding_id and a.present)"
        " and not exists (select from alarm_waiting w where w.finding_id = f.finding_id)",
    )
    assert stray == [(0,)]
    assert rows(platform, "select count(*) from alarm_finding a join finding f using (finding_id)"
                          " where a.present <> f.present") == [(0,)]  # fmt: skip
    wrong = rows(
        platform,
        "select a.alarm_id from alarm a left join (select alarm_id, count(*) filter (where present) as n"
        " from alarm_finding group by 1) f using (alarm_id)"
        " where a.graves + a.violations + a.warnings <> coalesce(n, 0)",
    )
    assert wrong == []


def test_a_desk_that_is_killed_at_any_point_loses_and_doubles_nothing(platform: Platform, tmp_path: Path) -> None:
    """Judges commit and desks are killed with -9, again and again; then every finding has its place, exactly once."""
    parties.put_register(platform.database, REGISTER)
    stop = threading.Event()
    kinds = [BILLED_MORE, AMOUNT_OVER, ROLLBACK, EXPIRED]

    def judge_on(number: int) -> None:
        rng = random.Random(number)
        connector = ("C1", "C1b", "C2")[number]
        while not stop.is_set():
            some = {f"J{number}-{rng.randrange(40)}": rng.sample(kinds, rng.randrange(4)) for _ in range(20)}
            judge(platform, some, connector, operator="OP2" if connector == "C2" else "OP1",
                  figures=(10_000_000 + rng.randrange(9) * 500_000, 10_000_000, 100_000))  # fmt: skip

    judges = [threading.Thread(target=judge_on, args=(n,)) for n in range(3)]
    for one in judges:
        one.start()
    words = [sys.executable, "-m", "tests.platform.desk_process", platform.database.url, str(tmp_path / "data")]
    rng = random.Random(1)
    kills = 0
    try:
        for _ in range(6):
            desks = [subprocess.Popen(words, env=dict(os.environ)) for _ in range(2)]
            # They are killed in the midst of their work: not before it has begun, however slow the machine.
            end, before = time.monotonic() + 60, handled(platform)
            while handled(platform) == before:
                assert time.monotonic() < end, "no desk works"
                time.sleep(0.02)
            time.sleep(rng.random() * 0.4)
            for process in desks:
                kills += process.poll() is None
                process.kill()
                process.wait()
    finally:
        stop.set()
        for one in judges:
            one.join(30)
    assert kills == 12, "a desk ended by itself"
    Desk(platform).settle()
    every_finding_has_its_place(platform)
    opened = [e.body["alarm_id"] for e in events_after(platform.database, 0, 10_000) if e.kind == "alarm.opened"]
    assert sorted(opened) == [a.alarm_id for a in all_alarms(platform)], "each alarm was opened once"
    steps = rows(platform, "select alarm_id, max(step_no), count(*) from alarm_step group by 1 order by 1")
    assert [
        (n, a.version, a.version) for n, a in zip([s[0] for s in steps], all_alarms(platform), strict=True)
    ] == steps


def test_a_finding_that_breaks_the_desk_holds_up_no_other(
    platform: Platform, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(platform, {f"O{n}": [BILLED_MORE] for n in range(20)})
    judge(platform, {"bad": [EXPIRED]}, connector="C2", operator="OP2")
    judge(platform, {f"P{n}": [BILLED_MORE] for n in range(20)})
    seen = Places.seen

    def broken(self: Places, number: int, session: str | None, *rest: Any) -> Any:
        if session == "bad":
            raise ZeroDivisionError("a bug of ours")
        return seen(self, number, session, *rest)

    monkeypatch.setattr(Places, "seen", broken)
    for _ in range(200):
        try:
            if not desk.step(NOW):
                break
        except ZeroDivisionError:
            desk.give_way()
        if rows(platform, "select count(*) from finding_queue") == [(1,)]:
            break
    assert [a.findings for a in all_alarms(platform)] == [40]
    monkeypatch.undo()
    assert desk.settle(NOW) == 1
    assert len(all_alarms(platform)) == 2
