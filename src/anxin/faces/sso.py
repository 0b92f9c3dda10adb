"""Single sign-on: to the provider, and back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from anxin.domain.person import Side
from anxin.faces import cookies
from anxin.flow import sessions, sso
from anxin.flow.platform import Platform
from anxin.flow.sessions import LoginRefusedError

_PATH = "/api/session/oidc"
# A strict cookie does not go along when another site's answer leads here: the page itself asks for the next one.
_PAGE = """<!doctype html><html lang="zh"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>安心充电 · Anxin Charging</title><a href="/">继续 · continue</a></html>"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
}


def router(platform: Platform, side: Side) -> APIRouter:
    """Return the routes of one side. Raises InputError where its provider cannot be used."""
    routes = APIRouter(prefix=_PATH, tags=["session"])
    sso.require_usable(platform)
    provider = sso.SingleSignOn(platform, side)
    name = f"{cookies.cookie_name(platform.settings, side)}-oidc"

    def require_enabled() -> None:
        if not provider.enabled:
            raise HTTPException(404, "此处没有单点登录 · there is no single sign-on here")

    def back(request: Request) -> str:
        own = cookies.public_url(platform.settings, side) or str(request.base_url).rstrip("/")
        return f"{own}{_PATH}/callback"

    @routes.get("", status_code=303, response_class=Response)
    def to_the_provider(request: Request) -> Response:
        """Send the browser to the provider."""
        require_enabled()
        begun = provider.begin(back(request))
        response = RedirectResponse(begun.address, 303, _HEADERS)
        # Lax: it has to come along when the provider sends the browser back.
        response.set_cookie(
            name, begun.cookie, path="/", httponly=True, samesite="lax", max_age=sso.LOGIN_S,
            secure=cookies.secure(platform.settings, side),
        )  # fmt: skip
        return response

    @routes.get("/callback", response_class=HTMLResponse)
    def from_the_provider(
        request: Request,
        state: Annotated[str, Query(max_length=sso.MAX_STATE_CHARS)] = "",
        code: Annotated[str, Query(max_length=sso.MAX_STATE_CHARS)] = "",
        iss: Annotated[str | None, Query(max_length=sso.MAX_STATE_CHARS)] = None,
    ) -> Response:
        """Take up what the provider says; the session begins, and a second factor of ours may still be due."""
        require_enabled()
        kept = request.cookies.get(name, "")
        if not (state and code and kept):
            raise LoginRefusedError("单点登录未完成 · the single sign-on was not finished")
        person, second_factor = provider.finish(back(request), kept, state, code, iss)
        shown = cookies.cookie_of(platform, request)
        opened = sessions.begin_known(platform, side, person, second_factor, shown)
        response = HTMLResponse(_PAGE, headers=_HEADERS)
        cookies.set_cookie(platform, request, response, opened.cookie)
        response.delete_cookie(name, path="/")
        return response

    return routes
