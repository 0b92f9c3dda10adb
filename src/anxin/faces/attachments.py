"""Attachments of alarms, on both apps. What is given out never runs in a browser: it is saved, with one fixed type."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from anxin.domain.party import Party
from anxin.faces.rights import Right, allowed
from anxin.flow.attaching import AttachmentDesk
from anxin.flow.platform import Platform
from anxin.formats.attachments import MAX_ATTACHMENT_NAME_CHARS

#: How a file of somebody else's is given out: saved, not shown; not guessed at; without any right to run.
AS_A_FILE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_BODY = {"requestBody": {"required": True, "content": {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


def saved_as(name: str) -> dict[str, str]:
    """Return the headers under which a file is given out."""
    return AS_A_FILE | {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/alarms", tags=["alarms"])
    reader = Depends(allowed(platform, Right.READ_ALARMS))
    adder = Depends(allowed(platform, Right.COMMENT_ALARMS))
    desk = AttachmentDesk(platform)

    @routes.post("/{alarm_id}/attachments", openapi_extra=_BODY)
    async def add(
        request: Request, alarm_id: int, party: Party = adder,
        name: str = Query(max_length=MAX_ATTACHMENT_NAME_CHARS), inner: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Attach a file: PDF, PNG, JPEG, XLSX, CSV or text, by what it is and not by what it says that it is."""
        return await desk.add(party, alarm_id, name, await request.body(), inner)

    @routes.get("/{alarm_id}/attachments")
    def listed(alarm_id: int, party: Party = reader) -> list[dict[str, Any]]:
        """An alarm's attachments, without their bytes."""
        return desk.listed(party, alarm_id)

    @routes.get("/{alarm_id}/attachments/{attachment_id}", response_class=Response)
    def given(alarm_id: int, attachment_id: int, party: Party = reader) -> Response:
        """One attachment, as a file to be saved."""
        found, data = desk.given(party, alarm_id, attachment_id)
        return Response(data, media_type=found.media_type, headers=saved_as(found.name))

    return routes
