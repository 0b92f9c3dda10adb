"""The driver's story on a phone: a free charger in one tap, and a session that his browser verifies, offline too."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.conftest import PATIENCE_S, City, Watch, serious

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("web")

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def bills(city: City) -> list[dict[str, str]]:
    """Bills whose sessions are judged to agree, and are published."""
    end = time.monotonic() + PATIENCE_S
    while True:
        path = city.folder / "city" / "bills.json"
        known = json.loads(path.read_text("utf-8")) if path.is_file() else []
        found = []
        for one in known[:12]:
            body = {"order_id": one["order_id"], "amount": one["amount"]}
            answer = httpx.post(f"{city.outer}/public/v1/sessions/check", json=body, timeout=30)
            told = answer.json()
            if answer.status_code != 200 or (told["verdict"] or {}).get("state") != "agree":
                continue
            if all(e["proof"] and e["payload"] for e in told["evidence"]):
                found.append(one)
        if len(found) >= 2:
            return found
        assert time.monotonic() < end, "no session agreed"
        time.sleep(2)


def _place(city: City) -> dict[str, float]:
    land = httpx.get(f"{city.outer}/public/v1/outlines.geojson").json()
    lon, lat = land["features"][0]["properties"]["label_at"]
    return {"longitude": lon, "latitude": lat}


def _phone(watch: Watch, city: City, **options: Any) -> Page:
    return watch.open(f"{city.outer}/driver/", **{**PHONE, **options})


def test_the_nearest_free_charger_is_one_tap_away(city: City, watch: Watch) -> None:
    page = _phone(watch, city, geolocation=_place(city), permissions=["geolocation"])
    page.locator(".station").first.wait_for()
    assert not serious(page)
    page.get_by_role("button", name="最近的空闲桩").click()
    detail = page.locator(".detail")
    detail.get_by_text("空闲").first.wait_for()
    assert "¥" in detail.inner_text()
    assert not serious(page)
    # Hand-over: the link of each map is in that map's own system.
    detail.get_by_role("button", name="导航").click()
    amap = page.get_by_role("link", name="高德地图")
    amap.wait_for()
    assert not serious(page)
    # Amap's degrees are GCJ-02: some hundred metres beside the WGS-84 ones that geo: takes.
    gcj = re.search(r"to=([\d.]+),([\d.]+)", amap.get_attribute("href") or "")
    wgs = re.search(r"geo:([\d.]+),([\d.]+)", page.get_by_role("link", name="其他地图").get_attribute("href") or "")
    assert gcj is not None
    assert wgs is not None
    east, north = float(gcj[1]) - float(wgs[2]), float(gcj[2]) - float(wgs[1])
    assert 0.001 < abs(east) + abs(north) < 0.015


def test_filters_narrow_what_is_found(city: City, watch: Watch) -> None:
    page = _phone(watch, city, geolocation=_place(city), permissions=["geolocation"], locale="en-GB")
    page.locator(".station").first.wait_for()
    with page.expect_response(lambda r: "nearest" in r.url and "current=DC" in r.url) as held:
        page.get_by_role("button", name="DC fast").click()
    found = held.value.json()["connectors"]
    assert found
    assert {c["current"] for c in found} == {"DC"}
    with page.expect_response(lambda r: "free=true" in r.url and "current=DC" in r.url) as held:
        page.get_by_role("button", name="Free", exact=True).click()
    assert {c["state"] for c in held.value.json()["connectors"]} <= {"idle"}


def test_a_session_is_verified_in_the_browser_and_one_digit_turns_it_red(
    city: City, watch: Watch, bills: list[dict[str, str]]
) -> None:
    page = _phone(watch, city)
    page.goto(bills[0]["link"])
    page.get_by_role("heading", name="账单与电能表一致").wait_for()
    page.locator(".steps li.holds").nth(5).wait_for()
    assert page.locator(".steps li").count() == page.locator(".steps li.holds").count() == 6
    assert not serious(page)
    page.get_by_text("自己动手改一改").click()
    record = page.locator(".own textarea").last
    text = record.input_value()
    at = next(n for n in range(text.index('"RV":') + 5, len(text)) if text[n].isdigit())
    record.fill(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")
    page.get_by_role("heading", name="数据被改动过").wait_for()
    assert page.locator(".steps li.fails").count() >= 1
    assert not serious(page)
    page.get_by_role("button", name="恢复原样").click()
    page.get_by_role("heading", name="账单与电能表一致").wait_for()


def test_a_saved_receipt_is_verified_offline_and_altered_ones_are_not(
    city: City, watch: Watch, bills: list[dict[str, str]], tmp_path: Path
) -> None:
    page = _phone(watch, city)
    page.goto(bills[1]["link"])
    page.locator(".steps li.holds").nth(5).wait_for()
    with page.expect_download() as held:
        page.get_by_role("button", name="保存凭据").click()
    kept = tmp_path / "receipt.json"
    held.value.save_as(kept)
    document = json.loads(kept.read_text("utf-8"))
    # The shell comes from the service worker's cache once it has been installed.
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    watch.expected.append("/")  # what the page asks of the network now fails, as it must
    page.reload()
    page.goto(f"{city.outer}/driver/#/check")
    page.locator("input[type=file]").set_input_files(kept)
    page.locator(".steps li.holds").nth(5).wait_for()

    def altered(name: str, change: Any) -> str:
        changed = json.loads(json.dumps(document))
        change(changed)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(changed), encoding="utf-8")
        page.get_by_role("button", name="核对另一张").click()
        page.locator("input[type=file]").set_input_files(path)
        page.locator(".verdict").wait_for()
        page.locator(".steps li").nth(5).wait_for()
        return page.locator(".verdict h1").inner_text()

    def turn(text: str) -> str:
        return ("1" if text[0] == "0" else "0") + text[1:]

    def energy(d: Any) -> None:
        d["record"]["energy_milli_wh"] += 1

    def amount(d: Any) -> None:
        d["order"]["amount_e4"] += 100

    def payload(d: Any) -> None:
        d["evidence"][0]["payload"] = turn(d["evidence"][0]["payload"])

    def entry(d: Any) -> None:
        d["evidence"][-1]["receipt"]["entry"] = turn(d["evidence"][-1]["receipt"]["entry"])

    def received(d: Any) -> None:
        d["evidence"][0]["receipt"]["received_utc_ms"] -= 1

    def another_key(d: Any) -> None:
        d["log"]["vkey"] = d["log"]["vkey"].replace("+", "x+", 1)

    def another_tree(d: Any) -> None:
        lines = d["evidence"][0]["proof"].split("\n")
        size = next(n for n, line in enumerate(lines) if not line) + 2
        lines[size] = str(int(lines[size]) + 1)
        d["evidence"][0]["proof"] = "\n".join(lines)

    for change in (energy, amount, payload, entry, received, another_key, another_tree):
        assert altered(change.__name__, change) == "数据被改动过", change.__name__
    assert altered("none", lambda _: None) == "账单与电能表一致"


def test_guessing_gets_nowhere_and_is_told_in_words(city: City, watch: Watch, bills: list[dict[str, str]]) -> None:
    watch.expected.append("/public/v1/sessions/check")
    page = _phone(watch, city)
    page.goto(f"{city.outer}/driver/#/check")
    for number, amount in ((bills[0]["order_id"], "0.01"), ("NO-SUCH-NUMBER", "1.00")):
        page.locator("#order").fill(number)
        page.locator("#amount").fill(amount)
        page.get_by_role("button", name="核对", exact=True).click()
        page.get_by_text("没有这张账单").wait_for()
    assert not serious(page)


def test_a_complaint_takes_three_taps(city: City, watch: Watch, bills: list[dict[str, str]]) -> None:
    page = _phone(watch, city)
    page.goto(bills[0]["link"])
    page.locator(".steps li.holds").nth(5).wait_for()
    page.get_by_role("button", name="投诉").click()
    page.get_by_role("radio", name="金额不对").click()
    assert not serious(page)
    page.get_by_role("button", name="提交").click()
    page.get_by_text("已受理").wait_for()
    page.get_by_role("button", name="好").click()
    page.get_by_text("C-").first.wait_for()
    assert not serious(page)


def test_a_charger_page_says_what_is_public(city: City, watch: Watch) -> None:
    watch.expected.append("/public/v1/chargers/")
    places = httpx.get(f"{city.regulator}/api/places", headers={"authorization": f"Bearer {city.token('inspector')}"})
    charger = places.json()["charger_id"][0]
    for locale, scheme, word in (("zh-CN", "light", "检定"), ("en-GB", "dark", "erif")):
        page = _phone(watch, city, locale=locale, color_scheme=scheme)
        page.goto(f"{city.outer}/driver/#/charger/{charger}")
        page.locator(".banner").get_by_text(word).wait_for()
        assert not serious(page)
        page.goto(f"{city.outer}/driver/#/charger/no-such")
        page.get_by_text({"zh-CN": "没有此充电桩", "en-GB": "No such charger"}[locale]).wait_for()
        page.context.close()


def test_the_camera_reads_a_bill(city: City, bills: list[dict[str, str]], tmp_path: Path) -> None:
    import segno
    from PIL import Image
    from playwright.sync_api import sync_playwright

    from tests.e2e.conftest import CHROMIUM, FLAGS

    segno.make(bills[0]["link"]).save(str(tmp_path / "code.png"), scale=6, border=6)
    frame = Image.new("RGB", (640, 480), "white")
    code = Image.open(tmp_path / "code.png").convert("RGB").resize((400, 400))
    frame.paste(code, (120, 40))
    frame.save(tmp_path / "frame.jpg", quality=95)
    (tmp_path / "camera.mjpeg").write_bytes((tmp_path / "frame.jpg").read_bytes() * 20)
    camera = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
              f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}")  # fmt: skip
    # Playwright keeps one loop in a thread: a browser with other flags needs one of its own.
    import threading

    told: list[str] = []

    def read() -> None:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *camera])
            page = browser.new_context(**PHONE, locale="zh-CN", permissions=["camera"]).new_page()
            page.goto(f"{city.outer}/driver/#/check")
            page.get_by_role("button", name="扫码").click()
            page.locator(".verdict h1").wait_for(timeout=60_000)
            told.append(page.locator(".verdict h1").inner_text())
            browser.close()

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(120)
    assert told == ["账单与电能表一致"]
