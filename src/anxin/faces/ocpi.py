"""The operators' door in OCPI 2.2.1 and 2.3.0: versions, credentials, and the receiver of locations, sessions, CDRs and
tariffs.

Order of the checks: size, credentials token, version, then the use case. A stranger hears 401 and nothing more;
another's object and one that is not there are the same 404. What a known sender gets wrong is OCPI status 2xxx with
HTTP 200, as the specification demands, with field and rule, and it stands in the failed-write ledger.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from anxin.domain.errors import AnxinError, BusyError, FormatError, LimitError, StoreError
from anxin.evidence.note import Signer
from anxin.faces import ocpi_answers as answers
from anxin.faces.ocpi_answers import RefusalError, answer
from anxin.flow import ocpi_parties, ocpi_pushes
from anxin.flow.ocpi_client import UnusableError
from anxin.flow.ocpi_parties import VERSIONS, Caller
from anxin.flow.ocpi_pushes import Outcome, Push, UnknownObjectError
from anxin.flow.platform import Platform
from anxin.flow.receipts import accepted_document
from anxin.formats import ocpi_objects

Handler = Callable[[Request, Caller, str], Awaitable[Response]]
_OBJECT = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
_NO_TOKEN = "a valid credentials token is needed"
_PARTY = "{country_code}/{party_id}"
_METHODS = {
    "locations": ["GET", "PUT", "PATCH"],
    "sessions": ["GET", "PUT", "PATCH"],
    "tariffs": ["GET", "PUT", "DELETE"],
}


def _parameters(path: str) -> dict[str, Any]:
    """The parts of a path for the OpenAPI document: one handler serves many paths and reads them by itself."""
    names = re.findall(r"{(\w+)}", path)
    text = {"type": "string", "minLength": 1, "maxLength": 64}
    return {"parameters": [{"name": n, "in": "path", "required": True, "schema": text} for n in names]}


def router(platform: Platform, signer: Signer) -> APIRouter:
    """Return the routes."""
    door = _Door(platform, signer)
    routes = APIRouter(prefix="/ocpi", tags=["OCPI"])

    def add(path: str, methods: list[str], handler: Handler, *, routed: bool = False, invited: bool = False) -> None:
        for method in methods:
            endpoint = door.endpoint(handler, routed=routed, invited=invited)
            extra = (_OBJECT if method in ("PUT", "PATCH", "POST") else {}) | _parameters(path)
            name = f"ocpi {method} {path}"
            routes.add_api_route(path, endpoint, methods=[method], name=name, openapi_extra=extra)
            for spelt in _spellings(path):
                routes.add_api_route(spelt, endpoint, methods=[method], name=name, include_in_schema=False)

    add("/versions", ["GET"], door.versions, invited=True)
    add("/{version}", ["GET"], door.details, invited=True)
    add("/{version}/credentials", ["GET"], door.credentials, invited=True)
    add("/{version}/credentials", ["POST", "PUT"], door.register, invited=True)
    add("/{version}/credentials", ["DELETE"], door.unregister, invited=True)
    add("/{version}/cdrs", ["POST"], door.cdr, routed=True)
    add(f"/{{version}}/cdrs/{_PARTY}/{{cdr_id}}", ["GET"], door.read, routed=True)
    paths = [
        ("locations", "{location_id}"),
        ("locations", "{location_id}/{evse_uid}"),
        ("locations", "{location_id}/{evse_uid}/{connector_id}"),
        ("sessions", "{session_id}"),
        ("tariffs", "{tariff_id}"),
    ]
    for module, rest in paths:
        path = f"/{{version}}/{module}/{_PARTY}/{rest}"
        add(path, ["GET"], door.read, routed=True)
        add(path, [m for m in _METHODS[module] if m != "GET"], door.push, routed=True)
    return routes


class _Door:
    def __init__(self, platform: Platform, signer: Signer) -> None:
        self.platform = platform
        self.signer = signer
        self.handshakes: dict[str, asyncio.Lock] = {}

    def endpoint(self, handler: Handler, *, routed: bool, invited: bool) -> Callable[..., Awaitable[Response]]:
        async def call(request: Request) -> Response:
            try:
                caller = ocpi_parties.caller_of(self.platform.directory, request.headers.get("authorization", ""))
                if caller is None or not (caller.registered or invited):
                    raise RefusalError(401, answers.CLIENT, _NO_TOKEN)
                version = request.path_params.get("version", VERSIONS[0])
                if version not in VERSIONS:
                    raise RefusalError(404, answers.CLIENT, f"versions are {', '.join(VERSIONS)}")
                return await handler(request, caller, version)
            except AnxinError as error:
                http_status, status_code, message = _told(error, request)
            return answer(
                request,
                self.platform.settings,
                http_status=http_status,
                status_code=status_code,
                message=message,
                routed=routed,
            )

        return call

    # Versions and credentials

    async def versions(self, request: Request, _: Caller, __: str) -> Response:
        """The versions spoken here."""
        base = self._base(request)
        listed = [{"version": version, "url": f"{base}/ocpi/{version}"} for version in VERSIONS]
        return answer(request, self.platform.settings, listed)

    async def details(self, request: Request, _: Caller, version: str) -> Response:
        """The endpoints of a version: a receiver of everything that a charge point operator pushes."""
        base = f"{self._base(request)}/ocpi/{version}"
        endpoints = [{"identifier": "credentials", "role": "SENDER", "url": f"{base}/credentials"}]
        for module in ("locations", "sessions", "cdrs", "tariffs"):
            endpoints.append({"identifier": module, "role": "RECEIVER", "url": f"{base}/{module}/"})
        return answer(request, self.platform.settings, {"version": version, "endpoints": endpoints})

    async def credentials(self, request: Request, caller: Caller, _: str) -> Response:
        """Our credentials, with the token that the caller came with."""
        token = ocpi_parties.token_of(request.headers["authorization"], caller)
        return self._credentials(request, token)

    async def register(self, request: Request, caller: Caller, version: str) -> Response:
        """POST registers, PUT renews: both look at the caller's platform and give a new token; the old one is dead."""
        body = await request.body()
        if caller.registered == (request.method == "POST"):
            told = "registered already: PUT renews" if caller.registered else "not registered: POST registers"
            raise RefusalError(405, answers.CLIENT, told)
        push = _push(request, caller, b"", ())
        async with self.handshakes.setdefault(caller.party.party_id, asyncio.Lock()):
            # Of two that came at once with one token, the second finds it dead.
            if ocpi_parties.caller_of(self.platform.directory, request.headers["authorization"]) is None:
                raise RefusalError(401, answers.CLIENT, _NO_TOKEN)
            try:
                value = ocpi_objects.read_object(body)
                token = await ocpi_parties.register(self.platform, caller, value, version)
            except FormatError as error:
                await ocpi_pushes.refuse(self.platform, caller, push, error)
                raise
        return self._credentials(request, token)

    async def unregister(self, request: Request, caller: Caller, _: str) -> Response:
        """The caller's tokens are dead from now on."""
        if not caller.registered:
            raise RefusalError(405, answers.CLIENT, "not registered")
        await asyncio.to_thread(ocpi_parties.unregister, self.platform, caller)
        return answer(request, self.platform.settings)

    def _credentials(self, request: Request, token: str) -> Response:
        url = f"{self._base(request)}/ocpi/versions"
        return answer(request, self.platform.settings, ocpi_parties.own_credentials(self.platform, token, url))

    def _base(self, request: Request) -> str:
        return self.platform.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")

    # Functional modules

    async def push(self, request: Request, caller: Caller, _: str) -> Response:
        """Keep what is put, patched or deleted; answer its receipt."""
        push = _push(request, caller, await request.body(), _ids_of(request))
        outcome = await ocpi_pushes.push(self.platform, caller, push)
        return self._kept(request, outcome)

    async def cdr(self, request: Request, caller: Caller, version: str) -> Response:
        """Keep a CDR; answer its receipt, and where it can be read."""
        push = _push(request, caller, await request.body(), ())
        outcome, name = await ocpi_pushes.post_cdr(self.platform, caller, push)
        return self._kept(request, outcome, {"Location": f"{self._base(request)}/ocpi/{version}/cdrs/{name}"})

    async def read(self, request: Request, caller: Caller, _: str) -> Response:
        """An object of the caller's, as it stands here."""
        push = _push(request, caller, b"", _ids_of(request))
        found = await ocpi_pushes.read(self.platform, caller, push)
        return answer(request, self.platform.settings, found, routed=True)

    def _kept(self, request: Request, outcome: Outcome, headers: dict[str, str] | None = None) -> Response:
        index = outcome.accepted.receipt.index
        sent = {"X-Anxin-Receipt": f"{self._base(request)}/api/receipts/{index}"} | (headers or {})
        document: dict[str, Any] = accepted_document(self.signer, outcome.accepted)
        document["applied"] = outcome.changed
        conflict = outcome.accepted.conflicts_with
        dispute = conflict is not None and request.method == "POST"
        return answer(
            request,
            self.platform.settings,
            document,
            http_status=201 if outcome.created else 200,
            status_code=answers.CLIENT if dispute else answers.OK,
            message=f"another CDR has this id: this one is kept as a conflict with {conflict}" if dispute else None,
            headers=sent,
            routed=True,
        )


def _spellings(path: str) -> list[str]:
    """Other ways in which a URL is met. Our endpoints end with a slash: there are clients that put the ids right behind
    it, and others that put one more slash between."""
    doubled = path.replace(f"/{_PARTY}", f"//{_PARTY}")
    return [f"{path}/", *([doubled] if doubled != path else [])]


def _told(error: AnxinError, request: Request) -> tuple[int, int, str]:
    """HTTP status, OCPI status code and message of a refusal."""
    match error:
        case RefusalError():
            return error.http_status, error.status_code, str(error)
        case UnknownObjectError():
            located = "/locations/" in request.url.path
            return 404, answers.UNKNOWN_LOCATION if located else answers.CLIENT, str(error)
        case UnusableError():
            return 200, error.status_code, str(error)
        case FormatError():
            where = f"{error.field}: " if error.field else ""
            # What is no JSON did not reach OCPI (status_codes): HTTP says so.
            status = 400 if error.rule in ("json.syntax", "encoding.utf8") else 200
            return status, answers.INVALID, f"{where}{error} [{error.rule}]"
        case LimitError():
            return 429, answers.CLIENT, f"too much at once, nothing was kept: {error}"
        case _:
            ours = "" if isinstance(error, BusyError | StoreError) else "an error that is ours; "
            return 503 if not ours else 500, answers.SERVER, f"{ours}nothing was kept: send again"


def _ids_of(request: Request) -> tuple[str, ...]:
    """The ids after version and module, as they were written: an id may hold a slash (%2F), which no route tells."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    parts = raw.decode("ascii", "replace").partition("/ocpi/")[2].split("/")
    return tuple(unquote(part) for part in parts[2:] if part)


def _push(request: Request, caller: Caller, body: bytes, ids: tuple[str, ...]) -> Push:
    deviations = ["ocpi.token_raw"] if caller.raw else []
    if answers.lacks_ids(request):
        deviations.append("ocpi.request_id")
    module = request.url.path.split("/ocpi/", 1)[1].split("/")[1]
    line = f"{request.method} {request.url.path}"
    country, party, *path = ids or ("", "")
    return Push(module, request.method, country, party, tuple(path), body, line, tuple(deviations))
