"""A person's cookie: how it is set, and what a request that brings it must bring besides.

Cookies know no port: the two apps name theirs apart, and a session counts on the side where it began alone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import Response

from anxin.domain.party import Party
from anxin.domain.person import Session, Side, Stage
from anxin.flow import sessions
from anxin.flow.platform import Platform
from anxin.flow.rates import known
from anxin.settings import Settings

CSRF_HEADER = "x-csrf-token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def side_of(request: Request) -> Side:
    """Return which app a request came to."""
    return Side(request.app.state.side)


def public_url(settings: Settings, side: Side) -> str:
    """Return how people reach an app, empty: as they address it."""
    return settings.regulator_url if side is Side.REGULATOR else settings.public_url


def cookie_name(settings: Settings, side: Side) -> str:
    """Return the name of the session's cookie; the prefix makes browsers refuse one that another host set."""
    return f"{'__Host-' if secure(settings, side) else ''}anxin-{side.value}"


def secure(settings: Settings, side: Side) -> bool:
    """Return whether people reach an app by https."""
    return public_url(settings, side).startswith("https://")


def cookie_of(platform: Platform, request: Request) -> str | None:
    """Return the session's cookie as it came."""
    return request.cookies.get(cookie_name(platform.settings, side_of(request)))


def set_cookie(platform: Platform, request: Request, response: Response, cookie: str) -> None:
    """Hand over a session's cookie. It ends with the browser, or when the platform says so."""
    side = side_of(request)
    response.set_cookie(
        cookie_name(platform.settings, side), cookie, path="/", httponly=True, samesite="strict",
        secure=secure(platform.settings, side), max_age=platform.settings.session_absolute_s,
    )  # fmt: skip


def clear_cookie(platform: Platform, request: Request, response: Response) -> None:
    """Take the cookie back."""
    side = side_of(request)
    response.delete_cookie(
        cookie_name(platform.settings, side), path="/", httponly=True, samesite="strict",
        secure=secure(platform.settings, side),
    )  # fmt: skip


def session_of(platform: Platform, request: Request) -> Session | None:
    """Return the session of a request, None where it has none.

    Answers 403 to an unsafe request that another site sent, or that does not bring the session's token.
    """
    cookie = cookie_of(platform, request)
    found = sessions.session_of(platform, side_of(request), cookie)
    if found is None or cookie is None:
        return None
    known(found.person.party.party_id)
    if request.method not in _SAFE:
        require_own_site(platform, request)
        if not sessions.csrf_holds(cookie, request.headers.get(CSRF_HEADER, "")):
            raise HTTPException(
                403, f"the header {CSRF_HEADER} must hold the session's token: GET /api/session gives it"
            )
    return found


def party_of_session(platform: Platform, request: Request) -> Party | None:
    """Return the person of an open session, None where the request has none. Answers 403 until it is open."""
    found = session_of(platform, request)
    if found is None:
        return None
    stage = sessions.stage_of(platform, found)
    if stage is not Stage.OPEN:
        raise HTTPException(403, f"the session is not open yet: {stage.value} is due")
    return found.person.party


def require_own_site(platform: Platform, request: Request) -> None:
    """Answer 403 where a browser says that another site made the request."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this request was made by another site")
    origin = request.headers.get("origin")
    if origin is None:
        return
    own = public_url(platform.settings, side_of(request)) or str(request.base_url)
    if _origin(origin) != _origin(own):
        raise HTTPException(403, "this request was made by another site")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()
