"""Real MQTT brokers: NATS from its wheel, which every machine with Python has, and Mosquitto where it is installed."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from anxin.cli.serve import mqtt_child
from anxin.settings import Settings

NATS = Path(sys.executable).with_name("nats-server")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def run_door(settings: Settings, url: str) -> None:
    """Body of a process that is the door alone, as `anxin serve` runs it; SIGTERM stops it."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    mqtt_child(settings, url, stop)


def door_process(settings: Settings, url: str) -> Any:
    """Return the door in a process of its own, started."""
    process = multiprocessing.get_context("spawn").Process(target=run_door, args=(settings, url))
    process.start()
    return process


class BrokerProcess:
    """A broker with its disk in `folder`; it can be killed, and its disk with it."""

    def __init__(self, folder: Path, kind: str = "nats", lines: str = "", tls: str = "") -> None:
        self.folder, self.kind, self.lines, self.tls = folder, kind, lines, tls
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    def start(self) -> BrokerProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "broker.conf"
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        if self.kind == "nats":
            configuration.write_text(
                f'server_name: test\nhost: 127.0.0.1\nport: -1\njetstream {{ store_dir: "{disk}" }}\n'
                f"mqtt {{ host: 127.0.0.1, port: {self.port}, {self.tls} }}\n{self.lines}"
            )
            words = [str(NATS), "-c", str(configuration)]
        else:
            configuration.write_text(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
                f"persistence_location {disk}/\nuser root\n{self.lines}"
            )
            words = [str(MOSQUITTO), "-c", str(configuration)]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(words, stdout=output, stderr=output)
        self._wait()
        return self

    def _wait(self) -> None:
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError((self.folder / "output").read_text())

    def kill(self, with_disk: bool = False) -> None:
        """Kill -9; with its disk, what it had acknowledged is gone for good."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if with_disk:
            shutil.rmtree(self.folder)
