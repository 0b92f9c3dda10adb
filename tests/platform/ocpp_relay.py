"""An operator's OCPP centre as small as one can be: it sends everything on to a regulator's door, and steers chargers.

    python -m tests.platform.ocpp_relay ws://127.0.0.1:8080/ocpp --port 9310 --charge-s 20

Chargers connect to the relay as they would to their operator; their credentials go on to the door. With `--charge-s` it
lets each charger charge so long, once, and stop: some simulators sign only what their operator ends from afar.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import websockets
from websockets.asyncio.server import ServerConnection

#: Calls that begin so are the relay's own: their answers go no further.
OWN = "operator-"
TOKEN = "AABBCCDD"


@asynccontextmanager
async def relay(door: str, port: int = 0, charge_s: float | None = None) -> AsyncIterator[int]:
    """Serve until left; give the port that chargers connect to."""

    async def serve(charger: ServerConnection) -> None:
        assert charger.request is not None
        path = charger.request.path.rsplit("/", 1)[-1]
        headers = {"Authorization": charger.request.headers.get("Authorization", "")}
        protocols = [charger.subprotocol] if charger.subprotocol else None
        async with websockets.connect(
            f"{door}/{path}", subprotocols=protocols, additional_headers=headers, max_size=None
        ) as up:
            seen: list[Any] = []
            ways = [
                asyncio.create_task(_upwards(charger, up, seen)),
                asyncio.create_task(_downwards(up, charger, seen)),
            ]
            steering = asyncio.create_task(_steer(charger, seen, charge_s)) if charge_s is not None else None
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for task in [*ways, *([steering] if steering else [])]:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                    await task

    versions = [websockets.Subprotocol("ocpp2.0.1"), websockets.Subprotocol("ocpp1.6")]
    async with websockets.serve(serve, "127.0.0.1", port, subprotocols=versions, max_size=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _upwards(charger: Any, up: Any, seen: list[Any]) -> None:
    async for text in charger:
        frame = json.loads(text)
        seen.append(frame)
        if frame[0] == 2 or not str(frame[1]).startswith(OWN):
            await up.send(text)


async def _downwards(up: Any, charger: Any, seen: list[Any]) -> None:
    async for text in up:
        seen.append(json.loads(text))
        await charger.send(text)


async def _steer(charger: ServerConnection, seen: list[Any], charge_s: float) -> None:
    """Let a charger charge for a while and stop, once it has booted."""
    await _until(lambda: [f for f in seen if f[0] == 3 and f[2].get("status") == "Accepted"])
    old = charger.subprotocol == "ocpp1.6"
    start: dict[str, Any] = (
        {"connectorId": 1, "idTag": TOKEN}
        if old
        else {"evseId": 1, "remoteStartId": 1, "idToken": {"idToken": TOKEN, "type": "ISO14443"}}
    )
    await _ask(charger, "RemoteStartTransaction" if old else "RequestStartTransaction", start)
    key, kind = ("transactionId", 3) if old else ("transactionInfo", 2)
    (found, *_) = await _until(lambda: [f for f in seen if f[0] == kind and key in f[-1]])
    await asyncio.sleep(charge_s)
    transaction = found[-1][key] if old else found[-1][key]["transactionId"]
    await _ask(charger, "RemoteStopTransaction" if old else "RequestStopTransaction", {"transactionId": transaction})
    print(datetime.now(UTC).isoformat(timespec="seconds"), "charged", charge_s, "s:", transaction, flush=True)


async def _ask(charger: ServerConnection, action: str, payload: dict[str, Any]) -> None:
    await charger.send(json.dumps([2, f"{OWN}{action}", action, payload]))


async def _until(found: Any) -> Any:
    while not (value := found()):
        await asyncio.sleep(0.05)
    return value


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("door", help="ws://host:port/ocpp of the regulator")
    parser.add_argument("--port", type=int, default=9310)
    parser.add_argument("--charge-s", type=float)
    args = parser.parse_args()
    async with relay(args.door, args.port, args.charge_s) as port:
        print(f"ws://127.0.0.1:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
