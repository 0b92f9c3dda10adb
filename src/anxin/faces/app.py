"""What both apps (faces/outer.py, faces/regulator.py) are made of: problems, limits, and who exists on which side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anxin import __version__
from anxin.domain.party import REGULATOR, Role
from anxin.domain.person import Side
from anxin.faces import cookies, problems
from anxin.faces.guard import Guard
from anxin.flow.platform import Platform


def assembled(platform: Platform, title: str, roles: frozenset[Role], routers: Iterable[APIRouter]) -> FastAPI:
    """Return an app of these routers on which parties of these roles exist; to it any other token is nobody's."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await platform.start()
        yield
        await platform.stop()

    # Its interactive pages come from here and not from a network that an inner one does not reach.
    app = FastAPIOffline(redoc_url=None, title=title, version=__version__, lifespan=life)
    app.state.roles, app.state.side = roles, Side.REGULATOR if roles & REGULATOR else Side.OUTER
    app.state.session = partial(cookies.party_of_session, platform)
    problems.install(app)
    for router in routers:
        app.include_router(router)
    app.add_middleware(BodyLimit, max_bytes=platform.settings.max_body_bytes)
    app.add_middleware(Guard, platform=platform, roles=roles)
    return app


class BodyLimit:
    """Refuses a request body beyond `max_bytes`: by its stated length before it is read, else as soon as it is seen."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        refusal = problems.answer(413, "body.size", f"a request body has at most {self.max_bytes} bytes")
        if not stated.isdigit() or int(stated) > self.max_bytes:
            await refusal(scope, receive, send)
            return
        # A body without a stated length is counted as it comes; whoever reads on gets the end of the connection.
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, counted, send)
