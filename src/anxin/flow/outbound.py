"""Calls to an address that somebody outside named: it may lead anywhere, so it is bounded.

MUST      call only hosts that the administrator named, else public ones, https
MUST      connect to the very address that was looked at: a name that resolves differently a moment later leads nowhere
MUST NOT  follow a redirect, use a proxy of the environment, or read more than it was told to
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import httpx

from anxin.domain.errors import PeerError

_PIECE_BYTES = 65_536
#: IPv6 addresses that lead to the IPv4 address in their last 32 bits (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers, and the body as far as it was wanted."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_url(url: str, named: frozenset[str], *, named_only: bool) -> httpx.URL:
    """Return a URL that may be called as far as its text tells: a named host (`name` or `name:port`) by any of both
    schemes, another one by https alone and not at all where `named_only`. Raises PeerError."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise PeerError("peer.url", "the URL cannot be read") from None
    if parsed.userinfo or not parsed.host:
        raise PeerError("peer.url", "a URL has a host and no login")
    is_named = is_among(parsed, named)
    if parsed.scheme not in ({"http", "https"} if is_named else {"https"}) or (not is_named and named_only):
        raise PeerError("peer.host", "this host is not admitted for you, or not by this scheme")
    return parsed


def is_among(url: httpx.URL, named: frozenset[str]) -> bool:
    """Return whether a URL's host is one that the administrator named."""
    return bool({url.host, f"{url.host}:{url.port}"} & named)


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public Internet, also where it is an IPv4 one in IPv6's clothes."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo and parsed.teredo[1])
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
        if inner:
            return inner.is_global and not inner.is_multicast
    return parsed.is_global and not parsed.is_multicast


async def address_of(url: httpx.URL, *, public_only: bool) -> str:
    """Return the address to connect to. Raises PeerError where the name has none, or one that is not public."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PeerError("peer.address", "the host has no address", passing=True) from None
    addresses = [str(entry[4][0]) for entry in found]
    if public_only and not all(is_public(a) for a in addresses):
        raise PeerError("peer.host", "this host is not admitted for you, or not by this scheme")
    return addresses[0]


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The authorities that are trusted: to read them takes tens of milliseconds, so once a process."""
    return httpx.create_ssl_context(trust_env=False)


async def call(
    method: str,
    url: httpx.URL,
    *,
    public_only: bool,
    headers: Mapping[str, str],
    content: bytes | None = None,
    timeout_s: float,
    max_bytes: int,
    cut: bool = False,
) -> Answer:
    """Call a checked URL and return what it answers within a time. An answer beyond `max_bytes` is a PeerError, or is
    left unread beyond it where `cut`. Raises PeerError; it is `passing` where asking again may help."""
    ends = time.monotonic() + timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            address = await address_of(url, public_only=public_only)
            async with (
                httpx.AsyncClient(
                    follow_redirects=False, trust_env=False, timeout=timeout_s, verify=_trusted()
                ) as client,
                client.stream(
                    method, url.copy_with(host=address), content=content,
                    headers={**headers, "Host": url.netloc.decode("ascii")}, extensions={"sni_hostname": url.host},
                ) as answer,
            ):  # fmt: skip
                body = b""
                async for piece in answer.aiter_raw(_PIECE_BYTES) if cut else answer.aiter_bytes(_PIECE_BYTES):
                    body += piece
                    if len(body) > max_bytes or time.monotonic() > ends:
                        if cut:
                            break
                        raise PeerError("peer.size", f"the answer has more than {max_bytes} bytes")
                return Answer(answer.status_code, answer.headers, body[:max_bytes])
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        raise PeerError("peer.away", f"cannot be reached: {type(error).__name__}", passing=True) from None
