"""The shortest schedule of few tasks on resources that do one thing at a time, by trying every order that matters.

A verification has a dozen tasks, most of them bound by what must come first, so that exhaustive search with a bound
takes milliseconds. Times are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

#: A verification has about a dozen tasks. The search is exhaustive, so what exceeds this is refused.
MAX_TASKS = 24


@dataclass(frozen=True, slots=True)
class Task:
    """A task: how long, which resources it holds meanwhile, which tasks must have ended before."""

    name: str
    duration_ms: int
    resources: frozenset[str]
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A task with its place in time."""

    task: Task
    begin_ms: int

    @property
    def end_ms(self) -> int:
        """When it ends."""
        return self.begin_ms + self.task.duration_ms


def shortest(tasks: Sequence[Task]) -> tuple[Placed, ...]:
    """Return the tasks placed so that the last ends as early as possible, in order of their begin.

    Raises ValueError for more than MAX_TASKS, an unknown predecessor, or a circle.
    """
    if len(tasks) > MAX_TASKS:
        raise ValueError(f"{len(tasks)} tasks, at most {MAX_TASKS}")
    by_name = {task.name: task for task in tasks}
    tails = _tails(tasks)
    best_end = sum(task.duration_ms for task in tasks) + 1
    best: dict[str, int] = {}
    seen: dict[tuple[frozenset[str], tuple[int, ...]], int] = {}
    resources = sorted({r for task in tasks for r in task.resources})

    def place(begins: dict[str, int], free: Mapping[str, int], latest: int) -> None:
        nonlocal best_end, best
        if len(begins) == len(tasks):
            if latest < best_end:
                best_end, best = latest, dict(begins)
            return
        ready = [t for t in tasks if t.name not in begins and all(a in begins for a in t.after)]
        ends = {name: begin + by_name[name].duration_ms for name, begin in begins.items()}
        for task in sorted(ready, key=lambda t: -tails[t.name]):
            begin = max([0, *(ends[a] for a in task.after), *(free[r] for r in task.resources)])
            if begin + tails[task.name] >= best_end:
                continue
            now = {**begins, task.name: begin}
            taken = {r: begin + task.duration_ms if r in task.resources else at for r, at in free.items()}
            end = max(latest, begin + task.duration_ms)
            # The same tasks placed, with every end at the same time, has been here before.
            key = (frozenset(now), tuple(now[n] for n in sorted(now)) + tuple(taken[r] for r in resources))
            if seen.get(key, end + 1) <= end:
                continue
            seen[key] = end
            place(now, taken, end)

    place({}, dict.fromkeys(resources, 0), 0)
    if len(best) != len(tasks):
        raise ValueError("the tasks wait for one another in a circle")
    return tuple(sorted((Placed(by_name[n], b) for n, b in best.items()), key=lambda p: (p.begin_ms, p.end_ms)))


def _tails(tasks: Sequence[Task]) -> dict[str, int]:
    """Return for each task the time from its begin to the end of the longest chain that it opens."""
    by_name = {task.name: task for task in tasks}
    if any(a not in by_name for task in tasks for a in task.after):
        raise ValueError("a task waits for one that is not there")

    @cache
    def tail(name: str) -> int:
        following = [t.name for t in tasks if name in t.after]
        return by_name[name].duration_ms + max((tail(f) for f in following), default=0)

    try:
        return {task.name: tail(task.name) for task in tasks}
    except RecursionError:
        raise ValueError("the tasks wait for one another in a circle") from None
