"""A connection whose request does not arrive is closed. uvicorn bounds idle ones, not those that trickle."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

#: Bytes of a request's head: tokens and paths of ours stay far below.
MAX_HEAD_BYTES = 32_768
#: Seconds that a connection may rest between two requests.
REST_S = 15
#: What a connection of ours adds to the extensions of a request: a call that throws away the connection with all that
#: waits in it, and, set by an answer that never ends by itself, that it is one: a server that stops ends it at once.
CUT, STREAMS = "anxin.cut", "anxin.streams"


def guarded_protocol(within_s: float) -> type[asyncio.Protocol]:
    """Return HTTP as uvicorn speaks it, where each request has to be there as a whole within some seconds.

    They count from the connection's first moment, then from the first byte after an answer.
    """
    return type("Guarded", (_Guarded,), {"within_s": within_s})


class _Guarded(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    within_s: float
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:
            # The application's task has not run yet: it was made in this step of the loop.
            self.cycle.scope.setdefault("extensions", {})[CUT] = self.transport.abort
        if self._incomplete():
            self._wait()
        else:
            self._stop_waiting()

    def shutdown(self) -> None:
        super().shutdown()
        if self.cycle is not None and self.cycle.scope.get("extensions", {}).get(STREAMS):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _incomplete(self) -> bool:
        """Whether a head or a body is still to come."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.within_s, self._late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        # A connection that has become a WebSocket has another protocol by now.
        if self._incomplete() and self.transport.get_protocol() is self:
            self.transport.close()
