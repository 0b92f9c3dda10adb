"""Reading: verdicts, findings, refusals, receipts. An operator sees his own, an inspector his districts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, HTTPException

from anxin.domain.party import Party
from anxin.evidence.note import Signer
from anxin.faces import declared
from anxin.faces.queries import Before, Limit, Word
from anxin.faces.rights import Right, allowed, sent_by, sight_of
from anxin.flow import live_reading
from anxin.flow.platform import Platform
from anxin.flow.receipts import receipt_document


def router(platform: Platform, signer: Signer) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["reading"])
    verdicts = Depends(allowed(platform, Right.READ_VERDICTS))
    findings = Depends(allowed(platform, Right.READ_FINDINGS))
    refused = Depends(allowed(platform, Right.READ_REFUSED))
    receipts = Depends(allowed(platform, Right.READ_RECEIPTS))

    @routes.get("/verdicts")
    def read_verdicts(
        party: Party = verdicts,
        state: Word = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> list[dict[str, Any]]:
        """Present verdicts, newest first."""
        return live_reading.verdicts(platform, sight_of(party), state, before, limit)

    @routes.get("/findings")
    def read_findings(
        party: Party = findings,
        rule: Word = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> list[dict[str, Any]]:
        """Present findings, newest first, with their sentences in Chinese and English."""
        return live_reading.findings(platform, sight_of(party), rule, before, limit)

    @routes.get("/refused")
    def read_refused(party: Party = refused, before: Before = None, limit: Limit = 50) -> list[dict[str, Any]]:
        """The failed-write ledger: what was not accepted, with field and rule."""
        return live_reading.refused(platform, sent_by(party), before, limit)

    @routes.get("/receipts/{index}")
    def read_receipt(index: int, party: Party = receipts) -> dict[str, Any]:
        """The receipt of one message."""
        found = live_reading.receipt(platform, sent_by(party), index)
        if found is None:
            raise HTTPException(404, "no such receipt of yours")
        return receipt_document(signer, found)

    routes.include_router(declared.router(platform))
    return routes
