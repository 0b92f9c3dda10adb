"""From a kept message to what it says: orders, totals, signed records, statuses. Pure: the bytes, and the keys to open
them, in; values out. The same message gives the same values whenever it is decoded again."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace

from anxin.domain.batch import Batch
from anxin.domain.connector_status import StatusReport
from anxin.domain.errors import AnxinError, FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.register import Register, Verification
from anxin.domain.seal_event import SealEvent
from anxin.domain.source import Reject, Source
from anxin.flow import ocpi_decoding, tcec102_decoding
from anxin.flow.ocpp_messages import contents_of
from anxin.flow.platform import Directory
from anxin.flow.upload_reading import kept_reading
from anxin.formats import bench_documents, meter_envelope

LOG = logging.getLogger("anxin.judge")


@dataclass(slots=True)
class Decoded:
    """What one message says. `declared` is what an operator says of his own stations, connectors and tariffs;
    `verifications` and `seal_events` are what benches and inspectors report; `papers` are chargers with the moment of a
    verification whose certificate was issued or revoked."""

    index: int
    message: Message
    received_utc_ms: int = 0
    batch: Batch = field(default_factory=Batch)
    statuses: list[StatusReport] = field(default_factory=list)
    declared: Register = field(default_factory=Register)
    verifications: list[Verification] = field(default_factory=list)
    seal_events: list[SealEvent] = field(default_factory=list)
    papers: list[tuple[str, int]] = field(default_factory=list)


def source_of(index: int) -> str:
    """Return how facts name the message that they come from."""
    return f"message:{index}"


def decode(index: int, message: Message, received_utc_ms: int, directory: Directory, zone: str) -> Decoded:
    """Return what a message says. What cannot be decoded is a reject in its batch; nothing is raised."""
    decoded = Decoded(index, message, received_utc_ms)
    source = source_of(index)
    try:
        if message.kind in tcec102_decoding.KINDS:
            facts = tcec102_decoding.facts_of(message, source, received_utc_ms, directory, zone)
            decoded.batch, decoded.statuses, decoded.declared = facts.batch, facts.statuses, facts.declared
        elif message.kind in (Kind.OCPP_RECORD, Kind.OCPP_STATUS):
            decoded.batch, decoded.statuses = contents_of(message, source, received_utc_ms, directory)
        elif message.kind in ocpi_decoding.KINDS:
            said = ocpi_decoding.read(message, source, received_utc_ms, directory, zone)
            decoded.batch, decoded.statuses, decoded.declared = said.batch, said.statuses, said.declared
        elif message.kind is Kind.BENCH_RESULT:
            found = bench_documents.bench_result(message.payload)
            # The door refuses one of a real charger; a register may have been corrected since.
            if not found.simulated or directory.is_virtual(found.verification.charger_id):
                decoded.verifications.append(found.verification)
        elif message.kind is Kind.SEAL_EVENT:
            decoded.seal_events.append(bench_documents.seal_event(message.payload))
        elif message.kind is Kind.DEED_CERTIFICATE:
            deed = json.loads(message.payload)
            decoded.papers.append((str(deed["charger"]), int(deed["verified_utc_ms"])))
        else:
            decoded.batch = _batch(message, source, directory, zone)
    except AnxinError as error:
        rule = error.rule if isinstance(error, FormatError) else "message.unreadable"
        decoded.batch.rejects.append(Reject(Source(source, 1), rule, str(error)))
    except Exception as error:  # a bug of ours; one message must not stop the judge for all others
        LOG.exception("message %d cannot be decoded", index)
        detail = f"an error that is ours: {type(error).__name__}"
        decoded.batch.rejects.append(Reject(Source(source, 1), "message.undecodable", detail))
    # When it came is what this platform saw, not what a sender writes.
    decoded.batch.orders = [replace(o, received_utc_ms=received_utc_ms) for o in decoded.batch.orders]
    decoded.batch.sessions = [replace(s, received_utc_ms=received_utc_ms) for s in decoded.batch.sessions]
    decoded.batch.signed_records = [replace(r, received_utc_ms=received_utc_ms) for r in decoded.batch.signed_records]
    return decoded


def _batch(message: Message, source: str, directory: Directory, zone: str) -> Batch:
    match message.kind:
        case Kind.TABLE_ORDERS | Kind.TABLE_RECORDS:
            if message.envelope is None:
                raise FormatError("upload.envelope", "an upload without the envelope that says how it was read")
            return kept_reading(message.payload, message.envelope, source, message.sender, zone)
        case Kind.METER_ENVELOPE:
            key = directory.content_keys.get(meter_envelope.parse(message.payload).key_id)
            keys = () if key is None else (key[0],)
            return Batch(signed_records=[meter_envelope.decode_binary(message.payload, Source(source, 1), keys)])
        case _:
            return Batch()
