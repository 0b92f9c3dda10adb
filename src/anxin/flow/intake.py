"""Intake: what a door has authenticated is made durable in group commits, and only then acknowledged.

    1  a door hands in a message and waits
    2  the committer takes all that wait (and waits a few milliseconds for company)
    3  one transaction numbers and keeps them, with fsync at its commit
    4  every waiting door gets its receipt

MUST NOT  answer before step 3 has returned. If the process dies before, nobody has a receipt and the senders come
again; if it dies after, they come again too and get the receipt that was written.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from anxin.domain.errors import BusyError, LimitError, StoreError
from anxin.domain.message import Accepted, Message, Refused
from anxin.evidence.commitment import entry_of, statement
from anxin.flow.measures import Measures
from anxin.flow.rates import Buckets, known
from anxin.settings import Settings
from anxin.store import ledger
from anxin.store import messages as store
from anxin.store.database import Database

#: Messages of one group commit; more wait for the next.
MAX_GROUP = 2_000


def now_utc_ms() -> int:
    """Return the platform's clock. The one place where flow and faces read it."""
    return time.time_ns() // 1_000_000


def committed_entry(salt: bytes, message: Message, received_utc_ms: int) -> bytes:
    """Return the log entry of a message."""
    said = statement(
        message.kind.value,
        message.sender,
        message.message_id,
        received_utc_ms,
        message.payload_sha256,
        message.envelope_sha256,
    )
    return entry_of(salt, said)


class Intake:
    """One committer for all doors of a process. Processes exclude one another by the database's own lock."""

    def __init__(self, database: Database, settings: Settings, measures: Measures | None = None) -> None:
        self.database = database
        self.settings = settings
        self.measures = measures or Measures()
        self.measures.watch_queue(lambda: len(self._waiting))
        self.senders = Buckets(settings.party_rate_per_s, settings.party_burst)
        self._waiting: list[tuple[Message, asyncio.Future[Accepted]]] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to commit. Called inside the running event loop."""
        self._task = asyncio.create_task(self._commit_for_ever(), name="intake")

    async def stop(self) -> None:
        """Stop after what waits is committed."""
        while self._waiting and self._task is not None and not self._task.done():
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def accept(self, message: Message) -> Accepted:
        """Return what became of one message, once it is durable. Raises BusyError, StoreError."""
        return (await self.accept_all([message]))[0]

    async def accept_all(self, messages: Sequence[Message]) -> list[Accepted]:
        """Return what became of several messages, in their order.

        Raises BusyError or LimitError (nothing was kept), StoreError.
        """
        if self._task is None or self._task.done():
            raise StoreError("this process commits nothing any more")
        self._admit(messages)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Accepted]] = [loop.create_future() for _ in messages]
        self._waiting += zip(messages, futures, strict=True)
        self._news.set()
        return list(await asyncio.gather(*futures))

    def _admit(self, messages: Sequence[Message]) -> None:
        """Count messages under the parties that a door authenticated. Raises BusyError, LimitError."""
        try:
            if len(self._waiting) + len(messages) > self.settings.max_queue:
                raise BusyError(f"{len(self._waiting)} messages wait to be made durable")
            self.senders.take_all(Counter(m.sender for m in messages))
        except BusyError as error:
            self._count(messages, "limited" if isinstance(error, LimitError) else "busy")
            raise
        finally:
            for message in messages[:1]:
                known(message.sender)

    def _count(self, messages: Sequence[Message], outcome: str) -> None:
        for kind, count in Counter(m.kind.value for m in messages).items():
            self.measures.outcomes.labels(kind, outcome).inc(count)

    async def refuse(self, refused: Refused) -> int:
        """Enter a refusal into the failed-write ledger; return its number there. Raises LimitError, StoreError."""
        known(refused.sender)
        self.senders.take_all({refused.sender: 1})
        self.measures.outcomes.labels(refused.door, "refused").inc()
        return await asyncio.to_thread(ledger.refuse, self.database, refused, now_utc_ms(), self.settings.refused_kept)

    async def _commit_for_ever(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(self.settings.commit_interval_ms / 1_000)
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            if not self._waiting:
                self._news.clear()
            await self._commit(group)

    async def _commit(self, group: list[tuple[Message, asyncio.Future[Accepted]]]) -> None:
        started = time.perf_counter()
        try:
            accepted = await asyncio.to_thread(
                store.append, self.database, [m for m, _ in group], now_utc_ms(), committed_entry
            )
        except Exception as error:  # whatever it was, the doors must hear of it; the committer goes on
            failure = error if isinstance(error, StoreError) else StoreError(f"not kept: {type(error).__name__}")
            for _, future in group:
                if not future.done():
                    future.set_exception(failure)
            self._count([m for m, _ in group], "failed")
            return
        self._measure(group, accepted, time.perf_counter() - started)
        for (_, future), result in zip(group, accepted, strict=True):
            if not future.done():
                future.set_result(result)

    def _measure(
        self, group: list[tuple[Message, asyncio.Future[Accepted]]], accepted: list[Accepted], seconds: float
    ) -> None:
        self.measures.commit_seconds.observe(seconds)
        self.measures.commit_messages.observe(len(group))
        outcomes = Counter(
            (message.kind.value, _outcome(one)) for (message, _), one in zip(group, accepted, strict=True)
        )
        for (kind, outcome), count in outcomes.items():
            self.measures.outcomes.labels(kind, outcome).inc(count)


def _outcome(accepted: Accepted) -> str:
    if accepted.repeated:
        return "repeated"
    return "accepted" if accepted.conflicts_with is None else "conflict"
