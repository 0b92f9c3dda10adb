"""The engineer's story: what was refused and why, put right and sent again; the manager's: an alarm answered."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.conftest import City, Watch, log_in, serious

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.xdist_group("web")

PAGES = {
    "#/": ".tile", "#/uploads": "input[name=file]", "#/refused": ".panel", "#/alarms": ".panel",
    "#/sessions": "tbody tr", "#/quality": ".head", "#/webhooks": ".head", "#/people": "tbody tr",
}  # fmt: skip


@pytest.fixture(scope="module")
def seats(chromium: Browser, city: City) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for login in ("engineer", "manager"):
        context = chromium.new_context(locale="zh-CN")
        page = context.new_page()
        page.goto(f"{city.outer}/portal/")
        log_in(page, city, login)
        kept[login] = context.storage_state()
        context.close()
    return kept


@pytest.fixture(scope="module")
def own(city: City) -> dict[str, Any]:
    """The operator whose people these are: his places, and those of the whole city."""
    everyone = httpx.get(
        f"{city.regulator}/api/places", headers={"authorization": f"Bearer {city.token('inspector')}"}, timeout=30
    ).json()
    secrets = json.loads((city.folder / "city" / "secrets.json").read_text("utf-8"))
    operator = next(iter(secrets["tokens"]))
    mine = [n for n, s in enumerate(everyone["station"]) if everyone["stations"][s]["operator_id"] == operator]
    other = next(n for n in range(len(everyone["station"])) if n not in mine)
    return {
        "operator": operator, "headers": {"authorization": f"Bearer {city.token(operator)}"},
        "connector": everyone["connector_id"][mine[0]], "other": everyone["connector_id"][other], "count": len(mine),
    }  # fmt: skip


def _seat(watch: Watch, city: City, seats: dict[str, Any], login: str, path: str = "", **options: Any) -> Page:
    return watch.open(f"{city.outer}/portal/{path}", storage_state=seats[login], **options)


def _order(own: dict[str, Any], number: int, connector: str) -> str:
    begun = time.time() - 7_200
    said = {
        "OperatorID": own["operator"], "StartChargeSeq": f"{own['operator']}{number:018d}", "ConnectorID": connector,
        "StartTime": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begun + 8 * 3_600)),
        "EndTime": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begun + 8 * 3_600 + 1_800)),
        "TotalPower": 1.25, "TotalElecMoney": 1.00, "TotalSeviceMoney": 0.50, "TotalMoney": 1.50, "StopReason": 0,
        "SumPeriod": 0, "ChargeDetails": [],
    }  # fmt: skip
    return json.dumps(said)


def test_every_page_in_both_languages_and_themes(city: City, watch: Watch, seats: dict[str, Any]) -> None:
    for locale, scheme in (("zh-CN", "light"), ("en-GB", "dark")):
        page = _seat(watch, city, seats, "manager", locale=locale, color_scheme=scheme)
        for path, there in PAGES.items():
            page.goto(f"{city.outer}/portal/{path}")
            page.locator(there).first.wait_for()
            page.wait_for_timeout(300)
            assert not serious(page), path
        page.context.close()


def test_the_overview_shows_ones_own_connectors_and_no_others(
    city: City, watch: Watch, seats: dict[str, Any], own: dict[str, Any]
) -> None:
    page = _seat(watch, city, seats, "engineer")
    page.wait_for_function(
        "n => document.querySelector('.tile b').innerText.replace(/\\D/g, '') == n", arg=own["count"]
    )
    page.locator(".map canvas").wait_for()


def test_an_upload_says_what_would_be_refused_and_why_and_the_row_is_put_right(
    city: City, watch: Watch, seats: dict[str, Any], own: dict[str, Any], tmp_path: Path
) -> None:
    watch.expected += ["/api/uploads", "/correction"]
    page = _seat(watch, city, seats, "engineer", "#/uploads")
    stamp = int(time.time()) * 10
    file = tmp_path / "orders.jsonl"
    file.write_text(
        f"{_order(own, stamp, own['connector'])}\n{_order(own, stamp + 1, own['other'])}\n", encoding="utf-8"
    )
    page.locator("input[name=file]").set_input_files(file)
    page.get_by_role("button", name="预检").click()
    row = page.locator("tbody tr", has_text="admission.tenant")
    row.wait_for()
    assert row.locator("td").nth(1).inner_text() == "connector_id"
    assert not serious(page)
    page.get_by_role("button", name="上传", exact=True).click()
    page.get_by_text("已留存").wait_for()
    # Nonsense is told in words as well.
    nonsense = tmp_path / "nonsense.csv"
    nonsense.write_bytes(b"\x00\xff\x00 no table")
    page.locator("input[name=file]").set_input_files(nonsense)
    page.get_by_role("button", name="预检").click()
    page.get_by_role("alert").wait_for()
    page.goto(f"{city.outer}/portal/#/refused")
    page.locator("tbody tr", has_text="admission.tenant").first.click()
    message = page.locator("textarea")
    message.wait_for()
    page.wait_for_function("() => document.querySelector('textarea').value.length > 20")
    assert not serious(page)
    # A correction that is wrong still is refused with its reason; the right one is kept.
    text = message.input_value()
    message.fill(text.replace('"TotalPower": 1.25', '"TotalPower": "viel"').replace(own["other"], own["connector"]))
    page.get_by_role("button", name="更正后重新报送").click()
    page.get_by_role("alert").wait_for()
    message.fill(text.replace(own["other"], own["connector"]))
    page.get_by_role("button", name="更正后重新报送").click()
    page.get_by_text("已接收").wait_for()
    page.locator(".head").get_by_text("已更正").wait_for()


def test_an_alarm_is_answered_by_the_manager_and_not_by_the_engineer(
    city: City, watch: Watch, seats: dict[str, Any], own: dict[str, Any]
) -> None:
    inspector = {"authorization": f"Bearer {city.token('inspector')}"}
    # A driver complains about a bill of this operator: that is an alarm of his.
    end = time.monotonic() + 120
    while not (found := httpx.get(f"{city.outer}/api/verdicts?state=agree&limit=5", headers=own["headers"]).json()):
        assert time.monotonic() < end
        time.sleep(1)
    bill = {"order_id": found[0]["order_id"], "amount": f"{found[0]['amount_e4'] / 10_000:.2f}", "reason": "amount"}
    assert httpx.post(f"{city.outer}/public/v1/complaints", json=bill).status_code == 201
    while True:
        url = f"{city.regulator}/api/alarms?state=open&operator={own['operator']}"
        if alarms := httpx.get(url, headers=inspector).json():
            break
        assert time.monotonic() < end, "no alarm of the complaint"
        time.sleep(0.5)
    number = alarms[0]["alarm_id"]
    page = _seat(watch, city, seats, "manager", "#/alarms")
    page.locator(".panel").first.wait_for()
    said = {"version": alarms[0]["version"], "text": "请说明。"}
    sent = httpx.post(f"{city.regulator}/api/alarms/{number}/send", headers=inspector, json=said)
    assert sent.status_code == 200, sent.text
    # It appears on the open page by itself.
    page.get_by_role("link", name=f"AL-{number}", exact=True).click()
    page.get_by_label("答复").fill("已核对，系司机误解，附计费明细。")
    page.wait_for_timeout(500)  # the button's colours change over a moment
    assert not serious(page)
    engineer = _seat(watch, city, seats, "engineer", f"#/alarms/{number}")
    engineer.get_by_text("由负责人答复").wait_for()
    page.get_by_role("button", name="提交答复").click()
    page.locator(".head").get_by_text("已答复").wait_for()
    engineer.locator(".head").get_by_text("已答复").wait_for()
    told = httpx.get(f"{city.regulator}/api/alarms/{number}", headers=inspector).json()
    assert told["state"] == "answered"


def test_a_webhook_is_entered_its_secret_shown_once_and_tested(city: City, watch: Watch, seats: dict[str, Any]) -> None:
    watch.expected.append("/api/webhooks")
    page = _seat(watch, city, seats, "engineer", "#/webhooks")
    page.get_by_label("地址（https）").fill("ftp://nowhere.example/hook")
    page.get_by_role("button", name="添加").click()
    page.locator(".el-message--error").wait_for()
    page.get_by_label("地址（https）").fill("https://hooks.example.invalid/anxin")
    page.get_by_role("button", name="添加").click()
    page.get_by_text("whsec_").wait_for()
    page.locator(".el-message-box button", has_text="确定").or_(
        page.locator(".el-message-box button", has_text="OK")
    ).click()
    page.get_by_role("button", name="测试").click()
    page.locator(".el-message--warning").wait_for()
    assert page.get_by_text("whsec_").count() == 0
