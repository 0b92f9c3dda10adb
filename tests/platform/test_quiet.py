"""What the platform writes to its logs while it runs: no secret and no person, at the most talkative level."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from anxin.settings import Settings
from anxin.store.embedded import attached_url
from tests.platform.conftest import open_folder
from tests.platform.test_serve import free_port, wait_for


@pytest.fixture
def data() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder / "data"


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.long
def test_no_log_of_a_run_holds_a_secret_or_a_person(data: Path) -> None:
    port = free_port()
    words = [
        sys.executable,
        "-m",
        "anxin.cli.main",
        "run",
        "--data",
        str(data),
        "--port",
        str(port),
        "--chargers",
        "150",
    ]
    output = data.parent / "output"
    with output.open("ab") as file:
        run = subprocess.Popen(
            words, stdout=file, stderr=file, env=os.environ | {"ANXIN_LOG_LEVEL": "debug"}, start_new_session=True
        )
    try:
        wait_for(port, "judged", 300, seconds=240)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0
    finally:
        if run.poll() is None:
            run.kill()
    logs = output.read_text("utf-8", "replace")
    assert '"level": "INFO"' in logs
    secrets = {t for t in texts_of(json.loads((data / "city" / "secrets.json").read_bytes())) if len(t) >= 8}
    secrets |= {key.read_bytes().hex() for key in (data / "secrets").iterdir() if key.is_file()}
    with attached_url(dataclasses.replace(Settings(), data_dir=data)) as url, psycopg.connect(url) as connection:
        people = {r[0] for r in connection.execute("select distinct user_ref from fact_record where user_ref <> ''")}
    assert len(secrets) > 10
    assert people
    assert sorted(t for t in secrets | people if t in logs) == []
