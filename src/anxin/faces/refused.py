"""The failed-write ledger over HTTP: read one entry, send its correction."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse

from anxin.domain.errors import FormatError
from anxin.domain.party import REGULATOR, Party
from anxin.evidence.note import Signer
from anxin.faces.problems import problem
from anxin.faces.rights import Right, allowed
from anxin.flow import ledger
from anxin.flow.deeds import note_reading
from anxin.flow.platform import Platform
from anxin.flow.receipts import accepted_document
from anxin.store.ledger import Entry

_PAYLOAD = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {
    "type": "string", "format": "binary", "description": "the whole payload, put right"}}}}}  # fmt: skip


def entries(platform: Platform) -> APIRouter:
    """Return the routes of who reads entries."""
    routes = APIRouter(prefix="/api/refused", tags=["failed-write ledger"])
    reader = Depends(allowed(platform, Right.READ_REFUSED))

    @routes.get("/{refused_id}")
    def read(refused_id: int, party: Party = reader) -> dict[str, Any]:
        """One entry: what was wrong, in Chinese and English, where, and the payload as it was sent."""
        entry = _own(platform, party, refused_id)
        if party.role in REGULATOR:  # what was sent may speak of drivers: that it was read is a leaf of the log
            note_reading(platform, party, "refused", [refused_id])
        return ledger.entry_document(entry)

    return routes


def corrections(platform: Platform, signer: Signer) -> APIRouter:
    """Return the routes of who corrects what he sent."""
    routes = APIRouter(prefix="/api/refused", tags=["failed-write ledger"])
    corrector = Depends(allowed(platform, Right.CORRECT_REFUSED))

    @routes.post("/{refused_id}/correction", openapi_extra=_PAYLOAD)
    async def correct(refused_id: int, request: Request, party: Party = corrector) -> JSONResponse:
        """Send an entry's payload again, corrected. It is checked as at its door; the receipt is the answer."""
        payload = await request.body()
        entry = await asyncio.to_thread(_own, platform, party, refused_id)
        try:
            accepted = await ledger.correct(platform, entry, payload)
        except ledger.CorrectedBeforeError as error:
            told = problem(409, error.rule, str(error)) | {"corrected_by": error.index}
            return JSONResponse(told, 409, media_type="application/problem+json")
        except FormatError as error:
            told = problem(422, error.rule, str(error), error.field)
            told |= ledger.fault_document(error.rule, str(error), error.field, payload)
            return JSONResponse(told, 422, media_type="application/problem+json")
        return JSONResponse(accepted_document(signer, accepted), 200 if accepted.conflicts_with is None else 409)

    return routes


def _own(platform: Platform, party: Party, refused_id: int) -> Entry:
    found = ledger.entry_of(platform, party, refused_id)
    if found is None:
        raise HTTPException(404, "no such entry of yours")
    return found
