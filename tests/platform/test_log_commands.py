"""The log's commands against a platform with real messages: audited in place, by its address, while it runs; damaged in
the database; followed by a monitor."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn

from anxin.cli.log import database_url
from anxin.cli.main import main
from anxin.domain.message import Kind, Message, Receipt
from anxin.evidence.publisher import LogPublisher
from anxin.faces.outer import create_app
from anxin.flow.intake import Intake
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.settings import Settings
from anxin.store import messages
from anxin.store.database import Database, migrate
from tests.platform.conftest import open_folder
from tests.platform.test_serve import free_port


def take_in(platform: Platform, count: int, first: int = 0) -> list[Receipt]:
    """Hand messages in as the doors do, by an intake of this loop: a platform that is served commits in another one."""
    made = [
        Message(Kind.TCEC_ORDER, "123456789", f"order-{i}", b'{"order":%d}' % i, b"around %d" % i)
        for i in range(first, first + count)
    ]

    async def hand_in() -> list[Receipt]:
        intake = Intake(platform.database, platform.settings)
        intake.start()
        accepted = await intake.accept_all(made)
        await intake.stop()
        return [a.receipt for a in accepted]

    return asyncio.run(hand_in())


def publish(platform: Platform) -> LogPublisher:
    publisher = LogPublisher(log_folder(platform.settings), log_signer(platform.settings))
    database = platform.database
    publisher.publish(lambda first, count: messages.entries(database, first, count), messages.size(database))
    return publisher


@pytest.fixture
def words(platform: Platform, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the commands find this platform."""
    monkeypatch.setenv("ANXIN_DATABASE_URL", pg_url)
    return ["--data", str(platform.settings.data_dir)]


@pytest.fixture
def address(platform: Platform) -> Iterator[str]:
    """The platform, served."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(platform), port=port, log_config=None))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_column_altered_in_the_database_is_found_and_the_message_named(
    platform: Platform, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(platform, 300)
    publish(platform)
    take_in(platform, 5, 300)  # not published yet
    assert main(["log", "audit", "--json", *words]) == 0
    good = report(capsys)
    assert (good["size"], good["rows"], good["erased"], good["faults"]) == (300, 305, 0, [])
    assert good["entries_per_second"] > 0
    changes = {
        "payload = set_bit(payload, 5, 1 - get_bit(payload, 5))": "the payload",
        "envelope = set_bit(envelope, 0, 1 - get_bit(envelope, 0))": "the envelope",
        "payload_sha256 = set_bit(payload_sha256, 9, 1 - get_bit(payload_sha256, 9))": "the payload",
        "salt = set_bit(salt, 77, 1 - get_bit(salt, 77))": "what stands in its row",
        "entry = set_bit(entry, 255, 1 - get_bit(entry, 255))": "its entry",
        "received_utc_ms = received_utc_ms + 1": "what stands in its row",
        "sender = '987654321'": "what stands in its row",
        "message_id = 'order-x'": "what stands in its row",
        "kind = 'tcec102.check'": "what stands in its row",
        "payload = null, envelope = null, salt = null": "erased, and no deed",
    }
    for number, (change, said) in enumerate(changes.items(), 100):
        with platform.database.transaction() as connection:
            before = connection.execute("select * from message where index = %s", (number,)).fetchone()
            connection.execute(f"update message set {change} where index = %s".encode(), (number,))
        assert main(["log", "audit", "--json", *words]) == 1
        found = report(capsys)["faults"]
        assert found, change
        assert all(f.startswith(f"message {number}: ") for f in found), change
        assert said in " ".join(found), change
        with platform.database.transaction() as connection:
            columns = [d.name for d in connection.execute("select * from message limit 0").description or ()]
            sets = ", ".join(f"{c} = %s" for c in columns)
            connection.execute(f"update message set {sets} where index = %s".encode(), (*(before or ()), number))
    with platform.database.transaction() as connection:
        connection.execute("delete from message where index = 200")
    assert main(["log", "audit", *words]) == 1
    assert "message 200: missing, the next is 201" in capsys.readouterr().out


def test_an_outsider_audits_the_running_log_by_its_address(
    platform: Platform, words: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(platform, 600)
    publish(platform)
    vkey = log_signer(platform.settings).vkey
    assert main(["log", "audit", "--json", "--url", address, "--vkey", vkey]) == 0
    assert report(capsys)["size"] == 600
    assert main(["log", "audit", "--url", address]) == 0
    assert "未经独立确认" in capsys.readouterr().err
    path = log_folder(platform.settings) / "tile" / "0" / "001"
    data = bytearray(path.read_bytes())
    data[100] ^= 4
    path.write_bytes(data)
    assert main(["log", "audit", "--json", "--url", address, "--vkey", vkey]) == 1
    assert report(capsys)["faults"] == ["tile 0/1: hash 3 (entry 259)"]
    assert main(["log", "audit", "--url", "http://127.0.0.1:1", "--vkey", vkey]) == 2
    assert main(["log", "audit", "--url", "http://127.0.0.1:1"]) == 2


def test_a_monitor_remembers_and_sees_rollback_and_fork(
    platform: Platform, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, vkey = tmp_path / "remembered", log_signer(platform.settings).vkey
    folder = log_folder(platform.settings)
    command = ["log", "monitor", "--json", "--url", address, "--state", str(state)]
    take_in(platform, 100)
    publish(platform)
    assert main(command) == 2  # the key has to come from somewhere
    assert main([*command, "--vkey", vkey]) == 0
    shutil.copytree(folder, tmp_path / "older")
    take_in(platform, 500, 100)
    publish(platform)
    assert main(command) == 0
    assert report_last(capsys) == {"size": 600, "remembered": 100, "fault": None}
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "older", folder)
    assert main(command) == 1
    assert "rolled back" in report_last(capsys)["fault"]
    assert (tmp_path / "remembered.against").is_file()
    fork = LogPublisher(folder, log_signer(platform.settings))
    real = messages.entries(platform.database, 0, 100)
    fork.publish(lambda first, count: [*real, *[bytes(32)] * 600][first : first + count], 700)
    assert main(command) == 1
    assert "forked" in report_last(capsys)["fault"]
    assert main([*command, "--vkey", "other+key"]) == 2


def test_beside_a_running_embedded_server_it_is_used_and_left_running(capfd: pytest.CaptureFixture[str]) -> None:
    """The data folder's server runs in another process: the command connects to it, and does not stop it."""
    with open_folder() as folder:
        code = (
            "import sys; from pathlib import Path; from anxin.store.embedded import EmbeddedServer;"
            "s = EmbeddedServer(Path(sys.argv[1])).start(); print(s.url, flush=True); sys.stdin.read(); s.stop()"
        )
        words = [sys.executable, "-c", code, str(folder / "postgres")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            url = other.stdout.readline().strip()
            settings = Settings(data_dir=folder)
            with database_url(settings) as ours, Database(ours, 1) as database:
                migrate(database)
            publisher = LogPublisher(log_folder(settings), log_signer(settings))
            publisher.publish(lambda first, count: [], 0)
            assert main(["log", "audit", "--data", str(folder)]) == 0
            with psycopg.connect(url) as connection:
                assert connection.execute("select count(*) from message").fetchone() == (0,)
            other.communicate("", 30)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)


def report_last(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found
