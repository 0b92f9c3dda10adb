"""Who reads what of surveillance: the list is the regulator's, quality is each operator's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from anxin.cli.main import main
from anxin.domain.party import Party, Role
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.flow.surveillance import DAY_MS, Watch
from anxin.store.surveillance import asked_again, watch_lock
from anxin.store.verdicts import Scope, Standing, Verdict, exchange_verdicts
from tests.platform.live_city import enrolled
from tests.platform.web import Caller, operators, serving

WH = 1_000
LEANING_DAYS, EACH = 25, 4


@pytest.fixture
def url(platform: Platform) -> Iterator[str]:
    with serving(platform) as found:
        yield found


class World:
    """One leaning charger and one honest one, of two operators, up to today; and some lost records."""

    def __init__(self, platform: Platform) -> None:
        enrolled(platform, chargers=12, days=1, cheats=0)
        connectors = platform.directory.register.connectors
        self.own, self.other = operators(platform)[:2]
        self.leaning = next(c for c in connectors if c.operator_id == self.own.operator_id)
        self.honest = next(c for c in connectors if c.operator_id == self.other.operator_id)
        today = now_utc_ms() // DAY_MS
        verdicts = []
        for n in range(LEANING_DAYS * EACH):
            start = (today - LEANING_DAYS + n // EACH) * DAY_MS + n % EACH * 3_600_000
            one = Verdict(
                f"order:L{n}", "agree", "id", self.leaning.connector_id, self.own.operator_id, f"L{n}", f"r{n}", start,
                start + 1_800_000, 20_006 * WH, 20_000 * WH, 1, 0, 10 * WH, WH,
            )  # fmt: skip
            verdicts.append(one)
            verdicts.append(
                replace(one, session_key=f"order:H{n}", place=self.honest.connector_id, order_id=f"H{n}",
                        operator_id=self.other.operator_id, order_energy_milli_wh=20_000 * WH,
                        record_id=None if n < 3 else f"h{n}", state="order_only" if n < 3 else "agree")
            )  # fmt: skip
        with platform.database.transaction() as connection:
            scope = Scope([self.leaning.connector_id, self.honest.connector_id], 0, 1 << 60)
            exchange_verdicts(connection, scope, verdicts, Standing("p", "s", 0, 0))
        Watch(platform).settle()
        stations = platform.directory.stations
        self.district = stations[self.leaning.station_id].district
        self.other_district = next(s.district for s in stations.values() if s.district != self.district)


@pytest.fixture
def world(platform: Platform) -> World:
    return World(platform)


def inspector(platform: Platform, url: str, name: str = "inspector-1", districts: tuple[str, ...] = ()) -> Caller:
    return Caller(platform, url, Party(name, Role.INSPECTOR, "检查员", districts=districts))


def test_the_list_names_the_leaning_charger_with_evidence_that_can_be_drawn(
    platform: Platform, url: str, world: World
) -> None:
    caller = inspector(platform, url)
    status, found = caller.get("/api/surveillance")
    assert status == 200
    chargers = [e for e in found["entries"] if e["kind"] == "charger"]
    assert chargers[0]["subject_id"] == world.leaning.charger_id
    assert chargers[0]["reasons"][0]["kind"] == "lean_up"
    assert chargers[0]["reasons"][0]["figures"]["sum_milli_wh"] == LEANING_DAYS * EACH * 6 * WH
    assert "no verdict" in found["note"]["en"]
    assert world.honest.charger_id not in {e["subject_id"] for e in chargers if e["reasons"][0]["kind"] != "lost"}
    status, found = caller.get(f"/api/surveillance/chargers/{world.leaning.charger_id}")
    assert status == 200
    path = found["walks"]["lean_up"]
    assert len(path["points"]) == LEANING_DAYS
    assert [p["day"] for p in path["points"] if p["sum"] >= path["upper"]] == path["alerts"] != []
    assert path["lower"] < 0 < path["upper"]
    assert sum(d["lean_count"] for d in found["days"]) == LEANING_DAYS * EACH
    assert caller.get("/api/surveillance/chargers/nobody")[0] == 404


def test_filters_and_districts_bound_the_list(platform: Platform, url: str, world: World) -> None:
    caller = inspector(platform, url)

    def subjects(who: Caller, query: str) -> set[str]:
        status, found = who.get(f"/api/surveillance?{query}")
        assert status == 200
        return {e["subject_id"] for e in found["entries"]}

    assert subjects(caller, f"operator={world.own.operator_id}&reason=lean_up") == {world.leaning.charger_id}
    assert subjects(caller, f"operator={world.other.operator_id}&reason=lean_up") == set()
    assert world.leaning.charger_id in subjects(caller, f"district={world.district}")
    assert world.leaning.charger_id not in subjects(caller, f"district={world.other_district}")
    assert caller.get("/api/surveillance?reason=invented")[0] == 422
    assert caller.get("/api/surveillance?limit=100000")[0] == 422
    assert caller.get("/api/surveillance?district=%00")[0] == 422
    elsewhere = inspector(platform, url, "inspector-2", (str(world.other_district),))
    assert world.leaning.charger_id not in subjects(elsewhere, f"district={world.district}")
    assert elsewhere.get(f"/api/surveillance/chargers/{world.leaning.charger_id}")[0] == 404


def test_no_operator_reads_the_list_whatever_he_asks(platform: Platform, url: str, world: World) -> None:
    for role in (Role.OPERATOR, Role.ENGINEER, Role.MANAGER):
        party = replace(world.own, party_id=f"{world.own.party_id}-{role}", role=role)
        caller = Caller(platform, url, party)
        for path in ("", "/silent", f"/chargers/{world.leaning.charger_id}"):
            assert caller.get(f"/api/surveillance{path}")[0] in (401, 403, 404)


def test_an_operator_sees_his_own_quality_and_the_rows_behind_it(platform: Platform, url: str, world: World) -> None:
    caller = Caller(platform, url, world.other)
    status, (own,) = caller.get("/api/quality")
    assert status == 200
    assert own["operator_id"] == world.other.operator_id
    total = LEANING_DAYS * EACH
    complete = own["dimensions"][0]
    assert (complete["name"], complete["bad"], complete["total"]) == ("completeness", 3, total)
    assert complete["share_ppm"] == 1_000_000 * (total - 3) // total
    status, rows = caller.get(f"/api/quality/{world.other.operator_id}/rows?dimension=completeness")
    assert status == 200
    assert {r["key"] for r in rows["rows"]} == {"order:H0", "order:H1", "order:H2"}
    assert {r["verdict"]["state"] for r in rows["rows"]} == {"order_only"}
    assert caller.get(f"/api/quality/{world.other.operator_id}/rows?dimension=beauty")[0] == 422
    assert caller.get(f"/api/quality/{world.other.operator_id}/rows?dimension=accuracy&before=x")[0] == 422
    # A foreign operator and one that does not exist sound alike.
    foreign = caller.get(f"/api/quality/{world.own.operator_id}/rows?dimension=completeness")
    assert foreign[0] == 404
    assert foreign == caller.get("/api/quality/NOBODY/rows?dimension=completeness")


def test_the_regulator_sees_every_operator_s_quality_page_by_page(platform: Platform, url: str, world: World) -> None:
    caller = inspector(platform, url)
    status, found = caller.get("/api/quality")
    assert status == 200
    assert {q["operator_id"] for q in found} == {world.own.operator_id, world.other.operator_id}
    scores = [q["score_ppm"] for q in found]
    assert scores == sorted(scores)
    base = f"/api/quality/{world.other.operator_id}/rows?dimension=completeness&limit=1"
    seen: list[str] = []
    following: Any = ""
    while following is not None:
        status, page = caller.get(base + (f"&before={following}" if following else ""))
        assert status == 200
        seen += [r["key"] for r in page["rows"]]
        following = page["next"]
    assert sorted(seen) == ["order:H0", "order:H1", "order:H2"]


def test_the_command_prints_list_and_quality_and_counts_anew(
    platform: Platform, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANXIN_DATABASE_URL", platform.database.url)
    words = ["surveillance", "--data", str(platform.settings.data_dir)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert world.leaning.charger_id in {e["subject_id"] for e in found["entries"]}
    with platform.database.transaction() as connection:
        connection.execute("update surveillance_subject set score = 0, reasons = '[]'")
    assert main([*words, "--again", "--operator", str(world.own.operator_id)]) == 0
    told = capsys.readouterr().out
    assert world.leaning.charger_id in told
    assert "no verdict" in told
    assert "completeness 100.00 %" in told
    with watch_lock(platform.database):
        assert main([*words, "--again"]) == 0
    assert "counts everything anew" in capsys.readouterr().out
    assert asked_again(platform.database)
    Watch(platform).settle()
    assert not asked_again(platform.database)


def test_who_falls_silent_is_listed_and_who_comes_back_is_not(platform: Platform, url: str, world: World) -> None:
    caller = inspector(platform, url)
    watch, now = Watch(platform), now_utc_ms()

    def silent() -> set[str]:
        status, found = caller.get("/api/surveillance/silent")
        assert status == 200
        assert all(any(r["kind"] == "silent" for r in e["reasons"]) for e in found["entries"])
        return {e["subject_id"] for e in found["entries"]}

    assert silent() == set()
    watch.sweep(now + 60 * DAY_MS)
    assert silent() == {
        world.leaning.charger_id, world.honest.charger_id, world.own.operator_id, world.other.operator_id,
    }  # fmt: skip
    watch.sweep(now)
    assert silent() == set()
