"""The virtual city speaks to the running platform, through the same doors as any operator and any meter.

    1  the plan in the folder says which city it is; without one, a city begins now (anxin.city.live)
    2  its clock starts where the last run stopped, and runs fast while it is behind the world's
    3  what is due is sent, at a bounded rate
    4  when all of it has its receipts, the file `position` moves on

What was sent and not yet noted is sent again after a restart, byte for byte, and gets the receipt that it had.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from anxin.city.build import City, build
from anxin.city.live import DEFAULT_SPEED, Events, LivePlan, What, clock_from, plan_at
from anxin.city.stations import station_texts
from anxin.domain.errors import InputError
from anxin.flow.city_doors import MeterClient, OperatorClient, Tally
from anxin.flow.city_mqtt import MqttMeters
from anxin.flow.make_city import seal_upload

#: Messages a second, while the city has more to send than that.
RATE_PER_S = 120.0
#: Messages between two notes of the position.
BATCH = 60
#: Bills that the city's drivers hold in their hands: the last ones, in the file `bills.json`.
BILLS = 60
IDLE_S = 0.5
WATCH_S = 0.2


@dataclass(slots=True)
class Driver:
    """Sends a city's messages. `events` are what it says; `tally` counts what was acknowledged and refused."""

    url: str
    events: Events
    secrets: dict[str, dict[str, str]]
    folder: Path
    tell: Callable[[str], None]
    speed: float = DEFAULT_SPEED
    rate_per_s: float = RATE_PER_S
    tally: Tally = field(default_factory=Tally)
    over_mqtt: MqttMeters | None = None
    bills: list[dict[str, str]] = field(default_factory=list)

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Send until `until` says so or the city ends. What is under way then is given up, and sent again next time."""
        sending = asyncio.create_task(self._send_what_is_due())
        while not sending.done():
            if until():
                sending.cancel()
            await asyncio.wait({sending}, timeout=WATCH_S)
        if not sending.cancelled():
            sending.result()
        done, tally = position_of(self.folder), self.tally
        self.tell(f"city: {done} of {len(self.events)}; {tally.acknowledged} acknowledged, {tally.refused} refused")

    async def _send_what_is_due(self) -> None:
        events, done = self.events, position_of(self.folder)
        if done >= len(events):
            return
        clock = clock_from(time.time(), events.at(done), self.speed)
        # Nobody tells now how a connector was yesterday, and what it does is said when it happens, however far behind
        # the uploads are: each says how it is, and from then on what changes.
        told_s = time.time()
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            meters = MeterClient(client, self.tally)
            operators = {o: OperatorClient(client, o, values, self.tally) for o, values in self.secrets.items()}
            introduced = asyncio.create_task(self._introduce(told_s, operators))
            telling = asyncio.create_task(self._tell(told_s, introduced, meters, operators))
            try:
                while done < len(events):
                    due = events.due(done, clock.at(time.time()))
                    if due == done:
                        await asyncio.sleep(IDLE_S)
                        continue
                    started = time.monotonic()
                    part: list[int] = []
                    number = done
                    while number < due and len(part) < BATCH:
                        if not events.is_status(number):
                            part.append(number)
                        number += 1
                    if number >= len(events):
                        await introduced
                    if telling.done():
                        telling.result()  # what broke it breaks the driver too
                    await self._send(part, meters, operators)
                    done = number
                    _note(self.folder / "position", str(done))
                    await asyncio.sleep(max(0.0, len(part) / self.rate_per_s - (time.monotonic() - started)))
            finally:
                introduced.cancel()
                telling.cancel()

    async def _tell(
        self,
        since_s: float,
        introduced: asyncio.Task[None],
        meters: MeterClient,
        operators: dict[str, OperatorClient],
    ) -> None:
        """Say what changes at connectors when it happens, after what was is said."""
        await introduced
        number = self.events.due(0, since_s)
        while number < len(self.events):
            due = self.events.due(number, time.time())
            changes = [n for n in range(number, due) if self.events.is_status(n)]
            for first in range(0, len(changes), BATCH):
                await self._send(changes[first : first + BATCH], meters, operators)
            number = due
            await asyncio.sleep(IDLE_S)

    async def _introduce(self, now_s: float, operators: dict[str, OperatorClient]) -> None:
        """Each operator declares his stations, and says how each connector is."""
        said: dict[str, list[tuple[What, str]]] = defaultdict(list)
        for operator, text in station_texts(self.events.city.register):
            said[operator].append((What.STATION, text))
        for operator, text in self.events.states(now_s):
            said[operator].append((What.STATUS, text))
        await asyncio.gather(*(operators[o].send(messages) for o, messages in said.items()))

    async def _send(self, part: list[int], meters: MeterClient, operators: dict[str, OperatorClient]) -> None:
        records: list[tuple[str, str]] = []
        of_operator: dict[str, list[tuple[What, str]]] = defaultdict(list)
        for number in part:
            what, sender, texts = self.events.texts(number)
            if what is What.RECORD:
                records += [(sender, text) for text in texts]
            else:
                of_operator[sender] += [(what, text) for text in texts]
                if what is What.ORDER:
                    self.bills = [*self.bills, *(self._bill(text) for text in texts)][-BILLS:]
        if self.over_mqtt is not None:
            records = await self.over_mqtt.take(meters.client, records)
        await asyncio.gather(meters.send(records), *(operators[o].send(m) for o, m in of_operator.items()))
        if self.bills:
            _note(self.folder / "bills.json", json.dumps(self.bills, ensure_ascii=False, indent=1))

    def _bill(self, order: str) -> dict[str, str]:
        """What a driver's bill says, and the address that its QR code opens."""
        said = json.loads(order, parse_float=str, parse_int=str)
        number, amount = said["StartChargeSeq"], said["TotalMoney"]
        return {"order_id": number, "amount": amount, "link": f"{self.url}/driver/#/check?o={number}&a={amount}"}


def events_of(plan: LivePlan, city: City | None = None) -> Events:
    """Return everything that the city of a plan sends."""
    return Events(build(plan.options()) if city is None else city, seal_upload, plan.begin_utc_s, statuses=True)


def load_events(folder: Path, chargers: int, seed: int) -> Events:
    """Return what the city in this folder says; a new one begins now. Raises InputError.

    A folder of another version, or another release of numpy, would send other bytes under ids that are in use.
    """
    path = folder / "plan.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            plan = plan_at(int(time.time()), chargers, seed)
            events = events_of(plan)
            truth = "".join(f"{json.dumps(t, ensure_ascii=False)}\n" for t in events.truths)
            _note(folder / "truth.jsonl", truth)
            _note(path, json.dumps(dataclasses.asdict(plan) | {"digest": events.digest()}))
            return events
        kept = json.loads(path.read_text())
        digest = kept.pop("digest", None)
        plan = LivePlan(**kept)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: 不是本版本的虚拟城市 · no city of this version ({error})") from None
    events = events_of(plan)
    if events.digest() != digest:
        raise InputError(
            f"{path}: 虚拟城市由另一版本的软件生成，请另用数据目录 · "
            "this city was made by another version of the software; use another data folder"
        )
    return events


def position_of(folder: Path) -> int:
    """Return the number of the first event that is not known to be acknowledged. Raises InputError."""
    path = folder / "position"
    try:
        return int(path.read_text()) if path.is_file() else 0
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def texts_of(events: Events) -> Iterator[tuple[What, str, list[str]]]:
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


def _note(path: Path, text: str) -> None:
    """Write a file so that it is whole whenever the process dies."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)
