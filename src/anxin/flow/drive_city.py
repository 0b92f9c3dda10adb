"""The virtual city speaks to the running platform, through the same doors as any operator and any meter.

The city began two days ago and goes on for a month. What it should have sent before now is sent first, at a bounded
rate; then every message goes when its time has come. A file remembers how far it is: what was sent and not yet noted is
sent again after a restart, byte for byte, and gets the receipt that it had.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np

from anxin.city.build import City, build
from anxin.city.names import Names
from anxin.city.options import KINDS, CityOptions
from anxin.city.wire import WireWriter, check_text, day_totals
from anxin.domain.errors import InputError
from anxin.flow.make_city import seal_upload
from anxin.formats import tcec102_envelope
from anxin.formats.tcec102_envelope import OperatorSecrets

ZONE = ZoneInfo("Asia/Shanghai")
DAYS_BEFORE, DAYS = 2, 32
#: Messages a second while the city catches up.
CATCH_UP_RATE = 60
BATCH = 60
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """What made the city, so that the next start makes the same one."""

    start: str
    seed: int
    chargers: int

    def options(self) -> CityOptions:
        """The city's options; a few cheats of every kind."""
        start = datetime.fromisoformat(self.start).date()
        cheats = {kind: max(2, self.chargers // 40) for kind in KINDS}
        return CityOptions(self.seed, self.chargers, DAYS, start=start, cheats=cheats)


@dataclass(slots=True)
class Driver:
    """Sends a city's messages. `sent` counts what is acknowledged."""

    url: str
    city: City
    secrets: dict[str, dict[str, str]]
    folder: Path
    tell: Callable[[str], None]
    sent: int = 0
    refused: int = 0
    _tokens: dict[str, str] = field(default_factory=dict)
    _seq: int = 0

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Send until `until` says so or the city ends."""
        position = self.folder / "position"
        done = int(position.read_text()) if position.is_file() else 0
        events = Events(self.city)
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            while done < len(events) and not until():
                due = events.due(done, time.time())
                if due == done:
                    await asyncio.sleep(min(1.0, max(0.05, events.at(done) - time.time())))
                    continue
                part = range(done, min(due, done + BATCH))
                started = time.monotonic()
                await self._send(client, events, part)
                done = part[-1] + 1
                position.write_text(str(done))
                if due - done > BATCH:
                    await asyncio.sleep(max(0.0, len(part) / CATCH_UP_RATE - (time.monotonic() - started)))
        self.tell(f"city: {done} of {len(events)} events, {self.sent} acknowledged, {self.refused} refused")

    async def _send(self, client: httpx.AsyncClient, events: Events, part: range) -> None:
        orders, lines = [], []
        for number in part:
            kind, operator, texts = events.texts(number)
            if kind == "record":
                lines += texts
            else:
                interface = "notification_charge_order_info" if kind == "order" else "check_charge_orders"
                orders += [self._tcec(client, interface, operator, text) for text in texts]
        await asyncio.gather(*orders, *([self._records(client, lines)] if lines else []))

    async def _records(self, client: httpx.AsyncClient, lines: list[str]) -> None:
        answer = await self._until_heard(client, "/meter/v1/records/batch", "\n".join(lines).encode(), {})
        outcomes = answer.json()
        self.sent += sum("receipt" in o for o in outcomes)
        self.refused += sum("problem" in o for o in outcomes)

    async def _tcec(self, client: httpx.AsyncClient, interface: str, operator: str, text: str) -> None:
        for _ in range(3):
            token = self._tokens.get(operator) or await self._token(client, operator)
            body = self._envelope(operator, text.encode())
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json;charset=utf-8"}
            answer = (await self._until_heard(client, f"/evcs/v1/{interface}", body, headers)).json()
            if answer["Ret"] == 4002:
                self._tokens.pop(operator, None)
                continue
            if answer["Ret"] == -1:
                await asyncio.sleep(2)
                continue
            self.sent += answer["Ret"] == 0
            self.refused += answer["Ret"] != 0
            return
        self.refused += 1

    async def _token(self, client: httpx.AsyncClient, operator: str) -> str:
        asked = json.dumps({"OperatorID": operator, "OperatorSecret": self.secrets[operator]["operator_secret"]})
        body = self._envelope(operator, asked.encode())
        answer = (await self._until_heard(client, "/evcs/v1/query_token", body, {})).json()
        opened = tcec102_envelope.open_parsed(answer, [self._keys(operator)])
        self._tokens[operator] = json.loads(opened.plain)["AccessToken"]
        return self._tokens[operator]

    async def _until_heard(
        self, client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        """Send until the platform has answered: what has no receipt was not sent."""
        while True:
            try:
                answer = await client.post(path, content=body, headers=headers)
                if answer.status_code not in (429, 500, 502, 503):
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(1)

    def _keys(self, operator: str) -> OperatorSecrets:
        s = self.secrets[operator]
        parts = (s[n].encode() for n in ("data_secret", "data_secret_iv", "sig_secret"))
        return OperatorSecrets(operator, *parts)

    def _envelope(self, operator: str, plain: bytes) -> bytes:
        self._seq = self._seq % 9999 + 1
        stamp = datetime.now(UTC).astimezone(ZONE).strftime("%Y%m%d%H%M%S")
        return tcec102_envelope.seal_envelope(plain, self._keys(operator), stamp, f"{self._seq:04d}")


class Events:
    """Everything that a city sends, in the order of its times; texts are made when they are asked for."""

    def __init__(self, city: City) -> None:
        self.city = city
        ((self.span, _),) = list(city.spans())
        self.names = Names(self.span.world)
        self.writer = WireWriter(self.span, seal_upload)
        self.totals = day_totals(self.span.orders)
        rows: list[tuple[int, int, int]] = []
        orders, records = self.span.orders, self.span.records
        for kind, (keep, received, again) in enumerate(
            ((orders.keep, orders.received, orders.again), (records.keep, records.received, records.again))
        ):
            for row in np.flatnonzero(keep).tolist():
                rows.append((int(received[row]), kind, row))
                if int(again[row]) >= 0:
                    rows.append((int(again[row]), kind, row))
        # A day's totals are sent in the small hours of the third day after it, when late orders have come.
        rows += [((t.day + 3) * DAY_S + 3 * 3_600 + t.operator * 60, 2, n) for n, t in enumerate(self.totals)]
        self._rows = sorted(rows)
        self._times = [r[0] + self.span.world.start_utc_s for r in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def at(self, number: int) -> float:
        """Return when an event is due, seconds UTC."""
        return float(self._times[number])

    def due(self, number: int, now_s: float) -> int:
        """Return the number of the first event, from `number` on, that is not due."""
        return max(number, int(np.searchsorted(np.asarray(self._times), now_s, side="right")))

    def texts(self, number: int) -> tuple[str, str, list[str]]:
        """Return (kind, operator, texts) of an event."""
        _, kind, row = self._rows[number]
        if kind == 0:
            operator = self.span.world.operators[int(self.span.orders.operator[row])]
            return "order", operator, [self.writer.order_text(row)]
        if kind == 1:
            return "record", "", self.writer.record_texts(row)
        total = self.totals[row]
        return "check", self.span.world.operators[total.operator], [check_text(self.names, self.span.orders, total)]


def load_plan(folder: Path, chargers: int, seed: int) -> Plan:
    """Return the plan of the city in this folder; a new one begins two days ago. Raises InputError."""
    path = folder / "plan.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            return Plan(**json.loads(path.read_text()))
        start = (datetime.now(UTC).astimezone(ZONE) - timedelta(days=DAYS_BEFORE)).date()
        plan = Plan(start.isoformat(), seed, chargers)
        path.write_text(json.dumps({"start": plan.start, "seed": plan.seed, "chargers": plan.chargers}))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: {error}") from None
    return plan


def city_of(plan: Plan) -> City:
    """Return the city of a plan."""
    return build(plan.options())


def texts_of(events: Events) -> Iterator[tuple[str, str, list[str]]]:
    """Yield everything that a city sends, for tests that send it at once."""
    for number in range(len(events)):
        yield events.texts(number)


def secrets_file(folder: Path) -> dict[str, Any]:
    """Return the operators' secrets that the platform gave this city. Raises InputError."""
    try:
        found: dict[str, Any] = json.loads((folder / "secrets.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'secrets.json'}: {error}") from None
    return found
