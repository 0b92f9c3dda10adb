"""The platform with one fault planted, to see that the instrument finds it: `python -m tests.fault.planted serve ...`.

ANXIN's own code has no switch for any of this. The fault's name stands in FAULT_PLANTED; each process of the platform
imports this module, because it is the program that was started.

    early   answers before the commit
    twice   does not look whether a message is known
    leaf    publishes the log without one leaf in a hundred
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from anxin.store import messages

FAULTS = ("early", "twice", "leaf")
COMMIT_LATER_S = 0.04


class _Later:
    """A database whose transactions commit after they were said to be committed."""

    def __init__(self, database: Any) -> None:
        self.database = database

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        real = self.database.transaction()
        yield real.__enter__()

        def commit() -> None:
            time.sleep(COMMIT_LATER_S)
            real.__exit__(None, None, None)

        threading.Thread(target=commit, daemon=True).start()


def _early(append: Callable[..., Any]) -> Callable[..., Any]:
    return lambda database, *rest: append(_Later(database), *rest)


def _without_a_leaf(entries: Callable[..., Any]) -> Callable[..., Any]:
    def some(database: Any, first: int, count: int) -> list[bytes]:
        found: list[bytes] = entries(database, first, count)
        return [found[n - 1] if (first + n) % 100 == 99 and n else e for n, e in enumerate(found)]

    return some


def plant(fault: str) -> None:
    """Change the platform's code in this process."""
    if fault == "early":
        messages.append = _early(messages.append)
    elif fault == "twice":
        messages._known = lambda *_: {}
    elif fault == "leaf":
        messages.entries = _without_a_leaf(messages.entries)
    else:
        raise ValueError(f"no such fault: {fault}")


if "FAULT_PLANTED" in os.environ:
    plant(os.environ["FAULT_PLANTED"])

if __name__ == "__main__":
    from anxin.cli.main import main

    sys.exit(main())
