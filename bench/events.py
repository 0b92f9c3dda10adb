"""The event stream to many at once: ms from a commit to the last of 500 clients, and the CPU of the one server process.

The outer app in a process of its own, PostgreSQL with fsync, and this process as all clients (asyncio, bare HTTP). The
limit beside it: the same number of lines echoed to the same number of sockets by a server that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from anxin.assembly import open_platform
from anxin.cli.serve import web_child
from anxin.domain.party import Party, Role
from anxin.flow import enrol
from anxin.settings import Settings
from anxin.store.database import Database
from anxin.store.embedded import EmbeddedServer
from anxin.store.events import Event, put_events
from bench import common

OPERATORS = 50
OPEN_S, REST_S = 60.0, 3.0


def main() -> None:
    """Measure and write build/bench/events.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--events", type=int, default=100, help="events that are timed one by one")
    parser.add_argument("--burst", type=int, default=1_000, help="events of one commit, for the flood")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anxin-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedServer(folder / "postgres").start()
        try:
            common.write("events", asyncio.run(_measured(folder, server.url, args)))
        finally:
            server.stop()


async def _measured(folder: Path, url: str, args: argparse.Namespace) -> dict[str, Any]:
    port = _free_port()
    settings = Settings(data_dir=folder / "data", port=port, events_connections=2 * args.connections, log_level="error")
    platform = open_platform(settings, url)
    parties = [Party(f"OP-{n}", Role.OPERATOR, f"OP-{n}", f"OP-{n}") for n in range(OPERATORS)]
    tokens = [enrol.new_token(platform.database, platform.vault, p) for p in parties]
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    child = context.Process(target=web_child, args=(settings, url, stop))
    child.start()
    try:
        await _listening(port)
        clients = [await _Client.open(port, tokens[n % OPERATORS]) for n in range(args.connections)]
        await asyncio.sleep(REST_S)
        process = psutil.Process(child.pid)
        idle = await _cpu(process, 10.0)
        delays, busy_from = [], time.perf_counter()
        cpu_before = sum(process.cpu_times()[:2])
        for number in range(args.events):
            delays.append(await _one(platform.database, clients, 1, number))
            await asyncio.sleep(0.05)
        cpu = sum(process.cpu_times()[:2]) - cpu_before
        busy_s = time.perf_counter() - busy_from
        # A flood: every client gets its share of one commit.
        flood_s = await _one(platform.database, clients, args.burst // OPERATORS, -1)
        memory = process.memory_info().rss
        for client in clients:
            client.close()
        delays.sort()
        return {
            "connections": args.connections,
            "commit_to_last_client_ms": {
                "median": round(1_000 * statistics.median(delays), 1),
                "p95": round(1_000 * delays[int(0.95 * len(delays))], 1),
                "max": round(1_000 * delays[-1], 1),
            },
            "deliveries": args.events * args.connections,
            "server_cpu_us_per_delivery": round(1e6 * cpu / (args.events * args.connections), 1),
            "server_cpu_share_while_timed": round(cpu / busy_s, 2),
            "server_cpu_share_idle": round(idle, 3),
            "server_rss_mb": round(memory / 1e6),
            "flood_events_a_client": args.burst // OPERATORS,
            "flood_deliveries_per_s": round(args.burst // OPERATORS * args.connections / flood_s),
            "peer_echo_ms": round(1_000 * await _echo(args.connections), 1),
        }
    finally:
        stop.set()
        child.join(10)
        child.kill()
        platform.database.close()


class _Client:
    """One listener: `seen` rises with each event."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wanted: bytes) -> None:
        self.seen, self.last = 0, 0.0
        self._writer, self._wanted = writer, wanted
        self._task = asyncio.create_task(self._read(reader))

    @classmethod
    async def open(cls, port: int, token: str) -> _Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /api/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        if b"200" not in await reader.readline():
            raise SystemExit("the stream was refused")
        return cls(reader, writer, b"data: ")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(self._wanted):
                self.seen += 1
                self.last = time.perf_counter()

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()


async def _one(database: Database, clients: list[_Client], each: int, number: int) -> float:
    """Commit events for every operator; return seconds from the commit to the last client's last one."""
    wanted = [c.seen + each for c in clients]
    events = [
        Event("alarm.opened", {"alarm_id": number, "cause": "energy", "charger_id": f"C-{n}"}, f"OP-{o}", "西湖区")
        for n in range(each)
        for o in range(OPERATORS)
    ]

    def put() -> float:
        with database.transaction() as connection:
            put_events(connection, events, int(time.time() * 1_000))
        return time.perf_counter()

    committed = await asyncio.to_thread(put)
    end = committed + OPEN_S
    while any(c.seen < w for c, w in zip(clients, wanted, strict=True)):
        if time.perf_counter() > end:
            raise SystemExit("a client did not get its events")
        await asyncio.sleep(0.001)
    return max(c.last for c in clients) - committed


async def _echo(connections: int) -> float:
    """Seconds in which a bare asyncio server writes one line to as many sockets and all clients have read it."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
    while len(writers) < connections:
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    for writer in writers:
        writer.write(b"data: " + b"x" * 200 + b"\n")
    await asyncio.gather(*(reader.readline() for reader, _ in opened))
    took = time.perf_counter() - began
    for writer in [*writers, *(w for _, w in opened)]:
        writer.close()
    server.close()
    return took


async def _cpu(process: psutil.Process, seconds: float) -> float:
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    return float(sum(process.cpu_times()[:2]) - before) / seconds


async def _listening(port: int) -> None:
    end = time.monotonic() + OPEN_S
    while time.monotonic() < end:
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("the server does not listen")


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    main()
