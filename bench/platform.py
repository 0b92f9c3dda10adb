"""The running platform under load, with a year of records already stored.

1  a city of 140,000 chargers as files, and a database filled to `--stored` records
2  the limits of this machine: openssl's verifications, synced group commits of the same database
3  the load of 14,000 chargers in their busiest hour, then ten times that: from a record's receipt to its finding
   readable through the API, and to its proof
4  a flood: `--rate` sealed records a second for `--seconds`, from the moment each was due to its receipt

    python -m bench.platform [--stored 14400000] [--rate 2000] [--seconds 300] [--data build/bench/platform]

Settings of the platform come from the environment as everywhere: ANXIN_WEB_PROCESSES=2 serves with two.
The load generator runs on the same machine and takes its share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil

from anxin.assembly import open_platform
from anxin.formats import tcec102_envelope
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.settings import Settings, load_settings
from anxin.store.embedded import EmbeddedServer
from bench.common import BUILD, write
from bench.platform_city import Session, enrolled, made_city, options_of, record_lines, sessions
from bench.platform_fill import fill
from bench.platform_http import Connection
from bench.platform_limits import limits

CHARGERS, DAYS = 140_000, 2
#: Sessions a charger and day in the virtual city, and the share of a day's sessions in its busiest hour.
SESSIONS_PER_CHARGER_DAY, BUSIEST_HOUR = 2.8, 0.08
#: Of the sessions under load one in so many is billed 1 kWh too much: its finding is waited for.
PROBE_EVERY = 4
BATCH, CONNECTIONS = 50, 16
POLL_S = 0.1
ZONE = ZoneInfo("Asia/Shanghai")
HOST = "127.0.0.1"


def percentiles(values: list[float]) -> dict[str, float]:
    """Return count, p50, p99 and the greatest, in milliseconds."""
    ranked = sorted(values)
    at = {name: ranked[min(len(ranked) - 1, int(len(ranked) * share))] for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {
        "n": len(ranked),
        **{f"{k}_ms": round(v * 1000, 1) for k, v in at.items()},
        "max_ms": round(ranked[-1] * 1000, 1),
    }


class Load:
    """Sends sessions and records to a running platform and notes when what was answered."""

    def __init__(self, port: int, regulator_port: int, secrets: dict[str, dict[str, str]], token: str) -> None:
        self.port, self.secrets = port, secrets
        self.inside = Connection(HOST, regulator_port)
        self.bearer = f"Authorization: Bearer {token}\r\n"
        self.tokens: dict[str, str] = {}
        self.acknowledged: dict[str, float] = {}
        self.indexes: dict[int, float] = {}
        self.found: dict[str, float] = {}
        self.proved: dict[int, float] = {}
        self._seq = 0
        self._free: list[Connection] = []

    @contextlib.asynccontextmanager
    async def connection(self) -> Any:
        """A connection that nobody else uses now."""
        one = self._free.pop() if self._free else Connection(HOST, self.port)
        try:
            yield one
        finally:
            self._free.append(one)

    async def tcec(self, interface: str, operator: str, value: dict[str, Any]) -> dict[str, Any]:
        """Send one T/CEC message and return the opened answer. Raises SystemExit where it was refused."""
        s = self.secrets[operator]
        keys = OperatorSecrets(operator, *(s[n].encode() for n in ("data_secret", "data_secret_iv", "sig_secret")))
        self._seq = self._seq % 9999 + 1
        stamp = datetime.now(UTC).astimezone(ZONE).strftime("%Y%m%d%H%M%S")
        body = tcec102_envelope.seal_envelope(json.dumps(value).encode(), keys, stamp, f"{self._seq:04d}")
        header = f"Authorization: Bearer {self.tokens[operator]}\r\n" if operator in self.tokens else ""
        async with self.connection() as connection:
            status, answer = await connection.request("POST", f"/evcs/v1/{interface}", body, header)
        document = json.loads(answer)
        if status != 200 or document["Ret"] != 0:
            raise SystemExit(f"{interface} refused: {status} {answer[:300]!r}")
        opened: dict[str, Any] = json.loads(tcec102_envelope.open_parsed(document, [keys]).plain)
        return opened

    async def session(self, session: Session, probe: bool) -> None:
        """Send one session: its order, then its records; a probe's order bills 1 kWh too much."""
        order = dict(session.order)
        if probe:
            order["TotalPower"] = round(float(order["TotalPower"]) + 1, 3)
        if session.operator not in self.tokens:
            ask = {"OperatorID": session.operator, "OperatorSecret": self.secrets[session.operator]["operator_secret"]}
            self.tokens[session.operator] = (await self.tcec("query_token", session.operator, ask))["AccessToken"]
        await self.tcec("notification_charge_order_info", session.operator, order)
        outcomes = await self.records(list(session.lines))
        now = time.monotonic()
        if probe:
            self.acknowledged[order["StartChargeSeq"]] = now
            self.indexes[outcomes[-1]["receipt"]["index"]] = now

    async def records(self, lines: list[bytes]) -> list[dict[str, Any]]:
        """Send a batch of records; every one must get its receipt."""
        async with self.connection() as connection:
            status, answer = await connection.request("POST", "/meter/v1/records/batch", b"\n".join(lines))
        outcomes: list[dict[str, Any]] = json.loads(answer) if status == 200 else []
        if len(outcomes) != len(lines) or not all("receipt" in o for o in outcomes):
            raise SystemExit(f"a batch was refused: {status} {answer[:300]!r}")
        return outcomes

    def missing(self) -> bool:
        """Whether a finding or a proof is still waited for."""
        return bool(self.acknowledged.keys() - self.found.keys() or self.indexes.keys() - self.proved.keys())

    async def watch(self, done: asyncio.Event) -> None:
        """Note when findings can be read and proofs be fetched, until everything waited for is there."""
        while (
            not done.is_set()
            or self.acknowledged.keys() - self.found.keys()
            or self.indexes.keys() - self.proved.keys()
        ):
            started = time.monotonic()
            async with self.connection() as connection:
                _, answer = await self.inside.request("GET", "/api/findings?rule=R04&limit=100", headers=self.bearer)
                for finding in json.loads(answer):
                    for order in finding["order_ids"]:
                        self.found.setdefault(order, time.monotonic())
                for index in sorted(self.indexes.keys() - self.proved.keys())[:20]:
                    status, _ = await connection.request("GET", f"/log/proof/{index}")
                    if status == 200:
                        self.proved[index] = time.monotonic()
            await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - started)))

    def waits(self) -> dict[str, Any]:
        """Return how long findings and proofs took."""
        return {
            "receipt_to_finding": percentiles([self.found[k] - at for k, at in self.acknowledged.items()]),
            "receipt_to_proof": percentiles([self.proved[k] - at for k, at in self.indexes.items()]),
        }


async def steady(load: Load, some: list[Session], rate: float) -> dict[str, Any]:
    """Send sessions at a steady rate; return how long their findings and proofs took."""
    load.acknowledged, load.indexes, load.found, load.proved = {}, {}, {}, {}
    done = asyncio.Event()
    watcher = asyncio.create_task(load.watch(done))
    began = time.monotonic()
    tasks = []
    for number, session in enumerate(some):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(load.session(session, number % PROBE_EVERY == 0)))
    await asyncio.gather(*tasks)
    done.set()
    await asyncio.wait_for(watcher, 120)
    return {"sessions_per_s": round(rate, 2), "sessions": len(some), **load.waits()}


async def flood(load: Load, lines: Iterator[bytes], rate: int, seconds: int) -> dict[str, Any]:
    """Send records at `rate`, each batch when it is due; return the rate that was acknowledged and the waits."""
    waits: list[float] = []
    load.indexes, load.proved = {}, {}
    done = asyncio.Event()
    watcher = asyncio.create_task(load.watch(done))
    began = time.monotonic()
    turn = iter(range(rate * seconds // BATCH))

    async def sender() -> None:
        for number in turn:
            due = began + number * BATCH / rate
            batch = [line for _, line in zip(range(BATCH), lines, strict=False)]
            if len(batch) < BATCH:
                raise SystemExit(f"the city has no more records after {number * BATCH}: give it more --chargers")
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            outcomes = await load.records(batch)
            waits.append(time.monotonic() - due)
            if number % max(1, rate // BATCH) == 0:
                load.indexes[outcomes[-1]["receipt"]["index"]] = time.monotonic()

    await asyncio.gather(*(sender() for _ in range(CONNECTIONS)))
    took = time.monotonic() - began
    done.set()
    await asyncio.wait_for(watcher, 120)
    return {
        "records": len(waits) * BATCH, "seconds": round(took, 1), "records_per_s": round(len(waits) * BATCH / took),
        "batch": BATCH, "connections": CONNECTIONS, "due_to_receipt": percentiles(waits),
        "receipt_to_proof": load.waits()["receipt_to_proof"] if load.indexes else None,
    }  # fmt: skip


def cpu_seconds(parent: psutil.Process) -> dict[str, float]:
    """Return the CPU seconds so far of every process of the platform, by what it is."""
    found: dict[str, float] = {"generator": sum(psutil.Process().cpu_times()[:2])}
    for process in psutil.process_iter(["name", "pid"]):
        name = "postgres" if (process.info["name"] or "").startswith("postgres") else None
        if process.pid == parent.pid or any(p.pid == parent.pid for p in process.parents()):
            name = name or (process.info["name"] if "anxin-" in process.info["name"] else "parent")
        if name:
            with contextlib.suppress(psutil.Error):
                found[name] = found.get(name, 0.0) + sum(process.cpu_times()[:2])
    return found


async def measured(
    args: argparse.Namespace, load: Load, some: list[Session], lines: Iterator[bytes], parent: psutil.Process
) -> dict[str, Any]:
    """Run all phases."""
    one = 14_000 * SESSIONS_PER_CHARGER_DAY * BUSIEST_HOUR / 3_600
    counts = [int(one * args.load_seconds), int(10 * one * args.load_seconds)]
    # A first session, unmeasured: a judge that has just started is there when its finding is.
    document: dict[str, Any] = {}
    await steady(load, [some.pop()], 1)
    for name, rate, part in (
        ("load_14000", one, some[: counts[0]]),
        ("load_140000", 10 * one, some[counts[0] : sum(counts)]),
    ):
        print(f"{name}: {len(part)} sessions", file=sys.stderr)
        document[name] = await steady(load, part, rate)
        print(json.dumps(document[name]), file=sys.stderr)
    if args.seconds:
        before = cpu_seconds(parent)
        document["flood"] = await flood(load, lines, args.rate, args.seconds)
        after = cpu_seconds(parent)
        document["flood"]["cpu_seconds"] = {k: round(v - before.get(k, 0.0), 1) for k, v in sorted(after.items())}
        async with load.connection() as connection:
            _, answer = await connection.request("GET", "/api/status")
        status = json.loads(answer)
        document["flood"]["unjudged_at_end"] = status["log_size"] - status["judged"]
    return document


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=14_400_000)
    parser.add_argument("--chargers", type=int, default=CHARGERS)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--load-seconds", type=int, default=120)
    parser.add_argument(
        "--algorithm", default="", help="flood with records of this signature alone; default: all, half SM2"
    )
    parser.add_argument("--data", type=Path, default=BUILD / "platform")
    args = parser.parse_args()
    folder = args.data.resolve()
    today = datetime.now(UTC).astimezone(ZONE).date()
    options = options_of(args.chargers, DAYS, today - timedelta(days=DAYS))
    city = made_city(BUILD, options)
    server = EmbeddedServer(folder / "postgres").start()
    try:
        settings = Settings(data_dir=folder)
        platform = open_platform(settings, server.url)
        fill(server.url, args.stored)
        print("enrol", file=sys.stderr)
        secrets, token = enrolled(platform, options)
        platform.database.close()
        document: dict[str, Any] = {
            "stored": args.stored,
            "chargers": args.chargers,
            "algorithm": args.algorithm or "all",
            "web_processes": load_settings().web_processes,
            "limits": limits(server.url),
        }
        print(json.dumps(document["limits"]), file=sys.stderr)
    finally:
        server.stop()
    rate = SESSIONS_PER_CHARGER_DAY * 14_000 * BUSIEST_HOUR / 3_600
    some = sessions(city, int(12 * rate * args.load_seconds))
    lines = record_lines(city, {line for s in some for line in s.lines}, args.algorithm)
    with socket.socket() as s, socket.socket() as t:
        s.bind((HOST, 0))
        t.bind((HOST, 0))
        port, regulator_port = s.getsockname()[1], t.getsockname()[1]
    words = [sys.executable, "-m", "anxin.cli.main", "serve", "--data", str(folder), "--port", str(port)]
    words += ["--regulator-port", str(regulator_port)]
    with (folder / "log.jsonl").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            load = Load(port, regulator_port, secrets, token)
            document["ready_s"] = asyncio.run(_ready(load))
            document |= asyncio.run(measured(args, load, some, lines, psutil.Process(process.pid)))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    write("platform", document)


async def _ready(load: Load) -> float:
    began = time.monotonic()
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            connection = Connection(HOST, load.port)
            status, answer = await connection.request("GET", "/health/ready")
            connection.close()
            document = json.loads(answer)
            if status == 200 and not document["unpublished"] and not document["unjudged"]:
                return round(time.monotonic() - began, 1)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    main()
