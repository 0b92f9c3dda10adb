"""The platform as `anxin run` starts it, with its virtual city, and Debian's Chromium in front of it.

One platform serves all tests of the web pages: their modules bear `xdist_group("web")`, which asks for one worker. Each
page is watched: a request to anywhere but the platform, an error in the console or an exception on the page fails the
test. Skipped plainly where there is no Chromium, no playwright, or no built pages.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyotp
import pytest

from anxin.faces.webpages import FOLDER

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--force-color-profile=srgb", "--font-render-hinting=none",
)  # fmt: skip
#: A machine that does other things beside starts PostgreSQL and eleven processes slowly.
PATIENCE_S = 240.0
CHARGERS = 150


@dataclass
class City:
    """A running platform: where its two apps answer, and who may log in."""

    outer: str
    regulator: str
    folder: Path

    def person(self, login: str) -> dict[str, str]:
        """Return the password and second factor of one of the city's people."""
        found: dict[str, str] = json.loads((self.folder / "city" / "secrets.json").read_text("utf-8"))["people"][login]
        return found

    def token(self, party: str) -> str:
        """Return a party's bearer token."""
        return str(json.loads((self.folder / "city" / "secrets.json").read_text("utf-8"))["tokens"][party])


@pytest.fixture(scope="package")
def city() -> Iterator[City]:
    """The platform with its virtual city, once it has alarms. It ends with this folder's tests: eleven processes would
    else run beside all others."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
    if not (FOLDER / "driver" / "index.html").is_file():
        pytest.skip("the web pages are not built (make web)")
    with tempfile.TemporaryDirectory(prefix="anxin-test-") as name, running(Path(name)) as found:
        yield found


class running:  # noqa: N801
    """A context in which `anxin run` runs in a folder; the value is a City."""

    def __init__(self, folder: Path, chargers: int = CHARGERS, alarms: int = 4) -> None:
        folder.chmod(0o755)  # PostgreSQL runs as another user where root starts it
        self.folder, self.chargers, self.alarms = folder, chargers, alarms

    def __enter__(self) -> City:
        ports = [_free_port(), _free_port()]
        self.log = (self.folder / "output").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from anxin.cli.main import entry; entry()", "run", "--data",
             str(self.folder / "run"), "--chargers", str(self.chargers), "--port", str(ports[0]),
             "--regulator-port", str(ports[1])],
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            # One page asks for dozens of files and numbers at once, and all tests come from one address.
            env={**os.environ, "ANXIN_FINDER_RATE_PER_S": "100", "ANXIN_PUBLIC_RATE_PER_S": "100",
                 "ANXIN_PUBLIC_BURST": "1000", "ANXIN_ADDRESS_RATE_PER_S": "1000"},
        )  # fmt: skip
        outer, regulator = (f"http://127.0.0.1:{port}" for port in ports)
        found = City(outer, regulator, self.folder / "run")
        try:
            self._wait(lambda: httpx.get(f"{found.outer}/health/live", timeout=5).status_code == 200)
            self._wait(lambda: httpx.get(f"{found.regulator}/health/live", timeout=5).status_code == 200)
            self._wait(lambda: sum(httpx.get(f"{found.outer}/api/status", timeout=30).json()["alarms"].values())
                       >= self.alarms)  # fmt: skip
        except BaseException:
            self._stop()
            raise
        return found

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _wait(self, met: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if met():
                    return
            except httpx.HTTPError:
                pass
            said = (self.folder / "output").read_text("utf-8", "replace")
            assert self.process.poll() is None, f"the platform ended: {said[-2000:]}"
            assert time.monotonic() < end, f"the platform did not get there in {PATIENCE_S} s: {said[-2000:]}"
            time.sleep(0.5)

    def _stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, with WebGL in software. For a module: as long as playwright runs, this thread has a loop of
    events, and tests elsewhere begin their own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


class Watch:
    """Opens pages and keeps what they did that they should not."""

    def __init__(self, browser: Browser, bases: tuple[str, ...]) -> None:
        self.browser, self.bases = browser, bases
        self.faults: list[str] = []
        #: Refusals that are no fault: their URL holds one of these. A page that opens asks who is logged in.
        self.expected: list[str] = ["/api/session"]
        self.contexts: list[BrowserContext] = []

    def open(self, url: str = "", **options: Any) -> Page:
        """Return a page of its own context: Chinese, in Hangzhou, 1280 x 800, unless said otherwise."""
        given = {"locale": "zh-CN", "timezone_id": "Asia/Shanghai", "viewport": {"width": 1280, "height": 800}}
        context = self.browser.new_context(**{**given, **options})
        context.set_default_timeout(30_000)
        self.contexts.append(context)
        page = context.new_page()
        context.on("request", self._request)
        page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        page.on("console", self._console)
        if url:
            page.goto(url)
        return page

    def _request(self, request: Any) -> None:
        if not request.url.startswith((*self.bases, "data:", "blob:")):
            self.faults.append(f"request to {request.url}")

    def _console(self, message: Any) -> None:
        place = (message.location or {}).get("url", "")
        refused = "Failed to load resource" in message.text and any(e in place for e in self.expected)
        # SwiftShader says so whenever the map reads a picture back.
        if message.type == "error" and not refused and "GPU stall" not in message.text:
            self.faults.append(f"console: {message.text} ({place})")


@pytest.fixture
def watch(chromium: Browser, city: City) -> Iterator[Watch]:
    """Opens pages of the running platform; fails the test for what they should not have done."""
    found = Watch(chromium, (city.outer, city.regulator))
    yield found
    for context in found.contexts:
        context.close()
    assert not found.faults, found.faults


_USED: dict[str, int] = {}


def log_in(page: Page, city: City, login: str) -> None:
    """Log a person of the city in on the login page that is open."""
    person = city.person(login)
    page.locator("#login").fill(login)
    page.locator("#password").fill(person["password"])
    page.locator("button[type=submit]").click()
    page.locator("#code").wait_for()
    # A code counts once: of the step that is not used yet.
    step = max(int(time.time()) // 30, _USED.get(login, 0) + 1)
    if step > int(time.time()) // 30 + 1:
        time.sleep((step - 1) * 30 - time.time() + 0.2)
    _USED[login] = step
    page.locator("#code").fill(pyotp.TOTP(person["totp_secret"]).generate_otp(step))
    page.locator("button[type=submit]").click()
    page.locator("#content").wait_for()


def serious(page: Page) -> list[str]:
    """Return what axe finds serious or critical on the page as it stands."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{one['id']}: {[n['html'][:160] for n in one['nodes'][:3]]}"
        for one in found if one["impact"] in ("serious", "critical")
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
