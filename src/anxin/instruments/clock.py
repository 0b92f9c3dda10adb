"""The time that a bench goes by: the world's, or one that jumps ahead wherever it would wait."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class BenchClock(Protocol):
    """What the runner and the simulated instruments ask the time of."""

    def now_utc_ms(self) -> int:
        """Return the moment in UTC milliseconds."""

    def wait(self, duration_ms: int) -> None:
        """Return when the duration has passed."""


class WallClock:
    """The machine's clock, which must be kept true (NTP or a receiver): the charger's clock is held against it."""

    def now_utc_ms(self) -> int:
        """Return the machine's time."""
        return time.time_ns() // 1_000_000

    def wait(self, duration_ms: int) -> None:
        """Sleep."""
        time.sleep(max(0, duration_ms) / 1000)


class FastClock:
    """Simulated time: it stands still while the program works and jumps wherever it waits."""

    def __init__(self, begin_utc_ms: int) -> None:
        self._now = begin_utc_ms
        self._lock = threading.Lock()

    def now_utc_ms(self) -> int:
        """Return the simulated time."""
        with self._lock:
            return self._now

    def wait(self, duration_ms: int) -> None:
        """Jump ahead."""
        with self._lock:
            self._now += max(0, duration_ms)
