"""The outer app: all doors over one platform."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anxin import __version__
from anxin.faces import bench, log, meters, ocpi, ocpp, problems, reading, refused, status, tcec102, uploads
from anxin.faces.guard import Guard
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.trust.vault import load_or_make_key


def create_app(platform: Platform) -> FastAPI:
    """Return the app. It starts the platform's intake with itself and stops it after the last request."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await platform.start()
        yield
        await platform.stop()

    signer, folder = log_signer(platform.settings), log_folder(platform.settings)
    token_key = load_or_make_key(platform.settings.data_dir / "secrets" / "token.key")
    # Its interactive pages come from here and not from a network that an inner one does not reach.
    app = FastAPIOffline(redoc_url=None, title="安心充电 Anxin Charging", version=__version__, lifespan=life)
    problems.install(app)
    app.include_router(status.router(platform, folder, signer))
    app.include_router(meters.router(platform, signer))
    app.include_router(ocpp.router(platform, signer))
    app.include_router(tcec102.router(platform, signer, token_key))
    app.include_router(ocpi.router(platform, signer))
    app.include_router(reading.router(platform, signer))
    app.include_router(refused.router(platform, signer))
    app.include_router(bench.router(platform, signer))
    app.include_router(uploads.router(platform, signer))
    app.include_router(log.router(folder, signer))
    app.add_middleware(BodyLimit, max_bytes=platform.settings.max_body_bytes)
    app.add_middleware(Guard, platform=platform)
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
