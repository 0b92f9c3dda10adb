"""One session and one charger as the regulator reads them: whole, as one history, and of his districts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from anxin.domain.message import Kind
from anxin.domain.party import Party, Role
from anxin.flow.assured import keep_assured
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import messages
from tests.platform.live_city import AS_OF_UTC_MS, enrolled
from tests.platform.test_bench_seal import EVENTS, event, send
from tests.platform.web import Caller, serving


@pytest.fixture
def judge(platform: Platform, tmp_path: Path) -> Any:
    city = enrolled(platform, chargers=12, days=2, cheats=0)
    messages.append(platform.database, city.messages, AS_OF_UTC_MS - 1_000, committed_entry)
    found = Judge(platform, tmp_path / "scratch")
    found.settle(AS_OF_UTC_MS)
    keep_assured(platform)
    yield found
    found.close()


def test_a_session_stands_side_by_side_and_a_charger_is_one_history(platform: Platform, judge: Judge) -> None:
    with serving(platform) as url:
        inspector = Caller(platform, url, Party("inspector", Role.INSPECTOR, "检查员"))
        verdict = next(v for v in inspector.get("/api/verdicts?limit=50")[1] if v["state"] == "agree")
        status, found = inspector.get(f"/api/verdicts/{quote(verdict['session_key'], safe=':')}")
        assert status == 200
        assert [o["order_id"] for o in found["orders"]] == [verdict["order_id"]]
        assert [r["record_id"] for r in found["records"]] == [verdict["record_id"]]
        assert found["orders"][0]["energy_milli_wh"] == verdict["order_energy_milli_wh"]
        assert {m["kind"] for m in found["messages"]} == {Kind.TCEC_ORDER.value, Kind.METER_ENVELOPE.value}
        charger = found["charger_id"]
        assert inspector.get(f"/api/chargers?words={charger}")[1][0]["charger_id"] == charger
        status, document = inspector.get(f"/api/chargers/{charger}")
        assert status == 200, document
        assert verdict["session_key"] in {s["session_key"] for s in document["sessions"]}
        assert {r["code"] for r in document["assured"]["reasons"]} >= {"verified", "seals"}
        own = [r for r in document["readings"] if r["record_id"] == verdict["record_id"]]
        assert own[0]["end_register_milli_wh"] - own[0]["begin_register_milli_wh"] == own[0]["energy_milli_wh"]
        assert send(inspector, EVENTS, event(charger, "broken", now_utc_ms() - 1_000))[0] == 200
        judge.settle(AS_OF_UTC_MS)
        lines = inspector.get(f"/api/chargers/{charger}/history")[1]
        assert [line["at_utc_ms"] for line in lines] == sorted((line["at_utc_ms"] for line in lines), reverse=True)
        assert {line["kind"] for line in lines} >= {"meter", "firmware", "seal", "verification"}
        newest = lines[0]
        assert (newest["kind"], newest["what"], newest["said"]["irregular"]) == (
            "seal",
            "broken",
            "seal_broken_unordered",
        )
        # What it says of the log is true: there the event's message stands.
        assert inspector.get(f"/api/receipts/{newest['index']}")[1]["kind"] == Kind.SEAL_EVENT.value
        policy = inspector.get("/api/policy")[1]
        assert {"R04", "R30"} <= {r["id"] for r in policy["rules"]}
        assert all(v["source"] and v["status"] for v in policy["policy"]["values"].values())


def test_an_officer_of_a_district_sees_its_sessions_and_chargers_alone(platform: Platform, judge: Judge) -> None:
    register = platform.directory.register
    district = register.stations[0].district or ""
    inside = {s.station_id for s in register.stations if s.district == district}
    own = next(c.charger_id for c in register.connectors if c.station_id in inside)
    other = next(c.charger_id for c in register.connectors if c.station_id not in inside)
    with serving(platform) as url:
        officer = Caller(platform, url, Party("officer", Role.INSPECTOR, "区检查员", None, districts=(district,)))
        inspector = Caller(platform, url, Party("inspector", Role.INSPECTOR, "检查员"))
        assert {c["district"] for c in officer.get("/api/chargers")[1]} == {district}
        for path in ("", "/history"):
            assert officer.get(f"/api/chargers/{own}{path}")[0] == 200
            absent = officer.get(f"/api/chargers/no-such{path}")
            assert officer.get(f"/api/chargers/{other}{path}") == absent
            assert absent[0] == 404
        for verdict in inspector.get("/api/verdicts?limit=200")[1]:
            status, told = officer.get(f"/api/verdicts/{quote(verdict['session_key'], safe=':')}")
            assert status == (200 if verdict["district"] == district else 404), told
