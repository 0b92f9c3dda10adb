"""The published log: static files that anyone may read, and the proof of one entry as text."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse, Response

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import Signer, parse_vkey
from anxin.evidence.proofs import Proofs

_TILE = re.compile(r"(entries|[0-9]{1,2})/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?")
FOR_NOW = {"Cache-Control": "no-cache"}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def router(folder: Path, signer: Signer) -> APIRouter:
    """Return the routes over a published log."""
    routes = APIRouter(prefix="/log", tags=["log"])
    proofs = Proofs(folder, parse_vkey(signer.vkey))

    @routes.get("/vkey", response_class=PlainTextResponse)
    def vkey() -> str:
        """The log's verifier key. Pin it: what it signs is what this platform answers for."""
        return f"{signer.vkey}\n"

    @routes.get("/checkpoint", response_class=PlainTextResponse)
    def checkpoint() -> Response:
        """The latest signed checkpoint, with the cosignatures that came in for it so far."""
        return PlainTextResponse(_read(folder / "checkpoint"), headers=FOR_NOW)

    @routes.get("/witnessed", response_class=PlainTextResponse)
    def witnessed() -> Response:
        """The latest checkpoint that a quorum of witnesses cosigned."""
        return PlainTextResponse(_read(folder / "witnessed"), headers=FOR_NOW)

    @routes.get("/tile/{name:path}")
    def tile(name: str) -> Response:
        """One tile (C2SP tlog-tiles)."""
        if not _TILE.fullmatch(name):
            raise HTTPException(404, "no such tile")
        headers = FOR_NOW if ".p/" in name else FOR_EVER
        return Response(_read(folder / "tile" / name), headers=headers, media_type="application/octet-stream")

    @routes.get("/proof/{index}", response_class=PlainTextResponse)
    def proof(index: int) -> Response:
        """The proof that an entry is in the log (C2SP tlog-proof), to be checked without us."""
        try:
            found = proofs.inclusion(index)
        except EvidenceError as error:
            raise HTTPException(503, str(error)) from None
        if found is None:
            raise HTTPException(404, f"entry {index} is not published yet")
        text, witnessed = found
        return PlainTextResponse(text, headers=FOR_EVER if witnessed else FOR_NOW)

    @routes.get("/consistency/{old}/{size}", response_class=PlainTextResponse)
    def consistency(old: int, size: int) -> Response:
        """The proof that the log of `old` entries begins the log of `size` (RFC 6962, 2.1.2): a hash a line."""
        try:
            found = proofs.consistency(old, size)
        except EvidenceError as error:
            raise HTTPException(503, str(error)) from None
        if found is None:
            raise HTTPException(404, "these sizes are not published")
        return PlainTextResponse(found, headers=FOR_EVER)

    return routes


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise HTTPException(404, "not published") from None
