"""A person at a browser: keeps cookies, sends the session's token, reads codes off his device."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pyotp

from anxin.flow.people import HandedOver
from anxin.trust.totp import STEP_S

GOOD = "vier lange Woerter 42"


class Device:
    """An authenticator: gives a code that was not used before, of the step of now or of the next."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret)
        self.last = 0

    def code(self) -> str:
        """Return a code that still counts and is newer than every one given."""
        now = int(time.time()) // STEP_S
        self.last = max(now, self.last + 1)
        if self.last > now + 1:
            time.sleep((self.last - 1) * STEP_S - time.time() + 0.1)
        return str(self.totp.generate_otp(self.last))


_DEVICES: dict[str, Device] = {}


class Browser:
    """One person's browser at one address. `call` answers (status, JSON or None)."""

    def __init__(self, url: str, login: str = "", password: str = "", secret: str | None = None) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)
        self.csrf = ""
        self.login, self.password = login, password
        # One person has one device, however many browsers.
        self.device = None if secret is None else _DEVICES.setdefault(secret, Device(secret))

    @classmethod
    def of(cls, url: str, made: HandedOver) -> Browser:
        """Return the browser of a person who was entered ready to log in, logged in."""
        browser = cls(url, made.person.login, made.password, made.totp_secret)
        browser.log_in()
        return browser

    def log_in(self) -> dict[str, Any]:
        """Log in, with a code where one is due; return the last answer."""
        status, told = self.call("POST", "/api/session", {"login": self.login, "password": self.password})
        if status == 200 and told["stage"] == "code" and self.device is not None:
            status, told = self.call("POST", "/api/session/totp", {"code": self.device.code()})
        assert status == 200, told
        return dict(told)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request as the page would; a new token in an answer is kept."""
        given = {"x-csrf-token": self.csrf, **{k.replace("_", "-"): v for k, v in headers.items()}}
        answer = self.client.request(method, path, json=body, headers=given)
        told = answer.json() if answer.content else None
        if isinstance(told, dict) and "csrf" in told:
            self.csrf = told["csrf"]
        return answer.status_code, told

    @property
    def cookie(self) -> str | None:
        """The session's cookie, whatever its name."""
        return next((c.value for c in self.client.cookies.jar if c.name.split("-", 1)[-1].startswith("anxin-")
                     or c.name.startswith("anxin-")), None)  # fmt: skip
