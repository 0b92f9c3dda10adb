"""The doors of test benches and seals: one JSON document a request, answered by its receipt."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.party import Party
from anxin.evidence.note import Signer
from anxin.faces.problems import problem
from anxin.faces.rights import Right, allowed, sender_of
from anxin.flow import ledger
from anxin.flow.admission import Grounds, admit, refusal
from anxin.flow.platform import Platform
from anxin.flow.receipts import accepted_document

_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {
    "type": "object", "description": "docs/formats/bench-door.md"}}}}}  # fmt: skip


def results(platform: Platform, signer: Signer) -> APIRouter:
    """Return the route of test benches."""
    routes = APIRouter(tags=["test benches and seals"])
    bench = Depends(allowed(platform, Right.SEND_BENCH_RESULT))

    @routes.post("/bench/v1/results", openapi_extra=_BODY)
    async def result(request: Request, party: Party = bench) -> JSONResponse:
        """Take the result of one verification; answer its receipt once it is durable."""
        return await _take(platform, signer, Kind.BENCH_RESULT, sender_of(party), await request.body())

    return routes


def seals(platform: Platform, signer: Signer) -> APIRouter:
    """Return the route of whoever sees seals."""
    routes = APIRouter(tags=["test benches and seals"])
    witness = Depends(allowed(platform, Right.SEND_SEAL_EVENT))

    @routes.post("/seal/v1/events", openapi_extra=_BODY)
    async def event(request: Request, party: Party = witness) -> JSONResponse:
        """Take one event of a seal; answer its receipt once it is durable."""
        return await _take(platform, signer, Kind.SEAL_EVENT, sender_of(party), await request.body())

    return routes


async def _take(platform: Platform, signer: Signer, kind: Kind, sender: str, payload: bytes) -> JSONResponse:
    try:
        admitted = admit(kind, payload, Grounds(sender, platform.directory, platform.settings.zone))
    except FormatError as error:
        number = await platform.intake.refuse(refusal(kind, sender, payload, error))
        told = problem(422, error.rule, str(error), error.field) | {"refused_id": number}
        told |= ledger.fault_document(error.rule, str(error), error.field, payload)
        return JSONResponse(told, 422, media_type="application/problem+json")
    accepted = await platform.intake.accept(Message(kind, sender, admitted.message_id, admitted.payload))
    return JSONResponse(accepted_document(signer, accepted), 200 if accepted.conflicts_with is None else 409)
