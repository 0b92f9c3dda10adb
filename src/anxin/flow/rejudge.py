"""Replay: messages are decoded and judged again, and what that changed is said. Judgement is a pure function of the
kept bytes, the register and the policy: under the same two, nothing changes.

1  the present verdicts and findings, as one number each
2  messages of the span are marked as to be judged again
3  the running judge takes them, or this process judges where none runs
4  the same numbers again
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anxin.flow.intake import now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import facts, messages, verdicts

#: Pause between two looks at how far the running judge is.
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay did. `changed` is whether any present verdict or finding is another one than before; `arrived`
    counts messages that came in meanwhile, whose verdicts are new by right."""

    messages: int
    verdicts: int
    findings: int
    arrived: int
    changed: bool
    before: str
    after: str
    seconds: float


def replay(
    platform: Platform,
    from_utc_ms: int | None = None,
    to_utc_ms: int | None = None,
    as_of_utc_ms: int | None = None,
    told: Callable[[int], None] = lambda left: None,
) -> Replay:
    """Judge again what was received in a span (default: everything). `told` hears how many messages are left."""
    started = time.monotonic()
    database = platform.database
    size = messages.size(database)
    with _judging(platform, as_of_utc_ms) as settle:
        settle(lambda left: None)  # what waits already is none of the replay's doing
        before = verdicts.present(database)
        count = facts.requeue_between(database, from_utc_ms, to_utc_ms)
        settle(told)
        after = verdicts.present(database)
    return Replay(
        count, after.verdicts, after.findings, messages.size(database) - size, before != after, before.text, after.text,
        time.monotonic() - started,
    )  # fmt: skip


@contextmanager
def _judging(platform: Platform, as_of_utc_ms: int | None) -> Iterator[Callable[[Callable[[int], None]], None]]:
    """What returns when nothing is left to be judged: the running judge is waited for, else this process judges."""
    database = platform.database

    def wait(told: Callable[[int], None]) -> None:
        while left := facts.left(database, now_utc_ms()):
            told(left)
            time.sleep(LOOK_S)

    if facts.has_judge(database):
        yield wait
        return
    with tempfile.TemporaryDirectory(prefix="anxin-judge-") as scratch, facts.judge_lock(database):
        judge = Judge(platform, Path(scratch))

        def work(told: Callable[[int], None]) -> None:
            while not judge.step(as_of_utc_ms).idle:
                told(facts.left(database, now_utc_ms()))

        try:
            yield work
        finally:
            judge.close()
