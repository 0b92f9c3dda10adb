"""Answers as OCPI wraps them: {data, status_code, status_message, timestamp}, with the headers that go back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from anxin.domain.errors import AnxinError
from anxin.faces.problems import RETRY_AFTER_S
from anxin.flow.ocpi_pushes import ENCODER
from anxin.settings import Settings

OK, CLIENT, INVALID, UNKNOWN_LOCATION, SERVER = 1000, 2000, 2001, 2003, 3000
#: Characters of an id that is sent back: a UUID has 36.
MAX_HEADER_CHARS = 128


class RefusalError(AnxinError):
    """A request that ends with an HTTP status and an OCPI status code."""

    def __init__(self, http_status: int, status_code: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.status_code = status_code


def answer(
    request: Request,
    settings: Settings,
    data: Any = None,
    *,
    http_status: int = 200,
    status_code: int = OK,
    message: str | None = None,
    headers: dict[str, str] | None = None,
    routed: bool = False,
) -> Response:
    """Return an answer. `routed`: it comes from a functional module, so the routing headers go back exchanged."""
    body: dict[str, Any] = {} if data is None else {"data": data}
    body["status_code"] = status_code
    if message is not None:
        body["status_message"] = message
    body["timestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sent = _ids(request) | (_routing(request, settings) if routed else {}) | (headers or {})
    if http_status in (429, 503):
        sent["Retry-After"] = RETRY_AFTER_S
    return Response(ENCODER.encode(body), http_status, sent, "application/json")


def lacks_ids(request: Request) -> bool:
    """Return whether a request is without the two ids that OCPI demands of each."""
    return any(_clean(request.headers.get(name)) is None for name in ("x-request-id", "x-correlation-id"))


def _ids(request: Request) -> dict[str, str]:
    names = ("X-Request-ID", "X-Correlation-ID")
    return {name: _clean(request.headers.get(name)) or str(uuid.uuid4()) for name in names}


def _routing(request: Request, settings: Settings) -> dict[str, str]:
    """The answer goes to whom the request came from (transport_and_format, table of direct requests)."""
    found = {
        "OCPI-from-country-code": settings.ocpi_country_code,
        "OCPI-from-party-id": settings.ocpi_party_id,
    }
    for part in ("country-code", "party-id"):
        sender = _clean(request.headers.get(f"ocpi-from-{part}"))
        if sender is not None:
            found[f"OCPI-to-{part}"] = sender
    return found


def _clean(text: str | None) -> str | None:
    fits = text and len(text) <= MAX_HEADER_CHARS and text.isascii() and text.isprintable()
    return text if fits else None
