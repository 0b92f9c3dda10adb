"""The stream of events over HTTP: server-sent events (WHATWG HTML, 9.2), resumed by Last-Event-ID.

Why no library: a connection here is one task that waits, writes within a time, and asks again whether its caller still
may. sse-starlette (3.7) starts four tasks a connection and knows none of the three (decision 0018).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints
from starlette.types import Receive, Send
from starlette.types import Scope as Asgi

from anxin.domain.errors import FormatError, StoreError
from anxin.domain.party import Party
from anxin.faces import problems
from anxin.faces.connection import CUT, STREAMS
from anxin.faces.rights import Right, allowed, still_allowed
from anxin.flow.event_feed import CrowdedError, Feed, ForgottenError, scope_of
from anxin.flow.platform import Platform
from anxin.store.events import Event

#: Milliseconds after which a browser comes again when the connection was cut.
COME_AGAIN_MS = 2_000
#: Kinds that one listener names, and characters of one: there are some dozens of kinds.
MAX_KINDS = 50
KIND_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?$"
MAX_KIND_CHARS = 64
KindPattern = Annotated[str, StringConstraints(max_length=MAX_KIND_CHARS, pattern=KIND_PATTERN)]
Kinds = Annotated[list[KindPattern], Query(max_length=MAX_KINDS)]
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "events, for ever"}
}


def router(platform: Platform) -> APIRouter:
    """Return the route. It reads the table while its app runs."""
    feed = Feed(platform)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await feed.start()
        yield
        await feed.stop()

    routes = APIRouter(prefix="/api/events", tags=["events"], lifespan=life)
    listener = Depends(allowed(platform, Right.READ_EVENTS))

    @routes.get("", response_class=Response, responses=_STREAM)
    async def stream(
        request: Request,
        party: Party = listener,
        after: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
        kind: Kinds = [],  # noqa: B006
        last_event_id: Annotated[str, Header(max_length=20)] = "",
    ) -> Response:
        """Events as they happen (SSE): an operator's own, the regulator's by district. `Last-Event-ID`, or `after`,
        resumes without a gap and without a double; 410 where what lies between is no longer kept. Without either the
        stream begins now."""
        if last_event_id and not (last_event_id.isascii() and last_event_id.isdecimal()):
            raise FormatError("events.last_event_id", "Last-Event-ID is a number that this stream gave")
        try:
            # A browser that comes again sends both; where it was is what counts.
            place = await feed.place(int(last_event_id) if last_event_id else after)
        except ForgottenError as error:
            return _forgotten(error)
        return EventStream(feed, place, party, tuple(kind), still_allowed(platform, Right.READ_EVENTS, request))

    return routes


class EventStream(Response):
    """One listener's stream. Ends when he may no longer listen, does not read, leaves, or the server stops."""

    def __init__(
        self, feed: Feed, place: int, party: Party, kinds: tuple[str, ...], again: Callable[[], Party | None]
    ) -> None:
        super().__init__(None, 200, _HEADERS, "text/event-stream")
        self.feed, self.place, self.kinds, self.again = feed, place, kinds, again
        self.party_id = party.party_id
        self.party: Party | None = party
        self._known = (feed.platform.directory, -math.inf)

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """Answer, until an end."""
        try:
            with self.feed.listening(self.party_id) as waker:
                await self._answer(scope, receive, send, waker)
        except CrowdedError as error:
            await problems.answer(429 if error.own else 503, "events.crowded", str(error))(scope, receive, send)

    async def _answer(self, scope: Asgi, receive: Receive, send: Send, waker: asyncio.Event) -> None:
        gone = False

        async def watch() -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            gone = True
            waker.set()

        extensions = scope.get("extensions") or {}
        extensions[STREAMS] = True  # the server ends it when it stops, and does not wait for it
        watcher = asyncio.create_task(watch())
        try:
            async with asyncio.timeout(None) as ends:
                headers = [h for h in self.raw_headers if h[0] != b"content-length"]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                text: bytes | None = f"retry: {COME_AGAIN_MS}\nid: {self.place}\n\n".encode()
                while not gone and text is not None:
                    ends.reschedule(asyncio.get_running_loop().time() + self.feed.platform.settings.events_send_s)
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                    ends.reschedule(None)
                    text = await self._next(waker, lambda: gone)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            # It does not read. What waits in its connection is thrown away; it comes again from where it was.
            self.feed.platform.measures.streams_cut.inc()
            if CUT in extensions:
                extensions[CUT]()
                await watcher  # the server has seen that it is gone
        finally:
            watcher.cancel()

    async def _next(self, waker: asyncio.Event, gone: Callable[[], bool]) -> bytes | None:
        """What to write next: events, or a sign of life that says how far was read. None: the stream ends."""
        while not gone():
            waker.clear()
            await self._ask_again()
            wanted = None if self.party is None else scope_of(self.party, self.kinds)
            if wanted is None:
                return None
            place = self.place
            try:
                self.place, events = await self.feed.after(place, wanted)
            except (ForgottenError, StoreError):
                return None  # told when it comes again
            if events:
                return b"".join(_written(event, document) for event, document in events)
            if self.place != place:
                continue
            try:
                async with asyncio.timeout(self.feed.platform.settings.events_heartbeat_s):
                    await waker.wait()
            except TimeoutError:
                # An id without data moves a browser's Last-Event-ID and is no event.
                return f": \nid: {self.place}\n\n".encode()
        return None

    async def _ask_again(self) -> None:
        """Learn who listens, once the directory is another one or a sign of life is due: not for each event, since a
        session is asked of the database."""
        directory, due = self._known
        now, present = asyncio.get_running_loop().time(), self.feed.platform.directory
        if present is directory and now < due:
            return
        self.party = await asyncio.to_thread(self.again)
        self._known = (present, now + self.feed.platform.settings.events_heartbeat_s)


def _written(event: Event, document: bytes) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.event_id, event.kind.encode(), document)


def _forgotten(error: ForgottenError) -> JSONResponse:
    told: dict[str, Any] = problems.problem(410, "events.forgotten", str(error))
    told |= {"kept_after": error.kept_after, "newest": error.newest}
    return JSONResponse(told, 410, media_type="application/problem+json")
