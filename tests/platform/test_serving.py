"""What keeps the platform up, and what it says where it cannot start."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

import psutil
import psycopg
import pytest

from anxin.cli.main import main
from anxin.domain.errors import InputError
from anxin.flow import enrol, serving
from anxin.flow.platform import Platform
from anxin.store.embedded import EmbeddedServer
from tests.platform.conftest import open_folder
from tests.platform.public_world import public_register


def test_a_port_in_use_is_said_in_one_sentence_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "PORT_S", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--data", str(tmp_path), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port {port} is in use" in said
    assert f"端口 {port} 已被占用" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "postgres").exists()


def test_one_process_serves_a_folder_and_a_second_one_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving.hold_folder(tmp_path):
        assert main(["serve", "--data", str(tmp_path), "--port", "1"]) == 2
        assert "another process serves" in capsys.readouterr().err
    serving.hold_folder(tmp_path).close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        serving.hold_folder(tmp_path / "file" / "data")


def test_a_server_whose_parent_process_was_killed_is_started_again_with_all_that_was_committed() -> None:
    with open_folder() as folder:
        server = EmbeddedServer(folder / "postgres").start()
        try:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("create table kept as select 17 as number")
                parent = psutil.Process(connection.info.backend_pid).parent()
                assert parent is not None
                others = parent.children()
                parent.kill()
                psutil.wait_procs([parent], timeout=10)
            assert not server.alive()
            server.revive()
            assert server.alive()
            with psycopg.connect(server.url) as connection:
                assert connection.execute("select number from kept").fetchone() == (17,)
            assert not [p for p in others if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        finally:
            server.stop()
        assert not server.alive()


def test_a_register_is_set_aside_from_the_collector_where_the_process_is_ours_and_once_a_change(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol.enrol_register(platform.database, platform.vault, public_register(), [])
    try:
        platform.refresh()
        assert gc.get_freeze_count() == 0
        platform.owns_process = True
        enrol.enrol_register(platform.database, platform.vault, public_register(), [])
        platform.refresh()
        assert gc.get_freeze_count() > len(platform.directory.register.connectors)
        monkeypatch.setattr(gc, "freeze", pytest.fail)
        platform.refresh()  # nothing new
    finally:
        gc.unfreeze()
