"""What a sender may send: one check a kind, the same at its door, in an upload, and for a correction of the ledger.

    1  the payload is decoded by its dialect's own decoder
    2  it says exactly one thing of its kind
    3  what it says is about the sender's own, as far as the register knows

A new kind is one function here and one line in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from anxin.domain.batch import Batch
from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message, Refused
from anxin.domain.party import Role
from anxin.domain.seal_event import SealAct
from anxin.flow import ocpi_parties, tcec102_decoding
from anxin.flow.meter_messages import envelope_message
from anxin.flow.ocpi_cdrs import checked_cdr
from anxin.flow.platform import Directory
from anxin.flow.tcec102_decoding import TcecFacts
from anxin.formats import bench_documents, json_document, tcec102, tcec102_check


class NotAdmittedError(FormatError):
    """A payload that its sender may not send so. `message_id` is the sender's own id of it, where it could be read."""

    def __init__(self, rule: str, message: str, field: str | None = None, message_id: str | None = None) -> None:
        super().__init__(rule, message, field)
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Admitted:
    """A payload that may be kept: the sender's own id of it, and what it says. `payload` is the form that is kept."""

    message_id: str
    payload: bytes
    batch: Batch = field(default_factory=Batch)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a check looks at besides the payload: who sends, who is who, and the zone of times that carry none."""

    sender: str
    directory: Directory
    zone: str


#: What an operator may report of the seals on his own chargers.
OPERATOR_SEAL_ACTS = frozenset({SealAct.CHECKED, SealAct.BROKEN})
#: Fields that no message but query_token bears; a payload with one is refused and not kept, not even in the ledger.
SECRET_FIELDS = frozenset({"operatorsecret", "datasecret", "datasecretiv", "sigsecret"})
Check = Callable[[bytes, Grounds], Admitted]


def admit(kind: Kind, payload: bytes, grounds: Grounds) -> Admitted:
    """Return a payload as its sender may send it. Raises FormatError or NotAdmittedError naming rule and field."""
    check = CHECKS.get(kind)
    if check is None:
        raise NotAdmittedError("correction.kind", f"a {kind.value} is not sent one by one")
    return check(payload, grounds)


def refusal(kind: Kind, sender: str, payload: bytes, error: FormatError) -> Refused:
    """Return what the failed-write ledger keeps of a payload that was not admitted."""
    message_id = error.message_id if isinstance(error, NotAdmittedError) else None
    kept = b"" if error.rule == "tcec102.secret" else payload
    return Refused(kind.value, sender, message_id, error.rule, str(error), kept, error.field)


def require_own_connector(connector_id: str | None, grounds: Grounds, field: str, message_id: str | None) -> None:
    """Raise NotAdmittedError where the register knows a connector as another operator's."""
    owner = grounds.directory.operator_of_connector(connector_id or "")
    if owner not in (None, grounds.sender):
        # Whose it is stands nowhere in the answer: an operator learns nothing of another.
        raise NotAdmittedError("admission.tenant", "the connector is another operator's", field, message_id)


def _require_no_secret(payload: bytes) -> None:
    """Raise NotAdmittedError for a body of query_token sent as anything else: it would be kept for ever."""
    value = json_document.loads(payload)
    if isinstance(value, dict) and not SECRET_FIELDS.isdisjoint(key.lower() for key in value):
        raise NotAdmittedError("tcec102.secret", "a secret has no place here; the payload is not kept")


def _tcec_batch(payload: bytes, grounds: Grounds, operator_id: str | None = None) -> Batch:
    _require_no_secret(payload)
    batch = tcec102.decode(payload, "message", zone=grounds.zone, operator_id=operator_id)
    if batch.rejects:
        reject = batch.rejects[0]
        raise NotAdmittedError(reject.rule, reject.message, reject.field)
    return batch


def _tcec_order(payload: bytes, grounds: Grounds) -> Admitted:
    batch = _tcec_batch(payload, grounds)
    if len(batch.orders) != 1 or batch.operator_totals:
        raise NotAdmittedError("tcec102.order_count", f"{len(batch.orders)} orders in one message; one is wanted")
    order = batch.orders[0]
    if order.operator_id not in (None, grounds.sender):
        raise NotAdmittedError("admission.tenant", "the order is another operator's", "OperatorID", order.order_id)
    require_own_connector(order.connector_id, grounds, "ConnectorID", order.order_id)
    return Admitted(order.order_id, payload, batch)


def _tcec_check(payload: bytes, grounds: Grounds) -> Admitted:
    batch = _tcec_batch(payload, grounds, grounds.sender)
    if len(batch.operator_totals) != 1 or batch.orders:
        raise NotAdmittedError("tcec102.check_count", "one check is wanted in one message")
    total = batch.operator_totals[0]
    if total.operator_id not in ("", grounds.sender):
        raise NotAdmittedError("admission.tenant", "the totals are another operator's", "OperatorID", total.check_id)
    tcec102_check.listed_orders(payload, "message")
    return Admitted(total.check_id, payload, batch)


def _tcec_status(payload: bytes, grounds: Grounds) -> Admitted:
    """A status has no id of its own: its door adds when it was sent (`connector@time stamp and sequence`)."""
    facts = _tcec_facts(Kind.TCEC_STATUS, payload, grounds)
    if not facts.statuses:
        raise NotAdmittedError("tcec102.status", "no status of a connector in the message", "ConnectorStatusInfo")
    return Admitted(_first_of([s.connector_id for s in facts.statuses]), payload, facts.batch)


def _tcec_station(payload: bytes, grounds: Grounds) -> Admitted:
    """Station information has no id of its own version either: its door adds when it was sent."""
    facts = _tcec_facts(Kind.TCEC_STATION, payload, grounds)
    if not facts.declared.stations:
        raise NotAdmittedError("tcec102.station", "no station in the message", "StationInfo")
    return Admitted(_first_of([s.station_id for s in facts.declared.stations]), payload, facts.batch)


def _tcec_facts(kind: Kind, payload: bytes, grounds: Grounds) -> TcecFacts:
    _require_no_secret(payload)
    facts = tcec102_decoding.said(Message(kind, grounds.sender, "", payload), "message", 0, grounds.zone)
    if facts.batch.rejects:
        reject = facts.batch.rejects[0]
        raise NotAdmittedError(reject.rule, reject.message, reject.field)
    for field_, name, detail in tcec102_decoding.foreign(grounds.directory, grounds.sender, facts):
        raise NotAdmittedError("admission.tenant", detail, field_, name)
    return facts


def _first_of(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{ids[0]}+{len(ids) - 1}"


def _meter_envelope(payload: bytes, grounds: Grounds) -> Admitted:
    message = envelope_message(payload, grounds.directory)
    if message.sender != grounds.sender:
        raise NotAdmittedError("admission.tenant", "the envelope is another meter's", "meter id", message.message_id)
    return Admitted(message.message_id, message.payload)


def _ocpi_cdr(payload: bytes, grounds: Grounds) -> Admitted:
    """Locations, sessions and tariffs are states that go on: they are pushed anew at their door, not corrected here."""

    def speaks_for(country_code: str, party_id: str) -> bool:
        return ocpi_parties.speaks_for(grounds.directory, grounds.sender, country_code, party_id)

    return Admitted(checked_cdr(payload, speaks_for), payload)


def _bench_result(payload: bytes, grounds: Grounds) -> Admitted:
    said = bench_documents.bench_result(payload)
    result = said.verification
    _require_charger(result.charger_id, grounds, "bench.charger", result.certificate_no)
    if said.simulated and not grounds.directory.is_virtual(result.charger_id):
        detail = "模拟检定对真实的桩不作数 · a simulated run says nothing of a real charger"
        raise NotAdmittedError("bench.simulated", detail, "simulated", result.certificate_no)
    return Admitted(result.certificate_no, payload)


def _seal_event(payload: bytes, grounds: Grounds) -> Admitted:
    event = bench_documents.seal_event(payload)
    message_id = f"{event.charger_id}/{event.seal_id}/{event.act.value}/{event.at_utc_ms}"
    _require_charger(event.charger_id, grounds, "seal.charger", message_id)
    party = grounds.directory.parties.get(grounds.sender)
    if party is not None and party.role is Role.OPERATOR and event.act not in OPERATOR_SEAL_ACTS:
        # Whoever is supervised does not seal himself: he says what he saw.
        detail = f"an operator reports {', '.join(sorted(OPERATOR_SEAL_ACTS))}; {event.act.value} is the inspector's"
        raise NotAdmittedError("seal.event", detail, "event", message_id)
    return Admitted(message_id, payload)


def _require_charger(charger_id: str, grounds: Grounds, rule: str, message_id: str) -> None:
    """A charger of the register; one of the sender's own where the sender belongs to an operator."""
    owners = {c.operator_id for c in grounds.directory.register.connectors if c.charger_id == charger_id}
    party = grounds.directory.parties.get(grounds.sender)
    tenant = party.operator_id if party is not None else None
    if not owners or (tenant is not None and tenant not in owners):
        # Another's charger is answered as one that is not there.
        raise NotAdmittedError(rule, "the register knows no such charger of yours", "charger_id", message_id)


#: Kind -> its check.
CHECKS: Mapping[Kind, Check] = {
    Kind.TCEC_ORDER: _tcec_order,
    Kind.TCEC_CHECK: _tcec_check,
    Kind.TCEC_STATUS: _tcec_status,
    Kind.TCEC_STATION: _tcec_station,
    Kind.OCPI_CDR: _ocpi_cdr,
    Kind.METER_ENVELOPE: _meter_envelope,
    Kind.BENCH_RESULT: _bench_result,
    Kind.SEAL_EVENT: _seal_event,
}
