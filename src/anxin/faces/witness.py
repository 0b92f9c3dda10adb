"""The witness over HTTP (C2SP tlog-witness): submission and monitoring under one prefix. No part of the platform."""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI, Request, Response

from anxin.evidence.witness import MAX_REQUEST_BYTES, TEXT, Witness
from anxin.flow.intake import now_utc_ms

LOG = logging.getLogger("anxin.witness")
#: Requests at work at once; more are told to come again. Each costs a signature check, and at most one fsync.
MAX_AT_WORK = 32


def create_witness_app(witness: Witness) -> FastAPI:
    """Return the app over a witness."""
    app = FastAPI(title="anxin witness", docs_url=None, redoc_url=None, openapi_url=None)
    at_work = asyncio.Semaphore(MAX_AT_WORK)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        """Cosign a checkpoint, or say why not."""
        if at_work.locked():
            return Response("busy\n", 503, {"Retry-After": "1"}, TEXT)
        async with at_work:
            body = b""
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_REQUEST_BYTES:
                    return Response("the request is too long\n", 413, None, TEXT)
            try:
                answer = await asyncio.to_thread(witness.add_checkpoint, body, now_utc_ms() // 1_000)
            except OSError as error:
                LOG.error("witness: not persisted, not cosigned: %s", error.strerror)
                return Response("the checkpoint could not be kept\n", 503, {"Retry-After": "5"}, TEXT)
        if answer.status == 422:
            # This may be a log that forks: the request is the proof of it, and holds no secret.
            LOG.warning("witness: %s: %s", answer.body.strip(), body.decode("utf-8", "replace"))
        # Given as a header, the type stays as it is: given as a media type it would get a charset.
        return Response(answer.body, answer.status, {"Content-Type": answer.content_type})

    @app.get("/{origin_hash}/checkpoint")
    async def checkpoint(origin_hash: str) -> Response:
        """The last checkpoint that was cosigned for a log."""
        found = witness.latest(origin_hash)
        if found is None:
            return Response("nothing was cosigned for this log\n", 404, None, TEXT)
        return Response(found, 200, {"Cache-Control": "no-cache"}, TEXT)

    return app
