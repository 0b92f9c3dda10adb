"""Meters over MQTT: records a second from the meter's disk to its verified receipt, and how long one takes.

One broker (NATS from its wheel), the door in a process of its own, PostgreSQL with fsync, and one process that plays a
gateway of many meters with the library that a meter would use. The limit beside it: the same client publishing the same
bytes to the same broker, counting nothing but the broker's acknowledgements.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from tests.platform.brokers import BrokerProcess, door_process

from anxin.assembly import open_platform
from anxin.domain.message import Receipt
from anxin.domain.register import Register
from anxin.evidence.note import parse_vkey
from anxin.flow.enrol import enrol_register
from anxin.flow.meter_client import MeterClient, Pace
from anxin.flow.meter_outbox import Held, Outbox, held
from anxin.flow.mqtt_link import Broker, Link, broker_of, topic
from anxin.flow.publishing import log_signer
from anxin.formats import meter_envelope
from anxin.formats.meter_envelope import ContentKey, Suite
from anxin.settings import Settings
from anxin.store import messages
from anxin.store.embedded import EmbeddedServer
from bench import common

METERS = 200
#: A signed OCMF record of a session has about so many bytes.
RECORD_BYTES = 700
PACE = Pace(window=400, again_s=5.0, connect_s=1, connect_longest_s=1)


def main() -> None:
    """Measure and write build/bench/mqtt.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=200, help="records a second while single ones are timed")
    parser.add_argument("--seconds", type=int, default=10, help="how long single ones are timed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anxin-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedServer(folder / "postgres").start()
        broker = BrokerProcess(folder / "broker").start()
        try:
            common.write("mqtt", _measured(folder, server.url, broker, args))
        finally:
            broker.kill()
            server.stop()


def _measured(folder: Path, url: str, broker: BrokerProcess, args: argparse.Namespace) -> dict[str, Any]:
    settings = replace(Settings(), data_dir=folder / "data", mqtt_url=broker.url, log_level="error")
    platform = open_platform(settings, url)
    keys = [ContentKey(f"ck-{n}", Suite.AES_256_GCM, f"bench-{n}".encode().ljust(32), f"AX-{n}") for n in range(METERS)]
    enrol_register(platform.database, platform.vault, Register(), keys)
    door = door_process(settings, url)
    arrived: dict[str, float] = {}

    def heard(one: Held, _: Receipt, __: int | None) -> None:
        arrived[one.sha256.hex()] = time.perf_counter()

    outbox = Outbox(folder / "outbox")
    meter = MeterClient(
        broker_of(settings), outbox, parse_vkey(log_signer(settings).vkey), pace=PACE, heard=heard,
        complained=print,
    )  # fmt: skip
    try:
        meter.start()
        meter.put(_records(keys, 1, 1))
        assert meter.wait_until_empty(60), "the door does not answer"
        many = _records(keys, args.records, 2)
        before = meter.sent
        used, began = _cpu_s(door.pid, broker.pid), time.perf_counter()
        meter.put(many)
        assert meter.wait_until_empty(120), f"{len(outbox)} records have no receipt"
        seconds = time.perf_counter() - began
        door_s, broker_s, gateway_s = (b - a for a, b in zip(used, _cpu_s(door.pid, broker.pid), strict=True))
        times = _timed_singly(meter, _records(keys, args.rate * args.seconds, 1_000_000), args.rate, arrived)
        kept = messages.size(platform.database)
        assert kept == 1 + len(many) + len(times), "records were lost or doubled"
        assert meter.false_receipts == 0
        limit = _broker_alone(broker_of(settings), many)
        return {
            "records": len(many),
            "sent_again": meter.sent - before - len(many) - len(times),
            "records_per_s": round(len(many) / seconds),
            "records_per_cpu_s": {
                "door": round(len(many) / door_s),
                "broker": round(len(many) / broker_s),
                "gateway": round(len(many) / gateway_s),
            },
            "broker_alone_per_s": round(limit),
            "single": {
                "records": len(times),
                "records_per_s": args.rate,
                "publish_to_receipt_p50_ms": round(statistics.median(times) * 1_000, 1),
                "publish_to_receipt_p99_ms": round(statistics.quantiles(times, n=100)[98] * 1_000, 1),
            },
            "meters": METERS,
            "bytes": len(many[0]),
        }
    finally:
        meter.stop()
        outbox.close()
        door.terminate()
        door.join(20)
        platform.database.close()


def _cpu_s(*pids: int | None) -> list[float]:
    """Return the CPU-seconds that processes used so far, this one's last."""
    return [sum(psutil.Process(pid).cpu_times()[:2]) for pid in (*pids, None)]


def _records(keys: list[ContentKey], count: int, first: int) -> list[bytes]:
    text = b"OCMF|" + b"x" * (RECORD_BYTES - 5)
    return [
        meter_envelope.seal(
            text,
            keys[n % METERS],
            counter=first + n // METERS,
            meter_id=str(keys[n % METERS].meter_id),
            sent_utc_ms=1_793_491_200_000,
        )
        for n in range(count)
    ]


def _timed_singly(meter: MeterClient, records: list[bytes], rate: int, arrived: dict[str, float]) -> list[float]:
    """Hand over one record after the other, on time whether the last one is back or not; return seconds of each."""
    began, given = time.perf_counter(), {}
    for number, record in enumerate(records):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        given[held(record)[0]] = time.perf_counter()
        meter.put([record])
    assert meter.wait_until_empty(60)
    return [arrived[key] - at for key, at in given.items()]


def _broker_alone(broker: Broker, records: list[bytes]) -> float:
    """Return acknowledgements of the broker a second for the same bytes under topics that nobody reads."""
    ready, room, back = threading.Event(), threading.Semaphore(PACE.window), threading.Semaphore(0)

    def acknowledged(*_: Any) -> None:
        room.release()
        back.release()

    link = Link(
        broker, "bench", connected=ready.set, disconnected=lambda: None, received=lambda _: None, window=PACE.window
    )
    link.client.on_publish = acknowledged
    link.start()
    assert ready.wait(10)
    began = time.perf_counter()
    for number, record in enumerate(records):
        room.acquire()
        link.publish(topic("nobody", str(number % METERS), "records"), record)
    for _ in records:
        back.acquire()
    seconds = time.perf_counter() - began
    link.stop()
    return len(records) / seconds


if __name__ == "__main__":
    main()
