"""Claims that an outage is to be left out of uptime: operators file them with evidence, the regulator decides."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from anxin.domain.party import Party
from anxin.faces.attachments import saved_as
from anxin.faces.queries import Before, Limit
from anxin.faces.rights import Right, allowed, tenant_of
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.platform import Platform
from anxin.flow.uptime_claims import MAX_CLAIM_CONNECTORS, MAX_STATEMENT_CHARS, Asked, Claims, seen_by
from anxin.formats.attachments import MAX_ATTACHMENT_NAME_CHARS

Moment = Annotated[int, Query(ge=0, lt=1 << 52, description="UTC ms")]
Cause = Literal["utility_interruption", "vehicle_fault", "scheduled_maintenance", "vandalism", "disaster"]
State = Literal["open", "accepted", "refused"]
_BODY = {"requestBody": {"required": True, "content": {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


class Decision(BaseModel):
    """What an officer decides, and why."""

    model_config = ConfigDict(extra="forbid")
    accept: bool
    reason: str


def outer(platform: Platform) -> APIRouter:
    """Return an operator's routes: file a claim, read his own."""
    routes, claims = _reading(platform)
    filer = Depends(allowed(platform, Right.CLAIM_UPTIME))

    @routes.post("", openapi_extra=_BODY)
    async def file(
        request: Request, start: Annotated[Moment, Query(alias="from")], end: Annotated[Moment, Query(alias="to")],
        cause: Cause, connector: Annotated[list[str], Query(min_length=1, max_length=MAX_CLAIM_CONNECTORS)],
        statement: Annotated[str, Query(min_length=1, max_length=MAX_STATEMENT_CHARS)],
        name: Annotated[str, Query(max_length=MAX_ATTACHMENT_NAME_CHARS)], party: Party = filer,
    ) -> dict[str, Any]:  # fmt: skip
        """Ask that an outage be left out. The body is the evidence: PDF, PNG, JPEG, XLSX, CSV or text."""
        operator_id = tenant_of(party)
        asked = Asked(tuple(connector), start, end, cause, statement)
        return await claims.file(party, operator_id or "", asked, name, await request.body())

    return routes


def inner(platform: Platform) -> APIRouter:
    """Return the regulator's routes: read all, accept or refuse."""
    routes, claims = _reading(platform)
    officer = Depends(allowed(platform, Right.DECIDE_UPTIME))

    @routes.post("/{claim_id}/decision")
    def decide(claim_id: int, body: Decision, party: Party = officer) -> dict[str, Any]:
        """Accept a claim or refuse it, once, with a reason that the operator reads."""
        return claims.decide(party, seen_by(claims.occupancy, party), claim_id, body.accept, body.reason)

    return routes


def _reading(platform: Platform) -> tuple[APIRouter, Claims]:
    routes = APIRouter(prefix="/api/occupancy/claims", tags=["occupancy"])
    claims = Claims(Occupancy(platform))
    reader = Depends(allowed(platform, Right.READ_OCCUPANCY))

    @routes.get("")
    def listed(
        party: Party = reader, state: State | None = None, before: Before = None, limit: Limit = 100
    ) -> list[dict[str, Any]]:
        """Claims, newest first, without the bytes of their evidence."""
        return claims.listed(tenant_of(party), seen_by(claims.occupancy, party), state, before, limit)

    @routes.get("/{claim_id}/evidence", response_class=Response)
    def evidence(claim_id: int, party: Party = reader) -> Response:
        """The evidence of a claim, as a file to be saved."""
        found, data = claims.evidence(tenant_of(party), seen_by(claims.occupancy, party), claim_id)
        return Response(data, media_type=found.evidence_type, headers=saved_as(found.evidence_name))

    return routes, claims
