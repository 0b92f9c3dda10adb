"""Siting over HTTP: a generated city with a planted hot spot, ranked, looked at, and relieved."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from anxin.city.build import build
from anxin.city.live import Events, LivePlan, plan_at
from anxin.domain.connector_status import State, StatusReport
from anxin.domain.message import Kind, Message
from anxin.domain.party import Party, Role
from anxin.flow import enrol
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.make_city import seal_upload
from anxin.flow.occupancy_keeping import Keeper
from anxin.flow.occupancy_places import places_of
from anxin.flow.platform import Platform
from anxin.flow.statuses import Said, keep_statuses
from anxin.store import messages
from anxin.store.verdicts import Scope, Standing, Verdict, exchange_verdicts
from tests.platform.test_occupancy import begin_at, local
from tests.platform.web import Caller, serving

HOUR, DAY, MINUTE = 3_600_000, 86_400_000, 60_000
#: Some days of October 2026 that are over.
NOW_S = 1_791_500_000
INSPECTOR = Party("insp", Role.INSPECTOR, "Inspector")


def city_with_a_hot_spot(platform: Platform, scratch: Any) -> tuple[str, list[str]]:
    """Keep what a city's connectors said, one cell's being taken all day; return the cell and its connectors."""
    plan = plan_at(NOW_S, chargers=60, seed=6)
    plan = LivePlan(plan.start, plan.begin_utc_s, plan.seed, plan.chargers, days=4, cheats=1)
    begin_at(platform, NOW_S // 3_600 - 60)
    events = Events(build(plan.options()), seal_upload, plan.begin_utc_s, statuses=True)
    enrol.enrol_register(platform.database, platform.vault, events.city.register, [])
    platform.refresh()
    places = places_of(platform.database, platform.directory, numbering=True)
    grouping = places.groupings["cell"]
    sizes = {k: int((grouping.of_row == n).sum()) for n, k in enumerate(grouping.keys)}
    cell = max(sizes, key=lambda k: (sizes[k], k))
    wanted = grouping.keys.index(cell)
    hot = [c.connector_id for n, c in enumerate(places.connectors) if c is not None and grouping.of_row[n] == wanted]
    sent = []
    for number in range(events.due(0, NOW_S)):
        if events.is_status(number):
            _, operator, (text,) = events.texts(number)
            if json.loads(text)["ConnectorStatusInfo"]["ConnectorID"] in hot:
                continue
            stamp = json.dumps({"TimeStamp": local(events.at(number)), "Seq": "0001"}).encode()
            sent.append(Message(Kind.TCEC_STATUS, operator, f"{number}", text.encode(), stamp))
    messages.append(platform.database, sent, NOW_S * 1_000, committed_entry)
    judge = Judge(platform, scratch)
    try:
        judge.settle(NOW_S * 1_000)
    finally:
        judge.close()
    _busy(platform, hot)
    Keeper(platform).settle(NOW_S * 1_000)
    return cell, hot


def _busy(platform: Platform, hot: list[str]) -> None:
    """Sessions of 55 minutes, one after the other, for two days."""
    first = (NOW_S * 1_000 - 2 * DAY) // HOUR * HOUR
    said, verdicts = [], []
    for n, connector in enumerate(hot):
        operator = platform.directory.connectors[connector].operator_id
        for at in range(first, NOW_S * 1_000 - HOUR, HOUR):
            for state, moment in ((State.CHARGING, at), (State.IDLE, at + 55 * MINUTE)):
                said.append(Said(StatusReport(connector, state, moment), moment, n, operator))
            verdicts.append(Verdict(f"v{n}/{at}", "agree", "id", connector, operator, f"o{n}/{at}", None, at,
                                    at + 55 * MINUTE, 30_000_000, 30_000_000, 400_000, 0))  # fmt: skip
    with platform.database.transaction() as connection:
        keep_statuses(connection, platform.directory, said, DAY)
        exchange_verdicts(connection, Scope(hot, 0, 1 << 60), verdicts, Standing("p", "s", NOW_S * 1_000, 1))


def test_the_hot_spot_of_a_city_is_first_and_more_chargers_relieve_it(platform: Platform, tmp_path: Any) -> None:
    cell, hot = city_with_a_hot_spot(platform, tmp_path / "scratch")
    month = datetime.fromtimestamp(NOW_S, UTC).strftime("%Y-%m")
    with serving(platform) as site:
        caller = Caller(platform, site, INSPECTOR)
        owner = next(p for p in platform.directory.parties.values() if p.role is Role.OPERATOR)
        found = caller.get(f"/api/siting/candidates?month={month}")[1]
        first = found["candidates"][0]
        assert (first["rank"], first["cell"]) == (1, cell)
        reasons = {r["name"]: r for r in first["reasons"]}
        assert all(r["unit"] for r in reasons.values())
        assert reasons["connectors"]["value"] == len(hot)
        assert reasons["blocked_sessions"]["value"] > 0
        assert reasons["red_hours"]["value"] >= 40
        assert found["from_utc_ms"] < found["to_utc_ms"]
        week = caller.get(f"/api/siting/cells/{cell}?month={month}")[1]
        assert [len(week[n]) for n in ("taken_ppm", "connectors", "blocked_per_hour", "free_m")] == [168] * 4
        asked: dict[str, Any] = {"cells": [cell], "k": 2, "month": month, "seed": 5}
        answer = caller.post("/api/siting/what-if", json=asked)[1]
        (one,) = answer["cells"]
        assert one["recorded"] >= 45 * len(hot)
        assert one["estimated_blocked"] > 0
        assert one["before"]["connectors"] + 2 == one["after"]["connectors"]
        assert one["after"]["mean_wait_ms"] < one["before"]["mean_wait_ms"]
        assert caller.post("/api/siting/what-if", json=asked)[1] == answer
        assert caller.post("/api/siting/what-if", json=asked | {"k": 0})[0] == 422
        assert caller.post("/api/siting/what-if", json=asked | {"cells": [cell] * 21})[0] == 422
        assert caller.post("/api/siting/what-if", json=asked | {"cells": ["8828308281fffff"]})[0] == 404
        assert caller.get("/api/siting/candidates?month=2026-13")[0] == 422
        assert Caller(platform, site, owner).get("/api/siting/candidates")[0] == 404  # not on the outer side
        assert caller.get("/api/siting/cells/8828308281fffff")[0] == 404
