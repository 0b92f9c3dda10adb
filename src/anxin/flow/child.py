"""A piece of work on bytes from outside, in a process of its own: with a bound on memory and time, off the event loop.

What a reader of a compressed format may take cannot be told in full from its head. Here it takes what it takes, and if
that is too much it dies alone.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from anxin.domain.errors import AnxinError, FormatError

#: Address space of such a process: an upload of the largest size allowed is read in a fraction of it.
MAX_CHILD_BYTES = 4 * 1024**3
#: Seconds of such a process: the largest upload allowed takes some tens.
MAX_CHILD_S = 180

Result = TypeVar("Result")


def in_child(work: Callable[..., Result], *arguments: Any) -> Result:
    """Return what `work` returns. Raises what it raises of this package's errors, else FormatError `upload.resources`.

    `work` and its arguments cross processes: they are a function of a module and plain values. Blocks.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_body, args=(sender, work, arguments), name="anxin-upload", daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(MAX_CHILD_S):
            raise FormatError("upload.resources", f"reading it took more than {MAX_CHILD_S} s")
        outcome = receiver.recv()
    except EOFError:
        raise FormatError("upload.resources", "reading it took more memory than an upload may") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if isinstance(outcome, _Failure):
        raise outcome.error()
    return outcome  # type: ignore[no-any-return]  # what work returned


class _Failure:
    """A FormatError on its way between processes."""

    def __init__(self, rule: str, message: str, field: str | None) -> None:
        self.said = (rule, message, field)

    def error(self) -> FormatError:
        return FormatError(*self.said)


def _body(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_CHILD_BYTES, MAX_CHILD_BYTES))
    try:
        outcome = work(*arguments)
    except FormatError as error:
        outcome = _Failure(error.rule, str(error), error.field)
    except MemoryError:
        return  # the parent sees the end of the pipe
    except AnxinError as error:
        outcome = _Failure("upload.unreadable", str(error), None)
    sender.send(outcome)
    sender.close()
