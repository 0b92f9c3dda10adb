"""Logging in and out, the second factor, one's own password."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.person import Session, Stage
from anxin.faces import cookies
from anxin.faces.rights import RIGHTS
from anxin.flow import sessions
from anxin.flow.platform import Platform
from anxin.flow.sessions import Opened
from anxin.trust.passwords import MAX_PASSWORD_CHARS, nobodys_hash
from anxin.trust.totp import MAX_CODE_CHARS

#: No cache, of a browser or on the way, keeps who somebody is.
_NO_STORE = {"Cache-Control": "no-store"}
_Password = Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD_CHARS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Login(_Body):
    """What a person types first."""

    login: Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD_CHARS)]
    password: _Password


class Code(_Body):
    """A code of the second factor, or a recovery code."""

    code: Annotated[str, Field(min_length=1, max_length=MAX_CODE_CHARS)]


class NewPassword(_Body):
    """The password that holds, and the one that shall hold."""

    old: _Password
    new: _Password


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/session", tags=["session"])
    nobodys_hash()  # made now, so that the first unknown login costs no more than any other

    def any_session(request: Request) -> Session:
        found = cookies.session_of(platform, request)
        if found is None:
            raise HTTPException(401, "请登录 · log in first")
        return found

    def past_code(request: Request) -> Session:
        found = any_session(request)
        if sessions.stage_of(platform, found) is Stage.CODE:
            raise HTTPException(403, "请先输入验证码 · a code of the second factor is due first")
        return found

    def enrolling(request: Request) -> Session:
        found = past_code(request)
        if sessions.stage_of(platform, found) is Stage.PASSWORD:
            raise HTTPException(403, "请先修改口令 · the password has to be changed first")
        return found

    started, past, ready = Depends(any_session), Depends(past_code), Depends(enrolling)

    def answer(request: Request, opened: Opened) -> JSONResponse:
        document = _document(platform, opened.session, opened.cookie)
        if opened.recovery_codes:
            document["recovery_codes"] = list(opened.recovery_codes)
        response = JSONResponse(document, headers=_NO_STORE)
        cookies.set_cookie(platform, request, response, opened.cookie)
        return response

    @routes.post("")
    def log_in(request: Request, body: Login) -> JSONResponse:
        """Log in; `stage` says what is due before anything else may be done."""
        cookies.require_own_site(platform, request)
        shown = cookies.cookie_of(platform, request)
        return answer(request, sessions.log_in(platform, cookies.side_of(request), body.login, body.password, shown))

    @routes.get("")
    def who_am_i(request: Request, session: Session = started) -> JSONResponse:
        """Who is logged in, what he may do, what is due, and the token for unsafe requests."""
        return JSONResponse(_document(platform, session, _cookie(platform, request)), headers=_NO_STORE)

    @routes.delete("", status_code=204)
    def log_out(request: Request, _: Session = started) -> Response:
        """Log out."""
        sessions.log_out(platform, _cookie(platform, request))
        response = Response(status_code=204)
        cookies.clear_cookie(platform, request, response)
        return response

    @routes.post("/totp")
    def show_code(request: Request, body: Code, session: Session = started) -> JSONResponse:
        """Show a code of the second factor, or a recovery code. Each is accepted once."""
        return answer(request, sessions.show_code(platform, session, _cookie(platform, request), body.code))

    @routes.post("/totp/enrolment")
    def enrol(session: Session = ready) -> JSONResponse:
        """A new second factor: its secret, shown once, as text and as the address that an authenticator reads."""
        secret, address = sessions.new_factor(platform, session)
        return JSONResponse({"secret": secret, "otpauth": address}, headers=_NO_STORE)

    @routes.post("/totp/confirmation")
    def confirm(request: Request, body: Code, session: Session = ready) -> JSONResponse:
        """Show a code of the new second factor: it counts from now on. The recovery codes are shown this once."""
        return answer(request, sessions.confirm_factor(platform, session, _cookie(platform, request), body.code))

    @routes.post("/password")
    def change_password(request: Request, body: NewPassword, session: Session = past) -> JSONResponse:
        """Change one's own password; all other sessions end."""
        cookie = _cookie(platform, request)
        return answer(request, sessions.change_password(platform, session, cookie, body.old, body.new))

    return routes


def _cookie(platform: Platform, request: Request) -> str:
    return cookies.cookie_of(platform, request) or ""


def _document(platform: Platform, session: Session, cookie: str) -> dict[str, Any]:
    """Return who it is. Before the session is open nothing is told but what is due and the token to do it."""
    stage = sessions.stage_of(platform, session)
    document: dict[str, Any] = {"stage": stage.value, "csrf": sessions.csrf_token(cookie)}
    if stage is not Stage.OPEN:
        return document
    party, settings = session.person.party, platform.settings
    return document | {
        "party_id": party.party_id, "login": session.person.login, "name": party.name, "role": party.role.value,
        "operator_id": party.operator_id, "districts": list(party.districts),
        "rights": sorted(right.value for right in RIGHTS[party.role]),
        "second_factor": session.second_factor,
        "idle_ends_utc_ms": session.seen_utc_ms + settings.session_idle_s * 1000,
        "ends_utc_ms": session.created_utc_ms + settings.session_absolute_s * 1000,
    }  # fmt: skip
