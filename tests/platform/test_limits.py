"""Rates at their limit and one beyond it, requests that do not arrive, and what health says."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from anxin.domain.errors import LimitError
from anxin.domain.message import Kind, Message
from anxin.faces.connection import MAX_HEAD_BYTES, guarded_protocol
from anxin.faces.outer import create_app
from anxin.flow import enrol, rates
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer, publish_for_ever
from anxin.flow.rates import Buckets, address_key
from anxin.formats import meter_envelope
from anxin.store import facts, messages
from tests.platform.live_city import LiveCity, enrolled
from tests.platform.test_doors import ORDER, Operator
from tests.platform.web import listening, operators

BURST, GUESSES = 5, 3


@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.integers(0, 3_000)), max_size=40),
    rate=st.integers(1, 5),
    burst=st.integers(1, 6),
)
@examples(max_examples=100, deadline=None)
def test_nobody_ever_gets_more_than_his_burst_and_his_rate(
    steps: list[tuple[str, int, int]], rate: int, burst: int
) -> None:
    now = [0.0]
    buckets = Buckets(rate, burst, lambda: now[0])
    taken = {"a": 0, "b": 0}
    for key, count, pause_ms in steps:
        now[0] += pause_ms / 1_000
        try:
            buckets.take_all({key: count})
            taken[key] += count
        except LimitError as error:
            now[0] += error.wait_s + 1e-6  # when he was told to come again, he is served
            buckets.take_all({key: count})
            taken[key] += count
        for name, sum_taken in taken.items():
            # More than a burst at once needs a full bucket, and is paid for afterwards.
            assert sum_taken <= burst + rate * now[0] + max(0, 4 - burst) + 1e-3, name


def test_callers_are_forgotten_beyond_a_number_and_the_noisy_one_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_CALLERS", 100)
    buckets = Buckets(0.001, 1, lambda: 0.0)
    for number in range(500):
        buckets.take("noisy")
        buckets.take(f"caller {number}")
    assert len(buckets) == 100
    assert buckets.wait_s("noisy") > 0


def test_a_network_of_ipv6_is_one_caller() -> None:
    assert address_key("2001:db8:1:2::5") == address_key("2001:db8:1:2:ffff::1") != address_key("2001:db8:1:3::5")
    assert address_key("192.0.2.7") == "192.0.2.7"
    assert address_key("unknown") == "unknown"


@contextmanager
def serving(platform: Platform, within_s: float = 30) -> Iterator[str]:
    options = {"http": guarded_protocol(within_s), "h11_max_incomplete_event_size": MAX_HEAD_BYTES}
    with listening(create_app(platform), **options) as url:
        yield url


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=12, days=1, cheats=0)


@pytest.fixture
def tight(platform: Platform, city: LiveCity) -> Platform:
    """The platform with limits that a test can reach, and a rate so low that nothing comes back meanwhile."""
    settings = dataclasses.replace(
        platform.settings, party_rate_per_s=1, party_burst=BURST, address_rate_per_s=1, address_burst=BURST,
        guesses_per_minute=GUESSES,
    )  # fmt: skip
    made = Platform(settings, platform.database, platform.vault)
    made.refresh()
    for buckets in (made.intake.senders,):
        buckets.rate_per_s = 0.001
    return made


@pytest.fixture
def server(tight: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    real = Buckets.__init__

    def slow(self: Buckets, rate_per_s: float, burst: int) -> None:
        real(self, rate_per_s / 1_000, burst)

    monkeypatch.setattr(Buckets, "__init__", slow)
    with serving(tight) as url:
        yield url


def records(city: LiveCity, other_than: str = "") -> list[Message]:
    return [m for m in city.messages if m.kind is Kind.METER_ENVELOPE and m.sender != other_than]


def test_a_meter_at_its_limit_is_served_and_beyond_it_told_when_to_come_again(
    server: str, tight: Platform, city: LiveCity
) -> None:
    noisy = records(city)[0]
    for _ in range(BURST):
        assert httpx.post(f"{server}/meter/v1/records", content=noisy.payload).status_code == 200
    answer = httpx.post(f"{server}/meter/v1/records", content=noisy.payload)
    assert (answer.status_code, answer.json()["title"]) == (429, "rate")
    assert int(answer.headers["retry-after"]) > 0
    line = meter_envelope.to_line(noisy.payload)
    assert httpx.post(f"{server}/meter/v1/records/batch", content=line).status_code == 429
    other = records(city, noisy.sender)[0]
    assert httpx.post(f"{server}/meter/v1/records", content=other.payload).status_code == 200
    assert messages.size(tight.database) == 2
    measured = httpx.get(f"{server}/metrics").text
    for outcome, count in (("accepted", 2), ("repeated", BURST - 1), ("limited", 2)):
        assert f'anxin_outcomes_total{{kind="meter.envelope",outcome="{outcome}"}} {count}.0' in measured
    assert 'anxin_requests_total{door="meter",status="429"} 2.0' in measured
    assert "anxin_commit_seconds_bucket" in measured
    assert "anxin_queue_messages 0.0" in measured


def test_a_batch_of_more_than_a_burst_passes_once_the_sender_was_silent(server: str, city: LiveCity) -> None:
    by_meter: dict[str, list[Message]] = {}
    for m in records(city):
        by_meter.setdefault(m.sender, []).append(m)
    lines = [meter_envelope.to_line(m.payload) for m in max(by_meter.values(), key=len)]
    lines *= 1 + BURST // len(lines)
    assert len(lines) > BURST
    assert httpx.post(f"{server}/meter/v1/records/batch", content=b"\n".join(lines)).status_code == 200
    assert httpx.post(f"{server}/meter/v1/records/batch", content=lines[0]).status_code == 429


def test_many_meters_behind_one_address_are_as_many_parties(server: str, city: LiveCity) -> None:
    some = list({m.sender: m for m in records(city)}.values())
    assert len(some) > BURST
    assert {httpx.post(f"{server}/meter/v1/records", content=m.payload).status_code for m in some} == {200}


def test_a_stranger_at_his_limit_is_served_and_beyond_it_not_while_a_party_still_is(
    server: str, tight: Platform
) -> None:
    token = enrol.new_token(tight.database, tight.vault, operators(tight)[0])
    tight.refresh()
    for _ in range(BURST):
        assert httpx.get(f"{server}/health/live").status_code == 200
    refused = httpx.get(f"{server}/health/live")
    assert (refused.status_code, refused.json()["title"]) == (429, "rate")
    held = {"authorization": f"Bearer {token}"}
    for _ in range(BURST):
        assert httpx.get(f"{server}/api/verdicts", headers=held).status_code == 200
    assert httpx.get(f"{server}/api/verdicts", headers=held).status_code == 429


def test_guessed_tokens_are_throttled_and_the_right_one_is_still_served(server: str, tight: Platform) -> None:
    token = enrol.new_token(tight.database, tight.vault, operators(tight)[0])
    tight.refresh()

    def read(said: str) -> int:
        return httpx.get(f"{server}/api/verdicts", headers={"authorization": f"Bearer {said}"}).status_code

    assert [read(f"guess {n}") for n in range(GUESSES + 1)] == [401] * GUESSES + [429]
    assert read(token) == 200


def test_guessed_secrets_of_an_operator_are_answered_busy_in_the_standard_s_words(
    server: str, tight: Platform, city: LiveCity
) -> None:
    operator = Operator(tight, server, next(m.sender for m in city.messages if m.kind is Kind.TCEC_ORDER))
    forged = operator.body({"OperatorID": operator.id}).replace(b'"Sig"', b'"Old"').replace(b"{", b'{"Sig":"00",', 1)
    answers = [httpx.post(f"{server}/evcs/v1/{ORDER}", content=forged) for _ in range(GUESSES + 1)]
    assert [a.json()["Ret"] for a in answers] == [4001] * GUESSES + [-1]
    assert [a.status_code for a in answers] == [200] * (GUESSES + 1)
    assert int(answers[-1].headers["retry-after"]) > 0


def test_an_operator_beyond_his_rate_is_answered_busy(server: str, tight: Platform, city: LiveCity) -> None:
    order = next(m for m in city.messages if m.kind is Kind.TCEC_ORDER)
    operator = Operator(tight, server, order.sender)
    operator.login()
    codes = [operator.post(ORDER, operator.body(order.payload))[0] for _ in range(BURST + 1)]
    assert codes == [0] * BURST + [-1]


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /meter/v1/records HTTP/1.1\r\nHost: x\r\nX: ",
     b"POST /meter/v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"],
    ids=["nothing", "half a head", "half a body"],
)  # fmt: skip
def test_a_request_that_does_not_arrive_ends_with_its_connection(
    sent: bytes, platform: Platform, city: LiveCity
) -> None:
    with serving(platform, within_s=0.6) as url, httpx.Client(base_url=url) as kept:
        assert kept.get("/health/live").status_code == 200
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as slow:
            slow.sendall(sent)
            started = time.monotonic()
            while time.monotonic() - started < 0.4:  # a byte now and then does not keep it open
                time.sleep(0.1)
                slow.sendall(b"a" if sent else b"")
            assert slow.recv(1) == b""
            assert 0.3 < time.monotonic() - started < 8
        assert kept.get("/health/live").status_code == 200  # an honest connection that rested goes on


def test_a_head_beyond_its_limit_is_refused(platform: Platform, city: LiveCity) -> None:
    def status(size: int) -> int:
        try:
            return httpx.get(f"{url}/health/live", headers={"x": "a" * size}).status_code
        except httpx.TransportError:  # uvicorn closes while the rest still comes
            return 400

    with serving(platform) as url:
        sizes = (MAX_HEAD_BYTES - 500, MAX_HEAD_BYTES, 8 * MAX_HEAD_BYTES)
        assert [status(size) for size in sizes] == [200, 431, 400]


def test_health_says_what_is_not_as_it_should_be(platform: Platform, city: LiveCity) -> None:
    def reasons() -> list[str]:
        answer = httpx.get(f"{url}/health/ready")
        found: list[str] = answer.json()["reasons"]
        assert answer.status_code == (503 if found else 200)
        return found

    with serving(platform) as url:
        assert reasons() == ["no judge works on this database"]
        with facts.judge_lock(platform.database):
            assert reasons() == []
            long_ago = int(time.time() * 1_000) - 60_000
            messages.append(platform.database, city.messages[:3], long_ago, lambda *_: bytes(32))
            (late,) = reasons()
            assert late.startswith("the log is not published")
            stop = threading.Event()
            publisher = threading.Thread(target=publish_for_ever, args=(platform.database, platform.settings, stop))
            publisher.start()
            while not (log_folder(platform.settings) / "checkpoint").is_file():
                time.sleep(0.02)
            assert reasons() == []
            stop.set()
            publisher.join()
    full = Platform(dataclasses.replace(platform.settings, least_free_mb=10**12), platform.database, platform.vault)
    with serving(full) as url, facts.judge_lock(platform.database):
        (room,) = reasons()
        assert room.endswith("MB are left in the data folder")
    assert log_signer(platform.settings).name
