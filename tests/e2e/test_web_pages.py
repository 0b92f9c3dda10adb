"""All three faces open in Chromium, in both languages and themes, and ask nobody but the platform."""

from __future__ import annotations

import httpx
import pytest
from shapely.geometry import Point, shape

from tests.e2e.conftest import City, Watch, log_in, serious
from tests.platform.openapi import FOLDER, documents

pytestmark = pytest.mark.xdist_group("web")
FACES = {"driver": None, "portal": "engineer", "console": "inspector"}


def _url(city: City, face: str) -> str:
    return f"{city.regulator if face == 'console' else city.outer}/{face}/"


@pytest.mark.parametrize("face", FACES)
def test_a_face_opens_in_both_languages_and_themes(face: str, city: City, watch: Watch) -> None:
    for locale, scheme, title in (("zh-CN", "light", "安心充电"), ("en-GB", "dark", "Anxin Charging")):
        page = watch.open(_url(city, face), locale=locale, color_scheme=scheme)
        page.get_by_text(title).first.wait_for()
        assert page.evaluate("document.documentElement.lang") == locale.replace("en-GB", "en")
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")
        assert not serious(page)
        page.context.close()


@pytest.mark.parametrize(("face", "login"), [("portal", "manager"), ("console", "auditor")])
def test_whoever_logs_in_sees_his_name(face: str, login: str, city: City, watch: Watch) -> None:
    page = watch.open(_url(city, face))
    log_in(page, city, login)
    page.get_by_text({"manager": "沈芳", "auditor": "冯岚"}[login]).wait_for()


def test_a_wrong_password_is_told_in_words(city: City, watch: Watch) -> None:
    page = watch.open(_url(city, "console"))
    page.locator("#login").fill("inspector")
    page.locator("#password").fill("no such password")
    page.locator("button[type=submit]").click()
    page.get_by_role("alert").wait_for()


def test_pages_are_served_compressed_with_a_strict_policy(city: City) -> None:
    found = httpx.get(_url(city, "driver"), headers={"accept-encoding": "br"})
    assert found.status_code == 200
    assert found.headers["content-encoding"] == "br"
    assert found.headers["cache-control"] == "no-cache"
    assert "script-src 'self';" in found.headers["content-security-policy"]
    again = httpx.get(_url(city, "driver"), headers={"if-none-match": found.headers["etag"], "accept-encoding": "br"})
    assert again.status_code == 304
    assert httpx.get(f"{city.outer}/driver/../../settings.py").status_code == 404
    assert httpx.get(f"{city.outer}/console/").status_code == 404


def test_the_documents_that_the_pages_are_typed_by_are_those_of_the_apps() -> None:
    for side, text in documents().items():
        assert (FOLDER / f"{side}.json").read_text("utf-8") == text, "run make client"


def test_maps_get_outlines_and_places_in_one_system(city: City) -> None:
    land = httpx.get(f"{city.outer}/public/v1/outlines.geojson").json()
    names = {one["properties"]["name"] for one in land["features"]}
    assert names
    headers = {"authorization": f"Bearer {city.token('inspector')}"}
    found = httpx.get(f"{city.regulator}/api/places", headers=headers).json()
    assert len(found["connector_no"]) >= len(set(found["charger_id"])) > 100
    assert {s["district"] for s in found["stations"]} >= names
    shapes = {f["properties"]["name"]: shape(f["geometry"]).buffer(0.003) for f in land["features"]}
    placed = [s for s in found["stations"] if s["longitude"] is not None and s["district"] in shapes]
    # The city places its stations inside their districts; half a kilometre beside would be another system.
    assert placed
    assert all(shapes[s["district"]].contains(Point(s["longitude"], s["latitude"])) for s in placed)
    operator = next(iter({s["operator_id"] for s in found["stations"]}))
    own = httpx.get(f"{city.outer}/api/places", headers={"authorization": f"Bearer {city.token(operator)}"}).json()
    assert {s["operator_id"] for s in own["stations"]} == {operator}
    assert 0 < len(own["connector_no"]) < len(found["connector_no"])
