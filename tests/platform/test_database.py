"""The pool of connections when the server goes away and comes back."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from anxin.domain.errors import StoreError
from anxin.store.database import RECONNECT_S, Database
from anxin.store.embedded import EmbeddedServer
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
