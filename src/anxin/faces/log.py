"""The published log: static files that anyone may read, and the proof of one entry as text."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse, Response

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import Signer, open_checkpoint, parse_vkey
from anxin.evidence.publisher import proof_text

_TILE = re.compile(r"(entries|[0-9]{1,2})/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?")
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def router(folder: Path, signer: Signer) -> APIRouter:
    """Return the routes over a published log."""
    routes = APIRouter(prefix="/log", tags=["log"])

    @routes.get("/vkey", response_class=PlainTextResponse)
    def vkey() -> str:
        """The log's verifier key. Pin it: what it signs is what this platform answers for."""
        return f"{signer.vkey}\n"

    @routes.get("/checkpoint", response_class=PlainTextResponse)
    def checkpoint() -> Response:
        """The latest signed checkpoint."""
        return PlainTextResponse(_read(folder / "checkpoint"), headers={"Cache-Control": "no-cache"})

    @routes.get("/tile/{name:path}")
    def tile(name: str) -> Response:
        """One tile (C2SP tlog-tiles)."""
        if not _TILE.fullmatch(name):
            raise HTTPException(404, "no such tile")
        headers = {"Cache-Control": "no-cache"} if ".p/" in name else FOR_EVER
        return Response(_read(folder / "tile" / name), headers=headers, media_type="application/octet-stream")

    @routes.get("/proof/{index}", response_class=PlainTextResponse)
    def proof(index: int) -> str:
        """The proof that an entry is in the log (C2SP tlog-proof), to be checked without us."""
        signed = _read(folder / "checkpoint")
        size = open_checkpoint(signed, parse_vkey(signer.vkey)).size
        if not 0 <= index < size:
            raise HTTPException(404, f"entry {index} is not published; the log has {size}")
        try:
            return proof_text(folder, index, signed, size)
        except EvidenceError as error:
            raise HTTPException(503, str(error)) from None

    return routes


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise HTTPException(404, "not published") from None
