"""Calls to an operator's own OCPI platform, as the credentials handshake demands. The URL is his word: it may lead
anywhere, so it is bounded.

MUST      call only hosts that the administrator named for this operator, else (setting `ocpi_hosts`) public ones, https
MUST      connect to the very address that was looked at: a name that resolves differently a moment later leads nowhere
MUST NOT  follow a redirect, use a proxy of the environment, or read more than MAX_ANSWER_BYTES
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from anxin.domain.errors import AnxinError, FormatError
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
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise UnusableError(3001, "the URL cannot be read") from None
    if len(url) > MAX_URL_CHARS or parsed.userinfo or not parsed.host:
        raise UnusableError(3001, f"a URL has a host, no login, and at most {MAX_URL_CHARS} characters")
    named = {parsed.host, f"{parsed.host}:{parsed.port}"} & hosts
    if parsed.scheme not in ({"http", "https"} if named else {"https"}) or (not named and (hosts or named_only)):
        raise UnusableError(3001, "this host is not admitted for you, or not by this scheme")
    return parsed


def _url_of(versions: object, version: str) -> str:
    listed = objects.objects_field({"data": versions}, "data", MAX_VERSIONS)
    for entry in listed:
        if entry.get("version") == version:
            return objects.text_field(entry, "url", MAX_URL_CHARS)
    raise UnusableError(3002, f"your versions endpoint does not list {version}")


async def _data(settings: Settings, url: str, token: str, hosts: frozenset[str]) -> object:
    parsed = check_url(url, hosts, settings.ocpi_hosts == "named")
    address = await _address(parsed, public_only=not hosts)
    headers = {
        "Authorization": f"Token {base64.b64encode(token.encode()).decode()}",
        "X-Request-ID": str(uuid.uuid4()),
        "X-Correlation-ID": str(uuid.uuid4()),
        "Accept": "application/json",
        "Host": parsed.netloc.decode("ascii"),
    }
    ends = time.monotonic() + settings.ocpi_timeout_s
    try:
        async with (
            asyncio.timeout(settings.ocpi_timeout_s),
            httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=settings.ocpi_timeout_s) as client,
            client.stream(
                "GET", parsed.copy_with(host=address), headers=headers, extensions={"sni_hostname": parsed.host}
            ) as answer,
        ):
            if answer.status_code != 200:
                raise UnusableError(3001, f"your platform answers HTTP {answer.status_code}")
            body = b""
            async for piece in answer.aiter_bytes(65_536):
                body += piece
                if len(body) > MAX_ANSWER_BYTES or time.monotonic() > ends:
                    raise UnusableError(3001, f"your platform's answer has more than {MAX_ANSWER_BYTES} bytes")
    except (httpx.HTTPError, TimeoutError) as error:
        raise UnusableError(3001, f"your platform cannot be reached: {type(error).__name__}") from None
    value = loads(body)
    if not isinstance(value, dict) or value.get("status_code") != 1000:
        raise UnusableError(3001, "your platform does not answer with status_code 1000")
    data: Any = value.get("data")
    return data


async def _address(url: httpx.URL, *, public_only: bool) -> str:
    """Return the address to connect to. Raises UnusableError where the name has none, or one that is not public."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnusableError(3001, "the host has no address") from None
    addresses = [str(entry[4][0]) for entry in found]
    if public_only and not all(ipaddress.ip_address(a.partition("%")[0]).is_global for a in addresses):
        raise UnusableError(3001, "this host is not admitted for you, or not by this scheme")
    return addresses[0]
