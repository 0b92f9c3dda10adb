"""Webhooks to real endpoints: signed, in order, again, dead, paused; and what an endpoint may not be."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from anxin.assembly import open_platform
from anxin.domain.errors import PeerError
from anxin.domain.party import Party, Role
from anxin.flow import outbound
from anxin.flow.intake import now_utc_ms
from anxin.flow.notices import tell_for_ever
from anxin.flow.platform import Platform
from anxin.flow.rekey import master_key_file, rekey
from anxin.flow.webhook_delivery import pause_ms, signature
from anxin.settings import Settings
from anxin.store import parties as store
from anxin.store.events import Event, events_after, forget_events, put_events
from tests.platform.endpoints import Endpoint, endpoint, telling
from tests.platform.web import Caller, serving

A, B = Party("OP-A", Role.OPERATOR, "甲", "OP-A"), Party("OP-B", Role.OPERATOR, "乙", "OP-B")
SUPERVISOR = Party("supervisor", Role.SUPERVISOR, "主管")
QUICK = {"webhook_retry_s": 1, "webhook_retry_max_s": 1, "webhook_attempts": 3, "webhook_timeout_s": 2}


def put(platform: Platform, *numbers: int, operator: str | None = "OP-A", kind: str = "alarm.opened") -> None:
    with platform.database.transaction() as connection:
        put_events(connection, [Event(kind, {"alarm_id": n}, operator, "西湖区") for n in numbers], now_utc_ms())


@contextmanager
def registered(platform: Platform, *made: Endpoint, **settings: Any) -> Iterator[list[Caller]]:
    """The web app with the endpoints' hosts named; callers for A, B and a supervisor."""
    store.put_parties(platform.database, [A, B], now_utc_ms())
    with endpoint(*made) as named:
        platform.settings = dataclasses.replace(platform.settings, webhook_hosts=named, **{**QUICK, **settings})
        with serving(platform) as url:
            yield [Caller(platform, url, party) for party in (A, B, SUPERVISOR)]


def enter(caller: Caller, one: Endpoint, **more: Any) -> dict[str, Any]:
    status, document = caller.post("/api/webhooks", json={"url": one.url, **more})
    assert status == 201, document
    return dict(document)


def alarms(one: Endpoint) -> list[int]:
    return [json.loads(body)["data"]["alarm_id"] for _, body in one.got]


def until(found: Any, within_s: float = 30) -> Any:
    end = time.monotonic() + within_s
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.02)
    assert value
    return value


def test_what_arrives_is_verified_by_the_official_library(platform: Platform) -> None:
    one, other, all_ = Endpoint(), Endpoint(), Endpoint()
    with registered(platform, one, other, all_) as (a, b, supervisor):
        put(platform, 0)
        made = enter(a, one, kinds=["alarm.*"])
        enter(b, other)
        enter(supervisor, all_)
        with telling(platform):
            put(platform, 1, 2)
            put(platform, 3, operator="OP-B")
            put(platform, 4, kind="webhook.missed")
            put(platform, 5)
            one.wait(3)
            all_.wait(5)
            old = Verifier(made["secret"])
            for headers, body in one.got:
                event = old.verify(body, headers)
                assert event["type"] == "alarm.opened"
                assert headers["webhook-id"] == f"evt_{made['webhook_id'][3:]}_{event['event_id']}"
            with pytest.raises(WebhookVerificationError):
                old.verify(body.replace(b"OP-A", b"OP-B"), headers)
            assert alarms(one) == [1, 2, 5]
            assert alarms(other) == [3]
            assert alarms(all_) == [1, 2, 3, 4, 5]
            status, turned = a.post(f"/api/webhooks/{made['webhook_id']}/secret")
            assert (status, turned["old_until_utc_ms"] > now_utc_ms()) == (200, True)
            put(platform, 6)
            headers, body = one.wait(4)[3]
            for secret in (made["secret"], turned["secret"]):
                assert Verifier(secret).verify(body, headers)["data"] == {"alarm_id": 6}
            assert len(headers["webhook-signature"].split()) == 2
            with platform.database.transaction() as connection:
                connection.execute("update notice_secret set valid_to_utc_ms = 1 where valid_to_utc_ms is not null")
            put(platform, 7)
            headers, body = one.wait(5)[4]
            assert Verifier(turned["secret"]).verify(body, headers)
            with pytest.raises(WebhookVerificationError):
                old.verify(body, headers)
            # The secrets are sealed, and follow the master key.
            assert rekey(platform.database, master_key_file(platform.settings), lambda _: None) >= 3
            put(platform, 8)
            headers, body = one.wait(6)[5]
            assert Verifier(turned["secret"]).verify(body, headers)


def test_an_endpoint_that_was_away_gets_all_in_order_under_the_same_ids(platform: Platform) -> None:
    one = Endpoint(lambda count, _: (503, {"retry-after": "1"}) if count in (2, 3) else (200, {}))
    with registered(platform, one) as (a, _, __):
        enter(a, one)
        with telling(platform):
            put(platform, 1, 2, 3, 4)
            one.wait(6)
            assert alarms(one) == [1, 2, 2, 2, 3, 4]
            assert len({h["webhook-id"] for h, _ in one.got}) == 4
            until(lambda: a.get("/api/webhooks")[1]["webhooks"][0]["delivered"] == 4)


def test_what_an_endpoint_refuses_steps_aside_becomes_dead_and_is_sent_again(platform: Platform) -> None:
    refused = threading.Event()
    refused.set()
    one = Endpoint(lambda _, body: (400 if refused.is_set() and b'"alarm_id":2}' in body else 200, {}))
    with registered(platform, one) as (a, b, _):
        made = enter(a, one)
        path = f"/api/webhooks/{made['webhook_id']}/dead"
        with telling(platform):
            put(platform, 1, 2, 3, 2)
            dead = until(lambda: len(a.get(path)[1]["letters"]) == 2 and a.get(path)[1]["letters"])
            assert sorted(alarms(one)) == [1, 2, 2, 2, 2, 2, 2, 3]
            assert [(x["attempts"], x["last_status"], x["message"]["data"]) for x in dead] == [
                (3, 400, {"alarm_id": 2})
            ] * 2
            assert b.get(path)[0] == b.get("/api/webhooks/wh_0/dead")[0] == 404
            refused.clear()
            assert a.post(f"{path}/{dead[0]['event_id']}/resend") == (200, {"sent_again": 1})
            until(lambda: len(a.get(path)[1]["letters"]) == 1 and len(one.got) == 9)
            assert a.post(f"{path}/{dead[0]['event_id']}/resend")[0] == 404
            assert a.post(f"{path}/resend") == (200, {"sent_again": 1})
            until(lambda: not a.get(path)[1]["letters"] and len(one.got) == 10)
            last = {h["webhook-id"] for h, _ in one.got[-2:]}
            assert last == {f"evt_{made['webhook_id'][3:]}_{x['event_id']}" for x in dead}


def test_an_endpoint_that_never_answers_holds_nobody_up_and_its_event_ends_as_a_dead_letter(platform: Platform) -> None:
    def sleep(_: int, __: bytes) -> tuple[int, dict[str, str]]:
        time.sleep(3)
        return 200, {}

    slow, quick = Endpoint(sleep), Endpoint()
    with registered(platform, slow, quick, webhook_timeout_s=1) as (a, b, _):
        made = enter(a, slow)
        enter(b, quick)
        with telling(platform):
            put(platform, 1, 2)
            slow.wait(1)
            put(platform, *range(100, 160), operator="OP-B")
            quick.wait(60, 30)  # one a second, were they to wait for the other
            assert alarms(quick) == list(range(100, 160))
            path = f"/api/webhooks/{made['webhook_id']}/dead"
            until(lambda: a.get(path)[1]["letters"], 40)
            assert "cannot be reached" in a.get(path)[1]["letters"][0]["last_error"]


def test_who_fails_for_long_or_is_gone_is_paused_and_its_owner_told(platform: Platform) -> None:
    one, gone = Endpoint(lambda _, __: (500, {})), Endpoint(lambda _, __: (410, {}))
    with registered(platform, one, gone, webhook_attempts=1_000) as (a, b, _):
        made = enter(a, one)
        enter(b, gone)
        with telling(platform):
            put(platform, 1)
            put(platform, 2, operator="OP-B")
            until(lambda: a.get("/api/webhooks")[1]["webhooks"][0]["failing_since_utc_ms"])
            with platform.database.transaction() as connection:
                connection.execute("update webhook set failing_since_utc_ms = 1 where failing_since_utc_ms is not null")
            until(lambda: a.get("/api/webhooks")[1]["webhooks"][0]["state"] == "paused")
            until(lambda: b.get("/api/webhooks")[1]["webhooks"][0]["state"] == "paused")
            told = {e.operator_id: e.body for e in events_after(platform.database, 0, 99) if e.kind == "webhook.paused"}
            assert told["OP-A"]["webhook_id"] == made["webhook_id"]
            assert "410" in told["OP-B"]["reason"]
            one.answer = lambda _, __: (200, {})
            count = len(one.got)
            assert a.post(f"/api/webhooks/{made['webhook_id']}/resume")[1]["state"] == "active"
            one.wait(count + 1)
            assert json.loads(one.got[count][1])["data"] == {"alarm_id": 1}


def test_what_was_forgotten_while_an_endpoint_was_paused_is_told(platform: Platform) -> None:
    one = Endpoint()
    with registered(platform, one) as (a, _, __):
        made = enter(a, one)
        assert a.post(f"/api/webhooks/{made['webhook_id']}/pause")[1]["state"] == "paused"
        put(platform, 1, 2)
        forget_events(platform.database, now_utc_ms() + 1_000)
        put(platform, 3)
        a.post(f"/api/webhooks/{made['webhook_id']}/resume")
        with telling(platform):
            one.wait(2)
            assert [json.loads(body)["type"] for _, body in one.got] == ["alarm.opened", "webhook.missed"]
            assert json.loads(one.got[1][1])["data"]["up_to"] == 2


def test_a_suspended_operator_is_told_of_nothing_until_he_is_admitted_again(platform: Platform) -> None:
    one, other = Endpoint(), Endpoint()
    with registered(platform, one, other) as (a, b, _):
        enter(a, one)
        enter(b, other)
        store.put_parties(platform.database, [dataclasses.replace(A, suspended=True)], now_utc_ms())
        with telling(platform):
            put(platform, 1)
            put(platform, 2, operator="OP-B")
            other.wait(1)
            time.sleep(1)
            assert not one.got
            store.put_parties(platform.database, [A], now_utc_ms())
            one.wait(1)


def _child(settings: Settings, url: str) -> None:
    tell_for_ever(open_platform(settings, url), threading.Event())


def test_a_process_that_is_killed_loses_nothing(platform: Platform) -> None:
    """kill -9 at any point: each event arrives, at least once, and for the first time in order."""
    one = Endpoint(lambda count, _: (500 if count % 40 == 0 else 200, {}))
    with registered(platform, one, webhook_attempts=1_000) as (a, _, __):
        enter(a, one)
        context = multiprocessing.get_context("spawn")
        total = 200
        for turn in range(4):
            child = context.Process(target=_child, args=(platform.settings, platform.database.url))
            child.start()
            before = len(one.got)
            put(platform, *range(turn * 50, turn * 50 + 50))
            one.wait(before + 20, 40)
            child.kill()
            child.join()
        with telling(platform):
            until(lambda: len(set(alarms(one))) == total, 60)
        firsts = list(dict.fromkeys(alarms(one)))
        assert firsts == list(range(total))
        ids = {(h["webhook-id"], json.loads(body)["data"]["alarm_id"]) for h, body in one.got}
        assert len(ids) == total


def test_the_test_button_says_what_became_of_it(platform: Platform) -> None:
    one = Endpoint(lambda count, _: (200, {}) if count == 1 else (302, {"location": "http://127.0.0.1:1/"}))
    with registered(platform, one) as (a, b, _):
        made = enter(a, one)
        path = f"/api/webhooks/{made['webhook_id']}/test"
        status, told = a.post(path)
        assert (status, told["taken"], told["status"]) == (200, True, 200)
        headers, body = one.got[0]
        assert Verifier(made["secret"]).verify(body, headers)["type"] == "notice.test"
        assert a.post(path)[1]["status"] == 302  # a redirect is an answer, and is not followed
        assert b.post(path)[0] == 404


def test_endpoints_are_their_owners_alone(platform: Platform) -> None:
    one = Endpoint()
    manager = Party("m", Role.MANAGER, "经理", "OP-A")
    inspector, admin = Party("i", Role.INSPECTOR, "检查员"), Party("adm", Role.ADMIN, "管理员")
    with registered(platform, one, webhooks_per_party=2) as (a, b, supervisor):
        made = enter(a, one, description="<b>甲</b>")
        name = made["webhook_id"]
        people = [Caller(platform, a.url, p) for p in (manager, inspector, admin)]
        assert "secret" not in people[0].get(f"/api/webhooks/{name}")[1]
        assert people[0].get(f"/api/webhooks/{name}")[1]["description"] == "<b>甲</b>"
        assert people[1].get("/api/webhooks")[0] == 403
        assert people[2].get("/api/webhooks")[1] == supervisor.get("/api/webhooks")[1] == {"webhooks": []}
        for caller in (b, supervisor, people[2]):
            for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/secret"), ("POST", "/pause")):
                body = {"url": one.url} if method == "PUT" else None
                absent, foreign = (
                    httpx.request(method, f"{caller.base}/api/webhooks/{w}{path}", headers=caller.headers, json=body)
                    for w in ("wh_0", name)
                )
                assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content)
                assert foreign.status_code == 404
        enter(a, one)
        status, told = a.post("/api/webhooks", json={"url": one.url})
        assert (status, told["type"]) == (422, "urn:anxin:webhook.many")
        altered = {"url": f"{one.url}2", "kinds": ["alarm.closed"]}
        answer = httpx.put(f"{a.url}/api/webhooks/{name}", headers=a.headers, json=altered)
        assert (answer.json()["url"], answer.json()["kinds"]) == (f"{one.url}2", ["alarm.closed"])
        assert httpx.delete(f"{a.url}/api/webhooks/{name}", headers=a.headers).status_code == 204
        assert a.get(f"/api/webhooks/{name}")[0] == 404
        with platform.database.transaction() as connection:
            rest = connection.execute("select from notice_secret where subject = %s", (name,)).fetchall()
            deeds = connection.execute(
                "select payload from message where kind = 'deed.people' order by index"
            ).fetchall()
        assert not rest
        said = [json.loads(bytes(d[0])) for d in deeds]
        assert [d["act"] for d in said if d["webhook_id"] == name] == [
            "webhook.created", "webhook.altered", "webhook.deleted"
        ]  # fmt: skip
        assert "token=t" not in str(said)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://user:secret@example.com/", "ftp://example.com/", "https:///x", "nonsense",
        "https://example.com/" + "x" * 1_000, "https://exa\nmple.com/",
    ],
)  # fmt: skip
def test_a_url_that_may_not_be_called_is_refused(platform: Platform, url: str) -> None:
    with registered(platform) as (a, _, __):
        status, told = a.post("/api/webhooks", json={"url": url})
        assert status == 422, told


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]"]
)
def test_an_endpoint_inside_is_called_by_nobody(platform: Platform, host: str) -> None:
    with registered(platform) as (a, _, __):
        made = a.post("/api/webhooks", json={"url": f"https://{host}:9/"})[1]
        told = a.post(f"/api/webhooks/{made['webhook_id']}/test")[1]
        assert (told["taken"], "not admitted" in told["error"]) == (False, True), told


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True), ("10.1.2.3", False), ("127.0.0.1", False), ("169.254.169.254", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("100.64.0.1", False), ("2606:4700::1111", True), ("::1", False), ("fe80::1%eth0", False),
        ("fc00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:1.1.1.1", True), ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False), ("::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert outbound.is_public(address) is public


def test_a_named_host_may_be_inside_and_no_other_port_of_it() -> None:
    named = frozenset({"127.0.0.1:8080", "inside.example"})
    assert outbound.check_url("http://127.0.0.1:8080/x", named, named_only=False).port == 8080
    assert outbound.check_url("http://inside.example:9/", named, named_only=True).port == 9
    with pytest.raises(PeerError):
        outbound.check_url("http://127.0.0.1:8081/x", named, named_only=False)


def test_the_signature_is_that_of_the_official_library_and_pauses_double() -> None:
    key = b"\x30" * 24
    assert signature(key, "msg_1", 1_614_265_330, b"{}") == Verifier(key).sign(
        "msg_1", datetime.fromtimestamp(1_614_265_330, UTC), "{}"
    )
    settings = Settings()
    assert [pause_ms(n, settings, 1.0) for n in (1, 2, 3, 100)] == [5_000, 10_000, 20_000, 3_600_000]
    assert pause_ms(3, settings, 0.0) == 10_000
