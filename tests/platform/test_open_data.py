"""Open data over HTTP: OCPI against the models of another implementation, GeoJSON by shapely, CSV by the csv module."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapely

from anxin.domain.connector_status import State
from anxin.domain.coordinates import Crs, Point
from anxin.domain.errors import BusyError
from anxin.domain.register import Connector, Operator, Station
from anxin.faces.open_data import Downloads
from anxin.finder.index import Index, Row
from anxin.flow import open_data
from anxin.flow.finder import Finder, Site, Snapshot
from anxin.flow.platform import Platform
from anxin.formats.ocpi_published import STATUS, object_id
from tests.platform.public_world import CHARGING, FAULT, IDLE, OFFLINE, OP, known, say
from tests.platform.web import serving

#: py_ocpi (extrawest_ocpi) is written for pydantic 1: its models alone are loaded, on the copy that pydantic 2 carries.
CHECK = """
import json, sys, types
import pydantic.v1, pydantic.v1.fields, pydantic.v1.networks, pydantic.v1.utils
for name in [n for n in sys.modules if n.startswith("pydantic.v1")]:
    sys.modules["pydantic" + name[len("pydantic.v1"):]] = sys.modules[name]
from importlib.machinery import PathFinder
package = types.ModuleType("py_ocpi")
package.__path__ = list(PathFinder.find_spec("py_ocpi").submodule_search_locations)
sys.modules["py_ocpi"] = package
from py_ocpi.modules.locations.v_2_2_1.schemas import Location
for value in json.load(sys.stdin):
    Location(**value)
print("valid")
"""


@pytest.fixture
def url(platform: Platform, tmp_path: Path) -> Iterator[str]:
    known(platform)
    say(platform, tmp_path, OP, {"C1-1": IDLE, "C1-2": CHARGING, "C2-1": OFFLINE, "C2-2": FAULT}, ago_s=3_600)
    with serving(platform) as found:
        end = time.monotonic() + 20
        while httpx.get(f"{found}/public/v1").status_code == 503 and time.monotonic() < end:
            time.sleep(0.05)
        yield f"{found}/public/v1"


def get(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=30, **more)


def valid(locations: list[Any]) -> str:
    """Return what the other implementation says of locations."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK], input=json.dumps(locations), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if "find_spec" in done.stderr or "NoneType" in done.stderr:
        pytest.skip("py_ocpi is not here: pip install --no-deps extrawest_ocpi==2025.7.16")
    return done.stdout.strip() or done.stderr[-2_000:]


def test_locations_hold_against_another_implementation(url: str) -> None:
    body = get(f"{url}/ocpi/2.2.1/locations").json()
    assert body["status_code"] == 1000
    assert valid(body["data"]) == "valid"
    for location in body["data"]:
        # Its models do not look at these (mod_locations, GeoLocation; types, DateTime).
        assert re.fullmatch(r"-?[0-9]{1,2}\.[0-9]{5,7}", location["coordinates"]["latitude"])
        assert re.fullmatch(r"-?[0-9]{1,3}\.[0-9]{5,7}", location["coordinates"]["longitude"])
        assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", location["last_updated"])
    # The instrument sees faults: a status, a coordinate, a missing field.
    for broken in (
        {"evses": [body["data"][0]["evses"][0] | {"status": "IDLE"}]},
        {"coordinates": {"latitude": "22.5"}},
        {"address": "x" * 46},
        {"last_updated": None},
        {"evses": [body["data"][0]["evses"][0] | {"connectors": [{"id": "1"}]}]},
    ):
        assert "ValidationError" in valid([body["data"][0] | broken])


def test_locations_say_what_the_register_and_the_states_say(url: str) -> None:
    found = {location["id"]: location for location in get(f"{url}/ocpi/2.2.1/locations").json()["data"]}
    assert list(found) == ["440304001", "440304002", "440304003", "KR-1"]
    first = found["440304001"]
    assert (first["country"], first["city"], first["publish"]) == ("CHN", "福田区", True)
    assert first["opening_times"] == {"twentyfourseven": True}
    assert first["coordinates"]["longitude"].startswith("114.054")  # WGS-84, where the register states GCJ-02
    states = {e["uid"]: e["status"] for location in found.values() for e in location["evses"]}
    assert states == {
        "C1-1": "AVAILABLE", "C1-2": "CHARGING", "C2-1": "UNKNOWN", "C2-2": "OUTOFORDER", "C2-3": "UNKNOWN",
        "C3-1": "UNKNOWN", "K1": "UNKNOWN",
    }  # fmt: skip
    # K2 is abroad and states no plug: none is guessed there. In China GB/T 20234 is the only one.
    assert first["evses"][0]["connectors"][0] | {"last_updated": ""} == {
        "id": "1", "standard": "GBT_DC", "format": "CABLE", "power_type": "DC", "max_voltage": 1000,
        "max_amperage": 120, "max_electric_power": 120_000, "last_updated": "",
    }  # fmt: skip
    assert set(STATUS) == set(State)


def test_pages_and_headers_are_those_of_ocpi(url: str) -> None:
    seen, link, pages = [], f"{url}/ocpi/2.2.1/locations?limit=3", 0
    while link:
        answer = get(link)
        assert answer.headers["x-total-count"] == "4"
        assert answer.headers["x-limit"] == "1000"
        seen += [location["id"] for location in answer.json()["data"]]
        link = answer.links.get("next", {}).get("url", "")
        pages += 1
    assert (seen, pages) == (["440304001", "440304002", "440304003", "KR-1"], 2)
    assert get(f"{url}/ocpi/2.2.1/locations?offset=99").json()["data"] == []
    versions = get(f"{url}/ocpi/versions").json()["data"]
    (endpoint,) = get(versions[0]["url"]).json()["data"]["endpoints"]
    assert (endpoint["identifier"], endpoint["role"]) == ("locations", "SENDER")
    assert get(endpoint["url"]).json()["status_code"] == 1000


def test_only_what_changed_is_asked_for(platform: Platform, url: str, tmp_path: Path) -> None:
    base = f"{url}/ocpi/2.2.1/locations"
    everything = get(base).json()["data"]
    latest = max(location["last_updated"] for location in everything)
    future = datetime.fromtimestamp(time.time() + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert get(f"{base}?date_from={future}").json()["data"] == []
    assert len(get(f"{base}?date_to={future}").json()["data"]) == 4
    assert latest < future
    time.sleep(1.1)
    mark = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.1)
    say(platform, tmp_path, OP, {"C2-3": IDLE})
    end = time.monotonic() + 20
    while not (fresh := get(f"{base}?date_from={mark}").json()["data"]) and time.monotonic() < end:
        time.sleep(0.2)
    assert [location["id"] for location in fresh] == ["440304002"]
    assert get(f"{base}?date_from=yesterday").status_code == 422
    assert get(f"{base}?date_from=2026-02-31T00:00:00Z").status_code == 422


def test_one_location_evse_and_connector(url: str) -> None:
    base = f"{url}/ocpi/2.2.1/locations"
    location = get(f"{base}/440304001").json()["data"]
    assert get(f"{base}/440304001/C1-2").json()["data"] == location["evses"][1]
    assert get(f"{base}/kr-1/k1/1").json()["data"]["standard"] == "IEC_62196_T1_COMBO"
    for absent in ("nowhere", "440304001/C9", "440304001/C1-1/2", "440304009"):
        answer = get(f"{base}/{absent}")
        assert (answer.status_code, answer.json()["status_code"]) == (404, 2003)


def test_ids_that_ocpi_cannot_bear_are_named_by_their_digest() -> None:
    assert object_id("440304001") == "440304001"
    for name in ("站", "x" * 37, ""):
        assert len(object_id(name)) == 36
        assert object_id(name) == object_id(name)


@pytest.mark.parametrize("name", ["stations.geojson", "states.geojson"])
def test_geojson_is_read_by_shapely(url: str, name: str) -> None:
    answer = get(f"{url}/{name}")
    assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    assert (document["licence"], document["type"]) == ("CC-BY-4.0", "FeatureCollection")
    assert datetime.fromisoformat(document["generated"]).tzinfo is not None
    points = shapely.from_geojson(answer.text)
    assert [p.geom_type for p in points.geoms] == ["Point"] * 4
    assert shapely.box(114.0, 22.5, 114.1, 22.6).contains(points.geoms[0])
    assert "crs" not in document  # RFC 7946: WGS-84, and nothing else
    connectors = {c["connector_id"]: c for f in document["features"] for c in f["properties"]["connectors"]}
    assert len(connectors) == 8
    if name == "states.geojson":
        assert {c["assured"] for c in connectors.values()} == {"unknown"}
        assert [connectors[c]["state"] for c in ("C1-1", "C2-1", "C2-2", "C2-3")] == [
            "idle", "offline", "fault", "unknown",
        ]  # fmt: skip


def test_tables_are_csv_with_licence_and_freshness(url: str) -> None:
    answer = get(f"{url}/connectors.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 8
    assert rows[0]["connector_id"] == "C1-1"
    assert (rows[0]["longitude_gcj02"], rows[0]["power_w"]) == ("114.0593", "120000")
    assert rows[0]["longitude_wgs84"] != rows[0]["longitude_gcj02"]
    assert {row["licence_url"] for row in rows} == {"https://creativecommons.org/licenses/by/4.0/"}
    (hostile,) = {row["station_name"] for row in rows if row["station_id"] == "440304003"}
    assert hostile.startswith("'=")  # no formula in anybody's spreadsheet
    states = {row["connector_id"]: row for row in csv.DictReader(io.StringIO(get(f"{url}/states.csv").text))}
    assert states["C1-1"]["state"] == "idle"
    assert states["C1-1"]["price_total"] in ("0.7512", "1.4001")
    assert states["K1"]["price_total"] == ""
    age = datetime.fromisoformat(states["C1-1"]["written"]) - datetime.fromisoformat(states["C1-1"]["since"])
    assert 3_590 < age.total_seconds() < 3_700


def test_who_has_it_is_told_that_nothing_is_newer(platform: Platform, url: str, tmp_path: Path) -> None:
    for name in ("stations.geojson", "connectors.csv"):
        first = get(f"{url}/{name}")
        tag, changed = first.headers["etag"], first.headers["last-modified"]
        assert get(f"{url}/{name}", headers={"if-none-match": tag}).status_code == 304
        assert get(f"{url}/{name}", headers={"if-none-match": f'"x", {tag}'}).status_code == 304
        assert get(f"{url}/{name}", headers={"if-modified-since": changed}).status_code == 304
        assert get(f"{url}/{name}", headers={"if-none-match": '"x"', "if-modified-since": changed}).status_code == 200
        assert get(f"{url}/{name}", headers={"if-modified-since": "last week"}).status_code == 200
    static = get(f"{url}/stations.geojson").headers["etag"]
    dynamic = get(f"{url}/states.csv").headers["etag"]
    say(platform, tmp_path, OP, {"C1-1": CHARGING})
    end = time.monotonic() + 20
    while get(f"{url}/states.csv").headers["etag"] == dynamic and time.monotonic() < end:
        time.sleep(0.2)
    fresh = get(f"{url}/states.csv", headers={"if-none-match": dynamic})
    assert fresh.status_code == 200
    assert "C1-1,440304001,charging" in fresh.text
    assert get(f"{url}/stations.geojson", headers={"if-none-match": static}).status_code == 304


def test_some_downloads_at_once_and_places_come_back() -> None:
    downloads = Downloads(2)
    first, second = downloads.counted(iter([b"a", b"b"])), downloads.counted(iter([b"a"]))
    with pytest.raises(BusyError):
        downloads.counted(iter([]))
    assert b"".join(second) == b"a"
    third = downloads.counted(iter([b"c"]))
    del first  # a client that leaves before the first piece
    assert b"".join(third) == b"c"
    fourth, fifth = downloads.counted(iter([b"d"])), downloads.counted(iter([b"e"]))
    assert [*fourth, *fifth] == [b"d", b"e"]


def test_the_catalogue_names_everything(url: str) -> None:
    found = get(url).json()
    assert (found["stations"], found["connectors"], found["stations_without_place"]) == (4, 8, 1)
    for address in found["data"].values():
        assert get(address, params={"lat": 22, "lon": 114, "crs": "WGS-84"}).status_code == 200


def test_a_large_city_goes_out_in_small_pieces(platform: Platform) -> None:
    finder, stations, plugs = Finder(platform), 5_000, 4
    sites = {}
    for n in range(stations):
        place = Point(113 + n / 10_000, 22.5, Crs.WGS84)
        name = f"S{n:05d}"
        connectors = tuple(Connector(f"{name}-{p}", name, name, "O", 7_000, "AC") for p in range(plugs))
        station = Station(name, "O", f"{n} 号站", None, "113", "22.5", "WGS-84")
        sites[name] = Site(station, Operator("O", "运营商"), place, place, None, None, connectors, 1_000)
    rows = [Row(c.connector_id, s.wgs84, 7_000, "AC", "O") for s in sites.values() for c in s.connectors]
    finder.snapshot = Snapshot(1, sites, Index(rows), 0, 1_000)
    for write in (open_data.geojson, open_data.table):
        for kind in ("static", "dynamic"):
            tracemalloc.start()
            sizes = [len(piece) for piece in write(finder, kind)]
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert len(sizes) >= stations / open_data.PIECE
            assert max(sizes) < 400_000
            assert peak < 4_000_000 < sum(sizes) * 4
    document = json.loads(b"".join(open_data.geojson(finder, "dynamic")))
    assert len(document["features"]) == stations
    assert sum(len(f["properties"]["connectors"]) for f in document["features"]) == stations * plugs
    seen: list[str] = []
    while True:
        page, total = open_data.locations(finder, len(seen), open_data.MAX_PAGE)
        assert total == stations
        if not page:
            break
        seen += [location["id"] for location in page]
    assert seen == list(sites)
