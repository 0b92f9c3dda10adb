"""Files that operators upload: a preview that keeps nothing, and the upload itself."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from anxin.domain.errors import FormatError
from anxin.domain.party import Party
from anxin.evidence.note import Signer
from anxin.faces.problems import problem
from anxin.faces.rights import Right, allowed, sender_of
from anxin.flow import ledger, uploads
from anxin.flow.platform import Platform
from anxin.flow.receipts import accepted_document
from anxin.formats.values import clean_text

_BODY = {"requestBody": {"required": True, "content": {
    "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {
        "file": {"type": "string", "format": "binary", "description": "CSV, XLSX, Parquet or JSON lines, also as .gz"},
        "mapping": {"type": "string", "format": "binary", "description": "mapping file of a table (TOML)"}}}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


def router(platform: Platform, signer: Signer) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/uploads", tags=["uploads"])
    operator = Depends(allowed(platform, Right.SEND_UPLOAD))
    desk = uploads.Uploads(platform)

    @routes.post("/preview", openapi_extra=_BODY)
    async def preview(request: Request, party: Party = operator, name: str = Query("upload")) -> JSONResponse:
        """What would be read of a file, and every row that would be refused. Nothing is kept."""
        try:
            file, data, mapping = await _parts(request, name)
            return JSONResponse(await desk.preview(sender_of(party), file, data, mapping))
        except FormatError as error:
            return _refused(error)

    @routes.post("", openapi_extra=_BODY)
    async def upload(request: Request, party: Party = operator, name: str = Query("upload")) -> JSONResponse:
        """Keep a file as one message; its receipt is the answer. Refused rows go to the failed-write ledger."""
        try:
            file, data, mapping = await _parts(request, name)
            kept = await desk.keep(sender_of(party), file, data, mapping)
        except FormatError as error:
            return _refused(error)
        return JSONResponse(accepted_document(signer, kept.accepted) | {"read": kept.document})

    return routes


async def _parts(request: Request, name: str) -> tuple[str, bytes, bytes | None]:
    """The file's name, the file, and its mapping where one came: of a form, or of a bare body."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _name(name), await request.body(), None
    try:
        async with request.form(max_files=2, max_fields=2) as form:
            file, mapping = form.get("file"), form.get("mapping")
            if not isinstance(file, UploadFile):
                raise FormatError("upload.form", "the form has no file", "file")
            data = await file.read()
            how = await mapping.read() if isinstance(mapping, UploadFile) else None
            if isinstance(mapping, str) and mapping.strip():
                how = mapping.encode("utf-8", "replace")
            return _name(file.filename or name), data, how
    except HTTPException as error:
        raise FormatError("upload.form", f"the form cannot be read: {error.detail}") from None


def _name(text: str) -> str:
    return clean_text(text.replace("\\", "/").rpartition("/")[2], "name") or "upload"


def _refused(error: FormatError) -> JSONResponse:
    told: dict[str, Any] = problem(422, error.rule, str(error), error.field)
    told |= ledger.fault_document(error.rule, str(error), error.field, b"")
    return JSONResponse(told, 422, media_type="application/problem+json")
