"""What a process measures of itself, for Prometheus. What all processes know together stands in the database.

Processes that share a port are asked by turns without anybody knowing which one answers. So each writes down what it
measures every second, and whoever is asked adds up what all have written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

SHARE_S = 1.0

_COMMIT_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_GROUP = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class Measures:
    """Counters of one process.

    commit_seconds   how long group commits took, with fsync
    commit_messages  how many messages they held
    outcomes         messages by kind and outcome: accepted, repeated, conflict, refused, busy, limited, failed
    requests         requests by door and HTTP status
    streams          event streams that are open
    streams_cut      event streams that were cut because their reader did not read
    password_hashes  passwords that were looked at, each as costly as another
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.commit_seconds = Histogram(
            "anxin_commit_seconds", "Seconds of a group commit", buckets=_COMMIT_S, registry=self.registry
        )
        self.commit_messages = Histogram(
            "anxin_commit_messages", "Messages of a group commit", buckets=_GROUP, registry=self.registry
        )
        self.outcomes = Counter(
            "anxin_outcomes", "Messages by kind and outcome", ["kind", "outcome"], registry=self.registry
        )
        self.requests = Counter(
            "anxin_requests", "Requests by door and status", ["door", "status"], registry=self.registry
        )
        self.streams = Gauge("anxin_streams", "Event streams that are open", registry=self.registry)
        self.streams_cut = Counter(
            "anxin_streams_cut", "Event streams cut because their reader did not read", registry=self.registry
        )
        self.password_hashes = Counter("anxin_password_hashes", "Passwords looked at", registry=self.registry)
        self._others: list[Path] = []
        self._queue = Gauge("anxin_queue_messages", "Messages that wait for a commit", registry=self.registry)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Let the length of a queue be read when it is asked for."""
        self._queue.set_function(length)

    def share(self, folder: Path, number: int, processes: int, stop: threading.Event) -> None:
        """Let process `number` (from 1) of so many write down what it measures, until stopped, and read the others'."""
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f"web-{number}.prom"
        self._others = [folder / f"web-{n}.prom" for n in range(1, processes + 1) if n != number]

        def write() -> None:
            while True:
                draft = own.with_suffix(".draft")
                draft.write_bytes(generate_latest(self.registry))
                draft.replace(own)  # nobody reads half of it
                if stop.wait(SHARE_S):
                    own.unlink(missing_ok=True)
                    return

        threading.Thread(target=write, daemon=True, name="measures").start()

    def text(self) -> str:
        """Return all of it in Prometheus' text format, with that of the processes that it shares a port with."""
        mine = generate_latest(self.registry).decode()
        texts = [mine]
        for path in self._others:
            try:
                texts.append(path.read_text("utf-8"))
            except OSError:
                continue  # not started, or just ended
        return mine if len(texts) == 1 else generate_latest(Summed(texts)).decode()


class Summed:
    """The sums of what several processes measured; of when a counter began, the first."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._families: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for text in texts:
            for family in text_string_to_metric_families(text):
                self._families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                of = values.setdefault(family.name, {})
                for sample in family.samples:
                    key = (sample.name, tuple(sample.labels.items()))
                    began = sample.name.endswith("_created")
                    of[key] = min(of.get(key, sample.value), sample.value) if began else of.get(key, 0) + sample.value
        for name, of in values.items():
            for (sample_name, labels), value in of.items():
                self._families[name].add_sample(sample_name, dict(labels), value)

    def collect(self) -> Iterable[Metric]:
        """Return the sums, family by family."""
        return self._families.values()
