"""Problems as RFC 9457 says them: what was wrong, in which field, under which rule; never a stack trace."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from anxin.domain.errors import (
    AnxinError,
    BusyError,
    CaseError,
    FormatError,
    InputError,
    LimitError,
    PeerError,
    StoreError,
)
from anxin.flow.people import NotYoursError
from anxin.flow.sessions import LoginRefusedError

RETRY_AFTER_S = "5"
#: What is refused of an act on an alarm for whose it is, and not for the state that the alarm is in (409).
CASE_STATUS = {
    "case.absent": 404, "complaint.absent": 404,
    "case.role": 403, "case.hand": 403, "case.four_eyes": 403, "case.suspended": 403,
    "case.officer": 422, "certificate.absent": 404, "certificate.charger": 422, "public.absent": 404,
    "session.absent": 404, "charger.absent": 404,
}  # fmt: skip
#: Declared errors, the first that fits: status and rule.
_ANSWERS: tuple[tuple[type[AnxinError], int, str], ...] = (
    (LoginRefusedError, 401, "login"),
    (NotYoursError, 404, "person"),
    (BusyError, 503, "busy"),
    (StoreError, 503, "store"),
    (PeerError, 502, "peer"),
    (InputError, 422, "input"),
)
#: What is said instead of an error's own words, which would tell of what is inside.
_OURS: dict[type[AnxinError], str] = {StoreError: "the database does not answer; nothing was kept: send again"}


def problem(status: int, rule: str, detail: str, field: str | None = None) -> dict[str, Any]:
    """Return a problem document."""
    document: dict[str, Any] = {"type": f"urn:anxin:{rule}", "title": rule, "status": status, "detail": detail}
    if field is not None:
        document["field"] = field
    return document


def answer(status: int, rule: str, detail: str, field: str | None = None) -> JSONResponse:
    """Return a problem as a response."""
    headers = {"Retry-After": RETRY_AFTER_S} if status in (429, 503) else None
    return JSONResponse(problem(status, rule, detail, field), status, headers, "application/problem+json")


def limited(error: LimitError) -> JSONResponse:
    """Return the answer to a sender who sends too much; it says when he may come again."""
    response = answer(429, "rate", str(error))
    response.headers["Retry-After"] = str(math.ceil(error.wait_s))
    return response


def install(app: FastAPI) -> None:
    """Let every declared error of the platform come out as a problem."""

    @app.exception_handler(CaseError)
    async def not_done(_: Request, error: CaseError) -> JSONResponse:
        status = CASE_STATUS.get(error.rule, 409)
        document = problem(status, error.rule, str(error)) | error.more
        return JSONResponse(document, status, media_type="application/problem+json")

    @app.exception_handler(AnxinError)
    async def declared(_: Request, error: AnxinError) -> JSONResponse:
        if isinstance(error, LimitError):
            return limited(error)
        if isinstance(error, FormatError):
            return answer(422, error.rule, str(error), error.field)
        for kind, status, rule in _ANSWERS:
            if isinstance(error, kind):
                return answer(status, rule, _OURS.get(kind) or str(error))
        return answer(500, "internal", "an error that is ours; nothing was kept: send again")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        # A body that no JSON reader gets to the end of is the caller's mistake like any other in it.
        if error.status_code == 400 and isinstance(error.__cause__, UnicodeDecodeError | RecursionError):
            return answer(422, "request", "the body is no JSON text", "body")
        return await http_exception_handler(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(422, "request", str(first["msg"]), ".".join(str(p) for p in first["loc"]))
