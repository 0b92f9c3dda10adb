"""This platform as a client of an operator's platform, in T/CEC 102: every answer authentic, bounded, in time.

    1  a token, bought with the OperatorSecret and bought again when it ends or is refused
    2  the request, sealed and signed as the operator's own would be
    3  the answer's bytes, at most so many, in so many seconds, from that address and no other (no redirect)
    4  its signature, then its return code, then its content

A platform that is away or busy is asked again, three times a minute apart (T/CEC 102.4); a false answer is not asked
for again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from anxin.domain.errors import FormatError, InputError, PeerError
from anxin.domain.party import Credential
from anxin.formats import json_document, tcec102_envelope
from anxin.formats.local_time import zone_of
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.formats.values import exact
from anxin.settings import Settings

#: Pages of one question; a platform that goes on for ever is left.
MAX_PAGES = 200
#: Stations that one query_station_status may name (T/CEC 102.2).
MAX_STATION_IDS = 50
PAGE_SIZE = 50
#: A token is not used in its last seconds.
TOKEN_MARGIN_S = 60
OK, BUSY, BAD_TOKEN, INTERNAL = "0", "-1", "4002", "500"
#: Characters of an operator's own words in an error.
TOLD_CHARS = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """One authentic answer: its decrypted JSON and all its bytes. `number` names the request among all of ours."""

    number: str
    plain: bytes
    body: bytes
    value: dict[str, object]


def checked_url(url: str) -> str:
    """Return an operator's base address without its last slash. Raises InputError for all but plain http(s) ones."""
    try:
        parts = urlsplit(url)
        port_ok = parts.port != 0
    except ValueError:
        raise InputError(f"not an address: {url[:80]!r}") from None
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain or not port_ok or not url.isprintable():
        raise InputError(f"an address is http(s)://host[:port]/path, without user, query or fragment: {url[:80]!r}")
    return url.rstrip("/")


@dataclass(slots=True)
class OperatorClient:
    """The client of one operator's platform, with the credentials that its administrator gave us."""

    credential: Credential
    settings: Settings
    http: httpx.AsyncClient
    gate: asyncio.Semaphore
    url: str = field(init=False)
    keys: OperatorSecrets = field(init=False)
    _operator_secret: str = field(init=False, repr=False)
    _token: str = field(init=False, default="", repr=False)
    _token_until: float = field(init=False, default=0.0)
    _seq: tuple[str, int] = field(init=False, default=("", 0))
    #: Tells this client's requests from those of the one before it, which had the same Seq in the same second.
    _run: str = field(init=False, default_factory=lambda: secrets.token_hex(3))

    def __post_init__(self) -> None:
        body = json.loads(self.credential.secret or b"{}")
        self.url = checked_url(self.credential.public["url"])
        parts = (str(body[n]).encode() for n in ("data_secret", "data_secret_iv", "sig_secret"))
        self.keys = OperatorSecrets(self.credential.public["operator_id"], *parts)
        self._operator_secret = str(body["operator_secret"])

    async def ask(self, interface: str, question: dict[str, Any]) -> Answer:
        """Return the answer to one question. Raises PeerError; what may pass by itself was tried again before."""
        for attempt in range(1, self.settings.pull_attempts + 1):
            try:
                return await self._with_token(interface, question)
            except PeerError as error:
                if not error.passing or attempt == self.settings.pull_attempts:
                    raise
            await asyncio.sleep(self.settings.pull_retry_s)
        raise PeerError("peer.unreachable", "no attempt was allowed")

    async def pages(self, interface: str, question: dict[str, Any], list_name: str) -> AsyncIterator[Answer]:
        """Yield the pages of an answer, each as it comes. Raises PeerError where their numbers contradict what came."""
        total, previous = 0, b""
        for page in range(1, MAX_PAGES + 1):
            answer = await self.ask(interface, question | {"PageNo": page, "PageSize": PAGE_SIZE})
            items = answer.value.get(list_name)
            found = items if isinstance(items, list) else []
            digest = hashlib.sha256(repr(found).encode()).digest()
            if found and digest == previous:
                raise PeerError("peer.page_repeated", f"page {page} is page {page - 1} again")
            yield answer
            total, previous = total + len(found), digest
            number, count, size = (_whole(answer.value, name) for name in ("PageNo", "PageCount", "ItemSize"))
            if number not in (None, page):
                raise PeerError("peer.page_number", f"page {page} was asked for, {number} came")
            if page >= (count or 1):
                # ItemSize is the whole's by the standard; some give the page's.
                if size not in (None, total, len(found)):
                    raise PeerError("peer.item_size", f"ItemSize {size}, but {total} came")
                return
            if not found:
                raise PeerError("peer.page_empty", f"page {page} of {count} is empty")
        raise PeerError("peer.pages", f"more than {MAX_PAGES} pages")

    async def _with_token(self, interface: str, question: dict[str, Any]) -> Answer:
        for fresh in (False, True):
            if fresh or not self._token or time.monotonic() >= self._token_until:
                await self._login()
            try:
                return await self._call(interface, question, self._token)
            except PeerError as error:
                if fresh or error.rule != "peer.token":
                    raise
        raise AssertionError("the second round returns or raises")

    async def _login(self) -> None:
        self._token = ""
        question = {"OperatorID": self.keys.operator_id, "OperatorSecret": self._operator_secret}
        value = (await self._call("query_token", question, "")).value
        token, valid_s = value.get("AccessToken"), _whole(value, "TokenAvailableTime")
        if _whole(value, "SuccStat") != 0 or not isinstance(token, str) or not _sendable(token):
            raise PeerError("peer.login", f"no token: FailReason {str(value.get('FailReason'))[:20]}")
        self._token = token
        self._token_until = time.monotonic() + max(0, (valid_s or 0) - TOKEN_MARGIN_S)

    async def _call(self, interface: str, question: dict[str, Any], token: str) -> Answer:
        stamp = datetime.now(zone_of(self.settings.zone)).strftime("%Y%m%d%H%M%S")
        # Seq restarts each second.
        self._seq = (stamp, self._seq[1] % 9_999 + 1 if self._seq[0] == stamp else 1)
        seq = f"{self._seq[1]:04d}"
        plain = json.dumps(question, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"content-type": "application/json;charset=utf-8", "accept-encoding": "identity"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        sealed = tcec102_envelope.seal_envelope(plain, self.keys, stamp, seq)
        body = await self._post(f"{self.url}/{interface}", sealed, headers)
        plain = self._opened(body)
        try:
            value = json_document.loads(plain)
        except FormatError as error:
            raise PeerError("peer.answer", str(error)) from None
        if not isinstance(value, dict):
            raise PeerError("peer.answer", "the answer's Data is no JSON object")
        return Answer(f"{stamp}{seq}.{self._run}", plain, body, value)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> bytes:
        most = self.settings.max_body_bytes
        try:
            async with (
                self.gate,
                asyncio.timeout(self.settings.pull_timeout_s),
                self.http.stream("POST", url, content=body, headers=headers) as answer,
            ):
                if answer.is_redirect:
                    raise PeerError("peer.redirect", f"HTTP {answer.status_code}: another address is not followed")
                if answer.status_code != 200:
                    passing = answer.status_code in {429, 500, 502, 503, 504}
                    raise PeerError("peer.http_status", f"HTTP {answer.status_code}", passing=passing)
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise PeerError("peer.encoding", "a compressed answer was not asked for")
                found = bytearray()
                async for piece in answer.aiter_raw():
                    found += piece
                    if len(found) > most:
                        raise PeerError("peer.size", f"an answer of more than {most} bytes")
                return bytes(found)
        except TimeoutError:
            late = f"no whole answer within {self.settings.pull_timeout_s} s"
            raise PeerError("peer.timeout", late, passing=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerError("peer.unreachable", type(error).__name__, passing=True) from None

    def _opened(self, body: bytes) -> bytes:
        try:
            value = json_document.loads(body)
            if not isinstance(value, dict) or "Ret" not in value:
                raise FormatError("tcec102.envelope", "not an answer: no Ret")
            envelope = {name: value.get(name) for name in ("Ret", "Data", "Sig")} | {"Msg": value.get("Msg") or ""}
            code = str(value["Ret"])
            if code != OK:
                # Who refuses needs no signature: the worst that a forged refusal does is a new login or attempt.
                told = f"Ret {code[:8]}: {str(envelope['Msg'])[:TOLD_CHARS]}"
                if code == BAD_TOKEN:
                    raise PeerError("peer.token", told)
                raise PeerError("peer.refused", told, passing=code in {BUSY, INTERNAL})
            signed = tcec102_envelope.authenticate(envelope, (self.keys,))
            return tcec102_envelope.decrypt(signed.data, signed.secrets)
        except FormatError as error:
            rule = "peer.signature" if error.rule == "tcec102.signature" else "peer.envelope"
            raise PeerError(rule, str(error)) from None


def _whole(value: dict[str, object], name: str) -> int | None:
    try:
        number = exact(value.get(name), name)
    except FormatError as error:
        raise PeerError("peer.answer", str(error)) from None
    return None if number is None or number != int(number) else int(number)


def _sendable(token: str) -> bool:
    return token.isascii() and token.isprintable() and 0 < len(token) <= 4_096
