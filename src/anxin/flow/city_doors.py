"""How the virtual city knocks: an operator's platform at the T/CEC door, and meters at theirs. No other way in.

Each operator sends its messages one after the other, as they happened; operators and meters do not wait for one
another. What has no answer is sent again until it has one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx

from anxin.city.live import What
from anxin.formats import tcec102_envelope
from anxin.formats.tcec102_envelope import OperatorSecrets

ZONE = ZoneInfo("Asia/Shanghai")
#: Return codes of T/CEC 102: taken, busy, token expired, and an error of the platform's own.
OK, BUSY, BAD_TOKEN, INTERNAL = 0, -1, 4002, 500
AGAIN_S = 1.0
#: Where each kind of message goes.
INTERFACES = {
    What.ORDER: "notification_charge_order_info",
    What.CHECK: "check_charge_orders",
    What.STATUS: "notification_stationStatus",
    What.STATION: "notification_stationInfo",
}
_HEADERS = {"content-type": "application/json;charset=utf-8"}
#: Answers after which the same message is sent again.
_TRY_AGAIN = frozenset({429, 500, 502, 503})


@dataclass(slots=True)
class Tally:
    """What became of what was sent."""

    acknowledged: int = 0
    refused: int = 0


async def heard(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send until the platform has answered: what has no receipt was not sent."""
    while True:
        try:
            answer = await client.post(path, content=body, headers=headers)
            if answer.status_code not in _TRY_AGAIN:
                return answer
        except httpx.TransportError:
            pass
        await asyncio.sleep(AGAIN_S)


@dataclass(slots=True)
class OperatorClient:
    """One operator's platform. `values` are the secrets that the authority gave it."""

    client: httpx.AsyncClient
    operator_id: str
    values: dict[str, str]
    tally: Tally
    _token: str | None = None
    _seq: int = 0
    _keys: OperatorSecrets = field(init=False)

    def __post_init__(self) -> None:
        parts = (self.values[n].encode() for n in ("data_secret", "data_secret_iv", "sig_secret"))
        self._keys = OperatorSecrets(self.operator_id, *parts)

    async def send(self, messages: Sequence[tuple[What, str]]) -> None:
        """Send messages one after the other."""
        for what, text in messages:
            answer = await self._until_taken(INTERFACES[what], text.encode())
            self.tally.acknowledged += answer == OK
            self.tally.refused += answer != OK

    async def _until_taken(self, interface: str, plain: bytes) -> int:
        while True:
            token = self._token or await self._new_token()
            headers = _HEADERS | {"authorization": f"Bearer {token}"}
            # The envelope is made anew each time: its TimeStamp must be of the moment.
            answer = await heard(self.client, f"/evcs/v1/{interface}", self._envelope(plain), headers)
            code = int(answer.json()["Ret"])
            if code == BAD_TOKEN:
                self._token = None
            elif code in (BUSY, INTERNAL):
                await asyncio.sleep(AGAIN_S)
            else:
                return code

    async def _new_token(self) -> str:
        plain = json.dumps({"OperatorID": self.operator_id, "OperatorSecret": self.values["operator_secret"]}).encode()
        while True:
            answer = (await heard(self.client, "/evcs/v1/query_token", self._envelope(plain), _HEADERS)).json()
            if answer["Ret"] == OK:
                data = json.loads(tcec102_envelope.open_parsed(answer, [self._keys]).plain)
                if data["SuccStat"] == OK:
                    self._token = str(data["AccessToken"])
                    return self._token
            await asyncio.sleep(AGAIN_S)

    def _envelope(self, plain: bytes) -> bytes:
        self._seq = self._seq % 9999 + 1
        stamp = datetime.now(UTC).astimezone(ZONE).strftime("%Y%m%d%H%M%S")
        return tcec102_envelope.seal_envelope(plain, self._keys, stamp, f"{self._seq:04d}")


@dataclass(slots=True)
class MeterClient:
    """All meters that report over HTTPS."""

    client: httpx.AsyncClient
    tally: Tally

    async def send(self, records: Sequence[tuple[str, str]]) -> None:
        """Send (meter, line AXE1) in one batch; each line has an outcome of its own."""
        if not records:
            return
        body = "\n".join(line for _, line in records).encode()
        outcomes = (await heard(self.client, "/meter/v1/records/batch", body, {"content-type": "text/plain"})).json()
        self.tally.acknowledged += sum("receipt" in o for o in outcomes)
        self.tally.refused += sum("problem" in o for o in outcomes)
