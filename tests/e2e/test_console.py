"""The inspector's story: the city live, an alarm followed to the two records, closed with a colleague."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.conftest import City, Watch, log_in, serious

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.xdist_group("web")

#: Page -> what has to be on it.
PAGES = {
    "#/": ".tile", "#/alarms": "tbody tr", "#/sessions": "tbody tr", "#/chargers": "tbody tr",
    "#/surveillance": ".panel", "#/quality": ".panel", "#/certificates": ".panel", "#/rules": ".el-collapse-item",
    "#/log": ".tile", "#/wall": ".tile",
}  # fmt: skip


@pytest.fixture(scope="module")
def seats(chromium: Browser, city: City) -> dict[str, Any]:
    """Who is logged in, as a browser keeps it: the second factor's code counts once in half a minute."""
    kept: dict[str, Any] = {}
    for login in ("inspector", "supervisor", "admin"):
        context = chromium.new_context(locale="zh-CN")
        page = context.new_page()
        page.goto(f"{city.regulator}/console/")
        log_in(page, city, login)
        kept[login] = context.storage_state()
        context.close()
    return kept


def _seat(watch: Watch, city: City, seats: dict[str, Any], login: str, path: str = "", **options: Any) -> Page:
    return watch.open(f"{city.regulator}/console/{path}", storage_state=seats[login], **options)


def _alarm(city: City, severity: str) -> int:
    headers = {"authorization": f"Bearer {city.token('inspector')}"}
    end = time.monotonic() + 120
    while True:
        url = f"{city.regulator}/api/alarms?state=open&severity={severity}"
        found = [a for a in httpx.get(url, headers=headers).json() if a["charger_id"]]
        if found:
            return int(found[0]["alarm_id"])
        assert time.monotonic() < end, f"no {severity} alarm"
        time.sleep(1)


def test_every_page_in_both_languages_and_themes(city: City, watch: Watch, seats: dict[str, Any]) -> None:
    for locale, scheme in (("zh-CN", "light"), ("en-GB", "dark")):
        page = _seat(watch, city, seats, "inspector", locale=locale, color_scheme=scheme)
        for path, there in PAGES.items():
            page.goto(f"{city.regulator}/console/{path}")
            page.locator(there).first.wait_for()
            page.wait_for_timeout(300)
            assert not serious(page), path
        page.context.close()


def test_the_map_draws_every_connector_and_rings_those_with_alarms(
    city: City, watch: Watch, seats: dict[str, Any]
) -> None:
    page = _seat(watch, city, seats, "inspector")
    page.locator(".legend").wait_for()
    headers = {"authorization": f"Bearer {city.token('inspector')}"}
    places = httpx.get(f"{city.regulator}/api/places", headers=headers).json()
    drawn = "(layer) => { const m = document.querySelector('.map').map; return m && m.isStyleLoaded()"
    drawn += " ? new Set(m.queryRenderedFeatures({layers: [layer]}).map(f => f.id)).size : 0 }"
    end = time.monotonic() + 90
    while (points := page.evaluate(drawn, "points")) < len(places["connector_no"]):
        assert time.monotonic() < end, f"{points} of {len(places['connector_no'])} points"
        page.wait_for_timeout(500)
    while not page.evaluate(drawn, "marks"):
        assert time.monotonic() < end, "no ring around a charger with an alarm"
        page.wait_for_timeout(500)
    # The filter of a district is followed by map and totals alike.
    district = next(s["district"] for s in places["stations"] if s["district"])
    own = [n for n in places["station"] if places["stations"][n]["district"] == district]
    page.locator(".head .el-select").first.click()
    page.locator(".el-select-dropdown__item", has_text=district).first.click()
    page.wait_for_function(
        "n => document.querySelectorAll('.tile b')[4].innerText.replace(/\\D/g, '') == n", arg=len(own)
    )
    # Another hour: the colours are those of the past.
    with page.expect_response(lambda r: "/api/occupancy/picture" in r.url and r.ok):
        page.locator(".time .el-slider__runway").click(position={"x": 40, "y": 3})


def test_an_alarm_is_followed_from_the_list_to_the_records_and_closed_with_a_colleague(
    city: City, watch: Watch, seats: dict[str, Any]
) -> None:
    number = _alarm(city, "grave")
    page = _seat(watch, city, seats, "inspector", f"#/alarms/{number}")
    page.locator(".sides").wait_for()
    assert page.locator(".sides tbody tr").count() >= 8
    page.get_by_text("签名", exact=True).wait_for()
    assert not serious(page)

    def act(at: Page, word: str, text: str, conclusion: str = "") -> None:
        at.locator(".choices").get_by_role("button", name=word).click()
        if conclusion:
            at.locator(".act .el-select").click()
            at.locator(".el-select-dropdown__item", has_text=conclusion).click()
        at.locator(".act textarea").fill(text)
        at.locator(".act form button[type=submit]").click()
        at.get_by_text("已完成").first.wait_for()

    act(page, "送运营商", "请说明该次充电。")
    page.locator(".head").get_by_text("已送运营商").wait_for()
    headers = {"authorization": f"Bearer {city.token('inspector')}"}
    operator = httpx.get(f"{city.regulator}/api/alarms/{number}", headers=headers).json()["operator_id"]
    theirs = {"authorization": f"Bearer {city.token(operator)}"}
    seen = httpx.get(f"{city.outer}/api/alarms/{number}", headers=theirs)
    said = {"version": seen.json()["version"], "text": "电能表送检。"}
    assert httpx.post(f"{city.outer}/api/alarms/{number}/answer", headers=theirs, json=said).status_code == 200
    # It comes to the open page by itself.
    page.locator(".timeline").get_by_text("电能表送检。").wait_for()
    act(page, "转核查", "现场核查。")
    act(page, "拟结论", "记录被改动。", "运营商责任")
    page.locator(".head").get_by_text("待复核").wait_for()
    assert page.locator(".choices").get_by_role("button", name="同意结案").count() == 0, "not by himself"
    colleague = _seat(watch, city, seats, "supervisor", f"#/alarms/{number}")
    act(colleague, "同意结案", "同意。")
    colleague.locator(".head").get_by_text("已结案").wait_for()
    page.locator(".head").get_by_text("已结案").wait_for()
    with page.expect_download() as held:
        page.get_by_role("button", name="证据包").click()
    assert held.value.path().stat().st_size > 10_000


def test_the_keyboard_walks_the_list_and_a_filter_is_kept(city: City, watch: Watch, seats: dict[str, Any]) -> None:
    _alarm(city, "violation")
    page = _seat(watch, city, seats, "inspector", "#/alarms")
    page.locator("tbody tr.at").wait_for()
    first = page.locator("tbody tr.at td").first.inner_text()
    page.keyboard.press("j")
    page.wait_for_function("t => document.querySelector('tbody tr.at td').innerText != t", arg=first)
    second = page.locator("tbody tr.at td").first.inner_text()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=second).wait_for()
    page.go_back()
    page.locator("label", has_text="未指派").click()
    page.get_by_label("名称").fill("没人管的")
    page.get_by_role("button", name="存为").click()
    page.get_by_role("button", name="没人管的", exact=True).wait_for()


def test_a_charger_shows_why_it_is_assured_and_the_log_is_checked_in_the_browser(
    city: City, watch: Watch, seats: dict[str, Any]
) -> None:
    page = _seat(watch, city, seats, "inspector", "#/chargers")
    page.locator("tbody tr a").first.click()
    page.locator(".reasons li").nth(5).wait_for()
    page.locator(".history li").first.wait_for()
    assert not serious(page)
    page.goto(f"{city.regulator}/console/#/log?entry=3")
    page.locator(".checks .tag.good").nth(3).wait_for()
    assert page.locator(".checks .tag.bad").count() == 0
    page.get_by_label("条目编号").fill("99999999")
    watch.expected.append("/log/proof/")
    page.get_by_role("button", name="核验").click()
    page.locator(".checks .tag.bad").wait_for()


def test_an_administrator_enters_a_person_and_reads_no_case(city: City, watch: Watch, seats: dict[str, Any]) -> None:
    watch.expected += ["/api/places", "/api/alarms"]
    page = _seat(watch, city, seats, "admin", "#/people")
    page.get_by_label("用户名").fill("li.na")
    page.get_by_label("姓名").fill("李娜")
    page.get_by_role("button", name="添加").click()
    page.get_by_text("首次口令").wait_for()
    page.get_by_role("button", name="确定").or_(page.get_by_role("button", name="OK")).first.click()
    page.get_by_text("li.na").wait_for()
    page.locator(".el-overlay").first.wait_for(state="hidden")
    assert not serious(page)
    assert page.get_by_role("link", name="告警").count() == 0
