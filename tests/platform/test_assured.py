"""Assured: a state with reasons, which follows what happens, and which nobody has of whom too little is known."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.register import Seal, Verification
from anxin.flow.assured import AssuredConnectors, keep_assured
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import assured as store
from anxin.store.assured import AssuredRow
from anxin.verification.assured import REASONS, ChargerFacts, reasons_of, seal_state
from tests.platform.live_city import enrolled
from tests.platform.public_world import IDLE, say
from tests.platform.test_bench_seal import EVENTS, INSPECTOR, event, send
from tests.platform.test_ocpp import judged
from tests.platform.web import Caller, serving

NOW = 1_790_000_000_000
WHOLE = (Seal("P", "H", "physical", 0), Seal("E", "H", "electronic", 0))
GOOD = ChargerFacts((Verification("H", "C", NOW - 10, NOW + 10),), WHOLE, True, False, False, False, True)


def test_every_reason_alone_can_take_it_away() -> None:
    assert set(reasons_of(GOOD, NOW).values()) == {True}
    worse: dict[str, list[dict[str, Any]]] = {
        "verified": [
            {"verifications": ()}, {"verifications": (Verification("H", "C", NOW - 20, NOW - 10),)},
            {"verifications": (*GOOD.verifications, Verification("H", "D", NOW - 5, NOW - 5, False))},
        ],
        "seals": [
            {"seals": ()}, {"seals": WHOLE[:1]}, {"seals": (WHOLE[0], Seal("E", "H", "electronic", 0, NOW))},
            # A second one of a kind that is whole does not mend the broken one.
            {"seals": (*WHOLE, Seal("Q", "H", "physical", 0, 5))},
        ],
        "meter": [{"keyed_meters": None}, {"keyed_meters": False}, {"firmware_fault": True}],
        "alarms": [{"grave_alarm": True}],
        "bias": [{"suspected": True}],
        "heard": [{"heard": None}, {"heard": False}],
    }  # fmt: skip
    assert set(worse) == set(REASONS)
    for code, changes in worse.items():
        for change in changes:
            found = reasons_of(dataclasses.replace(GOOD, **change), NOW)
            assert found.pop(code) is not True, change
            assert set(found.values()) == {True}, change


def test_a_seal_that_was_replaced_is_whole_again() -> None:
    seals = (Seal("P", "H", "physical", 0, 5, 9), WHOLE[1])
    assert reasons_of(dataclasses.replace(GOOD, seals=seals), NOW)["seals"] is True
    assert reasons_of(dataclasses.replace(GOOD, seals=seals), 7)["seals"] is False
    assert reasons_of(dataclasses.replace(GOOD, seals=seals), 4)["seals"] is True


@given(st.builds(
    ChargerFacts,
    st.lists(st.builds(Verification, st.just("H"), st.text(max_size=2), st.integers(0, 20), st.integers(0, 20),
                       st.booleans()), max_size=3),
    st.lists(st.builds(Seal, st.text(max_size=1), st.just("H"), st.sampled_from(["physical", "electronic"]),
                       st.integers(0, 9), st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)), max_size=4),
    st.none() | st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.none() | st.booleans(),
))  # fmt: skip
def test_nobody_is_assured_with_a_failed_last_verification_or_an_open_break(facts: ChargerFacts) -> None:
    if set(reasons_of(facts, 10).values()) == {True}:
        newest = max(v.verified_utc_ms for v in facts.verifications)
        assert all(v.passed for v in facts.verifications if v.verified_utc_ms == newest)
        assert not any(seal_state(s, 10) == "broken" for s in facts.seals)
        assert facts.keyed_meters
        assert facts.heard


def test_it_follows_a_seal_and_everyone_sees_the_reason(platform: Platform, tmp_path: Path) -> None:
    platform.settings = dataclasses.replace(platform.settings, public_burst=200, finder_burst=200)
    enrolled(platform, chargers=20, days=1, cheats=0)
    keep_assured(platform)

    def rows() -> dict[str, AssuredRow]:
        with platform.database.transaction() as connection:
            return {r.charger_id: r for r in store.rows(connection)}

    # Nothing was ever heard of them: nobody is assured on the word of a register alone.
    chargers = platform.directory.connectors_of_charger
    assert rows().keys() == chargers.keys()
    assert not any(r.assured for r in rows().values())
    assert {tuple(r.unknown) for r in rows().values()} == {("heard",)}
    operator = platform.directory.register.operators[0].operator_id
    own = [c.connector_id for c in platform.directory.register.connectors if c.operator_id == operator]
    say(platform, tmp_path / "words", operator, dict.fromkeys(own, IDLE))
    assert keep_assured(platform) == len({platform.directory.connectors[c].charger_id for c in own})
    assured = {c for c, r in rows().items() if r.assured}
    assert assured
    assert {c.operator_id for charger in assured for c in chargers[charger]} == {operator}
    charger = min(assured)
    with serving(platform) as url:
        before = httpx.get(f"{url}/public/v1/chargers/{charger}").json()["assured"]
        assert before["assured"] is True
        assert {r["met"] for r in before["reasons"]} == {True}
        inspector = Caller(platform, url, INSPECTOR)
        assert send(inspector, EVENTS, event(charger, "broken", now_utc_ms() - 60_000))[0] == 200
        judged(platform, tmp_path)
        assert keep_assured(platform) == 1
        after = httpx.get(f"{url}/public/v1/chargers/{charger}").json()["assured"]
        assert after["assured"] is False
        assert [r["code"] for r in after["reasons"] if not r["met"]] == ["seals"]
        assert "不是安心桩" in httpx.get(f"{url}/c/{charger}").text
        # The finder shows those that are, and no other.
        place = httpx.get(f"{url}/public/v1/stations.geojson").json()["features"][0]["geometry"]["coordinates"]
        query = {"lat": place[1], "lon": place[0], "crs": "WGS-84", "limit": 200, "assured": "true"}
        end = time.monotonic() + 20
        while True:
            found = httpx.get(f"{url}/public/v1/connectors/nearest", params=query).json()
            shown = {c["charger_id"] for c in found.get("connectors", ())}
            if shown == assured - {charger}:
                break
            assert time.monotonic() < end, (shown, assured)
            time.sleep(0.3)
    # Computed again nothing changes, and one that leaves the register is assured no more.
    assert keep_assured(platform) == 0
    assert AssuredConnectors(platform)()[chargers[min(shown)][0].connector_id] is True
    with platform.database.transaction() as connection:
        connection.execute("delete from register_entry where kind = 'connector' and body ->> 'charger_id' = %s",
                           (min(shown),))  # fmt: skip
        connection.execute("update counter set value = value + 1 where name = 'register_version'")
    assert keep_assured(platform) == 1
    assert not rows()[min(shown)].assured
