"""Surveillance beside the running judge: what it computed step by step is what a computation from nothing gives."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anxin.city.options import Kind
from anxin.domain.errors import StoreError
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.flow.surveillance import DAY_MS, Watch, watch_for_ever
from anxin.store import facts, messages, surveillance
from anxin.store.verdicts import Scope, Standing, Verdict, exchange_verdicts
from anxin.surveillance.days import COUNTS
from tests.platform.live_city import AS_OF_UTC_MS, enrolled, shuffled

LATER_MS = AS_OF_UTC_MS + 30 * DAY_MS
_DAYS = "select * from surveillance_day order by place, day"
_SUMS = "select * from surveillance_operator_day where sessions <> 0 or uploads <> 0 order by operator_id, day"
_SUBJECTS = "select * from surveillance_subject order by kind, subject_id"


def tables(platform: Platform) -> list[list[tuple[Any, ...]]]:
    with platform.database.transaction() as connection:
        return [connection.execute(query.encode()).fetchall() for query in (_DAYS, _SUMS, _SUBJECTS)]


def test_step_by_step_while_the_judge_judges_the_state_is_that_of_a_computation_from_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    city = enrolled(platform, chargers=30, days=4)
    judge, watch = Judge(platform, tmp_path / "scratch"), Watch(platform)
    try:
        mixed = shuffled(city.messages, 3)
        for start in range(0, len(mixed), 150):
            messages.append(platform.database, mixed[start : start + 150], AS_OF_UTC_MS - 1_000, committed_entry)
            judge.settle(AS_OF_UTC_MS)
            watch.step(LATER_MS)  # not all that is due: the next piece finds some days waiting
        judge.settle(AS_OF_UTC_MS + 7_200_000)
        watch.settle(LATER_MS)
        live = tables(platform)
        assert surveillance.due_count(platform.database) == 0
        surveillance.begin_again(platform.database)
        assert tables(platform) == [[], [], []]
        watch.settle(LATER_MS)
        assert tables(platform) == live
        # Everything judged again from the kept messages: the same days.
        facts.requeue_all(platform.database)
        judge.settle(AS_OF_UTC_MS + 7_200_000)
        assert surveillance.due_count(platform.database) > 0
        watch.settle(LATER_MS)
        assert tables(platform) == live
    finally:
        judge.close()
    with platform.database.transaction() as connection:
        counted = connection.execute(
            "select sum(sessions), sum(paired), sum(one_sided), sum(disagreeing) from surveillance_day"
        ).fetchone()
        present = connection.execute(
            "select count(*), count(*) filter (where order_id is not null and record_id is not null),"
            " count(*) filter (where order_id is null or record_id is null),"
            " count(*) filter (where order_id is not null and record_id is not null and state = 'disagree')"
            " from verdict where present and state <> 'pending'"
        ).fetchone()
    assert counted == present


def put(platform: Platform, verdict: Verdict) -> None:
    scope = Scope([verdict.place or ""], 0, 1 << 60)
    with platform.database.transaction() as connection:
        exchange_verdicts(connection, scope, [verdict], Standing("p", "s", 0, 0))


def some(platform: Platform) -> tuple[int, ...]:
    with platform.database.transaction() as connection:
        row = connection.execute(
            "select sum(sessions), sum(paired), sum(disagreeing), sum(lean_sum_milli_wh) from surveillance_operator_day"
        ).fetchone()
    return tuple(int(v) for v in row or ())


def test_a_verdict_that_is_replaced_or_moves_to_another_day_counts_once(platform: Platform) -> None:
    watch = Watch(platform)
    first = Verdict("order:O:1", "pending", None, "C1", "O", "1", None, DAY_MS, DAY_MS, 20_010_000, None, 1, 0)
    whole = replace(first, state="agree", record_id="r1", record_energy_milli_wh=20_000_000,
                    order_quantum_milli_wh=10_000, record_quantum_milli_wh=1_000)  # fmt: skip
    for verdict, counted in (
        (first, (0, 0, 0, 0)),
        (whole, (1, 1, 0, 10_000)),
        (whole, (1, 1, 0, 10_000)),
        (replace(whole, state="disagree"), (1, 1, 1, 10_000)),
        (replace(whole, start_utc_ms=5 * DAY_MS, end_utc_ms=5 * DAY_MS), (1, 1, 0, 10_000)),
        (replace(whole, start_utc_ms=5 * DAY_MS, order_energy_milli_wh=20_000_000), (1, 1, 0, 0)),
    ):
        put(platform, verdict)
        watch.settle(LATER_MS)
        assert some(platform) == counted
    with platform.database.transaction() as connection:
        assert connection.execute("select day from surveillance_day").fetchall() == [(5,)]


def test_a_day_that_changes_while_it_is_counted_stays_due(platform: Platform) -> None:
    verdict = Verdict("order:O:1", "agree", None, "C1", "O", "1", "r", DAY_MS, DAY_MS, 1_000, 1_000, 1, 0)
    put(platform, verdict)
    taken = surveillance.due(platform.database, 10, 10)
    put(platform, replace(verdict, state="disagree"))
    with platform.database.transaction() as connection:
        surveillance.strike_off(connection, taken)
    assert [(d.place, d.day) for d in surveillance.due(platform.database, 10, 10)] == [("C1", 1)]
    Watch(platform).settle(LATER_MS)
    assert some(platform)[:3] == (1, 1, 1)
    assert surveillance.due(platform.database, 10, 10) == []


@pytest.mark.long
def test_a_city_s_slow_cheats_are_listed_and_no_honest_charger_is(platform: Platform, tmp_path: Path) -> None:
    city = enrolled(platform, chargers=30, days=24, cheats=0, slow=3)
    truths = [t for _, truth in city.city.spans() for t in truth]
    last_ms = AS_OF_UTC_MS + 24 * DAY_MS
    judge, watch = Judge(platform, tmp_path / "scratch"), Watch(platform)
    try:
        messages.append(platform.database, city.messages, last_ms - 1_000, committed_entry)
        judge.settle(last_ms)
        watch.settle(last_ms)
    finally:
        judge.close()
    with platform.database.transaction() as connection:
        chargers = surveillance.subjects(connection, "charger")
        false_alarms = connection.execute(
            "select rule, count(*) from finding where present and disagrees group by 1"
        ).fetchall()
    listed = {r["subject_id"]: {x["kind"] for x in r["reasons"]} for r in chargers}
    assert false_alarms == []  # no rule sees what is within its tolerance
    lean = {t["charger_id"] for t in truths if t["kind"] == Kind.LEAN_WITHIN_TOLERANCE and t["size"]["sessions"] >= 40}
    drain = {t["charger_id"] for t in truths if t["kind"] == Kind.SLOW_REGISTER_DRAIN}
    assert len(lean) >= 1
    assert len(drain) == 3
    assert all("lean_up" in listed[c] for c in lean)
    assert all("gap_up" in listed[c] for c in drain)
    cheated = {t["charger_id"] for t in truths}
    drifts = {c for c, kinds in listed.items() if kinds & {"lean_up", "lean_down", "gap_up", "gap_down"}}
    assert drifts <= cheated


def test_the_tables_have_the_counts_of_the_code() -> None:
    assert surveillance.COUNTS == COUNTS


def test_a_second_watch_is_refused(platform: Platform) -> None:
    with surveillance.watch_lock(platform.database), pytest.raises(StoreError, match="another watch"):
        watch_for_ever(platform, threading.Event())
