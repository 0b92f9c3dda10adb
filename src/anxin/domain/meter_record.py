"""What a meter says: readings, the signed record that holds them, and the session that its records make."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from anxin.domain.source import Deviation


class Answer(StrEnum):
    """The four answers on a signature. They are never merged."""

    AUTHENTIC = "authentic"
    FORGED = "forged"
    MALFORMED = "malformed"
    CANNOT_JUDGE = "cannot_judge"


class Clock(StrEnum):
    """OCMF 1.4.1 `TM` synchronisation status; ABSENT where the record gives no letter."""

    SYNCHRONISED = "S"
    RELATIVE = "R"
    INFORMATIVE = "I"
    UNKNOWN = "U"
    ABSENT = "-"


#: From strongest to weakest: the weakest clock of a session decides how its times may be used.
CLOCK_ORDER = (Clock.SYNCHRONISED, Clock.RELATIVE, Clock.INFORMATIVE, Clock.UNKNOWN, Clock.ABSENT)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading (OCMF `RD[]`), inherited fields filled in.

    context      OCMF `TX`: B C X E L R A P S T, or None (fiscal)
    value        the number exactly as shown; unit and obis as received
    register_milli_wh   the same in mWh; None where the unit is no energy
    status       OCMF `ST` (G good, M manipulated, X exchanged, ...); error_flags OCMF `EF` letters
    """

    time_utc_ms: int | None
    time_text: str | None
    clock: Clock
    context: str | None
    value: Decimal | None
    unit: str | None
    register_milli_wh: int | None
    quantum_milli_wh: int
    obis: str | None
    current_type: str | None
    cumulated_loss_milli_wh: int | None
    error_flags: str
    status: str | None
    event_counter: int | None = None


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """One record as a meter signed it, decoded. `payload_digest` (SHA-256 hex of the signed bytes) is its identity:
    a second signature over the same bytes, also a high-s twin, is the same statement."""

    dialect: str
    format_version: str | None
    payload_digest: str
    signed_bytes: bytes
    gateway_id: str | None
    gateway_serial: str | None
    gateway_firmware: str | None
    meter_vendor: str | None
    meter_model: str | None
    meter_serial: str | None
    meter_firmware: str | None
    controller_firmware: str | None
    page_context: str | None
    page_number: int | None
    user_assigned: bool | None
    user_level: str | None
    user_flags: tuple[str, ...]
    user_type: str | None
    user_ref: str | None
    place_type: str | None
    place_id: str | None
    tariff_text: str | None
    readings: tuple[Reading, ...]
    algorithm: str
    signature: bytes
    deviations: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer on one record's signature. `reason` is a stable id; `detail` one English sentence.

    `if_read_so` holds the answer that a tolerant reader would reach on a malformed record, else None.
    `deviations` are those of the key and of the signature, beside the record's own.
    """

    answer: Answer
    reason: str
    detail: str
    key_id: str | None = None
    if_read_so: Answer | None = None
    deviations: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterSession:
    """One metered session: a complete record, or a begin and an end record joined to one transaction.

    record_id     identity over the payload digests that make it; key of every finding that rests on it
    clock         weakest clock of the session (Clock value)
    answer        weakest answer of the records that make it (Answer value)
    page_first, page_last   pagination of its first and last record; page_context `T` or `F`
    closed        False where no end reading came
    """

    record_id: str
    source_file: str
    source_row: int
    transaction_id: str | None = None
    meter_id: str | None = None
    gateway_id: str | None = None
    connector_id: str | None = None
    user_ref: str | None = None
    begin_utc_ms: int | None = None
    end_utc_ms: int | None = None
    clock: str = Clock.ABSENT.value
    begin_register_milli_wh: int | None = None
    end_register_milli_wh: int | None = None
    energy_milli_wh: int | None = None
    energy_quantum_milli_wh: int = 1000
    time_quantum_ms: int = 1000
    page_context: str | None = None
    page_first: int | None = None
    page_last: int | None = None
    algorithm: str | None = None
    key_id: str | None = None
    answer: str = Answer.CANNOT_JUDGE.value
    reason: str = "unsigned"
    firmware: str | None = None
    closed: bool = True
    received_utc_ms: int | None = None
    local_date: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPeriod:
    """Energy between two neighbouring readings of a session where the tariff changes (OCMF `TX` = T)."""

    record_id: str
    period_no: int
    start_utc_ms: int
    end_utc_ms: int
    energy_milli_wh: int
