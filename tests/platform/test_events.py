"""The event stream on a real server: order, resumption, restarts, tenants, districts, limits, revocation."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from anxin.domain.party import Party, Role
from anxin.flow import event_feed
from anxin.flow.event_feed import event_document
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import parties as store
from anxin.store.events import Event, Scope, events_after, forget_events, put_events, scoped_events
from tests.platform.web import Caller, serving

A, B = Party("OP-A", Role.OPERATOR, "甲", "OP-A"), Party("OP-B", Role.OPERATOR, "乙", "OP-B")
INSPECTOR = Party("inspector", Role.INSPECTOR, "检查员")
WEST = Party("west", Role.INSPECTOR, "西湖检查员", districts=("西湖区",))


def put(platform: Platform, *events: Event) -> None:
    with platform.database.transaction() as connection:
        put_events(connection, events, now_utc_ms())


def alarm(number: int, operator: str = "OP-A", district: str | None = "西湖区", kind: str = "alarm.opened") -> Event:
    return Event(kind, {"alarm_id": number, "text": "一行\n两行"}, operator, district)


class Listener:
    """A stream that is read in a thread of its own. `events` are (id, kind, document); `ids` every id line."""

    def __init__(self, caller: Caller, query: str = "", last: int | None = None) -> None:
        headers = caller.headers | ({} if last is None else {"last-event-id": str(last)})
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.ids: list[int] = []
        self.lines: list[str] = []
        self.status, self.ended = 0, threading.Event()
        self._client = httpx.Client(timeout=30)
        self._request = self._client.build_request("GET", f"{caller.base}/api/events{query}", headers=headers)
        self._opened = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._opened.wait(20)

    def _read(self) -> None:
        try:
            self._answer = self._client.send(self._request, stream=True)
            self.status = self._answer.status_code
            if self.status != 200:
                self.document = json.loads(self._answer.read())
                return
            found: dict[str, str] = {}
            for line in self._answer.iter_lines():
                self.lines.append(line)
                if line:
                    name, _, value = line.partition(": ")
                    found[name] = value
                    continue
                if "id" in found:
                    self.ids.append(int(found["id"]))
                if "data" in found:
                    self.events.append((int(found["id"]), found["event"], json.loads(found["data"])))
                found = {}
                self._opened.set()
        except httpx.HTTPError:
            pass
        finally:
            self._opened.set()
            self.ended.set()

    def numbers(self, count: int, within_s: float = 10) -> list[int]:
        """The alarms of the first `count` events, once they are here."""
        end = time.monotonic() + within_s
        while len(self.events) < count and time.monotonic() < end and not self.ended.is_set():
            time.sleep(0.01)
        return [document["data"]["alarm_id"] for _, _, document in self.events]

    def close(self) -> None:
        """Hang up: closing alone would say nothing to the server while the reading thread still holds the socket."""
        hung_up = self._answer.extensions["network_stream"].get_extra_info("socket")
        hung_up.shutdown(socket.SHUT_RDWR)
        self._client.close()


def read_to_the_end(connection: socket.socket) -> int:
    read = 0
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            read += len(piece)
    return read


@pytest.fixture
def small(platform: Platform) -> Platform:
    platform.settings = dataclasses.replace(
        platform.settings, events_heartbeat_s=1, events_send_s=1, events_per_party=3, events_connections=4
    )
    return platform


@contextmanager
def callers(platform: Platform, *parties: Party) -> Iterator[list[Caller]]:
    store.put_parties(platform.database, [A, B, *parties], now_utc_ms())
    with serving(platform) as url:
        yield [Caller(platform, url, party) for party in parties]


def test_each_hears_his_own_and_the_regulator_hears_his_district(platform: Platform) -> None:
    with callers(platform, A, B, INSPECTOR, WEST) as four:
        a, b, inspector, west = (Listener(c) for c in four)
        put(platform, alarm(1), alarm(2, "OP-B", "上城区"))
        put(platform, alarm(3, district=None), Event("hidden", {"alarm_id": 4}, "OP-A", "西湖区", regulator=False))
        put(platform, alarm(5, "OP-B"), dataclasses.replace(alarm(6), operator_id=None))
        assert a.numbers(3) == [1, 3, 4]
        assert b.numbers(2) == [2, 5]
        assert inspector.numbers(5) == [1, 2, 3, 5, 6]
        assert west.numbers(3) == [1, 5, 6]
        number, kind, document = a.events[0]
        assert (kind, document["type"], document["event_id"]) == ("alarm.opened", "alarm.opened", number)
        assert document["data"]["text"] == "一行\n两行"


def test_kinds_are_chosen_and_nonsense_is_refused(platform: Platform) -> None:
    with callers(platform, A) as (a,):
        chosen = Listener(a, "?kind=alarm.closed&kind=webhook.*")
        put(platform, alarm(1), alarm(2, kind="alarm.closed"), alarm(3, kind="webhook.paused"))
        assert chosen.numbers(2) == [2, 3]
        for query in ("?kind=Alarm", "?kind=alarm.*.x", "?after=-1", f"?after={1 << 63}", "?kind=" + "a" * 65):
            assert Listener(a, query).status == 422, query
        assert httpx.get(f"{a.url}/api/events", headers=a.headers | {"last-event-id": "x"}).status_code == 422
        assert httpx.get(f"{a.url}/api/events").status_code == 401


def test_a_listener_that_comes_again_hears_each_event_once(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut at any place, over restarts of the server, from the tail and from the table: no gap, no double."""
    monkeypatch.setattr(event_feed, "MAX_TAIL", 20)
    monkeypatch.setattr(event_feed, "MAX_BATCH", 7)
    heard: list[int] = []
    last: int | None = None
    written, stop = [0], threading.Event()

    def write() -> None:
        while not stop.wait(0.002):
            written[0] += 1
            put(platform, alarm(written[0]), alarm(10**9, "OP-B"))

    writer = threading.Thread(target=write)
    store.put_parties(platform.database, [A], now_utc_ms())
    writer.start()
    for _ in range(3):
        with serving(platform) as url:
            a = Caller(platform, url, A)
            for cut in range(3):
                listener = Listener(a, "?after=0", last)
                assert len(listener.numbers(5 + 20 * cut)) >= 5 + 20 * cut
                if cut < 2:  # the last one is cut by the server, that stops under it
                    listener.close()
                    assert listener.ended.wait(5)
                    heard += listener.numbers(0)
                    last = listener.events[-1][0]
        assert listener.ended.wait(10)
        heard += listener.numbers(0)
        last = listener.events[-1][0]
    stop.set()
    writer.join()
    with serving(platform) as url:
        heard += Listener(Caller(platform, url, A), "", last).numbers(written[0] - heard[-1])
    assert heard == list(range(1, written[0] + 1))


def test_a_place_that_is_no_longer_kept_is_told(platform: Platform) -> None:
    with callers(platform, A) as (a,):
        put(platform, *(alarm(n) for n in range(1, 6)))
        time.sleep(0.01)
        (kept,) = [e for e in events_after(platform.database, 0, 10) if e.body["alarm_id"] == 3]
        with platform.database.transaction() as connection:
            connection.execute("update event set at_utc_ms = 1000 where event_id <= %s", (kept.event_id,))
        assert forget_events(platform.database, 2_000) == 3
        assert forget_events(platform.database, 2_000) == 0
        old = Listener(a, "", kept.event_id - 1)
        assert (old.status, old.document["type"]) == (410, "urn:anxin:events.forgotten")
        assert old.document["kept_after"] == kept.event_id
        assert Listener(a, "", kept.event_id).numbers(2) == [4, 5]
        # A number beyond the newest comes from a platform that was restored since: silence would hide what comes.
        assert Listener(a, f"?after={old.document['newest'] + 1}").status == 410
        # All are forgotten: the newest number is still known.
        forget_events(platform.database, now_utc_ms() + 1_000)
        assert Listener(a, f"?after={old.document['newest']}").status == 200
        assert Listener(a, f"?after={old.document['newest'] - 1}").status == 410


def test_signs_of_life_move_the_place(small: Platform) -> None:
    with callers(small, A, B) as (a, _):
        listener = Listener(a)
        put(small, alarm(1, "OP-B"))
        end = time.monotonic() + 5
        while len(listener.ids) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        assert not listener.events
        assert listener.ids[-1] == listener.ids[0] + 1


def test_a_revoked_token_and_a_suspended_party_end_their_streams(small: Platform) -> None:
    with callers(small, A, B) as (a, b):
        first, second = Listener(a), Listener(b)
        put(small, alarm(1), alarm(2, "OP-B"))
        assert first.numbers(1) == [1]
        (credential,) = [c for c in store.list_credentials(small.database) if c.party_id == "OP-A"]
        store.revoke_credential(small.database, credential.credential_id, now_utc_ms())
        assert first.ended.wait(3)
        assert not second.ended.is_set()
        store.put_parties(small.database, [dataclasses.replace(B, suspended=True)], now_utc_ms())
        assert second.ended.wait(3)


def test_districts_that_change_hold_in_a_stream_that_is_open(platform: Platform) -> None:
    with callers(platform, WEST) as (west,):
        listener = Listener(west)
        put(platform, alarm(1), alarm(2, district="上城区"))
        assert listener.numbers(1) == [1]
        store.put_parties(platform.database, [dataclasses.replace(WEST, districts=("上城区",))], now_utc_ms())
        platform.refresh()
        put(platform, alarm(3), alarm(4, district="上城区"))
        assert listener.numbers(2) == [1, 4]


def test_no_more_streams_than_allowed(small: Platform) -> None:
    with callers(small, A, B) as (a, b):
        held = [Listener(a) for _ in range(3)]
        assert Listener(a).status == 429
        held.append(Listener(b))
        crowded = httpx.get(f"{b.url}/api/events", headers=b.headers)
        assert (crowded.status_code, crowded.headers["retry-after"]) == (503, "5")
        held[0].close()
        end = time.monotonic() + 20
        while (again := Listener(b)).status == 503 and time.monotonic() < end:
            time.sleep(0.05)
        assert again.status == 200


def test_who_does_not_read_is_cut_and_holds_nobody_up(small: Platform) -> None:
    with callers(small, A, B) as (a, b):
        place = int(a.url.rpartition(":")[2])
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        lazy.connect(("127.0.0.1", place))
        token = a.headers["authorization"]
        lazy.sendall(f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
        assert lazy.recv(100).startswith(b"HTTP/1.1 200")
        other = Listener(b)
        large = {"alarm_id": 1, "text": "x" * 60_000}
        for _ in range(10):
            put(small, *(Event("alarm.opened", large, "OP-A") for _ in range(20)), alarm(7, "OP-B"))
        assert other.numbers(10) == [7] * 10
        end = time.monotonic() + 10
        while not (cut := small.measures.registry.get_sample_value("anxin_streams_cut_total")):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert cut == 1
        lazy.settimeout(5)
        assert read_to_the_end(lazy) < 10 * 20 * 60_000


def test_without_the_databases_word_events_are_found_all_the_same(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "CHANNEL", "another")
    with callers(platform, A) as (a,):
        listener = Listener(a)
        put(platform, alarm(1))
        assert listener.numbers(1, 3) == [1]


def test_a_database_that_was_away_leaves_no_gap(platform: Platform) -> None:
    with callers(platform, A) as (a,):
        listener = Listener(a)
        put(platform, alarm(1))
        assert listener.numbers(1) == [1]
        with psycopg.connect(platform.database.url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query like 'listen%' and pid <> pg_backend_pid()"
            )
        put(platform, alarm(2))
        assert listener.numbers(2) == [1, 2]


def test_the_table_and_the_tail_choose_alike(platform: Platform) -> None:
    events = [
        Event(kind, {}, operator, district, regulator)
        for kind in ("alarm.opened", "alarm_x.opened", "alarm.closed", "webhook.paused")
        for operator in (None, "OP-A", "OP-B")
        for district in (None, "西湖区", "上城区")
        for regulator in (True, False)
    ]
    put(platform, *events)
    kept = events_after(platform.database, 0, 1_000)
    assert len(kept) == len(events)
    for operator in (None, "OP-A"):
        for districts in ((), ("西湖区",), ("西湖区", "上城区")):
            for kinds in ((), ("alarm.*",), ("alarm.opened", "webhook.*"), ("alarm_.opened",)):
                scope = Scope(operator, districts, kinds)
                found = scoped_events(platform.database, scope, 0, None, 1_000)
                assert found is not None
                assert found[0] == [e for e in kept if scope.sees(e)], scope


def test_an_event_is_one_line_of_json() -> None:
    document = event_document(Event("alarm.opened", {"说": "a\r\nb"}, "OP-A", None, True, 7, 1_700_000_000_123))
    assert b"\n" not in document
    assert b"\r" not in document
    assert json.loads(document)["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert Settings().events_connections >= 500
