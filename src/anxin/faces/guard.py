"""What stands before every door: rates of parties, of strangers, and of guesses."""

from __future__ import annotations

import json
import math

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anxin.domain.party import Party, Role
from anxin.faces import problems
from anxin.faces.connection import MAX_HEAD_BYTES
from anxin.flow.measures import Measures
from anxin.flow.platform import Platform
from anxin.flow.rates import CALLER, Buckets, Caller, address_key
from anxin.flow.tenants import TENANT, Tenant

#: First parts of paths that are counted by name; all others are counted together.
DOORS = frozenset({
    "evcs", "meter", "ocpi", "ocpp", "bench", "seal", "api", "log", "health", "metrics", "docs", "public", "c",
    "driver", "portal", "console",
})  # fmt: skip
#: T/CEC 102.4: 系统繁忙. Its callers look at Ret and not at the status.
_TCEC_BUSY = json.dumps(
    {"Ret": -1, "Msg": "请求过于频繁，请稍后重发 too many requests, send again later", "Data": "", "Sig": ""},
    ensure_ascii=False,
).encode()


class Guard:
    """Counts requests by party, address and guess; refuses what is too much."""

    def __init__(self, app: ASGIApp, platform: Platform, roles: frozenset[Role]) -> None:
        self.app = app
        self.platform = platform
        self.roles = roles
        s = platform.settings
        self.requests = Buckets(s.party_rate_per_s, s.party_burst)
        self.addresses = Buckets(s.address_rate_per_s, s.address_burst)
        self.guesses = Buckets(s.guesses_per_minute / 60, s.guesses_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        # uvicorn bounds a head that is not complete; one that came in a single piece is bounded here.
        if scope["type"] == "http" and sum(len(n) + len(v) for n, v in scope["headers"]) > MAX_HEAD_BYTES:
            await problems.answer(431, "head.size", f"a head has at most {MAX_HEAD_BYTES} bytes")(scope, receive, send)
            return
        address = address_key((scope.get("client") or ("unknown", 0))[0])
        first = scope["path"].lstrip("/").partition("/")[0]
        door = first if first in DOORS else "other"
        call = _Call(self.platform.measures, scope, send, Caller(address), door)
        party = self._party(scope)
        wait_s = self._wait_s(call, party)
        if wait_s > 0:
            await call.refuse(receive, wait_s)
            return
        CALLER.set(call.caller)
        TENANT.set(Tenant())
        await self.app(scope, receive, call.sent)
        if call.caller.guessed:
            self.guesses.take(call.guess_key)
        elif party is None and call.caller.party is not None:
            self.addresses.take(address, -1)

    def _party(self, scope: Scope) -> Party | None:
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        kind, _, token = header.partition(" ")
        found = self.platform.directory.party_of_token(token) if kind.lower() == "bearer" and token else None
        return found if found is not None and found.role in self.roles else None

    def _wait_s(self, call: _Call, party: Party | None) -> float:
        """Seconds until this request may be made, 0.0 for now; it is counted where it may."""
        if party is not None:
            wait_s = self.requests.wait_s(party.party_id)
            if not wait_s:
                self.requests.take(party.party_id)
            return wait_s
        wait_s = max(self.addresses.wait_s(call.caller.address), self.guesses.wait_s(call.guess_key))
        if not wait_s:
            self.addresses.take(call.caller.address)
        return wait_s


class _Call:
    """One request on its way through."""

    def __init__(self, measures: Measures, scope: Scope, send: Send, caller: Caller, door: str) -> None:
        self.measures, self.scope, self.send = measures, scope, send
        self.caller, self.door = caller, door
        self.guess_key = f"{caller.address} {door}"
        self.opened = False

    async def sent(self, message: Message) -> None:
        """Send the next part of the answer; see from it whether a credential was guessed."""
        kind = message["type"]
        if kind == "http.response.start":
            if message["status"] == 401 and any(n == b"authorization" for n, _ in self.scope["headers"]):
                self.caller.guessed = True
            self._count(message["status"])
        elif kind == "websocket.accept":
            self.opened = True
        elif not self.opened and kind in ("websocket.close", "websocket.http.response.start"):
            self.caller.guessed = kind == "websocket.close" or message["status"] == 401
            self._count(403 if kind == "websocket.close" else message["status"])
        await self.send(message)

    async def refuse(self, receive: Receive, wait_s: float) -> None:
        """Answer that it is too much, in the words of the door."""
        after = str(math.ceil(wait_s))
        if self.scope["type"] == "websocket":
            self._count(429)
            if "websocket.http.response" in self.scope.get("extensions", {}):
                headers = [(b"retry-after", after.encode())]
                await self.send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
                await self.send({"type": "websocket.http.response.body", "body": b""})
            else:
                await self.send({"type": "websocket.close", "code": 1013})
            return
        answer: Response = problems.answer(429, "rate", "too many requests: wait before the next one")
        if self.door == "evcs":
            answer = Response(_TCEC_BUSY, 200, media_type="application/json")
        answer.headers["retry-after"] = after
        self._count(answer.status_code)
        await answer(self.scope, receive, self.send)

    def _count(self, status: int) -> None:
        self.measures.requests.labels(self.door, str(status)).inc()
