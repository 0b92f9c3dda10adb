"""What a process measures of itself, for Prometheus. What all processes know together stands in the database."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
        self._queue = Gauge("anxin_queue_messages", "Messages that wait for a commit", registry=self.registry)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Let the length of a queue be read when it is asked for."""
        self._queue.set_function(length)

    def text(self) -> str:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry).decode()
