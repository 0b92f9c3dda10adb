"""The nearest chargers for anyone: over HTTP, from real messages, and nothing kept of who asks."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from anxin.cli.main import main
from anxin.domain.connector_status import State
from anxin.domain.coordinates import Crs, Point, distance_m
from anxin.domain.register import Tariff, TariffPeriod
from anxin.finder.coordinates import converted
from anxin.finder.index import Wish
from anxin.finder.prices import prices_at
from anxin.flow import enrol
from anxin.flow.finder import Asked, Finder, find
from anxin.flow.finder_documents import e4_text, found_document
from anxin.flow.platform import Platform
from anxin.formats.register import load_register
from tests.platform.public_world import CHARGING, FAULT, HERE, IDLE, OFFLINE, OP, known, public_register, say
from tests.platform.web import serving
from tests.vectors.shared import SHARED

NEAREST = "/public/v1/connectors/nearest"


@pytest.fixture
def url(platform: Platform) -> Iterator[str]:
    known(platform)
    with serving(platform) as found:
        waited(found, lambda document: document.get("connectors"))
        yield found


def ask(url: str, **parameters: Any) -> httpx.Response:
    """Ask from HERE in WGS-84, where nothing else is said."""
    given: dict[str, Any] = {"lon": HERE[0], "lat": HERE[1], "crs": "WGS-84"} | parameters
    return httpx.get(f"{url}{NEAREST}", params=given, timeout=30)


def waited(url: str, until: Any, **parameters: Any) -> Any:
    """Return the answer once it is as wanted, or fail."""
    end = time.monotonic() + 20
    while True:
        document = ask(url, **parameters).json()
        if until(document):
            return document
        assert time.monotonic() < end, document
        time.sleep(0.1)


def names(document: Any) -> list[str]:
    return [c["connector_id"] for c in document["connectors"]]


def test_the_nearest_with_all_that_a_driver_needs(platform: Platform, url: str, tmp_path: Path) -> None:
    at = say(platform, tmp_path, OP, {"C1-1": IDLE, "C1-2": CHARGING, "C2-1": OFFLINE}, ago_s=90)
    document = waited(url, lambda d: d["connectors"][0]["state"] == "idle")
    assert names(document) == ["C1-1", "C1-2", "C2-1", "C2-2", "C2-3", "C3-1", "K1", "K2"]  # C9 has no place
    first = document["connectors"][0]
    # What T/CEC states is GCJ-02; the distance is that of the same place in WGS-84.
    place = converted(Point(114.0593, 22.5405, Crs.GCJ02), Crs.WGS84)
    assert first["distance_m"] == pytest.approx(distance_m(Point(*HERE, Crs.WGS84), place), abs=0.1)
    assert first["station"]["coordinates"] == {
        "WGS-84": {"longitude": round(place.longitude, 6), "latitude": round(place.latitude, 6)},
        "GCJ-02": {"longitude": 114.0593, "latitude": 22.5405},
    }
    assert first["station"] | {"coordinates": 0} == {
        "station_id": "440304001", "name": "市民中心站", "operator": {"operator_id": OP, "name": "深圳充电"},
        "address": "福中三路 1 号", "district": "福田区", "opening": "24/7", "open_24h": True, "coordinates": 0,
    }  # fmt: skip
    assert 90 <= first["age_s"] <= 100
    assert 90 <= first["heard_age_s"] <= 100
    assert first["since"].startswith(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(at / 1_000)))
    assert (first["power_kw"], first["current"], first["plug"]) == (120.0, "DC", None)
    energy = {"0.3512": "0.7512", "1.0001": "1.4001"}
    assert energy[first["price"]["energy"]] == first["price"]["total"]
    assert (first["price"]["service"], first["price"]["currency"]) == ("0.40", "CNY")
    states = {c["connector_id"]: (c["state"], c["age_s"]) for c in document["connectors"]}
    assert states["C2-1"][0] == "offline"  # offline, faulty and unknown stay apart
    assert states["C2-2"] == ("unknown", None)
    abroad = document["connectors"][-1]["station"]
    assert abroad["coordinates"]["WGS-84"] == abroad["coordinates"]["GCJ-02"]  # no shift outside China
    assert document["connectors"][-1]["price"] is None
    assert {document["licence"], document["publisher"]} == {"CC-BY-4.0", platform.settings.ocpi_name}


def test_nobody_is_shown_as_assured_whom_nobody_assured(platform: Platform, url: str) -> None:
    assert {c["assured"] for c in ask(url).json()["connectors"]} == {"unknown"}
    assert ask(url, assured=True).json()["connectors"] == []


def test_assurance_comes_from_its_hook(platform: Platform) -> None:
    known(platform)
    told = {"C2-2": True, "C2-3": False}
    finder = Finder(platform, lambda: told)
    finder.refresh()
    here = Point(*HERE, Crs.WGS84)
    _, found = find(finder, Asked(here, 20, Wish(assured=True)))
    assert [f.connector.connector_id for f in found] == ["C2-2"]
    answers = {f.connector.connector_id: f.assured for f in find(finder, Asked(here, 20, Wish()))[1]}
    assert (answers["C2-2"], answers["C2-3"], answers["C1-1"]) == (True, False, None)
    told.clear()  # an assurance that ends is gone with the next look
    finder.refresh()
    assert find(finder, Asked(here, 20, Wish(assured=True)))[1] == []


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"power_kw": 100}, ["C1-1", "C1-2", "C3-1", "K1", "K2"]),
        ({"power_kw": 120.001}, ["C3-1", "K1", "K2"]),
        ({"current": "AC"}, ["C2-1", "C2-2", "C2-3"]),
        ({"plug": "CHADEMO"}, ["C3-1"]),
        ({"operator": ["MA1KORE01", "nobody"]}, ["K1", "K2"]),
        ({"operator": "nobody"}, []),
        ({"open_24h": True}, ["C1-1", "C1-2"]),
        ({"max_price": "1.4001"}, ["C1-1", "C1-2", "C2-1", "C2-2", "C2-3", "C3-1"]),
        ({"max_price": "0.7511"}, []),
        ({"max_price": "99", "currency": "KRW"}, []),
        ({"within_km": 1}, ["C1-1", "C1-2"]),
        ({"limit": 3}, ["C1-1", "C1-2", "C2-1"]),
        ({"free": True}, ["C1-2"]),
        ({"free": True, "current": "AC"}, []),
    ],
)
def test_wishes(platform: Platform, url: str, tmp_path: Path, wish: dict[str, Any], expected: list[str]) -> None:
    say(platform, tmp_path, OP, {"C1-1": CHARGING, "C1-2": IDLE, "C2-1": FAULT})
    waited(url, lambda d: d["connectors"][1]["state"] == "idle")
    assert names(ask(url, **wish).json()) == expected


def test_the_system_of_the_point_must_be_named_and_counts(url: str) -> None:
    assert httpx.get(f"{url}{NEAREST}", params={"lon": 114, "lat": 22}).status_code == 422
    assert ask(url, crs="CGCS-2000").status_code == 422
    here = Point(*HERE, Crs.WGS84)
    told = ask(url).json()["connectors"]
    for crs in (Crs.GCJ02, Crs.BD09):
        place = converted(here, crs)
        same = ask(url, lon=place.longitude, lat=place.latitude, crs=crs.value).json()["connectors"]
        assert [c["connector_id"] for c in same] == [c["connector_id"] for c in told]
        for one, other in zip(same, told, strict=True):
            assert one["distance_m"] == pytest.approx(other["distance_m"], abs=0.2)
    mixed = ask(url, crs="GCJ-02").json()["connectors"]
    assert abs(mixed[0]["distance_m"] - told[0]["distance_m"]) > 100


@pytest.mark.parametrize(
    "bad",
    [{"lat": 91}, {"lon": "nan"}, {"lon": "inf"}, {"limit": 0}, {"limit": 201}, {"power_kw": -1}, {"within_km": 0},
     {"max_price": "-1"}, {"max_price": "0.12345"}, {"current": "BC"}, {"plug": "a b"}, {"currency": "Yuan"},
     {"operator": ["x" * 65]}, {"operator": ["x"] * 51}],
)  # fmt: skip
def test_what_no_question_can_be_is_refused(url: str, bad: dict[str, Any]) -> None:
    answer = ask(url, **bad)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_change_is_seen_within_two_seconds(platform: Platform, url: str, tmp_path: Path) -> None:
    for status, state in ((IDLE, "idle"), (CHARGING, "charging"), (IDLE, "idle")):
        say(platform, tmp_path, OP, {"C1-1": status})
        began = time.monotonic()
        waited(url, lambda d, s=state: d["connectors"][0]["state"] == s)
        assert time.monotonic() - began < 2
        time.sleep(1.1)  # states are stated by the second


def test_a_new_station_is_found_without_a_restart(platform: Platform, url: str) -> None:
    register = public_register()
    moved = replace(register.stations[0], longitude="114.0300")
    enrol.enrol_register(platform.database, platform.vault, replace(register, stations=(moved,)), [])
    waited(url, lambda d: d["connectors"][0]["connector_id"] == "C2-1")


def test_one_address_asks_no_faster_than_its_rate_and_everyone_may_cache(platform: Platform) -> None:
    platform.settings = replace(platform.settings, finder_rate_per_s=1, finder_burst=5)
    with serving(platform) as url:
        while (early := ask(url)).status_code == 503:  # not an empty answer that a cache would keep
            assert early.headers["retry-after"]
            assert "cache-control" not in early.headers
            time.sleep(0.1)
        answers = [ask(url) for _ in range(15)]
    assert {a.status_code for a in answers} == {200, 429}
    late = next(a for a in answers if a.status_code == 429)
    assert int(late.headers["retry-after"]) >= 1
    first = answers[0].headers
    assert first["cache-control"] == "public, max-age=5"
    assert first["access-control-allow-origin"] == "*"
    assert first["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in first


def test_the_point_is_kept_nowhere(
    platform: Platform, url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        logging.getLogger(name).setLevel(logging.WARNING)  # the caller's own
    place = {"lon": 114.061234, "lat": 22.547654}
    assert ask(url, **place).status_code == 200
    refused = ask(url, **place, crs="elsewhere")
    assert refused.status_code == 422
    out, err = capfd.readouterr()
    measures = platform.measures.text()
    kept = caplog.text + out + err + measures + refused.text + ask(url, **place).text
    assert "061234" not in kept
    assert "547654" not in kept


def test_a_word_that_nobody_repeats_becomes_unknown(platform: Platform, tmp_path: Path) -> None:
    known(platform)
    at = say(platform, tmp_path, OP, {"C1-1": IDLE})
    finder = Finder(platform)
    finder.refresh()
    here = Point(*HERE, Crs.WGS84)
    now, found = find(finder, Asked(here, 1, Wish(free=True)), at + finder.silence_ms)
    assert (found[0].state, now) == (State.IDLE, at + finder.silence_ms)
    late = at + finder.silence_ms + 1
    assert find(finder, Asked(here, 1, Wish(free=True)), late)[1] == []
    _, shown = find(finder, Asked(here, 1, Wish()), late)
    assert shown[0].state is State.UNKNOWN
    assert shown[0].word is not None  # its age is still told


def test_prices_follow_the_local_minute() -> None:
    day = 1_790_000_000_000 // 86_400_000 * 86_400_000  # midnight in UTC is eight in the morning there
    tariff = Tariff("T", "O", "CNY", day, day + 3_600_000 * 30, "Asia/Shanghai", 480)
    spans = [TariffPeriod("T", 0, 480, 1, 10), TariffPeriod("T", 480, 1440, 2, 20)]
    assert prices_at([tariff], spans, day - 1) == {}
    eight = prices_at([tariff], spans, day)["O"]
    assert (eight.energy_e4, eight.total_e4, eight.until_utc_ms) == (2, 22, day + 16 * 3_600_000)
    night = prices_at([tariff], spans, day + 16 * 3_600_000)["O"]
    assert (night.energy_e4, night.until_utc_ms) == (1, day + 24 * 3_600_000)
    last = prices_at([tariff], spans, day + 29 * 3_600_000)["O"]
    assert last.until_utc_ms == day + 30 * 3_600_000  # the tariff ends before its period
    two = Tariff("T2", "O", "CNY", day, None, "Asia/Shanghai", 480)
    assert prices_at([tariff, two], spans, day) == {}  # two at a time: none is guessed


def test_prices_are_exact_text() -> None:
    assert [e4_text(v) for v in (0, 1, 10, 3_512, 10_000, 14_001, 123_400)] == [
        "0.00", "0.0001", "0.001", "0.3512", "1.00", "1.4001", "12.34",
    ]  # fmt: skip


@pytest.mark.skipif(
    not (SHARED / "data" / "shenzhen_urbanev" / "inf.csv").is_file(),
    reason="the public data sets are not here (set SHARED to their folder)",
)
def test_the_second_city_loads_and_keeps_its_gaps(platform: Platform, tmp_path: Path) -> None:
    made = tmp_path / "shenzhen.json"
    assert main(["city", "urbanev", str(SHARED / "data" / "shenzhen_urbanev" / "inf.csv"), "--out", str(made)]) == 0
    register = load_register(made.read_bytes(), "shenzhen.json")
    enrol.enrol_register(platform.database, platform.vault, register, [])
    platform.refresh()
    finder = Finder(platform)
    finder.refresh()
    assert len(finder.snapshot.sites) == 1_362
    now, found = find(finder, Asked(Point(*HERE, Crs.WGS84), 20, Wish()))
    document = found_document(finder, now, found)["connectors"]
    distances = [c["distance_m"] for c in document]
    assert distances == sorted(distances)
    assert 0 < distances[-1] < 3_000
    assert {(c["power_kw"], c["current"], c["state"], c["price"]) for c in document} == {(None, None, "unknown", None)}
    assert find(finder, Asked(Point(*HERE, Crs.WGS84), 20, Wish(least_power_w=1)))[1] == []
