"""Several processes of the outer app on one port: each answers, sums are of all, one that is killed is not missed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from anxin.cli.serve import web_child, web_children
from anxin.flow import serving
from anxin.flow.measures import SHARE_S, Summed
from anxin.flow.platform import Platform
from anxin.settings import Settings
from tests.platform.test_serve import free_port


@contextmanager
def two_processes(settings: Settings, url: str) -> Iterator[list[Any]]:
    """Both web processes, started as the platform starts them, once both have written what they measure."""
    context = multiprocessing.get_context("spawn")
    started = [
        context.Process(target=serving._child, args=(f"web-{n}", partial(web_child, number=n), settings, url))
        for n in (1, 2)
    ]
    try:
        for process in started:
            process.start()
        written = [settings.data_dir / "run" / f"web-{n}.prom" for n in (1, 2)]
        until(lambda: all(path.is_file() for path in written), 60)
        until(lambda: listening(settings.port) == 2, 30)
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.join(10)
            process.kill()


def until(true: Any, within_s: float) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def listening(port: int) -> int:
    """How many sockets listen on a port of this machine (state 0A, proc(5))."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(1 for line in lines if line[3] == "0A" and int(line[1].rpartition(":")[2], 16) == port)


def counted(text: str) -> float:
    """Answered requests at the door of health, as a text of measures counts them."""
    families = {f.name: f for f in text_string_to_metric_families(text)}
    return sum(s.value for s in families["anxin_requests"].samples if s.name == "anxin_requests_total"
               and s.labels["door"] == "health")  # fmt: skip


def test_two_processes_share_a_port_and_their_sums_and_one_may_die(platform: Platform, pg_url: str) -> None:
    settings = replace(platform.settings, web_processes=2, port=free_port())
    base = f"http://{settings.host}:{settings.port}"
    with two_processes(settings, pg_url) as started:
        for _ in range(60):  # a connection each, so that the system deals them out
            assert httpx.get(f"{base}/health/live", trust_env=False).status_code == 200
        time.sleep(2 * SHARE_S)
        parts = [counted((settings.data_dir / "run" / f"web-{n}.prom").read_text("utf-8")) for n in (1, 2)]
        assert sum(parts) == 60
        assert min(parts) > 5  # by chance once in 10^10 runs
        assert {counted(httpx.get(f"{base}/metrics", trust_env=False).text) for _ in range(20)} == {60}
        started[0].kill()
        started[0].join(10)
        until(lambda: listening(settings.port) == 1, 10)
        for _ in range(20):
            assert httpx.get(f"{base}/health/live", trust_env=False).status_code == 200


def test_as_many_processes_are_started_as_the_settings_say() -> None:
    names = [child.name for child in web_children(Settings(web_processes=3), "postgresql://somewhere")]
    assert names == ["web", "web-2", "web-3"]


def test_what_processes_counted_is_added_up_and_what_began_is_the_earliest() -> None:
    counter, gauge = "# TYPE a_total counter\n", "# TYPE b gauge\n"
    one = counter + 'a_total{door="log"} 2\na_created{door="log"} 50\n' + gauge + "b 1\n"
    two = counter + 'a_total{door="log"} 3\na_total{door="api"} 1\na_created{door="log"} 40\n' + gauge + "b 4\n"
    found = {(s.name, s.labels.get("door")): s.value for f in Summed([one, two]).collect() for s in f.samples}
    assert found == {("a_total", "log"): 5, ("a_total", "api"): 1, ("a_created", "log"): 40, ("b", None): 5}
