"""The event table, read once a process and handed to everyone who listens.

    reader     one task waits for the database's word (LISTEN), looks every POLL_S without it, and keeps what is new in
               a tail in memory, each event written out once
    listener   has a place in the table and no queue: what comes after its place is taken from the tail, or from the
               table where the tail no longer reaches back so far. A slow one costs nothing but its place.

MUST      give each listener every event of its scope after its place, once and in order, across restarts
MUST NOT  go on silently where events after a listener's place are no longer kept
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from anxin.domain.errors import AnxinError, StoreError
from anxin.domain.party import OF_OPERATOR, REGULATOR, Party
from anxin.flow.platform import Platform
from anxin.store.events import CHANNEL, Event, Scope, events_after, kept_span, scoped_events

LOG = logging.getLogger("anxin.events")
#: Events kept in memory: some MB, minutes of the liveliest city; who was away longer reads the table.
MAX_TAIL = 5_000
#: Events written to a listener in one go: some tens of kB, so that a connection that stands still holds no more.
MAX_BATCH = 100
READ_PAGE = 1_000
POLL_S, RETRY_S = 0.5, 2.0


class ForgottenError(AnxinError):
    """Events after the place that a listener names are no longer kept, or the place is beyond the newest event.

    `kept_after`, `newest`: after which number all are kept, and the newest one."""

    def __init__(self, kept_after: int, newest: int) -> None:
        super().__init__(
            f"该位置之后的事件不连续 · events after this place are not all here: kept are {kept_after + 1} to {newest};"
            f" read the present state anew, then listen with after={newest}"
        )
        self.kept_after = kept_after
        self.newest = newest


class CrowdedError(AnxinError):
    """Too many listen: of this party (`own`), or in all."""

    def __init__(self, *, own: bool) -> None:
        super().__init__("too many event streams of yours are open" if own else "too many event streams are open")
        self.own = own


def scope_of(party: Party, kinds: tuple[str, ...] = ()) -> Scope | None:
    """Return which events a party reads: the regulator's by district, an operator's its own, None for anyone else."""
    if party.role in REGULATOR:
        return Scope(None, party.districts, kinds)
    if party.role in OF_OPERATOR and party.operator_id:
        return Scope(party.operator_id, (), kinds)
    return None


def event_document(event: Event) -> bytes:
    """Return an event as JSON in the shape that Standard Webhooks recommends: type, timestamp, data; in one line."""
    at = datetime.fromtimestamp(event.at_utc_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document = {
        "type": event.kind,
        "timestamp": at,
        "event_id": event.event_id,
        "operator_id": event.operator_id,
        "district": event.district,
        "data": event.body,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class Feed:
    """The events of one process. Runs inside the event loop between `start` and `stop`."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.newest = 0
        self._floor = 0  # the tail holds every event after this number
        self._numbers: list[int] = []
        self._tail: list[tuple[Event, bytes]] = []
        self._wakers: set[asyncio.Event] = set()
        self._listeners: Counter[str] = Counter()
        self._directory = platform.directory
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read, from the newest event on."""
        _, self.newest = await asyncio.to_thread(kept_span, self.platform.database)
        self._floor = self.newest
        self._task = asyncio.create_task(self._run(), name="events")

    async def stop(self) -> None:
        """Stop to read."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def place(self, after: int | None) -> int:
        """Return the place that a listener begins after; None is now. Raises ForgottenError, StoreError."""
        kept_after, newest = await asyncio.to_thread(kept_span, self.platform.database)
        if after is None:
            return newest
        if not kept_after <= after <= newest:
            raise ForgottenError(kept_after, newest)
        return after

    @contextlib.contextmanager
    def listening(self, party_id: str) -> Iterator[asyncio.Event]:
        """Count a listener; what is given is set whenever there may be something to do for it. Raises CrowdedError."""
        settings = self.platform.settings
        if self._listeners[party_id] >= settings.events_per_party:
            raise CrowdedError(own=True)
        if len(self._wakers) >= settings.events_connections:
            raise CrowdedError(own=False)
        waker = asyncio.Event()
        self._listeners[party_id] += 1
        self._wakers.add(waker)
        self.platform.measures.streams.set(len(self._wakers))
        try:
            yield waker
        finally:
            self._wakers.remove(waker)
            self._listeners[party_id] -= 1
            if not self._listeners[party_id]:
                del self._listeners[party_id]
            self.platform.measures.streams.set(len(self._wakers))

    async def after(self, place: int, scope: Scope) -> tuple[int, list[tuple[Event, bytes]]]:
        """Return the next place and the events on the way to it, at most MAX_BATCH. The same place: nothing is new.

        Raises ForgottenError, StoreError.
        """
        if place < self._floor:
            up_to = self.newest
            found = await asyncio.to_thread(scoped_events, self.platform.database, scope, place, up_to, MAX_BATCH)
            if found is None:
                raise ForgottenError(*await asyncio.to_thread(kept_span, self.platform.database))
            events, reached = found
            return reached, [(e, event_document(e)) for e in events]
        seen = []
        for number in range(bisect.bisect_right(self._numbers, place), len(self._numbers)):
            if scope.sees(self._tail[number][0]):
                seen.append(self._tail[number])
                if len(seen) == MAX_BATCH:
                    return self._numbers[number], seen
        return max(place, self.newest), seen

    async def _run(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self.platform.database.url, autocommit=True, connect_timeout=5
                ) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    while True:
                        await self._read()
                        async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                            pass
            except (psycopg.Error, StoreError, OSError) as error:
                # Listeners keep their places meanwhile; what was written is read when the database is back.
                LOG.warning("events: %s; read again in %g s", type(error).__name__, RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        """Take what is new into the tail; wake everyone for it, and where rights may have changed."""
        woken = self._directory is not self.platform.directory
        self._directory = self.platform.directory
        while events := await asyncio.to_thread(events_after, self.platform.database, self.newest, READ_PAGE):
            self._tail += [(e, event_document(e)) for e in events]
            self._numbers += [e.event_id for e in events]
            self.newest = self._numbers[-1]
            if len(self._tail) > MAX_TAIL:
                cut = len(self._tail) - MAX_TAIL // 2
                self._floor = self._numbers[cut - 1]
                del self._tail[:cut], self._numbers[:cut]
            woken = True
            self._wake()
        if woken:
            self._wake()

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()
