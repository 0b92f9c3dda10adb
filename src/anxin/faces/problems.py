"""Problems as RFC 9457 says them: what was wrong, in which field, under which rule; never a stack trace."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from anxin.domain.errors import AnxinError, BusyError, CaseError, FormatError, InputError, LimitError, StoreError

RETRY_AFTER_S = "5"
#: What is refused of an act on an alarm for whose it is, and not for the state that the alarm is in (409).
CASE_STATUS = {
    "case.absent": 404, "case.role": 403, "case.hand": 403, "case.four_eyes": 403, "case.suspended": 403,
    "case.officer": 422,
}  # fmt: skip


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
        match error:
            case LimitError():
                return limited(error)
            case BusyError():
                return answer(503, "busy", str(error))
            case StoreError():
                return answer(503, "store", "the database does not answer; nothing was kept: send again")
            case FormatError():
                return answer(422, error.rule, str(error), error.field)
            case InputError():
                return answer(422, "input", str(error))
            case _:
                return answer(500, "internal", "an error that is ours; nothing was kept: send again")

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(422, "request", str(first["msg"]), ".".join(str(p) for p in first["loc"]))
