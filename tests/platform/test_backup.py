"""Backup, restore and drill on a real platform; what was altered, cut, old or not empty is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from anxin.assembly import open_platform
from anxin.cli.main import main
from anxin.domain.errors import EvidenceError, InputError, StoreError
from anxin.domain.message import Refused
from anxin.domain.party import Party, Role
from anxin.evidence.publisher import LogPublisher
from anxin.flow import enrol
from anxin.flow.backup import DATABASE, FILES, LOG, MANIFEST, make_backup
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer, publish_for_ever
from anxin.flow.restoring import restore_backup, run_drill
from anxin.settings import Settings
from anxin.store import ledger, messages
from anxin.store.database import Database
from anxin.store.dumping import fingerprint
from anxin.store.embedded import attached_url
from anxin.trust.chest import BLOCK_BYTES, Sink, Spring
from tests.platform.conftest import open_folder
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled

PASSPHRASE = b"correct horse battery"


def publish(platform: Platform) -> None:
    publisher = LogPublisher(log_folder(platform.settings), log_signer(platform.settings))
    size = messages.size(platform.database)
    publisher.publish(lambda first, count: messages.entries(platform.database, first, count), size)


@pytest.fixture
def city(platform: Platform, tmp_path: Path) -> LiveCity:
    """A platform that has kept, judged and published a small city, but for its last 50 messages."""
    made = enrolled(platform, chargers=12, days=2, cheats=0)
    enrol.new_token(platform.database, platform.vault, Party("inspector", Role.INSPECTOR, "检查员"))
    messages.append(platform.database, made.messages[:-50], AS_OF_UTC_MS, committed_entry)
    ledger.refuse(platform.database, Refused("tcec102.order", "x", None, "rule", "detail", b"x"), 1, 10)
    judge = Judge(platform, tmp_path)
    judge.settle(AS_OF_UTC_MS)
    judge.close()
    publish(platform)
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as found:
        yield found


def elsewhere(folder: Path, name: str = "data") -> Settings:
    return Settings(data_dir=folder / name)


def test_a_restored_platform_is_the_one_that_was_backed_up_and_goes_on(
    platform: Platform, city: LiveCity, folder: Path
) -> None:
    made = make_backup(platform.settings, platform.database, folder / "backup", PASSPHRASE)
    assert made.messages == made.log_size == len(city.messages) - 50
    there = elsewhere(folder)
    restored = restore_backup(there, folder / "backup", PASSPHRASE)
    assert (restored.messages, restored.faults, restored.missing) == (made.messages, 0, [])
    with attached_url(there) as url:
        second = open_platform(there, url)
        ours, theirs = (fingerprint(p.database, made.messages) for p in (platform, second))
        assert ours == theirs
        assert ours["verdicts"][0] > 10
        assert second.directory == platform.directory
        messages.append(second.database, city.messages, AS_OF_UTC_MS, committed_entry)
        assert messages.size(second.database) == len(city.messages)  # the first ones had their receipts
        publish(second)
        second.database.close()


def test_a_backup_while_messages_come_in_and_the_log_is_published_is_whole(
    platform: Platform, city: LiveCity, folder: Path
) -> None:
    stop = threading.Event()
    fast = dataclasses.replace(platform.settings, publish_interval_ms=1)
    publisher = threading.Thread(target=publish_for_ever, args=(platform.database, fast, stop))
    writer = threading.Thread(
        target=lambda: [
            messages.append(platform.database, [m], AS_OF_UTC_MS, committed_entry) for m in city.messages[-50:]
        ]
    )
    publisher.start()
    writer.start()
    made = make_backup(platform.settings, platform.database, folder / "backup", None)
    writer.join(60)
    stop.set()
    publisher.join(60)
    assert made.messages >= made.log_size
    restored = restore_backup(elsewhere(folder), folder / "backup", None)
    assert (restored.messages, restored.log_size, restored.missing) == (made.messages, made.log_size, [])


def test_the_drill_passes_and_says_what_differs_where_something_does(
    platform: Platform, city: LiveCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = run_drill(platform.settings, platform.database)
    assert drill.differences == []
    assert drill.messages == len(city.messages) - 50
    assert drill.verdicts > 10
    with platform.database.transaction() as connection:
        connection.execute("update message set payload = 'altered' where index = 3")
        connection.execute("update total set value = value + 1 where name = 'verdicts' and label = 'agree'")
    told = " ".join(run_drill(platform.settings, platform.database).differences)
    assert "message 3: the payload is not the one that was received" in told
    assert "counts differ" in told


def test_an_old_database_beside_a_newer_log_signs_nothing(platform: Platform, city: LiveCity, folder: Path) -> None:
    make_backup(platform.settings, platform.database, folder / "backup", None)
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    publish(platform)
    newest = (log_folder(platform.settings) / "checkpoint").read_bytes()
    there = elsewhere(folder)
    restore_backup(there, folder / "backup", None)
    shutil.rmtree(log_folder(there))
    shutil.copytree(log_folder(platform.settings), log_folder(there))
    with attached_url(there) as url, Database(url) as database:
        with pytest.raises(EvidenceError, match="the log was published with"):
            publish_for_ever(database, there, threading.Event())
        # Other messages under the same numbers do not help it.
        messages.append(database, [dataclasses.replace(m, message_id=f"x{m.message_id}") for m in city.messages],
                        1, committed_entry)  # fmt: skip
        with pytest.raises(EvidenceError, match="is not the published one"):
            publish_for_ever(database, there, threading.Event())
    assert (log_folder(there) / "checkpoint").read_bytes() == newest


@pytest.mark.parametrize("name", [LOG, FILES, DATABASE, MANIFEST])
@pytest.mark.parametrize("fault", ["altered", "cut", "gone"])
def test_a_backup_that_is_not_whole_is_refused_and_leaves_nothing(
    name: str, fault: str, platform: Platform, folder: Path
) -> None:
    enrolled(platform, chargers=2, days=1, cheats=0)
    make_backup(platform.settings, platform.database, folder / "backup", None)
    path = folder / "backup" / name
    data = bytearray(path.read_bytes())
    if fault == "altered":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif fault == "cut":
        path.write_bytes(data[:-1])
    else:
        path.unlink()
    if (name, fault) == (MANIFEST, "altered"):  # whatever bit that was: the manifest names another digest
        path.write_bytes(bytes(data).replace(b'"sha256": "', b'"sha256": "0', 1))
    with pytest.raises(InputError):
        restore_backup(elsewhere(folder), folder / "backup", None)
    assert os.listdir(folder) == ["backup"]  # noqa: PTH208


def test_a_sealed_backup_opens_with_its_passphrase_alone_and_shows_no_secret(platform: Platform, folder: Path) -> None:
    enrolled(platform, chargers=2, days=1, cheats=0)
    key = (platform.settings.data_dir / "secrets" / "master.key").read_bytes()
    for name, passphrase in (("sealed", PASSPHRASE), ("plain", None)):
        make_backup(platform.settings, platform.database, folder / name, passphrase)
        stored = b"".join(p.read_bytes() for p in (folder / name).iterdir())
        assert (key in stored) == (passphrase is None)
        assert all(p.stat().st_mode & 0o077 == 0 for p in (folder / name, folder / name / FILES))
    for wrong in (None, b"wrong horse battery"):
        with pytest.raises(InputError, match="passphrase"):
            restore_backup(elsewhere(folder), folder / "sealed", wrong)
    assert not (folder / "data").exists()


def test_nothing_is_restored_or_backed_up_over_what_is_there(platform: Platform, folder: Path, pg_url: str) -> None:
    make_backup(platform.settings, platform.database, folder / "backup", None)
    with pytest.raises(InputError, match="there already"):
        make_backup(platform.settings, platform.database, folder / "backup", None)
    (folder / "data").mkdir()
    (folder / "data" / "something").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        restore_backup(elsewhere(folder), folder / "backup", None)
    with pytest.raises(StoreError, match="not empty"):
        restore_backup(dataclasses.replace(elsewhere(folder, "b"), database_url=pg_url), folder / "backup", None)


def test_backup_and_restore_work_with_a_database_of_one_s_own(
    platform: Platform, city: LiveCity, folder: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    passphrase = folder / "passphrase"
    passphrase.write_bytes(PASSPHRASE + b"\n")
    sealed = ["--passphrase-file", str(passphrase), "--json"]
    monkeypatch.setenv("ANXIN_DATABASE_URL", pg_url)
    assert main(["backup", str(folder / "b"), "--data", str(platform.settings.data_dir), *sealed]) == 0
    assert main(["backup", str(folder / "c"), "--data", str(platform.settings.data_dir)]) == 2
    other = pg_url.replace("/test_", "/other_")
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(f"create database {conninfo_to_dict(other)['dbname']}".encode())
    monkeypatch.setenv("ANXIN_DATABASE_URL", other)
    capsys.readouterr()
    assert main(["restore", str(folder / "b"), "--data", str(folder / "data"), *sealed]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == messages.size(platform.database)
    assert not (folder / "data" / "postgres").exists()
    assert main(["log", "audit", "--data", str(folder / "data")]) == 0


@given(parts=st.lists(st.integers(0, 3 * BLOCK_BYTES // 2), max_size=4), place=st.integers(0, 1 << 40))
@settings(max_examples=15, deadline=None)
def test_what_was_sealed_opens_as_it_was_and_no_bit_less(parts: list[int], place: int) -> None:
    data = [os.urandom(16) * (n // 16) for n in parts]
    file = BytesIO()
    sink = Sink(file, b"k" * 32)
    for piece in data:
        sink.write(piece)
    sink.finish()
    stored = file.getvalue()
    assert read(stored) == b"".join(data)
    turned = bytearray(stored)
    turned[place % len(stored)] ^= 1 << place % 8
    for wrong in (bytes(turned), stored[: place % len(stored)], stored[: len(stored) // 2], stored + b"x"):
        with pytest.raises(InputError):
            read(wrong)


def read(stored: bytes) -> bytes:
    spring = Spring(BytesIO(stored), b"k" * 32, "file")
    found = b""
    while piece := spring.read(700_001):
        found += piece
    return found
