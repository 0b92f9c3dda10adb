"""A charger as the `ocpp` library makes one, over a real websocket, and the records of its meters."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v201 import ChargePoint as ChargePoint201

from anxin.domain.batch import Side, SignedRecord
from anxin.domain.message import Kind
from anxin.domain.source import Source
from anxin.flow import enrol
from anxin.flow.platform import Platform
from anxin.formats import meter_envelope
from anxin.store import parties
from tests.platform.live_city import LiveCity

CLIENTS: dict[str, Any] = {"ocpp1.6": ChargePoint16, "ocpp2.0.1": ChargePoint201}


@dataclass
class Session:
    """One metered session of a charger: its place, its records begin first, its times."""

    connector_id: str
    place: int
    records: list[SignedRecord]

    @property
    def texts(self) -> list[str]:
        return [r.raw.decode() for r in self.records]

    def time(self, last: bool = False) -> str:
        record = self.records[-1 if last else 0].record
        assert record is not None
        reading = record.readings[-1 if last else 0]
        assert reading.time_utc_ms is not None
        return datetime.fromtimestamp(reading.time_utc_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sessions_of(city: LiveCity, platform: Platform) -> dict[str, list[Session]]:
    """Return the closed sessions of each charger, from what the city's meters would upload by themselves."""
    keys = [key for key, _ in platform.directory.content_keys.values()]
    connector_of = {m.meter_id: m.connector_id for m in city.city.register.meters}
    grouped: dict[tuple[str, str], list[SignedRecord]] = {}
    for message in city.messages:
        if message.kind is Kind.METER_ENVELOPE:
            record = meter_envelope.decode_binary(message.payload, Source("m", 1), keys)
            grouped.setdefault((message.sender, record.transaction_id or message.message_id), []).append(record)
    found: dict[str, list[Session]] = {}
    for (meter, _), records in grouped.items():
        records.sort(key=lambda r: r.side is Side.END)
        if any(r.record is None for r in records) or records[-1].side is Side.BEGIN:
            continue
        connector = platform.directory.connectors[connector_of[meter]]
        others = sorted(c.connector_id for c in platform.directory.connectors_of_charger[connector.charger_id])
        place = others.index(connector.connector_id) + 1
        found.setdefault(connector.charger_id, []).append(Session(connector.connector_id, place, records))
    return found


def password_for(platform: Platform, charger_id: str, **kw: Any) -> str:
    made = enrol.new_charger_password(
        platform.database, platform.vault, parties.load_register(platform.database), charger_id, **kw
    )
    platform.refresh()
    return made


def header(user: str, password: str | bytes) -> dict[str, str]:
    secret = password.encode() if isinstance(password, str) else password
    return {"Authorization": "Basic " + base64.b64encode(user.encode() + b":" + secret).decode()}


@asynccontextmanager
async def socket(
    url: str, charger_id: str, password: str | bytes, protocol: str = "ocpp1.6"
) -> AsyncIterator[websockets.ClientConnection]:
    async with websockets.connect(
        f"{url}/ocpp/{charger_id}",
        subprotocols=[websockets.Subprotocol(protocol)],
        additional_headers=header(charger_id, password),
        max_size=None,
    ) as opened:
        yield opened


@asynccontextmanager
async def charge_point(url: str, charger_id: str, password: str, protocol: str) -> AsyncIterator[Any]:
    async with socket(url, charger_id, password, protocol) as opened:
        client = CLIENTS[protocol](charger_id, opened, response_timeout=10)
        listening = asyncio.create_task(client.start())
        try:
            yield client
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def said(opened: websockets.ClientConnection, frame: Any) -> Any:
    """Send one frame, a text or what is to be one, and return the answer."""
    await opened.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    return json.loads(await asyncio.wait_for(opened.recv(), 10))


def signed_16(text: str, context: str, key: str | None = None, how: str = "json") -> dict[str, Any]:
    """A signed sampled value of OCPP 1.6, as the application note has it or as it is met."""
    encoded = base64.b64encode(text.encode()).decode()
    note = {"signedMeterData": encoded, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": key or ""}
    value = {"json": json.dumps(note), "plain": text, "hex": text.encode().hex(), "base64": encoded}[how]
    return {"value": value, "format": "SignedData", "context": context, "measurand": "Energy.Active.Import.Register"}


def signed_201(text: str, context: str) -> dict[str, Any]:
    encoded = base64.b64encode(text.encode()).decode()
    return {
        "value": 0,
        "context": context,
        "signedMeterValue": {
            "signedMeterData": encoded, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "",
        },
    }  # fmt: skip


def meter_values(session: Session, **kw: Any) -> list[dict[str, Any]]:
    """The signed values of a session for OCPP 1.6, begin and end."""
    contexts = ["Transaction.Begin", "Transaction.End"] if len(session.records) == 2 else ["Transaction.End"]
    return [
        {"timestamp": session.time(last=context.endswith("End")), "sampledValue": [signed_16(text, context, **kw)]}
        for text, context in zip(session.texts, contexts, strict=True)
    ]
