"""`make screenshots`: a picture of every page, light in Chinese and dark in English, in build/screenshots.

They are made to be looked at: what looks poor is mended.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import CHROMIUM, FLAGS, City, log_in, running

OUT = Path("build/screenshots")
LOOKS = (("zh", "zh-CN", "light"), ("en", "en-GB", "dark"))
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True,
    "permissions": ["geolocation"],
}  # fmt: skip
CONSOLE = ("", "alarms", "sessions", "chargers", "surveillance", "quality", "certificates", "rules", "log", "wall")
PORTAL = ("", "uploads", "refused", "alarms", "sessions", "quality", "webhooks", "people")
DRIVER = ("", "check", "mine")
#: Maps are drawn in software here.
SETTLED_MS, MAP_MS = 1_500, 6_000


def main() -> None:
    """Start a city, wait for its alarms, and take the pictures."""
    from playwright.sync_api import sync_playwright

    OUT.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix="anxin-test-")
    with folder as name, running(Path(name), 400, 10) as city, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for face, login, paths in (("console", "inspector", CONSOLE), ("portal", "manager", PORTAL)):
            _office(browser, city, face, login, paths)
        _driver(browser, city)
        browser.close()


def _office(browser: Any, city: City, face: str, login: str, paths: tuple[str, ...]) -> None:
    base = f"{city.regulator if face == 'console' else city.outer}/{face}/"
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(base)
    page.screenshot(path=OUT / f"{face}-login.png")
    log_in(page, city, login)
    seat = context.storage_state()
    extra = []
    if face == "console":
        headers = {"authorization": f"Bearer {city.token('inspector')}"}
        alarms = httpx.get(f"{city.regulator}/api/alarms?limit=50", headers=headers, timeout=30).json()
        billed = [a for a in alarms if a["excess_milli_wh"]] or alarms
        extra = [f"alarms/{billed[0]['alarm_id']}", f"chargers/{billed[0]['charger_id']}"]
    for word, locale, scheme in LOOKS:
        own = browser.new_context(storage_state=seat, locale=locale, color_scheme=scheme, **DESK)
        page = own.new_page()
        for path in (*paths, *extra):
            page.goto(f"{base}#/{path}")
            page.wait_for_timeout(MAP_MS if path in ("", "wall") else SETTLED_MS)
            name = path.split("/")[0].rstrip("s") + "-one" if "/" in path else path or "home"
            _take(page, f"{face}-{name}-{word}")
        own.close()


def _driver(browser: Any, city: City) -> None:
    land = httpx.get(f"{city.outer}/public/v1/outlines.geojson", timeout=30).json()
    lon, lat = land["features"][0]["properties"]["label_at"]
    bill = json.loads((city.folder / "city" / "bills.json").read_text("utf-8"))[0]
    for word, locale, scheme in LOOKS:
        place = {"longitude": lon, "latitude": lat}
        context = browser.new_context(locale=locale, color_scheme=scheme, geolocation=place, **PHONE)
        page = context.new_page()
        for path in DRIVER:
            page.goto(f"{city.outer}/driver/#/{path}")
            page.wait_for_timeout(MAP_MS if not path else SETTLED_MS)
            _take(page, f"driver-{path or 'find'}-{word}")
        page.goto(bill["link"])
        page.locator(".steps").wait_for()
        page.wait_for_timeout(SETTLED_MS)
        _take(page, f"driver-session-{word}", whole=True)
        context.close()


def _take(page: Any, name: str, whole: bool = False) -> None:
    page.screenshot(path=OUT / f"{name}.png", full_page=whole)
    sys.stdout.write(f"{OUT / name}.png\n")


if __name__ == "__main__":
    main()
