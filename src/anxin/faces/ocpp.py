"""The chargers' door: OCPP 1.6-J and 2.0.1 over WebSocket, for chargers that report beside their operator.

    1  before the upgrade: who is it (HTTP Basic), and is there room
    2  the version, by subprotocol; a newer connection of the same charger ends the older one
    3  each frame: size, pace, grammar
    4  what is evidence is kept as it came, and only then answered; what cannot be kept is answered InternalError, so
       that the charger keeps it and sends it again
    5  the answer, by the `ocpp` library

MUST NOT  answer a call that is evidence before it is durable. If the process dies between, the charger sends again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from fastapi import APIRouter, WebSocket
from fastapi.responses import Response
from starlette.websockets import WebSocketDisconnect

from anxin.domain.errors import AnxinError, FormatError
from anxin.domain.message import Refused
from anxin.evidence.note import Signer
from anxin.faces.ocpp_answers import VERSIONS, error_frame, known_actions, spelled
from anxin.faces.problems import RETRY_AFTER_S, answer
from anxin.flow.intake import now_utc_ms
from anxin.flow.ocpp_admission import Admission, admit
from anxin.flow.ocpp_messages import evidence_of
from anxin.flow.platform import Platform
from anxin.formats import ocpp_frame
from anxin.formats.ocpp_frame import FrameType

LOG = logging.getLogger("anxin.ocpp")
#: How often a connection looks whether its charger may still speak.
WATCH_S = 1.0
#: Bytes of a frame that is no frame, or too large, which the failed-write ledger keeps.
MAX_REFUSED_BYTES = 16_384
#: A burst of so many seconds' frames is read at once: what a charger kept while it was offline.
BURST_S = 10
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, POLICY, TOO_BIG = 1000, 1001, 1002, 1003, 1008, 1009


def router(platform: Platform, signer: Signer) -> APIRouter:
    """Return the route."""
    routes = APIRouter()
    door = _Door(platform, signer)

    @routes.websocket("/ocpp/{charger_id}")
    async def charger(websocket: WebSocket, charger_id: str) -> None:
        await door.serve(websocket, charger_id)

    return routes


class _Door:
    """All connections of this process, one a charger."""

    def __init__(self, platform: Platform, signer: Signer) -> None:
        self.platform = platform
        self.signer = signer
        self.connections: dict[str, _Connection] = {}

    async def serve(self, websocket: WebSocket, charger_id: str) -> None:
        """Serve one connection to its end."""
        # 1 Who is it, and is there room?
        admission = admit(self.platform.directory, charger_id, websocket.headers.get("authorization", ""))
        if admission is None:
            refusal = Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="OCPP"'})
            await _deny(websocket, refusal)
            return
        full = len(self.connections) >= self.platform.settings.ocpp_max_connections
        if full and charger_id not in self.connections:
            refusal = answer(503, "busy", "as many chargers are connected as this platform serves")
            refusal.headers["Retry-After"] = RETRY_AFTER_S
            await _deny(websocket, refusal)
            return
        # 2 Which version? OCPP-J 1.6, 3.1.2: without a common one the handshake is completed, then closed.
        offered = [p.strip() for p in websocket.headers.get("sec-websocket-protocol", "").split(",")]
        protocol = next((p for p in VERSIONS if p in offered), None)
        await websocket.accept(subprotocol=protocol)
        if protocol is None:
            await websocket.close(PROTOCOL_ERROR, "no common OCPP version")
            return
        # Looked up after the last wait: of several that come at once each ends the one before it.
        older = self.connections.get(charger_id)
        if older is not None:
            older.end(NORMAL, "a newer connection of this charger")
        connection = _Connection(self, websocket, admission, protocol)
        self.connections[charger_id] = connection
        try:
            await connection.run()
        finally:
            if self.connections.get(charger_id) is connection:
                del self.connections[charger_id]


class _Connection:
    """One charger's connection."""

    def __init__(self, door: _Door, websocket: WebSocket, admission: Admission, protocol: str) -> None:
        self.platform = door.platform
        self.settings = door.platform.settings
        self.websocket = websocket
        self.admission = admission
        self.protocol = protocol
        self.answers: Any = VERSIONS[protocol](admission.charger_id, self, self.settings, door.signer)
        self.known = known_actions(protocol)
        self._ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._pace = 0.0

    def end(self, code: int, reason: str) -> None:
        """Let the connection end; what is being kept is kept first."""
        if not self._ended.done():
            self._ended.set_result((code, reason))

    async def send(self, text: str) -> None:
        """Send a frame; a charger that is gone hears nothing, and asks again."""
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await self.websocket.send_text(spelled(self.protocol, text))

    async def run(self) -> None:
        """Read frames until the charger goes, is silent too long, is replaced, or may not speak any more."""
        heard = time.monotonic()
        receiving: asyncio.Task[Any] = asyncio.create_task(self.websocket.receive())
        try:
            while True:
                await asyncio.wait({receiving, self._ended}, timeout=WATCH_S, return_when=asyncio.FIRST_COMPLETED)
                if not self.admission.holds(self.platform.directory):
                    self.end(POLICY, "not admitted any more")
                elif time.monotonic() - heard > self.settings.ocpp_idle_s:
                    self.end(GOING_AWAY, "silent too long")
                if self._ended.done():
                    break
                if not receiving.done():
                    continue
                event = receiving.result()
                if event["type"] == "websocket.disconnect":
                    return
                heard = time.monotonic()
                await self._frame(event)
                receiving = asyncio.create_task(self.websocket.receive())
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self.websocket.close(*self._ended.result())
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _frame(self, event: dict[str, Any]) -> None:
        # 3 Size, pace, grammar.
        text = event.get("text")
        raw: bytes = text.encode("utf-8", "surrogatepass") if text is not None else event.get("bytes") or b""
        if len(raw) > self.settings.ocpp_max_frame_bytes:
            largest = self.settings.ocpp_max_frame_bytes
            await self._refuse("ocpp.frame_size", f"{len(raw)} bytes; at most {largest} are read", raw)
            self.end(TOO_BIG, f"a frame has at most {largest} bytes")
            return
        if text is None:
            await self._refuse("ocpp.frame", "a binary frame", raw)
            self.end(UNSUPPORTED, "OCPP-J frames are text")
            return
        await self._keep_pace()
        try:
            frame = ocpp_frame.parse(raw)
        except FormatError as error:
            await self._refuse(error.rule, str(error), raw, error.field)
            code = "RpcFrameworkError" if ocpp_frame.id_of(raw) == ocpp_frame.NO_ID else "FormatViolation"
            await self.send(error_frame(self.protocol, ocpp_frame.id_of(raw), code, str(error)))
            return
        if frame.kind is not FrameType.CALL:  # the platform asks nothing: an answer is one to nobody
            return
        if frame.action not in self.answers.route_map:
            # The standard's words: an action that it does not have is not implemented, one that it has not supported.
            code = "NotSupported" if frame.action in self.known else "NotImplemented"
            await self.send(error_frame(self.protocol, frame.call_id, code, f"{frame.action}: not done here"))
            return
        # 4 Evidence first.
        message = evidence_of(frame, raw, self.admission.charger_id, now_utc_ms())
        if message is not None:
            try:
                self.answers.kept(frame.call_id, await self.platform.intake.accept(message))
            except AnxinError:
                told = "nothing was kept: send again"
                await self.send(error_frame(self.protocol, frame.call_id, "InternalError", told))
                return
        # 5 The answer.
        try:
            await self.answers.route_message(text)
        except Exception as error:  # a fault of the library on some input must not end the other connections' server
            LOG.error("ocpp: %s while a call was answered", type(error).__name__)
            await self.send(error_frame(self.protocol, frame.call_id, "InternalError", "not answered"))

    async def _keep_pace(self) -> None:
        """Wait where a charger is faster than its share; its frames wait in the buffers on the way, none is lost."""
        now = time.monotonic()
        self._pace = max(self._pace, now - BURST_S) + 1 / self.settings.ocpp_frames_per_s
        if self._pace > now:
            await asyncio.sleep(self._pace - now)

    async def _refuse(self, rule: str, detail: str, raw: bytes, field: str | None = None) -> None:
        refused = Refused("ocpp", self.admission.charger_id, None, rule, detail, raw[:MAX_REFUSED_BYTES], field)
        with contextlib.suppress(AnxinError):  # a database that is away keeps no refusals, and receives nothing else
            await self.platform.intake.refuse(refused)


async def _deny(websocket: WebSocket, refusal: Response) -> None:
    """Refuse before the upgrade, with a status where the server can say one."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(refusal)
    else:
        await websocket.close(POLICY)
