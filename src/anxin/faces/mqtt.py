"""The meters' door over MQTT: records in, receipts back as messages, once the evidence is durable.

    1  the broker hands over a message; it waits in a bounded queue, and where that is full nothing more is read
    2  all that wait are opened: each record is its meter's, or is rejected
    3  the records go to the intake and are kept
    4  receipts and problems are published under the meter's own topics
    5  the broker's messages are acknowledged: that frees its window, and means nothing else

MUST NOT  publish a receipt before step 3 has returned.
If the process, the broker or the way between dies anywhere, the meter has no receipt and sends again; what was kept
already gets the receipt that it had.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from paho.mqtt.client import MQTTMessage

from anxin.domain.errors import BusyError, InputError, StoreError
from anxin.domain.message import Accepted, Message
from anxin.evidence.note import Signer
from anxin.faces.problems import problem
from anxin.flow.intake import MAX_GROUP
from anxin.flow.meter_uploads import Rejected, read_upload
from anxin.flow.mqtt_link import MAX_ANSWERS, MAX_WAITING_BYTES, Link, broker_of, topic
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_signer
from anxin.flow.receipts import accepted_document
from anxin.store import door_counts

LOG = logging.getLogger("anxin.mqtt")
DOOR = "mqtt"
_JSON = msgspec.json.Encoder()
_COUNT_EVERY_S = 2.0
_TRY_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)


async def serve_meters(platform: Platform, stop: threading.Event) -> None:
    """Serve until `stop` is set. Raises PolicyError where a setting is wrong, InputError where the network ended."""
    door = MqttDoor(platform, log_signer(platform.settings))
    await platform.start()
    door.start()
    try:
        while not stop.is_set():
            await asyncio.sleep(0.1)
            door.refuse_dead()
    finally:
        await door.stop()
        await platform.stop()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message of the broker; `connection` says of which, as its id means nothing on a later one."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int


class MqttDoor:
    """The door of one process. paho's thread fills the queue, one task of the event loop empties it."""

    def __init__(self, platform: Platform, signer: Signer) -> None:
        settings = platform.settings
        self.platform = platform
        self.signer = signer
        self.prefix = settings.mqtt_topic_prefix
        self.link = Link(
            broker_of(settings),
            "anxin-door",
            connected=self._connected,
            disconnected=self._disconnected,
            received=self._received,
            manual_ack=True,
            window=settings.mqtt_window,
            max_packet_bytes=settings.max_body_bytes + 1_024,
        )
        self._queue: deque[_Waiting] = deque()
        self._room = threading.Condition()
        self._held, self._held_bytes = 0, 0
        self._connection = 0
        self._closing = False
        self._counts: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect and serve. Called inside the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._serve(), name="mqtt"),
            asyncio.create_task(self._count(), name="count"),
        ]
        self.link.start()

    async def stop(self) -> None:
        """Stop. What is not answered yet is sent again by its meter."""
        with self._room:
            self._closing = True
            self._room.notify_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.link.stop)

    def refuse_dead(self) -> None:
        """Raise InputError where the network thread or a task has ended: the process is to be started again."""
        if not self.link.alive or any(task.done() for task in self._tasks):
            raise InputError("the MQTT door has ended by itself")

    # -- the network's thread

    def _connected(self) -> None:
        self._connection += 1
        group = self.platform.settings.mqtt_share_group
        name = f"{self.prefix}/+/records"
        self.link.client.subscribe(f"$share/{group}/{name}" if group else name, qos=1)

    def _disconnected(self) -> None:
        if not self._closing:
            LOG.warning("the broker has gone; trying again")

    def _received(self, message: MQTTMessage) -> None:
        try:
            name = message.topic
        except UnicodeDecodeError:
            name = ""
        one = _Waiting(name, bytes(message.payload), message.mid, message.qos, self._connection)
        most = self.platform.settings.mqtt_window
        with self._room:
            # Blocking here stops paho from reading, and the broker from sending: that is the back-pressure.
            self._room.wait_for(lambda: self._closing or (self._held < most and self._held_bytes < MAX_WAITING_BYTES))
            if self._closing:
                return
            self._held += 1
            self._held_bytes += len(one.payload)
        self._queue.append(one)
        self._loop.call_soon_threadsafe(self._news.set)

    # -- the event loop

    async def _serve(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                group = [self._queue.popleft() for _ in range(len(self._queue))]
                await self._answer(group)

    async def _answer(self, group: Sequence[_Waiting]) -> None:
        settings, messages, rejected = self.platform.settings, [], []
        for one in group:
            level = one.topic.removeprefix(f"{self.prefix}/").partition("/")[0]
            upload = read_upload(
                one.payload, level, self.platform.directory, settings.max_body_bytes, settings.max_batch
            )
            messages += upload.messages
            rejected += upload.rejected
        outcomes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for start in range(0, len(messages), MAX_GROUP):
            part = messages[start : start + MAX_GROUP]
            for message, accepted in zip(part, await self._keep(part), strict=True):
                outcomes[message.sender].append(accepted_document(self.signer, accepted))
        for meter_id, receipts in outcomes.items():
            self._tell(meter_id, "receipts", receipts)
        await self._refuse(rejected)
        for one in group:
            if one.qos and one.connection == self._connection:
                self.link.client.ack(one.mid, one.qos)
        with self._room:
            self._held -= len(group)
            self._held_bytes -= sum(len(one.payload) for one in group)
            self._room.notify_all()

    async def _keep(self, messages: list[Message]) -> list[Accepted]:
        """Keep until they are kept: while the database is away nothing is acknowledged and little is read."""
        tries = 0
        while True:
            try:
                return await self.platform.intake.accept_all(messages)
            except (StoreError, BusyError) as error:
                wait = _TRY_AGAIN_S[min(tries, len(_TRY_AGAIN_S) - 1)]
                tries += 1
                LOG.warning("not kept yet, again in %s s: %s", wait, error)
                await asyncio.sleep(wait)

    async def _refuse(self, rejected: Sequence[Rejected]) -> None:
        problems: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in rejected:
            self._counts[one.rule] += 1
            if one.meter_id is None:
                continue
            said = problem(422, one.rule, one.detail, one.field)
            problems[one.meter_id].append({"record": one.about, "problem": said})
            if one.opened:
                try:
                    await self.platform.intake.refuse(one.refused())
                except StoreError as error:
                    LOG.warning("not entered into the failed-write ledger: %s", error)
        for meter_id, told in problems.items():
            # One message is enough: a thousand broken lines beside one that opens must not become a thousand answers.
            self._tell(meter_id, "problems", told[:MAX_ANSWERS])

    def _tell(self, meter_id: str, leaf: str, told: list[dict[str, Any]]) -> None:
        name = topic(self.prefix, meter_id, leaf)
        for start in range(0, len(told), MAX_ANSWERS):
            if self.link.publish(name, _JSON.encode(told[start : start + MAX_ANSWERS])) is None:
                self._counts[f"unsent.{leaf}"] += 1

    async def _count(self) -> None:
        """Add what was turned away to the database's counts, so that the status page shows it."""
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            counts, self._counts = self._counts, Counter()
            if counts:
                try:
                    await asyncio.to_thread(door_counts.add_rejected, self.platform.database, DOOR, counts)
                except StoreError:
                    self._counts += counts
