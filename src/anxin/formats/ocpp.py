"""Payloads of OCPP 1.6 and 2.0.1 that say something of energy or state -> signed records, states, oddities.

    1.6    StartTransaction, MeterValues, StopTransaction (`format` SignedData), StatusNotification
    2.0.1  TransactionEvent, MeterValues (`signedMeterValue`), StatusNotification

Which version a payload is of is seen from its own fields. Sources: OCPP 1.6 edition 2; OCPP 2.0.1 part 2; OCA
application note "Signed Meter Values in OCPP" v1.0. Written from them, not copied (docs/formats/ocpp-door.md).

MUST       read liberally: one value of a wrong shape loses no other, and no length of a signed value loses it
MUST NOT   raise anything, on any payload that `ocpp_frame.parse` gave
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from anxin.domain.batch import Side, SignedRecord
from anxin.domain.connector_status import OCPP16, OCPP201, State
from anxin.domain.errors import FormatError
from anxin.domain.quantities import utc_ms
from anxin.domain.source import Deviation, Source
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.ocmf import looks_like_ocmf
from anxin.formats.signed_records import signed_record
from anxin.formats.strict_json import Number, parse_json
from anxin.formats.values import clean_text

#: Meter values of one message. A week at one a minute is the most that makes sense.
MAX_METER_VALUES = 10_000
#: Sampled values at one moment: each measurand on each phase and place, several times over.
MAX_SAMPLED_VALUES = 1_000
#: Number of a connector or EVSE. The largest chargers have some dozens.
MAX_PLACE = 10_000
SPECIFIED_SIGNED_CHARS = 2_500

#: kind -> (clause, what is read and how)
CLAUSES = {
    "ocpp.unsigned": ("OCA note, section 3", "energy values of which none is signed"),
    "ocpp.key_came_along": ("OCA note, section 3.2.3", "a public key came along; only the register's keys count"),
    "ocpp.signed_data_length": ("OCPP 2.0.1 part 2, SignedMeterValueType", "longer than the standard allows"),
    "ocpp.signed_data_bare": ("OCA note, section 3.2.1", "not the Base64 that the note asks for, read all the same"),
    "ocpp.encoding_method": ("OCPP 2.0.1 part 2, SignedMeterValueType", "stated as something other than OCMF"),
    "ocpp.transaction_missing": ("OCA note, section 3", "a signed value that names no transaction"),
    "ocpp.shape": ("OCPP 1.6 / 2.0.1, meter values", "a part of a wrong shape; it is passed over"),
    "ocpp.status_unknown": (
        "OCPP 1.6 / 2.0.1, StatusNotification",
        "a state that the standard does not have: read as unknown",
    ),
    "ocpp.time": ("OCPP 1.6 / 2.0.1, timestamp", "no RFC 3339 time; the time of arrival stands for it"),
}
_SIDES = {"Transaction.Begin": Side.BEGIN, "Transaction.End": Side.END}
_ENERGY = "Energy.Active.Import.Register"
_WHOLE_CHARGER_STATES = frozenset({State.OUT_OF_SERVICE, State.FAULT})


@dataclass(frozen=True, slots=True)
class StatedState:
    """A state as a charger says it, of one of its places (None: of the whole charger); `at_utc_ms` None: unsaid."""

    place: str | None
    state: State
    at_utc_ms: int | None


@dataclass(slots=True)
class Contents:
    """What one payload says.

    records   signed records with the place that the message names, None where it names none
    """

    records: list[tuple[str | None, SignedRecord]] = field(default_factory=list)
    states: list[StatedState] = field(default_factory=list)
    deviations: list[tuple[Source, Deviation]] = field(default_factory=list)


def decode(action: str, payload: dict[str, object], source: Source, charger_id: str) -> Contents:
    """Return what a payload says. Places are `1` (connector of 1.6, EVSE of 2.0.1) or `1/2` (EVSE and connector).

    A transaction is named `charger/id`: the standard makes ids unique within one charger only.
    """
    return _Reader(source, charger_id).read(action, payload)


def place_of(payload: dict[str, object]) -> str | None:
    """Return which place of its charger a payload is about: `0` is the whole charger, None unsaid or unreadable."""
    evse = payload.get("evse")
    holder = evse if isinstance(evse, dict) else payload
    first, second = holder.get("id") if isinstance(evse, dict) else payload.get("evseId"), holder.get("connectorId")
    if first is None:
        first, second = second, None
    one, two = _count(first), _count(second)
    if one is None:
        return None
    return f"{one}" if two in (None, 0, 1) else f"{one}/{two}"


def transaction_of(payload: dict[str, object]) -> str | None:
    """Return the transaction that a payload names, None where it names none (1.6: -1 and 0 are met for unknown)."""
    info = payload.get("transactionInfo")
    value = info.get("transactionId") if isinstance(info, dict) else payload.get("transactionId")
    if isinstance(value, Number):
        whole = value.value == value.value.to_integral_value() and 0 < value.value < 1 << 63
        return str(int(value.value)) if whole else None
    try:
        return clean_text(value, "transactionId")
    except FormatError:
        return None


def time_of(value: object) -> int | None:
    """Return an RFC 3339 time as UTC ms (without an offset: UTC, as the standard asks), None where it is none."""
    try:
        if not isinstance(value, str) or not 19 <= len(value) <= 40:
            return None
        moment = datetime.fromisoformat(value)
        return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, FormatError):
        return None


def _count(value: object) -> int | None:
    if not isinstance(value, Number) or value.value != value.value.to_integral_value():
        return None
    return int(value.value) if 0 <= value.value <= MAX_PLACE else None


class _Reader:
    """Reads one payload; what is odd is noted once a kind."""

    def __init__(self, source: Source, charger_id: str) -> None:
        self.source = source
        self.charger_id = charger_id
        self.log = DeviationLog()
        self.contents = Contents()

    def read(self, action: str, payload: dict[str, object]) -> Contents:
        if action == "StatusNotification":
            self._status(payload)
        else:
            self._meter_values(payload)
        self.contents.deviations = self.log.result()
        return self.contents

    def note(self, kind: str, detail: str, name: str | None = None) -> None:
        self.log.add(self.source, Deviation(kind, CLAUSES[kind][0], detail, name))

    def _status(self, payload: dict[str, object]) -> None:
        name = "connectorStatus" if "connectorStatus" in payload else "status"
        word = payload.get(name)
        states = OCPP201 if name == "connectorStatus" else OCPP16
        state = states.get(word, State.UNKNOWN) if isinstance(word, str) else State.UNKNOWN
        if state is State.UNKNOWN:
            self.note("ocpp.status_unknown", f"{str(word)[:40]!a}", name)
        at = time_of(payload.get("timestamp"))
        if at is None and "timestamp" in payload:
            self.note("ocpp.time", f"{str(payload['timestamp'])[:40]!a}", "timestamp")
        place = place_of(payload)
        if place is None:
            self.note("ocpp.shape", "no connector is named", "connectorId")
        elif place != "0":
            self.contents.states.append(StatedState(place, state, at))
        elif state in _WHOLE_CHARGER_STATES:  # what holds for the whole charger holds for each of its connectors
            self.contents.states.append(StatedState(None, state, at))

    def _meter_values(self, payload: dict[str, object]) -> None:
        place = place_of(payload)
        stated = transaction_of(payload)
        transaction_id = None if stated is None else f"{self.charger_id}/{stated}"
        energies = 0
        for sampled in self._sampled(payload):
            signed = sampled.get("signedMeterValue")
            if isinstance(signed, dict):
                self._signed(signed, sampled, place, transaction_id)
            elif sampled.get("format") == "SignedData":
                self._signed_1_6(sampled, place, transaction_id)
            elif sampled.get("measurand") in (None, _ENERGY):
                energies += 1
        if energies and not self.contents.records:
            self.note("ocpp.unsigned", f"{energies} energy values, none signed")
        if self.contents.records and transaction_id is None:
            self.note("ocpp.transaction_missing", "no transaction is named", "transactionId")

    def _sampled(self, payload: dict[str, object]) -> Iterator[dict[str, object]]:
        """Yield the sampled values in order; what has another shape is noted and passed over."""
        name = "transactionData" if "transactionData" in payload else "meterValue"
        for value in self._list(payload.get(name), MAX_METER_VALUES, name):
            if isinstance(value, dict):
                for sampled in self._list(value.get("sampledValue"), MAX_SAMPLED_VALUES, "sampledValue"):
                    if isinstance(sampled, dict):
                        yield sampled
                    else:
                        self.note("ocpp.shape", "a sampled value is no object", "sampledValue")
            else:
                self.note("ocpp.shape", "a meter value is no object", name)

    def _list(self, value: object, most: int, name: str) -> list[object]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.note("ocpp.shape", f"{name} is no list", name)
            return []
        if len(value) > most:
            self.note("ocpp.shape", f"{len(value)} entries; the first {most} are read", name)
        return value[:most]

    def _signed_1_6(self, sampled: dict[str, object], place: str | None, transaction_id: str | None) -> None:
        text = sampled.get("value")
        if not isinstance(text, str):
            self.note("ocpp.shape", "a signed value is no text", "value")
            return
        # The application note puts the type of 2.0.1 into the text as JSON; the record alone is met as well.
        if text.lstrip()[:1] == "{":
            try:
                inner = parse_json(text)
            except FormatError:
                inner = None
            if isinstance(inner, dict):
                self._signed(inner, sampled, place, transaction_id)
                return
        self._signed({"signedMeterData": text}, sampled, place, transaction_id, bare=True)

    def _signed(
        self,
        signed: dict[str, object],
        sampled: dict[str, object],
        place: str | None,
        transaction_id: str | None,
        *,
        bare: bool = False,
    ) -> None:
        text = signed.get("signedMeterData")
        if not isinstance(text, str):
            self.note("ocpp.shape", "signedMeterData is no text", "signedMeterData")
            return
        if not bare and len(text) > SPECIFIED_SIGNED_CHARS:
            self.note("ocpp.signed_data_length", f"{len(text)} characters", "signedMeterData")
        if isinstance(key := signed.get("publicKey"), str) and key.strip():
            self.note("ocpp.key_came_along", f"{len(key)} characters", "publicKey")
        raw, is_base64 = _raw(text)
        if bare or not is_base64:
            self.note("ocpp.signed_data_bare", "the record alone" if bare else "not Base64", "signedMeterData")
        method = signed.get("encodingMethod")
        foreign = isinstance(method, str) and method.strip() != "" and not method.strip().upper().startswith("OCMF")
        if foreign:
            self.note("ocpp.encoding_method", f"{str(method)[:40]!a}", "encodingMethod")
        side = _SIDES.get(str(sampled.get("context"))[:40], Side.UNSTATED)
        if foreign and not looks_like_ocmf(raw):
            refusal = f"the format {str(method)[:40]!a} is not supported"
            record = SignedRecord(
                self.source, raw, None, transaction_id=transaction_id, side=side, cannot_open=refusal
            )  # fmt: skip
        else:
            # No key text is handed on: what a charger sends along vouches for nothing (docs/trust.md).
            record = signed_record(raw, self.source, transaction_id=transaction_id, side=side)
        self.contents.records.append((place, record))


def _raw(text: str) -> tuple[bytes, bool]:
    """Return the record's bytes and whether they came as Base64: the first reading that begins as a record does,
    else what the Base64 holds, else the text itself."""
    plain = text.encode("utf-8", "replace")
    if looks_like_ocmf(plain):
        return plain, False
    compact = "".join(text.split())
    decoded = _base64(compact)
    if decoded is not None and looks_like_ocmf(decoded):
        return decoded, True
    try:
        unhexed = bytes.fromhex(compact)
    except ValueError:
        unhexed = b""
    if looks_like_ocmf(unhexed):
        return unhexed, False
    return (plain, False) if decoded is None else (decoded, True)


def _base64(compact: str) -> bytes | None:
    body = compact.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
