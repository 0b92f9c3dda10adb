"""A city of today, sent through the real doors: every kind of cheat is found, and no honest session is accused."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from anxin.city.live import HISTORY_S, LAG_S, LATE_HOURS, Clock, LivePlan, What, clock_from, plan_at
from anxin.city.meters import make_secret
from anxin.domain.errors import InputError
from anxin.faces.outer import create_app
from anxin.flow import drive_city, enrol
from anxin.flow.drive_city import Driver, events_of, load_events, position_of
from anxin.flow.live import Judge
from anxin.flow.make_city import content_key
from anxin.flow.platform import Platform

HOUR_S = 3_600
WINDOW_S = 72 * HOUR_S


@contextmanager
def served(platform: Platform) -> Iterator[str]:
    web = uvicorn.Server(uvicorn.Config(create_app(platform), port=0, log_level="error"))
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    web.should_exit = True
    thread.join(10)


def enrolled(platform: Platform, plan: LivePlan, folder: Path, url: str) -> Driver:
    events = events_of(plan)
    city = events.city
    keys = [content_key(make_secret(plan.seed, n, m)) for n, m in enumerate(city.world.meter_code)]
    enrol.enrol_register(platform.database, platform.vault, city.register, keys)
    operators = [o.operator_id for o in city.register.operators]
    secrets = {o: enrol.new_tcec_secrets(platform.database, platform.vault, o) for o in operators}
    platform.refresh()
    folder.mkdir()
    return Driver(url, events, secrets, folder, lambda _: None, speed=1e9, rate_per_s=1e9)


def drive(driver: Driver, until_s: float) -> None:
    """Send until everything that was due at a moment is acknowledged."""
    last = driver.events.due(0, until_s)
    asyncio.run(driver.run(lambda: position_of(driver.folder) >= last))


def test_what_a_city_of_today_sends_is_judged_as_its_truth_says(platform: Platform, tmp_path: Path) -> None:
    now = int(time.time())
    plan = plan_at(now, chargers=50, seed=5)
    plan = LivePlan(plan.start, plan.begin_utc_s, plan.seed, plan.chargers, days=4, cheats=3)
    with served(platform) as url:
        driver = enrolled(platform, plan, tmp_path / "city", url)
        drive(driver, now)
    assert driver.tally.refused == 0
    # What ended before this moment has been sent in full; its lateness window is over at `as_of`, no other's is.
    complete = now - (LATE_HOURS + 1) * HOUR_S
    as_of_ms = (complete + WINDOW_S) * 1_000
    judge = Judge(platform, tmp_path / "scratch")
    try:
        judge.settle(now * 1_000)
        judge.settle(as_of_ms)
    finally:
        judge.close()
    found, false = scored(platform, driver.events.truths)
    assert false == []
    in_play = [t for t in driver.events.truths if plan.begin_utc_s < begin_of(t) and end_of(t) < complete]
    missed = [t for t in in_play if t["cheat_id"] not in found]
    kinds = {t["kind"] for t in in_play}
    assert {t["kind"] for t in missed if t["contradicts_record"]} == set()
    assert len(kinds) >= 9
    assert kinds - {t["kind"] for t in in_play if t["cheat_id"] in found} == set(), missed


def begin_of(truth: dict[str, Any]) -> float:
    return datetime.fromisoformat(truth["from"]).timestamp()


def end_of(truth: dict[str, Any]) -> float:
    return datetime.fromisoformat(truth["to"]).timestamp() if truth["to"] else float("inf")


def scored(platform: Platform, truths: list[dict[str, Any]]) -> tuple[set[str], list[tuple[Any, ...]]]:
    """Return the cheats that alarms rest on, and alarms that rest on none; as flow/score.py counts them."""
    owner: dict[str, set[str]] = defaultdict(set)
    for truth in truths:
        for name in (*truth["order_ids"], *truth["record_ids"]):
            owner[name].add(truth["cheat_id"])
    with platform.database.transaction() as connection:
        rows = connection.execute("select record_id, transaction_id from fact_record").fetchall()
        transactions = {r[0]: r[1] for r in rows if r[1]}
        alarms = connection.execute(
            "select rule, cause, en, order_ids, record_ids from finding where present and severity <> 'note'"
        ).fetchall()
    found: set[str] = set()
    false = []
    for rule, cause, en, orders, records in alarms:
        hit = set().union(*(owner[n] for n in {*orders, *(transactions.get(r, r) for r in records)} if n in owner))
        found |= hit
        if not hit:
            false.append((rule, cause, en))
    return found, false


def test_a_driver_that_is_stopped_goes_on_where_it_was_and_sends_nothing_twice_as_new(
    platform: Platform, tmp_path: Path
) -> None:
    now = int(time.time())
    with served(platform) as url:
        driver = enrolled(platform, plan_at(now, chargers=10, seed=2), tmp_path / "city", url)
        half = driver.events.due(0, now) // 2
        driver.rate_per_s = 100.0
        asyncio.run(driver.run(lambda: position_of(driver.folder) >= half))
        stopped = position_of(driver.folder)
        assert half <= stopped < driver.events.due(0, now)
        driver.rate_per_s = 1e9
        # The process died before it could note its position.
        (driver.folder / "position").write_text(str(max(0, stopped - 30)))
        drive(driver, now)
    said = [driver.events.texts(n) for n in range(position_of(driver.folder)) if not driver.events.is_status(n)]
    different = {text for _, _, texts in said for text in texts}
    with platform.database.transaction() as connection:
        kept = connection.execute(
            "select count(*) from message where kind in ('tcec102.order', 'tcec102.check', 'meter.envelope')"
        ).fetchone()
    assert kept == (len(different),)


def test_the_city_s_clock_runs_fast_only_while_it_is_behind_and_old_events_are_due_at_once() -> None:
    world = 1_800_000_000.0
    clock = clock_from(world, world - HISTORY_S, 48)
    assert clock.at(world) == world - LAG_S
    assert clock.at(world + 60) == world - LAG_S + 60 * 48
    assert clock.at(world + 2 * LAG_S) == world + 2 * LAG_S
    assert clock_from(world, world - 60, 48).at(world) == world - 60
    assert clock_from(world, world + 60, 48) == Clock(world, world, 48)


def test_no_honest_upload_is_late_by_the_platform_s_clock_also_after_a_day_s_pause() -> None:
    """An upload goes at the latest of: the start, when the city's clock shows its time, the end of a pause."""
    began = 1_800_000_000
    events = events_of(plan_at(began, chargers=60, seed=3))
    plan, world = events.span.plan, events.world
    end, received = plan.end + world.start_utc_s, plan.order_received + world.start_utc_s
    sent = (end >= began - HISTORY_S) & (plan.fake_of < 0)
    for start in (began, began + 86_400):
        clock = clock_from(start, events.at(0) if start == began else float(start - 86_400), 48)
        goes = start + (received - clock.shown_s).clip(0) / clock.speed
        goes = goes.clip(received)  # never before its time
        due = sent & (received >= (0 if start == began else start - 86_400))
        assert ((goes - end)[due] < WINDOW_S - HOUR_S).all()


def test_a_city_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    events = load_events(tmp_path, chargers=5, seed=1)
    assert load_events(tmp_path, 9, 9).digest() == events.digest()
    plan = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"digest": "0"}))
    with pytest.raises(InputError, match="another version"):
        load_events(tmp_path, 5, 1)
    (tmp_path / "plan.json").write_text('{"start": "2026-11-01", "seed": 1, "chargers": 5}')
    with pytest.raises(InputError, match="no city of this version"):
        load_events(tmp_path, 5, 1)


def test_connectors_say_how_they_are_when_the_city_begins_to_speak() -> None:
    events = events_of(plan_at(1_800_000_000, chargers=60, seed=4))
    middle = events.at(len(events) // 2)
    states = events.states(middle)
    assert len(states) == len(events.world.connector_code)
    latest = {}
    for number in range(events.due(0, middle)):
        what, operator, texts = events.texts(number)
        if what is What.STATUS:
            latest[json.loads(texts[0])["ConnectorStatusInfo"]["ConnectorID"]] = (operator, texts[0])
    told = {json.loads(t)["ConnectorStatusInfo"]["ConnectorID"]: (o, t) for o, t in states}
    assert {c: told[c] for c in latest} == latest
    assert {json.loads(t)["ConnectorStatusInfo"]["Status"] for o, t in told.values()} >= {1, 3}


def test_a_position_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "position").write_text("")
    with pytest.raises(InputError):
        drive_city.position_of(tmp_path)
