"""Signatures on all cores: chunks of records to worker processes and back, in order, with bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from anxin.domain.batch import JudgedRecord
from anxin.domain.source import Source
from anxin.trust.keyring import KeyRing
from anxin.trust.verify import judge_texts

#: Records a chunk: large enough that handing it over costs little beside its 200 ms of work, small enough to be held.
CHUNK_RECORDS = 2_000
#: Chunks under way for each worker; more would only fill memory where the reader is faster than the workers.
CHUNKS_AHEAD = 2

_Result = TypeVar("_Result")
_ring: KeyRing | str | None = None


def judge_in_processes(
    records: Iterable[tuple[Source, bytes]],
    keys: KeyRing | str | None,
    workers: int | None = None,
    digest: Callable[[list[JudgedRecord]], _Result] | None = None,
) -> Iterator[list[JudgedRecord] | _Result]:
    """Yield the judged records of each chunk, in the order of `records`.

    `digest` is a module-level function that runs in the worker on each chunk; what it returns is yielded instead, so
    that a caller who needs sessions only does not pay for sending whole records back. The ring is sent once a worker.
    """
    count = workers or os.cpu_count() or 1
    # Workers are spawned, not forked: a fork would copy the locks of whatever threads the caller runs.
    with ProcessPoolExecutor(count, get_context("spawn"), initializer=_start, initargs=(keys,)) as pool:
        running: deque[Future[list[JudgedRecord] | _Result]] = deque()
        for chunk in _chunks(records):
            running.append(pool.submit(_work, chunk, digest))
            if len(running) >= count * CHUNKS_AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _start(keys: KeyRing | str | None) -> None:
    global _ring  # noqa: PLW0603 - set once when a worker starts; the only way to give it what every chunk needs
    _ring = keys


def _work(
    chunk: list[tuple[Source, bytes]], digest: Callable[[list[JudgedRecord]], _Result] | None
) -> list[JudgedRecord] | _Result:
    judged = judge_texts(chunk, _ring)
    return judged if digest is None else digest(judged)


def _chunks(records: Iterable[tuple[Source, bytes]]) -> Iterator[list[tuple[Source, bytes]]]:
    chunk: list[tuple[Source, bytes]] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == CHUNK_RECORDS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
