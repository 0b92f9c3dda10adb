"""What anyone may ask: a charger's public page, which its QR code opens, and whether a certificate's number is good."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, select_autoescape

from anxin.domain.errors import CaseError, LimitError
from anxin.faces.finder import HEADERS
from anxin.flow.charger_page import certificate_document, charger_document, day_text
from anxin.flow.platform import Platform
from anxin.flow.rates import Buckets, address_key

_PAGES = Environment(loader=PackageLoader("anxin.faces", "pages"), autoescape=select_autoescape())
#: The page loads nothing and runs nothing.
PAGE_HEADERS = HEADERS | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def router(platform: Platform) -> APIRouter:
    """Return the outer app's routes: for anyone, a few questions a second from one address."""
    routes = APIRouter(tags=["public"])
    buckets = Buckets(platform.settings.public_rate_per_s, platform.settings.public_burst)

    def take(request: Request) -> None:
        key = address_key(request.client.host if request.client else "unknown")
        wait_s = buckets.wait_s(key)
        if wait_s > 0:
            raise LimitError(f"more than {buckets.rate_per_s:g} questions a second from one address", wait_s)
        buckets.take(key)

    rate = Depends(take)

    @routes.get("/public/v1/chargers/{charger_id}", dependencies=[rate])
    def charger(charger_id: str) -> Response:
        """A charger: operator, place, until when it is verified, certificates, seals, whom to call."""
        return JSONResponse(charger_document(platform, charger_id), headers=HEADERS)

    @routes.get("/public/v1/certificates/{number}", dependencies=[rate])
    def certificate(number: str) -> Response:
        """Whether a certificate is valid, expired, revoked, a notice of failure, or unknown."""
        found: dict[str, Any] = certificate_document(platform, number)
        # Whether a number is revoked is never answered from a cache.
        return JSONResponse(
            found, 404 if found["status"] == "unknown" else 200, HEADERS | {"Cache-Control": "no-store"}
        )

    @routes.get("/c/{charger_id}", response_class=HTMLResponse, dependencies=[rate])
    def page(charger_id: str) -> Response:
        """The same as a plain page in two languages, which loads nothing and runs nothing."""
        try:
            found, status = charger_document(platform, charger_id), 200
        except CaseError:
            found, status = {}, 404

        def day(utc_ms: int | None) -> str:
            return day_text(platform, utc_ms)

        line = platform.settings.complaints_line
        html = _PAGES.get_template("charger.html").render(c=found, day=day, line=line)
        return HTMLResponse(html, status, PAGE_HEADERS)

    return routes
