"""The pool of connections when the server goes away and comes back."""

from __future__ import annotations

import contextlib
import threading
import time

import psutil
import psycopg
import pytest

from anxin.domain.errors import StoreError
from anxin.store.database import RECONNECT_S, Database
from anxin.store.embedded import EmbeddedServer, _postmaster, _stands_still
from tests.platform.conftest import open_folder

AWAY_S = 20.0


@pytest.mark.long
def test_a_server_that_was_away_is_found_soon_after_its_return() -> None:
    with open_folder() as folder:
        server = EmbeddedServer(folder / "postgres").start()
        database, over = Database(server.url), threading.Event()
        database.open()

        def ask() -> None:
            while not over.is_set():
                with contextlib.suppress(StoreError), database.transaction() as connection:
                    connection.execute("select 1")
                over.wait(0.2)

        asking = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in asking:
            thread.start()
        server.stop()
        time.sleep(AWAY_S)
        server = EmbeddedServer(folder / "postgres").start()
        back = time.monotonic()
        try:
            # The pool's own steps double: at 15 s and at 31 s after the loss. Ours end at RECONNECT_S and begin anew.
            while True:
                with contextlib.suppress(StoreError), database.transaction() as connection:
                    connection.execute("select 1")
                    break
            assert time.monotonic() - back < 2 * RECONNECT_S
        finally:
            over.set()
            for thread in asking:
                thread.join(60)
            database.close()
            server.stop()


def _killed_in_recovery(server: EmbeddedServer) -> bool:
    """Kill a backend, and then the process that recovers, if it can be caught; return whether the server got stuck."""
    parent = _postmaster(server.folder)
    assert parent is not None
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("insert into kept select generate_series(1, 20000)")
        backend = psutil.Process(connection.info.backend_pid)
        before = {p.pid for p in parent.children()}
        backend.kill()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for process in parent.children():
            with contextlib.suppress(psutil.Error):
                if process.pid not in before and "startup" in " ".join(process.cmdline()):
                    process.kill()
                    time.sleep(1)
                    try:
                        psycopg.connect(server.url).close()
                    except psycopg.OperationalError as error:
                        return _stands_still(server.folder, str(error))
                    return False
    return False


@pytest.mark.long
def test_a_server_whose_recovery_was_killed_is_started_again() -> None:
    with open_folder() as folder:
        server = EmbeddedServer(folder / "postgres").start()
        try:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("create table kept (n int)")
            # It recovers within milliseconds: catching that takes some tries.
            assert any(_killed_in_recovery(server) for _ in range(40))
            assert server.alive()
            end = time.monotonic() + 60
            while not server.stuck():
                assert time.monotonic() < end
                time.sleep(0.2)
            server.revive()
            with psycopg.connect(server.url) as connection:
                row = connection.execute("select count(*) from kept").fetchone()
            assert row is not None
            assert row[0] >= 20_000
            assert not server.stuck()
        finally:
            server.stop()


def test_a_server_without_a_free_connection_for_long_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anxin.store.embedded.CROWDED_S", 1.0)
    monkeypatch.setattr("anxin.store.embedded.ASK_S", 0.1)
    with open_folder() as folder:
        server = EmbeddedServer(folder / "postgres").start()
        held = []
        try:
            assert not server.stuck()
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    held.append(psycopg.connect(server.url))
            end = time.monotonic() + 20
            while not server.stuck():
                assert time.monotonic() < end
                time.sleep(0.1)
            server.revive()
            psycopg.connect(server.url).close()
            assert not server.stuck()
        finally:
            for connection in held:
                connection.close()
            server.stop()
