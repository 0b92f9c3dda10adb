"""Calls to an operator's own OCPI platform, as the credentials handshake demands. The URL is his word: it is bounded as
every such call is (flow/outbound.py).

MUST      call only hosts that the administrator named for this operator, else (setting `ocpi_hosts`) public ones, https
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from anxin.domain.errors import AnxinError, FormatError, PeerError
from anxin.flow import outbound
from anxin.formats import ocpi_objects as objects
from anxin.formats.json_document import loads
from anxin.settings import Settings

#: Bytes of an answer: versions and endpoints are some kilobytes.
MAX_ANSWER_BYTES = 262_144
#: Characters of a URL (types, URL).
MAX_URL_CHARS = 255
#: Versions of an operator's list, and endpoints of one version: there are six versions and eleven modules, twice.
MAX_VERSIONS = 50
MAX_ENDPOINTS = 200


class UnusableError(AnxinError):
    """The operator's platform cannot be used. `status_code` is OCPI's: 3001, 3002 or 3003."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint that an operator's platform has."""

    identifier: str
    role: str
    url: str


async def endpoints_of(settings: Settings, url: str, token: str, version: str, hosts: frozenset[str]) -> list[Endpoint]:
    """Return the endpoints of one OCPI version of an operator's platform. `url` is its versions endpoint.

    Raises UnusableError.
    """
    try:
        versions = await _data(settings, url, token, hosts)
        details_url = _url_of(versions, version)
        details = await _data(settings, details_url, token, hosts)
        if not isinstance(details, dict):
            raise FormatError("ocpi.shape", "version details are no object")
        found = objects.objects_field(details, "endpoints", MAX_ENDPOINTS)
        return [
            Endpoint(
                objects.text_field(e, "identifier", 40),
                objects.optional_text(e, "role", 40) or "",
                objects.text_field(e, "url", MAX_URL_CHARS),
            )
            for e in found
        ]
    except FormatError as error:
        raise UnusableError(3001, f"your platform's answer: {error}") from None


def check_url(url: str, hosts: frozenset[str], named_only: bool) -> httpx.URL:
    """Return a URL that may be called as far as its text tells. Raises UnusableError."""
    if len(url) > MAX_URL_CHARS:
        raise UnusableError(3001, f"a URL has at most {MAX_URL_CHARS} characters")
    try:
        # Whom the administrator named hosts for may have no other.
        return outbound.check_url(url, hosts, named_only=bool(hosts) or named_only)
    except PeerError as error:
        raise UnusableError(3001, str(error)) from None


def _url_of(versions: object, version: str) -> str:
    listed = objects.objects_field({"data": versions}, "data", MAX_VERSIONS)
    for entry in listed:
        if entry.get("version") == version:
            return objects.text_field(entry, "url", MAX_URL_CHARS)
    raise UnusableError(3002, f"your versions endpoint does not list {version}")


async def _data(settings: Settings, url: str, token: str, hosts: frozenset[str]) -> object:
    parsed = check_url(url, hosts, settings.ocpi_hosts == "named")
    headers = {
        "Authorization": f"Token {base64.b64encode(token.encode()).decode()}",
        "X-Request-ID": str(uuid.uuid4()),
        "X-Correlation-ID": str(uuid.uuid4()),
        "Accept": "application/json",
    }
    try:
        answer = await outbound.call(
            "GET", parsed, public_only=not hosts, headers=headers, timeout_s=settings.ocpi_timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
        )  # fmt: skip
    except PeerError as error:
        raise UnusableError(3001, f"your platform: {error}") from None
    if answer.status != 200:
        raise UnusableError(3001, f"your platform answers HTTP {answer.status}")
    value = loads(answer.body)
    if not isinstance(value, dict) or value.get("status_code") != 1000:
        raise UnusableError(3001, "your platform does not answer with status_code 1000")
    data: Any = value.get("data")
    return data
