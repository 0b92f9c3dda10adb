"""The platform's processes: who runs what, how they are started, and in what order they stop.

    parent   PostgreSQL (embedded), and the watch over the children
    web      the outer app: the doors, what operators read, the status page; web-2 and more where settings say so
    regulator   the regulator's app
    judge    live reconciliation
    desk     findings become alarms; deadlines
    log      publication of the evidence log
    watch    surveillance over many sessions
    notices  webhooks and mail
    pull     questions to the operators' platforms
    occupancy  roll-ups of what connectors are doing, of low priority
    city     the virtual city, where it is asked for

Children die with their parent, also when it is killed. What ends by itself is started again, the database too.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from anxin.domain.errors import AnxinError, InputError, StoreError
from anxin.settings import Settings
from anxin.store.embedded import EmbeddedServer

LOG = logging.getLogger("anxin")
#: How often the parent looks after what it started.
WATCH_S = 0.2
RESTART_S, LONG_ENOUGH_S = 2.0, 5.0
STOP_S = 4.0
#: How long a port may stay taken before we say so.
PORT_S = 3.0
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
Target = Callable[[Settings, str, threading.Event], None]


class JsonLines(logging.Formatter):
    """One JSON object a line: when, how grave, who, what. No message of ours holds a secret or a person's data."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"at": self.formatTime(record), "level": record.levelname, "from": record.name}
        line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
        return json.dumps(line, ensure_ascii=False)


def configure_log(settings: Settings) -> None:
    """Let the logs of this process go to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


@dataclass(slots=True)
class Child:
    """One child process. `sender`: it speaks to the platform, and is no part of it. `url`: it finds the database there
    as a role of its own, and not where the others do."""

    name: str
    target: Target
    sender: bool = False
    url: str = field(default="", repr=False)
    process: Any = None
    started_at: float = 0.0
    again_at: float = 0.0


def run_children(
    settings: Settings, url: str, children: list[Child], ready: Callable[[], None], server: EmbeddedServer | None = None
) -> None:
    """Run children until the process is asked to stop (SIGINT, SIGTERM); then stop them, senders first.

    `server` is watched with them: PostgreSQL that died is started again, and the children find it by themselves.
    """
    context = multiprocessing.get_context("spawn")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        for child in children:
            _start(context, child, settings, url)
        ready()
        while not stop.wait(WATCH_S):
            if server is not None and (not server.alive() or server.stuck()):
                LOG.error("PostgreSQL ended; it is started again")
                _revive(server)
            for child in children:
                _watch(context, child, settings, url)
    finally:
        _end([c for c in children if c.sender])  # who sends stops first, so that nothing is cut off
        _end([c for c in children if not c.sender])


def _watch(context: Any, child: Child, settings: Settings, url: str) -> None:
    if child.process.is_alive() or child.process.exitcode == 0:
        return
    if not child.again_at:
        LOG.error("%s ended with %s; it is started again", child.name, child.process.exitcode)
        # A child that has run for a while was killed; one that ends at once would end at once again.
        ran = time.monotonic() - child.started_at
        child.again_at = time.monotonic() + (RESTART_S if ran < LONG_ENOUGH_S else 0.0)
    if time.monotonic() >= child.again_at:
        _start(context, child, settings, url)


def _revive(server: EmbeddedServer) -> None:
    try:
        server.revive()
    except StoreError as error:
        LOG.error("%s", error)  # the watch comes by again


def _end(children: list[Child]) -> None:
    """Ask children to stop, and kill those that take too long: each of them may die at any moment anyhow."""
    running = [c.process for c in children if c.process is not None]
    for process in running:
        process.terminate()
    end = time.monotonic() + STOP_S
    for process in running:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _start(context: Any, child: Child, settings: Settings, url: str) -> None:
    child.again_at, child.started_at = 0.0, time.monotonic()
    child.process = context.Process(
        target=_child, args=(child.name, child.target, settings, child.url or url), name=f"anxin-{child.name}"
    )
    # Ctrl-C goes to every process of the terminal. A child leaves it to us, from its first instruction on.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        child.process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _child(name: str, target: Target, settings: Settings, url: str) -> None:
    """Body of a child: dies with its parent, leaves Ctrl-C to it, stops on SIGTERM."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(_PR_SET_NAME, f"anxin-{name}".encode())  # what `ps` and `top` call it
        if os.getppid() == 1:
            return
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    configure_log(settings)
    try:
        target(settings, url, stop)
    except AnxinError as error:
        LOG.error("%s", error)
        sys.exit(1)


def city(folder: Path, chargers: int, seed: int, speed: float) -> Target:
    """Return the child that lets a virtual city speak to the platform."""
    return _City(folder, chargers, seed, speed)


@dataclass(frozen=True, slots=True)
class _City:
    folder: Path
    chargers: int
    seed: int
    speed: float

    def __call__(self, settings: Settings, url: str, stop: threading.Event) -> None:
        from anxin.flow.city_mqtt import mqtt_meters
        from anxin.flow.drive_city import Driver, load_events, secrets_file

        events = load_events(self.folder, self.chargers, self.seed)
        base = f"http://{settings.host}:{settings.port}"
        with mqtt_meters(settings, self.folder) as over_mqtt:
            driver = Driver(base, events, secrets_file(self.folder)["operators"], self.folder, LOG.info, self.speed)
            driver.over_mqtt = over_mqtt
            asyncio.run(driver.run(stop.is_set))


def hold_folder(folder: Path) -> IO[bytes]:
    """Return a lock on a data folder, held until it is closed or the process ends. Raises InputError where another
    process serves the folder, or it may not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "serving.lock").open("wb")
    except OSError as error:
        raise InputError(
            f"数据目录不可写 · the data folder {folder} cannot be written: {error.strerror or error}"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise InputError(f"数据目录已在使用 · another process serves the data folder {folder}") from None
    return lock


def require_port(host: str, port: int, option: str = "--port") -> None:
    """Raise InputError where nobody can listen there. A platform that was just killed is given a moment to let go."""
    end = time.monotonic() + PORT_S
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((host, port))
                return
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                if time.monotonic() < end:
                    time.sleep(0.1)
                    continue
                raise InputError(
                    f"端口 {port} 已被占用，请用 {option} 另选 · port {port} is in use; choose another with {option}"
                ) from None
            raise InputError(f"无法监听 {host}:{port} · cannot listen there: {error}") from None


def shared_socket(host: str, port: int) -> socket.socket:
    """Return a socket on a port that several processes of ours listen on; the system deals out connections to them.

    One that ends takes its socket with it, and is dealt none until it is back. Raises InputError.
    """
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((host, port))
    except (OSError, OverflowError) as error:
        one.close()
        raise InputError(f"无法监听 {host}:{port} · cannot listen there: {error}") from None
    return one


def write_private(path: Path, document: object) -> None:
    """Write a JSON file that its owner alone can read. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
