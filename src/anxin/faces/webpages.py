"""The built web pages (`make web`): files that load nothing from outside, compressed when they were built."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parents[1] / "static"
#: What a page may do: run its own scripts and ask its own host. Styles are also set by the components' own scripts.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self';"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), geolocation=(self), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}
#: Files under assets/ bear the digest of their contents in their names.
FOR_EVER, ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"
_NOT_BUILT = "网页尚未构建，请运行 make web · the web pages are not built: run make web\n"
for kind, ending in (("text/javascript", ".mjs"), ("application/manifest+json", ".webmanifest")):
    mimetypes.add_type(kind, ending)


def router(face: str) -> APIRouter:
    """Return the routes of one face's pages, at `/<face>/`. Where they were not built they answer 503."""
    routes = APIRouter()
    routes.routes.append(Route(f"/{face}", lambda _: RedirectResponse(f"/{face}/"), include_in_schema=False))
    routes.routes.append(Mount(f"/{face}", _Pages(FOLDER / face), name=face))
    return routes


class _Pages(StaticFiles):
    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self.folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.folder.is_dir():
            await PlainTextResponse(_NOT_BUILT, 503)(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        path = Path(full_path)
        headers = {**HEADERS, "Cache-Control": FOR_EVER if path.parent.name == "assets" else ASK_AGAIN}
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        wanted = Headers(scope=scope).get("accept-encoding", "")
        for coding, ending in (("br", ".br"), ("gzip", ".gz")):
            packed = path.with_name(path.name + ending)
            if coding in wanted and packed.is_file():
                path, headers["Content-Encoding"] = packed, coding
                stat_result = path.stat()
                break
        response = super().file_response(path, stat_result, scope, status_code)
        # A page that is unchanged is answered without its body, and then has no type either.
        if response.status_code != 304:
            response.headers["content-type"] = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        response.headers.update(headers)
        return response
