"""Certificates of verification on the regulator's app: issue, list, the signed PDF, revoke."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.responses import Response

from anxin.domain.party import Party
from anxin.faces.attachments import saved_as
from anxin.faces.queries import Limit
from anxin.faces.rights import Right, allowed
from anxin.flow.certificates import MAX_REVOKE_CHARS, Certificates
from anxin.flow.platform import Platform

_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {
    "type": "object", "description": "docs/certificates.md: the whole result of a verification"}}}}}  # fmt: skip
_Text = Annotated[str | None, Query(max_length=64)]


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/certificates", tags=["certificates"])
    reader = Depends(allowed(platform, Right.READ_CERTIFICATES))
    issuer = Depends(allowed(platform, Right.ISSUE_CERTIFICATE))
    revoker = Depends(allowed(platform, Right.REVOKE_CERTIFICATE))
    desk = Certificates(platform)

    @routes.post("", status_code=201, openapi_extra=_BODY)
    async def issue(request: Request, party: Party = issuer, accept_unconfirmed: bool = False) -> dict[str, Any]:
        """Issue the certificate of a passed verification, or the notice of a failed one. `accept_unconfirmed`: the
        issuer knows that it rests on limits that are not confirmed, which the paper then says on its face."""
        payload = await request.body()
        return await asyncio.to_thread(desk.issue, party, payload, accept_unconfirmed=accept_unconfirmed)

    @routes.get("")
    def listed(
        party: Party = reader, charger: _Text = None, before: _Text = None, limit: Limit = 50
    ) -> list[dict[str, Any]]:
        """Papers, newest first; of one charger, and those issued before the one numbered `before`."""
        return desk.listed(party, charger, before, limit)

    @routes.get("/{number}/pdf", response_class=Response)
    def pdf(number: str, party: Party = reader) -> Response:
        """The signed PDF, as it was issued; whether it was revoked since is not in it."""
        data = desk.pdf(party, number)
        return Response(data, media_type="application/pdf", headers=saved_as(f"{number}.pdf"))

    @routes.post("/{number}/revoke")
    def revoke(
        number: str, reason: Annotated[str, Body(embed=True, max_length=MAX_REVOKE_CHARS)], party: Party = revoker
    ) -> dict[str, Any]:
        """Revoke a paper with a reason. It stays readable, and is told as revoked from now on."""
        return desk.revoke(party, number, reason)

    return routes
