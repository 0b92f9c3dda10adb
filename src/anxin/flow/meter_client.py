"""A meter's side of the MQTT door, for one meter or a gateway of several: keep, send, send again, verify, forget.

    1  put     the sealed record goes to the outbox, synced
    2  send    it is published; at most `window` records are on their way
    3  again   what has no receipt is published again, the same bytes, after a wait that doubles
    4  verify  a receipt counts where its entry is derived from the record's own bytes and the log's key signed it
    5  forget  only then does the record leave the outbox

MUST NOT  forget a record because a broker acknowledged it: brokers lose what they acknowledged.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import MQTTMessage, MQTTMessageInfo

from anxin.domain.errors import EvidenceError
from anxin.domain.message import Kind, Receipt
from anxin.evidence.note import Verifier
from anxin.flow.meter_outbox import Held, Outbox
from anxin.flow.mqtt_link import Broker, Link, topic
from anxin.flow.receipts import open_receipt

LOG = logging.getLogger("anxin.meter")


@dataclass(slots=True)
class Pace:
    """How a meter sends: `window` records on their way; again after `again_s`, doubling up to `longest_s`; the first
    try to connect again comes after `connect_s`, doubling up to `connect_longest_s`."""

    window: int = 50
    again_s: float = 30.0
    longest_s: float = 3_600.0
    connect_s: int = 1
    connect_longest_s: int = 60


@dataclass(slots=True)
class _OnItsWay:
    due: float
    times: int


class MeterClient:
    """Sends what is in an outbox until it is empty. `receipts` and `false_receipts` count what came.

    `heard(record, receipt, conflicts_with)` is called for each verified receipt, `complained` for each problem.
    """

    def __init__(
        self,
        broker: Broker,
        outbox: Outbox,
        verifier: Verifier,
        *,
        prefix: str = "meter/v1",
        pace: Pace | None = None,
        heard: Callable[[Held, Receipt, int | None], None] = lambda *_: None,
        complained: Callable[[Any], None] = lambda said: LOG.warning("problem: %s", said),
    ) -> None:
        self.outbox, self.verifier, self.prefix = outbox, verifier, prefix
        self.pace = pace or Pace()
        self.heard, self.complained = heard, complained
        self.receipts = self.false_receipts = self.sent = 0
        self.link = Link(
            broker,
            "anxin-meter",
            connected=self._connected,
            disconnected=self._disconnected,
            received=self._received,
            window=self.pace.window,
        )
        self._change = threading.Condition()
        self._next: deque[str] = deque(outbox.keys())
        self._way: dict[str, _OnItsWay] = {}
        self._meters = {one.meter_id for key in self._next if (one := outbox.get(key)) is not None}
        self._ready = self._stopping = False
        self._thread = threading.Thread(target=self._send_for_ever, name="meter", daemon=True)

    def start(self) -> None:
        """Connect and send; what waited in the outbox goes first."""
        self.link.start(self.pace.connect_s, self.pace.connect_longest_s)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending. What has no receipt stays in the outbox."""
        with self._change:
            self._stopping = True
            self._change.notify_all()
        self._thread.join()
        self.link.stop()

    def put(self, envelopes: Iterable[bytes]) -> None:
        """Hand over sealed records. They are on disk when this returns. Raises FormatError, BusyError."""
        keys = self.outbox.put(envelopes)
        with self._change:
            self._next += keys
            for meter_id in {one.meter_id for key in keys if (one := self.outbox.get(key)) is not None}:
                if meter_id not in self._meters:
                    self._meters.add(meter_id)
                    self._subscribe([meter_id])
            self._change.notify_all()

    def wait_until_empty(self, seconds: float) -> bool:
        """Return whether every record has its receipt, at the latest after so many seconds."""
        with self._change:
            return self._change.wait_for(lambda: not len(self.outbox), seconds)

    # -- sending

    def _send_for_ever(self) -> None:
        while True:
            with self._change:
                if self._stopping:
                    return
                keys = self._take(time.monotonic())
                if not keys:
                    self._change.wait(self._wait_s())
                    continue
            for key in keys:
                one = self.outbox.get(key)
                if one is not None:
                    self.sent += 1
                    self._publish(key, one)

    def _take(self, now: float) -> list[str]:
        """Return what is to be sent now: what is due again, then new records while the window has room."""
        if not self._ready:
            return []
        keys = [key for key, way in self._way.items() if way.due <= now]
        while self._next and len(self._way) < self.pace.window:
            key = self._next.popleft()
            if key not in self._way and self.outbox.get(key) is not None:
                self._way[key] = _OnItsWay(now, 0)
                keys.append(key)
        for key in keys:
            way = self._way[key]
            wait = min(self.pace.again_s * 2**way.times, self.pace.longest_s)
            # A fifth more or less: the meters of a city must not come all at once after an outage.
            way.due = now + wait * random.uniform(0.8, 1.2)
            way.times = min(way.times + 1, 30)
        return keys

    def _wait_s(self) -> float | None:
        if not self._ready or not self._way:
            return None
        return max(0.001, min(way.due for way in self._way.values()) - time.monotonic())

    def _publish(self, key: str, one: Held) -> MQTTMessageInfo | None:
        return self.link.publish(topic(self.prefix, one.meter_id, "records"), one.envelope)

    # -- the network's thread

    def _connected(self) -> None:
        with self._change:
            self._subscribe(sorted(self._meters))
            # What was on its way over the lost connection, and its receipts, may be lost with it.
            for way in self._way.values():
                way.due, way.times = 0.0, 0
            self._ready = True
            self._change.notify_all()

    def _disconnected(self) -> None:
        self.link.client.drop_out_messages()
        with self._change:
            self._ready = False

    def _subscribe(self, meters: list[str]) -> None:
        # QoS 0: a receipt that is lost is asked for again. With QoS 1 a broker keeps a queue of its own for each
        # subscription; with 400 of them NATS came to a stand.
        if self.link.client.is_connected():
            names = [(topic(self.prefix, m, leaf), 0) for m in meters for leaf in ("receipts", "problems")]
            for start in range(0, len(names), 100):
                self.link.client.subscribe(names[start : start + 100])

    def _received(self, message: MQTTMessage) -> None:
        try:
            told = json.loads(message.payload)
            if not isinstance(told, list):
                raise ValueError
            problems = message.topic.endswith("/problems")
            for one in told:
                if problems:
                    self.complained(one)
                else:
                    self._receipt(one)
        except Exception:  # whatever a broker delivers, this thread goes on
            self.false_receipts += 1

    def _receipt(self, told: Any) -> None:
        try:
            receipt = open_receipt(told["receipt"], self.verifier)
        except (EvidenceError, KeyError, TypeError):
            self.false_receipts += 1
            return
        key = receipt.payload_sha256.hex()
        one = self.outbox.get(key)
        if one is None:
            return  # it had its receipt already
        if (receipt.kind, receipt.sender, receipt.message_id) != (Kind.METER_ENVELOPE, one.meter_id, one.message_id):
            self.false_receipts += 1
            return
        self.heard(one, receipt, told.get("conflicts_with"))
        self.outbox.forget(key)
        with self._change:
            self._way.pop(key, None)
            self.receipts += 1
            self._change.notify_all()
