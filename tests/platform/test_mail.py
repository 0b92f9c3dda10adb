"""Mail to a real SMTP server: confirmed, grouped, a digest, refused, put off, TLS; where an address never stands."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from anxin.domain.errors import FormatError, PolicyError
from anxin.domain.party import Party, Role
from anxin.flow.intake import now_utc_ms
from anxin.flow.mail import next_digest
from anxin.flow.mail_delivery import client_of
from anxin.flow.mail_text import checked_address, notice_mail
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import parties as store
from anxin.store.events import Event, events_after, put_events
from tests.platform.endpoints import telling
from tests.platform.web import Caller, serving

MANAGER = Party("m", Role.MANAGER, "经理", "OP-A")
INSPECTOR = Party("i", Role.INSPECTOR, "检查员", districts=("西湖区",))
A = Party("OP-A", Role.OPERATOR, "甲", "OP-A")
TO = "manager@operator.example"
QUICK = {"mail_wait_s": 1, "mail_gap_s": 1, "mail_retry_s": 1, "mail_per_minute": 6_000, "mail_timeout_s": 5}


class Box:
    """The mail server's side: keeps what it took; `answer` says what it says to the n-th mail."""

    def __init__(self, answer: Callable[[int], str | None] = lambda _: None) -> None:
        self.mails: list[EmailMessage] = []
        self.tried = 0
        self.answer = answer
        self.refused_rcpt = ""

    async def handle_RCPT(self, _: SMTP, __: Any, envelope: Envelope, address: str, ___: list[str]) -> str:
        if self.refused_rcpt:
            return self.refused_rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Any, envelope: Envelope) -> str:
        self.tried += 1
        said = self.answer(self.tried)
        if said is None:
            content = envelope.content
            assert isinstance(content, bytes)
            self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        return said or "250 taken"

    def wait(self, count: int, within_s: float = 30) -> list[EmailMessage]:
        end = time.monotonic() + within_s
        while len(self.mails) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.mails) >= count, len(self.mails)
        return self.mails


@contextmanager
def server(box: Box, **options: Any) -> Iterator[int]:
    """A mail server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@contextmanager
def posting(platform: Platform, box: Box, **settings: Any) -> Iterator[tuple[Caller, Caller]]:
    """The apps, and the process that tells, with a mail server; callers for a manager and an inspector."""
    store.put_parties(platform.database, [A], now_utc_ms())
    with server(box) as port:
        known = {"mail_url": f"smtp+local://127.0.0.1:{port}", "mail_from": "anxin@city.example", **QUICK, **settings}
        platform.settings = dataclasses.replace(platform.settings, **known)
        with serving(platform) as url:
            both = Caller(platform, url, MANAGER), Caller(platform, url, INSPECTOR)
            with telling(platform):
                yield both


def put(platform: Platform, *numbers: int, district: str = "西湖区", kind: str = "alarm.opened") -> None:
    with platform.database.transaction() as connection:
        put_events(connection, [Event(kind, {"alarm_id": n}, "OP-A", district) for n in numbers], now_utc_ms())


def text_of(mail: EmailMessage) -> str:
    return "\n".join(str(mail.get_content()).splitlines()) + "\n"


def subscribe(caller: Caller, box: Box, **more: Any) -> dict[str, Any]:
    """A subscription that is confirmed with the code that came by mail."""
    before = len(box.mails)
    status, one = caller.post("/api/mail", json={"address": TO, **more})
    assert (status, one["state"], one["address"]) == (201, "unconfirmed", TO), one
    code = re.search(r"\b[0-9]{6}\b", text_of(box.wait(before + 1)[before]))
    assert code is not None
    path = f"/api/mail/{one['subscription_id']}/confirm"
    wrong = f"{(int(code[0]) + 1) % 1_000_000:06}"
    assert caller.post(path, json={"code": wrong})[0] == 422
    status, one = caller.post(path, json={"code": code[0]})
    assert (status, one["state"]) == (200, "active"), one
    return dict(one)


def until(found: Callable[[], Any], within_s: float = 30) -> Any:
    end = time.monotonic() + within_s
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.02)
    assert value
    return value


def test_a_flood_of_alarms_is_one_mail_and_an_address_stands_nowhere(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box()
    caplog.set_level(logging.DEBUG)
    with posting(platform, box) as (manager, inspector):
        put(platform, 1)
        subscribe(manager, box, kinds=["alarm.*"])
        put(platform, *range(2, 1_002))
        put(platform, 7, kind="webhook.paused")
        mail = box.wait(2)[1]
        assert mail["to"] == TO
        assert mail["subject"] == "[安心充电] 通知 notices: 1,000"
        assert mail["auto-submitted"] == "auto-generated"
        text = text_of(mail)
        assert "新告警 new alarm × 1,000" in text
        assert "alarm_id=2\n" in text
        assert "and 950 more" in text
        until(lambda: manager.get("/api/mail")[1]["subscriptions"][0]["sent"] == 1)
        put(platform, 5)
        assert "alarm_id=5" in text_of(box.wait(3)[2])
        assert inspector.get("/api/mail")[1] == {"subscriptions": []}
        assert manager.get("/api/mail")[1]["subscriptions"][0]["address"] == TO
    # `mail.log` is the other side's: the mail server's.
    assert not [r for r in caplog.records if TO in r.getMessage() and r.name != "mail.log"]
    with platform.database.transaction() as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'select t::text from "{table}" t')
            assert not any(TO in row[0] or TO.encode().hex() in row[0] for row in rows), table


def test_an_inspector_is_told_of_his_district_and_a_digest_comes_once_a_day(platform: Platform) -> None:
    box = Box()
    with posting(platform, box) as (manager, inspector):
        subscribe(inspector, box)
        digest = subscribe(manager, box, how="digest")
        put(platform, 1, district="上城区")
        put(platform, 2)
        assert "alarm_id=2" in text_of(box.wait(3)[2])
        assert "alarm_id=1" not in text_of(box.mails[2])
        time.sleep(2)
        assert len(box.mails) == 3
        with platform.database.transaction() as connection:
            connection.execute(
                "update mail_subscription set next_utc_ms = 1 where subscription_id = %s", (digest["subscription_id"],)
            )
        mail = box.wait(4)[3]
        assert mail["subject"] == "[安心充电] 每日摘要 daily digest: 2"
        put(platform, 3)
        box.wait(5)
        time.sleep(2)
        assert len(box.mails) == 5  # the inspector's alone: the next digest is tomorrow's


def test_what_is_put_off_comes_again_as_the_same_mail(platform: Platform) -> None:
    box = Box(lambda n: "451 later" if n in (2, 3) else None)
    with posting(platform, box) as (manager, _):
        subscribe(manager, box)
        put(platform, 1)
        until(lambda: box.tried >= 2)
        put(platform, 2)
        mails = box.wait(3)
        assert "alarm_id=1" in text_of(mails[1])
        assert "alarm_id=2" not in text_of(mails[1])  # it says what it said when it was put off
        assert "alarm_id=2" in text_of(mails[2])
        assert len({m["message-id"] for m in mails}) == 3


def test_an_address_that_is_refused_stops_and_its_owner_is_told(platform: Platform) -> None:
    box = Box()
    with posting(platform, box) as (manager, _):
        one = subscribe(manager, box)
        box.refused_rcpt = f"550 {TO}: no such person"
        put(platform, 1)
        until(lambda: manager.get("/api/mail")[1]["subscriptions"][0]["state"] == "stopped")
        (told,) = [e for e in events_after(platform.database, 0, 99) if e.kind == "mail.stopped"]
        assert told.body == {"subscription_id": one["subscription_id"], "party_id": "m", "reason": "SMTP 550"}
        assert (told.operator_id, told.regulator) == ("OP-A", False)
        answer = httpx.delete(f"{manager.base}/api/mail/{one['subscription_id']}", headers=manager.headers)
        assert answer.status_code == 204
        with platform.database.transaction() as connection:
            assert connection.execute("select from notice_secret").fetchall() == []


def test_codes_are_guessed_five_times_and_subscriptions_are_ones_own(platform: Platform) -> None:
    box = Box()
    with posting(platform, box, mail_per_party=1) as (manager, inspector):
        _, one = manager.post("/api/mail", json={"address": TO})
        code = re.search(r"\b[0-9]{6}\b", text_of(box.wait(1)[0]))
        assert code is not None
        path = f"/api/mail/{one['subscription_id']}"
        wrong = {"code": f"{(int(code[0]) + 1) % 1_000_000:06}"}
        for _ in range(5):
            assert manager.post(f"{path}/confirm", json=wrong)[0] == 422
        assert manager.post(f"{path}/confirm", json={"code": code[0]})[0] == 422
        absent = inspector.post("/api/mail/ms_0/confirm", json=wrong)
        assert inspector.post(f"{path}/confirm", json=wrong) == absent
        assert absent[0] == 404
        assert httpx.delete(f"{inspector.base}{path}", headers=inspector.headers).status_code == 404
        assert manager.post("/api/mail", json={"address": TO})[1]["type"] == "urn:anxin:mail.many"


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_tls_is_verified_and_a_login_comes_from_a_file(platform: Platform, tmp_path: Path, scheme: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "login").write_text("anxin\nsecret-of-mail\n")
    logins: list[bytes] = []

    def authenticator(*values: Any) -> AuthResult:
        logins.append(values[4].password)
        return AuthResult(success=values[4].password == b"secret-of-mail")

    tls = {"ssl_context": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": True}
    more = {"authenticator": authenticator, "auth_required": True, "auth_require_tls": scheme == "smtp"}
    box = Box()
    with server(box, **tls, **more) as port:
        url = {"mail_url": f"{scheme}://localhost:{port}", "mail_login_file": str(tmp_path / "login")}
        trusting = {**url, "mail_ca_file": str(tmp_path / "ca.pem")}
        with posting(platform, Box(), **trusting) as (manager, _):
            subscribe(manager, box)
            put(platform, 1)
            box.wait(2)
        assert set(logins) == {b"secret-of-mail"}
        # An authority that is not the system's: nothing is handed over, neither the login nor the mail.
        count = len(logins)
        with posting(platform, Box(), **url, mail_ca_file="") as (manager, _):
            put(platform, 2)
            time.sleep(3)
        assert (len(box.mails), len(logins)) == (2, count)


def test_a_server_without_starttls_gets_nothing(platform: Platform) -> None:
    box = Box()
    with server(box) as port, posting(platform, Box(), mail_url=f"smtp://127.0.0.1:{port}") as (manager, _):
        manager.post("/api/mail", json={"address": TO})
        time.sleep(3)
        assert box.tried == 0


@pytest.mark.parametrize(
    "url", ["smtp+local://mail.example:25", "http://mail.example", "smtp://u:p@mail.example", "smtps://", "x"]
)
def test_a_mail_server_that_may_not_be_spoken_to(url: str) -> None:
    with pytest.raises(PolicyError):
        client_of(Settings(mail_url=url))


@pytest.mark.parametrize(
    "text",
    [
        "a@b.example\r\nBcc: c@d.example", "a@b.example\n", "a b@c.example", "@b.example", "a@", "a", "a@b..example",
        '"a"@b.example', "a@b.example,c@d.example", "甲@b.example", "a" * 65 + "@b.example", "a@" + "b" * 253,
        "<a@b.example>",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        checked_address(text)


def test_nothing_from_outside_makes_a_line_or_a_header() -> None:
    body = {"alarm_id": 1, "charger_id": "x\r\n.\r\nBcc: a@b.example\u202e", "cause": "<script>" + "y" * 200}
    event = Event("alarm.opened", body, "OP\nA", None, True, 1, 1_700_000_000_000)
    mail = notice_mail(Settings(), TO, "ms_1.0.1", {"alarm.opened": 1}, [event], digest=False)
    parsed = email.message_from_bytes(bytes(mail), policy=email.policy.default)
    assert parsed["bcc"] is None
    assert parsed.get_content_type() == "text/plain"
    (line,) = [x for x in str(parsed.get_content()).splitlines() if "alarm_id=1" in x]
    assert "Bcc: a@b.example" in line
    assert "\u202e" not in line
    assert len(line) < 400


def test_the_digest_is_due_at_its_hour() -> None:
    settings = Settings(zone="Asia/Shanghai", mail_digest_hour=8)
    eight = 1_767_225_600_000  # 2026-01-01 08:00 in Shanghai
    assert next_digest(settings, eight - 1) == eight
    assert next_digest(settings, eight) == eight + 86_400_000
