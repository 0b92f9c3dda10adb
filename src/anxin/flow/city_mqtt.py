"""The part of the virtual city's meters that report over MQTT: a third, always the same ones.

They speak as a gateway of many meters would, with the library that a meter uses: their records are on the city's disk
until their receipts were verified with the log's key, which the city asks the platform for as anyone may.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from anxin.domain.errors import BusyError
from anxin.evidence.note import parse_vkey
from anxin.flow.meter_client import MeterClient
from anxin.flow.meter_outbox import Outbox
from anxin.flow.mqtt_link import broker_of
from anxin.formats import meter_envelope
from anxin.settings import Settings

LOG = logging.getLogger("anxin.city")
SHARE = 3
_AGAIN_S = 1.0


def over_mqtt(meter_id: str) -> bool:
    """Return whether this meter reports over MQTT."""
    return hashlib.sha256(meter_id.encode()).digest()[0] % SHARE == 0


class MqttMeters:
    """Those meters. `take` is given every record and returns what is none of theirs."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._outbox = Outbox(folder / "mqtt-outbox")
        self._meters: MeterClient | None = None

    async def take(self, client: httpx.AsyncClient, records: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Put the records (meter, line AXE1) of these meters on their way; return the others, to be sent over HTTPS.

        When this returns they are on disk: they reach the platform, in this run or in a later one.
        """
        if self._meters is None:
            self._meters = await self._connected(client)
        own = [meter_envelope.from_line(line.encode()) for meter, line in records if over_mqtt(meter)]
        if not own:
            return list(records)
        try:
            await asyncio.to_thread(self._meters.put, own)
        except BusyError:
            return list(records)  # the broker has been away for long; the other door is open
        return [(meter, line) for meter, line in records if not over_mqtt(meter)]

    async def _connected(self, client: httpx.AsyncClient) -> MeterClient:
        while True:
            try:
                answer = await client.get("/log/vkey")
                if answer.status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                pass
            await asyncio.sleep(_AGAIN_S)
        meters = MeterClient(
            broker_of(self._settings), self._outbox, parse_vkey(answer.text), prefix=self._settings.mqtt_topic_prefix
        )
        meters.start()
        return meters

    @property
    def waiting(self) -> int:
        """Records on disk without a receipt."""
        return len(self._outbox)

    def close(self) -> None:
        """Stop; what has no receipt yet is sent by the next run."""
        receipts = 0
        if self._meters is not None:
            self._meters.stop()
            receipts = self._meters.receipts
        LOG.info("city: %s receipts over MQTT, %s records wait for theirs", receipts, len(self._outbox))
        self._outbox.close()


@contextmanager
def mqtt_meters(settings: Settings, folder: Path) -> Iterator[MqttMeters | None]:
    """The city's meters over MQTT, None where no broker is named."""
    if not settings.mqtt_url:
        yield None
        return
    meters = MqttMeters(settings, folder)
    try:
        yield meters
    finally:
        meters.close()
