"""Administration on the machine: beside the running platform, or without it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psycopg

from anxin.settings import Settings
from anxin.store.embedded import EmbeddedServer, attached_url, running_url
from tests.platform.conftest import open_folder


def test_a_command_uses_the_server_that_runs_and_leaves_it_running_or_starts_one_and_stops_it() -> None:
    with open_folder() as folder:
        settings = Settings(data_dir=folder / "data")
        where = settings.data_dir / "postgres"
        assert running_url(where) is None
        with attached_url(settings) as url, psycopg.connect(url) as connection:
            connection.execute("create table kept (n int)")
        assert running_url(where) is None
        server = EmbeddedServer(where).start()
        with attached_url(settings) as url, psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (0,)
        assert running_url(where) is not None
        server.stop()
        assert running_url(where) is None


def test_an_external_database_is_taken_as_it_is_named() -> None:
    settings = dataclasses.replace(Settings(data_dir=Path("nowhere")), database_url="postgresql://elsewhere/x")
    with attached_url(settings) as url:
        assert url == "postgresql://elsewhere/x"
