"""The platform's processes: who runs what, how they are started, and in what order they stop.

    parent   PostgreSQL (embedded), and the watch over the children
    web      the doors, the reading API, the status page
    judge    live reconciliation
    log      publication of the evidence log
    city     the virtual city, where it is asked for

Children die with their parent, also when it is killed. A child that ends by itself is started again.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anxin.domain.errors import AnxinError, InputError
from anxin.settings import Settings

LOG = logging.getLogger("anxin")
RESTART_S = 2.0
STOP_S = 15.0
_PR_SET_PDEATHSIG = 1
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
    """One child process."""

    name: str
    target: Target
    process: Any = None
    again_at: float = 0.0


def run_children(settings: Settings, url: str, children: list[Child], ready: Callable[[], None]) -> None:
    """Run children until the process is asked to stop (SIGINT, SIGTERM); then stop them, the doors first."""
    context = multiprocessing.get_context("spawn")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    for child in children:
        _start(context, child, settings, url)
    ready()
    while not stop.wait(0.5):
        for child in children:
            if child.process.is_alive() or child.process.exitcode == 0:
                continue
            if not child.again_at:
                LOG.error("%s ended with %s; it is started again", child.name, child.process.exitcode)
                child.again_at = time.monotonic() + RESTART_S
            elif time.monotonic() >= child.again_at:
                child.again_at = 0.0
                _start(context, child, settings, url)
    for child in reversed(children):
        child.process.terminate()
        child.process.join(STOP_S)
        if child.process.is_alive():
            child.process.kill()
            child.process.join()


def _start(context: Any, child: Child, settings: Settings, url: str) -> None:
    child.process = context.Process(target=_child, args=(child.target, settings, url), name=f"anxin-{child.name}")
    child.process.start()


def _child(target: Target, settings: Settings, url: str) -> None:
    """Body of a child: dies with its parent, leaves Ctrl-C to it, stops on SIGTERM."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
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


def city(folder: Path, chargers: int, seed: int) -> Target:
    """Return the child that lets a virtual city speak to the platform."""
    return _City(folder, chargers, seed)


@dataclass(frozen=True, slots=True)
class _City:
    folder: Path
    chargers: int
    seed: int

    def __call__(self, settings: Settings, url: str, stop: threading.Event) -> None:
        from anxin.flow.drive_city import Driver, city_of, load_plan, secrets_file

        made = city_of(load_plan(self.folder, self.chargers, self.seed))
        base = f"http://{settings.host}:{settings.port}"
        driver = Driver(base, made, secrets_file(self.folder)["operators"], self.folder, LOG.info)
        asyncio.run(driver.run(stop.is_set))


def write_private(path: Path, document: object) -> None:
    """Write a JSON file that its owner alone can read. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
