"""The meters' door over HTTPS: sealed records, one or many, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from anxin.domain.errors import FormatError
from anxin.domain.message import Accepted
from anxin.evidence.note import Signer
from anxin.faces.problems import answer, problem
from anxin.flow.meter_messages import Opened, first_look, open_message
from anxin.flow.platform import Platform
from anxin.flow.receipts import accepted_document

_JSON = msgspec.json.Encoder()
_BINARY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {
    "type": "string", "format": "binary", "description": "one envelope AXE1, binary or as a line"}}}}}  # fmt: skip
_LINES = {"requestBody": {"required": True, "content": {"text/plain": {"schema": {
    "type": "string", "description": "envelopes as lines AXE1."}}}}}  # fmt: skip


def router(platform: Platform, signer: Signer) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/meter/v1", tags=["meters"])

    async def _kept_and_looked_at(opened: Sequence[Opened]) -> tuple[list[Accepted], list[str]]:
        """Signatures are verified while the messages are made durable: neither waits for the other."""
        directory = platform.directory

        def looks() -> list[str]:
            return [first_look(o.plain, directory) for o in opened]

        kept = asyncio.ensure_future(platform.intake.accept_all([o.message for o in opened]))
        looked = await asyncio.to_thread(looks)
        return await kept, looked

    @routes.post("/records", openapi_extra=_BINARY)
    async def record(request: Request) -> Response:
        """Take one sealed record; answer its receipt once it is durable."""
        try:
            opened = open_message(await request.body(), platform.directory)
        except FormatError as error:
            return answer(422, error.rule, str(error), error.field)
        ((accepted,), (look,)) = await _kept_and_looked_at([opened])
        document = accepted_document(signer, accepted) | {"signature": look}
        return _json(document, 409 if accepted.conflicts_with is not None else 200)

    @routes.post("/records/batch", openapi_extra=_LINES)
    async def batch(request: Request) -> Response:
        """Take sealed records, one a line; answer a list of outcomes in their order. A bad one loses no other."""
        lines = [line for line in (await request.body()).split(b"\n") if line.strip()]
        if len(lines) > platform.settings.max_batch:
            return answer(413, "batch.size", f"{len(lines)} records; at most {platform.settings.max_batch}")
        outcomes: list[dict[str, Any]] = [{}] * len(lines)
        good: list[tuple[int, Opened]] = []
        for number, line in enumerate(lines):
            try:
                good.append((number, open_message(line.strip(), platform.directory)))
            except FormatError as error:
                outcomes[number] = {"problem": problem(422, error.rule, str(error), error.field)}
        accepted, looks = await _kept_and_looked_at([o for _, o in good])
        for (number, _), one, look in zip(good, accepted, looks, strict=True):
            outcomes[number] = accepted_document(signer, one) | {"signature": look}
        return _json(outcomes, 200)

    return routes


def _json(document: object, status: int) -> Response:
    return Response(_JSON.encode(document), status, media_type="application/json")
