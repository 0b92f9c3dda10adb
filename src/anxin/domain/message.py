"""What comes in at a door: the message as received, what it became, and what was refused.

A message is evidence first: its bytes are kept and committed to the log before anything is made of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a message is. The kind says how its payload is decoded; together with sender and id it names the message."""

    TCEC_ORDER = "tcec102.order"
    TCEC_CHECK = "tcec102.check"
    TCEC_STATION = "tcec102.station"
    TCEC_STATUS = "tcec102.status"
    OCPI_CDR = "ocpi.cdr"
    OCPI_SESSION = "ocpi.session"
    OCPI_LOCATION = "ocpi.location"
    OCPI_TARIFF = "ocpi.tariff"
    TABLE_ORDERS = "table.orders"
    TABLE_RECORDS = "table.records"
    METER_ENVELOPE = "meter.envelope"
    OCPP_RECORD = "ocpp.record"
    OCPP_STATUS = "ocpp.status"
    BENCH_RESULT = "bench.result"
    SEAL_EVENT = "seal.event"
    DEED_ERASURE = "deed.erasure"
    DEED_ALARM = "deed.alarm"
    DEED_PEOPLE = "deed.people"
    DEED_READING = "deed.reading"
    DEED_UPTIME = "deed.uptime"
    DEED_CERTIFICATE = "deed.certificate"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came in.

    sender      the party that the door authenticated: operator id, meter id, charger id, bench id
    message_id  the sender's own id of this message within its kind (StartChargeSeq, CDR id, key id and counter)
    payload     the bytes that mean something, exactly as received; their SHA-256 is the message's identity
    envelope    the bytes around them as received (T/CEC body with Sig, OCPP frame), None where there are none
    """

    kind: Kind
    sender: str
    message_id: str
    payload: bytes
    envelope: bytes | None = None

    @property
    def payload_sha256(self) -> bytes:
        """SHA-256 of the payload."""
        return hashlib.sha256(self.payload).digest()

    @property
    def envelope_sha256(self) -> bytes | None:
        """SHA-256 of the envelope, None where there is none."""
        return None if self.envelope is None else hashlib.sha256(self.envelope).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a message is kept: its place in the log and all that is needed to recompute its entry there.

    index            number of its entry in the log, from 0
    entry            the 32 bytes that the log holds: HMAC-SHA-256 under `salt` over the statement below
    received_utc_ms  the platform's clock when it was made durable
    salt             None once the message was erased: nobody but who kept his receipt can recompute the entry then
    """

    index: int
    kind: str
    sender: str
    message_id: str
    received_utc_ms: int
    payload_sha256: bytes
    envelope_sha256: bytes | None
    salt: bytes | None
    entry: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The outcome of handing in a message.

    repeated        the same bytes under the same id were here before: the receipt is the first one's, unchanged
    conflicts_with  index of an earlier message with the same id and other bytes; this one is kept as well
    """

    receipt: Receipt
    repeated: bool = False
    conflicts_with: int | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two messages of one kind, sender and id with other bytes. Both are kept; what it means is a rule's to say.

    first_index, index   places in the log of the one that came first, and of this one
    operator_id, meter_id, connector_id   whom it is about, by the register; None where it does not say
    """

    kind: Kind
    sender: str
    message_id: str
    first_index: int
    index: int
    received_utc_ms: int
    operator_id: str | None = None
    meter_id: str | None = None
    connector_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was not accepted, as the failed-write ledger keeps it for its sender to read and correct.

    door     the kind of message that it was meant as, or the door's name (``ocpi``) where not even that is known
    sender   the authenticated party; messages of strangers are counted, never kept
    rule, field, detail   what was wrong, as in a Reject
    envelope what its payload needs to be read again: name and mapping of an uploaded table
    """

    door: str
    sender: str
    message_id: str | None
    rule: str
    detail: str
    payload: bytes
    field: str | None = None
    envelope: bytes | None = None
