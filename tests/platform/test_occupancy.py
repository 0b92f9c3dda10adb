"""Roll-ups in the database against a count of single steps; the API; and the colours that a city's plan implies."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from anxin.city.build import build
from anxin.city.live import Events, LivePlan, What, plan_at
from anxin.domain.connector_status import State, StatusWord
from anxin.domain.message import Kind, Message
from anxin.domain.party import Party, Role
from anxin.domain.register import Connector, Operator, Register, Station
from anxin.flow import enrol
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.make_city import seal_upload
from anxin.flow.occupancy_keeping import Keeper
from anxin.flow.occupancy_places import cell_of
from anxin.flow.occupancy_reading import LONG_HOURS, Occupancy
from anxin.flow.platform import Platform
from anxin.occupancy.colours import COLOURS
from anxin.occupancy.rollup import CATEGORY, COLUMNS, Column
from anxin.store import messages
from anxin.store.verdicts import Scope, Standing, Verdict, exchange_verdicts
from tests.occupancy.brute import counted
from tests.platform.test_statuses import DAY, HOUR, MINUTE, NOON, keep, rows
from tests.platform.web import Caller, serving

IDLE, CHARGING, FAULT, OFFLINE = State.IDLE, State.CHARGING, State.FAULT, State.OFFLINE
INSPECTOR = Party("insp", Role.INSPECTOR, "Inspector")


def known(platform: Platform) -> None:
    """Two operators, two districts, six connectors."""
    register = Register(
        operators=(Operator("op", "Operator"), Operator("other", "Other")),
        stations=(
            Station("s0", "op", "Zero", "余杭区", "120.00", "30.30", "GCJ-02"),
            Station("s1", "other", "One", "西湖区", "120.13", "30.26", "WGS-84"),
        ),
        connectors=tuple(
            Connector(f"c{n}", f"charger{n // 2}", f"s{n % 2}", ("op", "other")[n % 2], 60_000, "DC") for n in range(6)
        ),
    )
    enrol.enrol_register(platform.database, platform.vault, register, [])
    platform.refresh()


def begin_at(platform: Platform, hour: int) -> None:
    """Let the keeping of roll-ups begin with an hour."""
    with platform.database.transaction() as connection:
        connection.execute("update counter set value = %s where name like 'status_clos%%'", (hour,))


def expected(words: list[StatusWord], start: int, end: int) -> list[int]:
    sums = [0] * COLUMNS
    for state, ms in counted(words, start, end, DAY).items():
        sums[CATEGORY[state]] += ms
    return sums


def test_any_window_is_what_a_count_of_single_steps_gives_while_words_come_late(platform: Platform) -> None:
    known(platform)
    dice = random.Random(11)
    first, hours = NOON // HOUR, 60
    begin_at(platform, first)
    keeper, reader = Keeper(platform), Occupancy(platform)
    owner = {f"c{n}": ("op", "other")[n % 2] for n in range(6)}
    said: dict[str, list[StatusWord]] = {c: [] for c in owner}
    # Moments stand farther apart than words are merged: then any order gives the same history.
    moments = dice.sample(range(hours * 10), 260)
    arrivals = []
    for index, step in enumerate(moments):
        at = NOON + step * 6 * MINUTE + MINUTE
        delay = dice.choice([0, 0, 0, 5 * MINUTE, 7 * HOUR, 30 * HOUR])
        connector = dice.choice(sorted(owner))
        state = dice.choice([IDLE, CHARGING, FAULT, OFFLINE, State.BLOCKED, State.REMOVED])
        arrivals.append((at + delay, connector, StatusWord(state, at, at + delay, index, owner[connector])))
    arrivals.sort(key=lambda a: a[0])
    for n, (now, connector, w) in enumerate(arrivals):
        keep(platform, (w.sender, connector, w.state, w.at_utc_ms, w.message_index), received=now)
        said[connector].append(w)
        if dice.random() < 0.3:
            keeper.step(now)
        if n % 20 == 0:
            keeper.settle(now)
            check(platform, reader, said, first, now, dice)
    end = max(NOON + hours * HOUR, arrivals[-1][0]) + 30 * HOUR
    keeper.settle(end)
    check(platform, reader, said, first, end, dice)
    whole = reader.by_kind("operator", NOON, end, now=end)
    assert (end - NOON) // HOUR > LONG_HOURS
    for group in whole:
        members = [expected(said[c], NOON, end) for c in owner if owner[c] == group.key]
        assert group.connectors == 3
        assert group.totals.tolist() == np.array(members).sum(axis=0).tolist()


def check(
    platform: Platform, reader: Occupancy, said: dict[str, list[StatusWord]], first: int, now: int, dice: random.Random
) -> None:
    for _ in range(3):
        a, b = sorted(dice.randrange(first * HOUR, now + 1, 30_000) for _ in range(2))
        totals = reader.by_connector(a, b, now)
        for connector, words in said.items():
            no = reader.places().numbers[connector]
            assert totals[no].tolist() == expected(words, a, min(b, now)), (connector, a, b)


def verdict(key: str, place: str, start: int, end: int, energy: int | None, amount: int) -> Verdict:
    return Verdict(key, "agree", "id", place, "op", key, key, start, end, energy, energy, amount, 0)


def test_energy_and_turnover_follow_the_verdicts(platform: Platform) -> None:
    known(platform)
    begin_at(platform, NOON // HOUR)
    keeper, reader = Keeper(platform), Occupancy(platform)
    end = NOON + 5 * HOUR
    first = verdict("a", "c0", NOON + HOUR // 2, NOON + 3 * HOUR // 2, 30_000_001, 110_000)
    exchange(platform, [first, verdict("b", "c1", NOON + HOUR, NOON + 2 * HOUR, 5, 7)])
    keeper.settle(end)
    (op, other) = reader.by_kind("operator", NOON, end, now=end)
    assert (op.key, op.totals[8:].tolist()) == ("op", [1, 30_000_001, 110_000])
    assert other.totals[8:].tolist() == [1, 5, 7]
    assert reader.group_hours("operator", ["op"], NOON // HOUR, NOON // HOUR + 3)[0, :, 9].tolist() == [
        15_000_000, 15_000_001, 0
    ]  # fmt: skip
    exchange(platform, [verdict("a", "c0", NOON + HOUR // 2, NOON + 3 * HOUR // 2, 20_000_000, 90_000)])
    keeper.settle(end)
    assert reader.by_kind("operator", NOON, end, now=end)[0].totals[8:].tolist() == [1, 20_000_000, 90_000]
    exchange(platform, [])
    keeper.settle(end)
    assert [r.totals[8:].tolist() for r in reader.by_kind("operator", NOON, end, now=end)] == [[0, 0, 0], [0, 0, 0]]


def exchange(platform: Platform, verdicts: list[Verdict]) -> None:
    with platform.database.transaction() as connection:
        exchange_verdicts(connection, Scope(["c0", "c1"], 0, 1 << 60), verdicts, Standing("p", "s", NOON, NOON))


def test_cells_are_of_wgs_84_and_coordinates_are_never_mixed() -> None:
    wgs = Station("a", "op", "A", None, "120.13", "30.26", "WGS-84")
    gcj = Station("a", "op", "A", None, "120.134726", "30.257694", "GCJ-02")
    assert cell_of(wgs) == cell_of(gcj) != cell_of(Station("a", "op", "A", None, "120.134726", "30.257694", "WGS-84"))
    assert cell_of(Station("a", "op", "A", None, "120.13", "30.26", "BD-09")) is None
    assert cell_of(Station("a", "op", "A", None, "120.13", "130.26", "WGS-84")) is None
    assert cell_of(Station("a", "op", "A")) is None


def test_the_api_shows_each_caller_what_is_his(platform: Platform) -> None:
    known(platform)
    now = now_utc_ms()
    begin_at(platform, now // HOUR - 2)
    for n, state in enumerate([IDLE, CHARGING, FAULT, IDLE, OFFLINE]):
        keep(platform, (("op", "other")[n % 2], f"c{n}", state, now - HOUR, n), received=now)
    Keeper(platform).settle()
    with serving(platform) as url:
        inspector = Caller(platform, url, INSPECTOR)
        operator = Caller(platform, url, Party("op", Role.OPERATOR, "Operator", "op"))
        west = Caller(platform, url, Party("west", Role.INSPECTOR, "West", districts=("西湖区",)))
        meter = Caller(platform, url, Party("m", Role.METER, "Meter"))
        assert meter.get("/api/occupancy/now")[0] == 403
        _, states = inspector.get("/api/occupancy/now")
        assert states["connector_id"] == ["c0", "c1", "c2", "c3", "c4"]
        assert states["state"] == ["idle", "charging", "fault", "idle", "offline"]
        assert all(HOUR <= age < HOUR + 10 * MINUTE for age in states["age_ms"])
        assert (states["silent"], states["next"]) == (1, None)
        first = inspector.get("/api/occupancy/now?limit=2")[1]
        second = inspector.get(f"/api/occupancy/now?limit=2&after={first['next']}")[1]
        assert first["connector_id"] + second["connector_id"] == ["c0", "c1", "c2", "c3"]
        assert operator.get("/api/occupancy/now")[1]["connector_id"] == ["c0", "c2", "c4"]
        window = f"from={now - HOUR // 2}&to={now}"
        city = inspector.get(f"/api/occupancy/picture?by=city&{window}")[1]["groups"][0]
        assert (city["connectors"], city["charging_ms"], city["idle_ms"]) == (6, HOUR // 2, HOUR)
        assert (city["faulty_ms"], city["offline_ms"], city["unknown_ms"]) == (HOUR // 2,) * 3
        assert (city["taken_ppm"], city["observed_ppm"], city["colour"]) == (333_333, 666_666, "yellow")
        districts = inspector.get(f"/api/occupancy/picture?{window}")[1]["groups"]
        assert {g["key"]: g["colour"] for g in districts} == {"余杭区": "green", "西湖区": "yellow"}
        assert [g["key"] for g in west.get(f"/api/occupancy/picture?{window}")[1]["groups"]] == ["西湖区"]
        assert [g["key"] for g in operator.get(f"/api/occupancy/picture?by=operator&{window}")[1]["groups"]] == ["op"]
        assert len(inspector.get(f"/api/occupancy/picture?by=cell&{window}")[1]["groups"]) == 2
        assert operator.get(f"/api/occupancy/connectors/c1/history?{window}")[0] == 404
        status, story = operator.get(f"/api/occupancy/connectors/c2/history?{window}")
        assert (status, [i["state"] for i in story["intervals"]]) == (200, ["fault"])
        assert story["intervals"][0]["message_index"] == 2
        assert story["uk_reliability"]["share_ppm"] == 0
        assert (
            inspector.get("/api/occupancy/uptime?by=operator")[1]["groups"][0]["uk_reliability"]["share_ppm"]
            is not None
        )
        heat = inspector.get("/api/occupancy/heatmap?by=district&key=西湖区")[1]
        assert len(heat["taken_ppm"]) == 7
        assert operator.get("/api/occupancy/heatmap?by=city")[0] == 422
        assert operator.get("/api/occupancy/heatmap?by=operator&key=op")[0] == 200
        assert inspector.get("/api/occupancy/change?by=district&month=2026-10&other=2026-11")[0] == 200
        assert inspector.get("/api/occupancy/picture?date=2026-02-31")[0] == 422
        assert inspector.get("/api/occupancy/picture?from=5&to=2")[0] == 422
        assert inspector.get(f"/api/occupancy/picture?by=charger&from=0&to={40 * DAY}")[0] == 422


def local(utc_s: float) -> str:
    return (datetime.fromtimestamp(utc_s, UTC) + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")


def test_the_colours_of_a_city_s_night_are_those_that_its_plan_implies(platform: Platform, tmp_path: Any) -> None:
    now = 1_791_500_000
    plan = plan_at(now, chargers=60, seed=6)
    plan = LivePlan(plan.start, plan.begin_utc_s, plan.seed, plan.chargers, days=4, cheats=1)
    begin_at(platform, now // 3_600)
    events = Events(build(plan.options()), seal_upload, plan.begin_utc_s, statuses=True)
    enrol.enrol_register(platform.database, platform.vault, events.city.register, [])
    platform.refresh()
    sent = []
    for number in range(events.due(0, now)):
        if events.is_status(number):
            what, operator, (text,) = events.texts(number)
            assert what is What.STATUS
            stamp = json.dumps({"TimeStamp": local(events.at(number)), "Seq": "0001"}).encode()
            sent.append(Message(Kind.TCEC_STATUS, operator, f"{number}", text.encode(), stamp))
    random.Random(3).shuffle(sent)
    messages.append(platform.database, sent, now * 1_000, committed_entry)
    judge = Judge(platform, tmp_path / "scratch")
    try:
        judge.settle(now * 1_000)
    finally:
        judge.close()
    Keeper(platform).settle(now * 1_000)
    reader = Occupancy(platform)
    start, end = (now - 40 * 3_600) // 3_600 * 3_600_000, (now - 38 * 3_600) // 3_600 * 3_600_000
    found = {r.key: r for r in reader.by_kind("connector", start, end, now=now * 1_000)}
    planned = taken_by_plan(events, start, end)
    assert sum(planned.values()) > 10 * HOUR
    for name, ms in planned.items():
        totals = found[name].totals
        assert int(totals[Column.CHARGING] + totals[Column.OCCUPIED]) == ms, name
    groups = reader.by_kind("district", start, end, now=now * 1_000)
    colours = reader.picture(groups)
    assert len(groups) > 1
    for group, colour in zip(groups, colours.colour, strict=True):
        members = [c for c in events.city.register.connectors if district_of(events, c) == group.key]
        taken = sum(planned.get(c.connector_id, 0) for c in members)
        idle = sum(int(found[c.connector_id].totals[Column.IDLE]) for c in members)
        seen = taken + idle >= len(members) * (end - start) / 2
        share = taken / (taken + idle) if taken + idle else 0
        want = "grey" if not seen else "red" if share >= 0.6 else "green" if share < 0.2 else "yellow"
        assert COLOURS[colour].value == want
    assert rows(platform, "select count(*) from status_late") == [(0,)]


def district_of(events: Events, connector: Connector) -> str | None:
    return next(s.district for s in events.city.register.stations if s.station_id == connector.station_id)


def taken_by_plan(events: Events, start_ms: int, end_ms: int) -> dict[str, int]:
    """Return how long each connector was taken by the city's plan: its sessions less their power failures."""
    plan, world, orders = events.span.plan, events.world, events.span.orders
    billed = set(orders.session[orders.keep].tolist())
    found: dict[str, int] = {}
    for n in range(len(plan)):
        if n not in billed or plan.fake_of[n] >= 0:
            continue
        begin = (int(plan.start[n]) + world.start_utc_s) * 1_000
        spans = [(begin, begin + int(plan.duration[n]) * 1_000, 1)]
        if plan.outage_s[n] > 0:
            failure = begin + int(plan.outage_at_s[n]) * 1_000
            spans.append((failure, failure + int(plan.outage_s[n]) * 1_000, -1))
        for a, b, sign in spans:
            length = max(0, min(b, end_ms) - max(a, start_ms))
            if length:
                name = world.connector_code[int(plan.connector[n])]
                found[name] = found.get(name, 0) + sign * length
    return found
