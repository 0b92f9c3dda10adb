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
from collections.abc import Sequence

from anxin.domain.errors import BusyError, StoreError
from anxin.domain.message import Accepted, Message, Refused
from anxin.evidence.commitment import entry_of, statement
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

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
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
        """Return what became of several messages, in their order. Raises BusyError (nothing was kept), StoreError."""
        if len(self._waiting) + len(messages) > self.settings.max_queue:
            raise BusyError(f"{len(self._waiting)} messages wait to be made durable")
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Accepted]] = [loop.create_future() for _ in messages]
        self._waiting += zip(messages, futures, strict=True)
        self._news.set()
        return list(await asyncio.gather(*futures))

    async def refuse(self, refused: Refused) -> int:
        """Enter a refusal into the failed-write ledger; return its number there."""
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
        try:
            accepted = await asyncio.to_thread(
                store.append, self.database, [m for m, _ in group], now_utc_ms(), committed_entry
            )
        except Exception as error:  # whatever it was, the doors must hear of it; the committer goes on
            failure = error if isinstance(error, StoreError) else StoreError(f"not kept: {type(error).__name__}")
            for _, future in group:
                if not future.done():
                    future.set_exception(failure)
            return
        for (_, future), result in zip(group, accepted, strict=True):
            if not future.done():
                future.set_result(result)
