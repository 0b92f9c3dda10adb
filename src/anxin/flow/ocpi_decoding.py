"""From a kept OCPI message to what it says. Pure: its bytes, and what the door noted beside them, in; values out.

What the door noted (the message's envelope) is JSON: `request`, the request line; `party` and `path`, whose and which
part; `deviations`, oddities of the request; `stale`, where something newer was known; `deleted`; and `state`, the
object as it stood with a partial update (a PATCH of a status names neither the station nor its connectors).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from anxin.domain.batch import Batch
from anxin.domain.connector_status import StatusReport
from anxin.domain.message import Kind, Message
from anxin.domain.register import Connector, Register, Station
from anxin.domain.source import Deviation, Source
from anxin.flow.platform import Directory
from anxin.formats import ocpi, ocpi_locations, ocpi_objects, ocpi_tariffs
from anxin.formats.json_document import loads

KINDS = frozenset({Kind.OCPI_CDR, Kind.OCPI_SESSION, Kind.OCPI_LOCATION, Kind.OCPI_TARIFF})
CLAUSE = f"{ocpi_objects.CLAUSE} transport_and_format"
#: A session id of so many characters is taken as unique among all parties (a UUID has 36), so that it can be found in
#: what the meter states; a shorter one, such as 101, may be another party's as well.
UNIQUE_CHARS = 16
#: Oddities of a request that is served all the same -> what they are.
REQUEST_DEVIATIONS = {
    "ocpi.token_raw": "the credentials token is not Base64",
    "ocpi.request_id": "X-Request-ID or X-Correlation-ID is missing",
}


@dataclass(slots=True)
class Said:
    """What one message says."""

    batch: Batch = field(default_factory=Batch)
    statuses: list[StatusReport] = field(default_factory=list)
    declared: Register = field(default_factory=Register)


def read(message: Message, source: str, received_utc_ms: int, directory: Directory, zone: str) -> Said:
    """Return what an OCPI message says. Raises FormatError."""
    noted = loads(message.envelope) if message.envelope else {}
    context: dict[str, Any] = noted if isinstance(noted, dict) else {}
    said = Said()
    if message.kind is Kind.OCPI_CDR:
        said.batch = _cdr(message, source, directory)
    elif message.kind is Kind.OCPI_LOCATION:
        _location(said, message, context, received_utc_ms, directory, source)
    elif message.kind is Kind.OCPI_TARIFF:
        _tariff(said, message, context, received_utc_ms, zone, source)
    for kind in context.get("deviations", []):
        _note(said, source, Deviation(kind, CLAUSE, REQUEST_DEVIATIONS.get(kind, "an oddity of the request")))
    return said


def _cdr(message: Message, source: str, directory: Directory) -> Batch:
    """The order is the sender's, whoever the CDR names; its place one of the sender's own, or one of no register."""
    batch = ocpi.decode(message.payload, source)
    cdr = loads(message.payload)
    if not batch.orders or not isinstance(cdr, dict):
        return batch
    (order,) = batch.orders
    party = (order.operator_id or message.sender).upper()
    place = _place(cdr, party, batch, source, _connector(directory, message.sender))
    transaction = _named(party, order.transaction_id) if order.transaction_id else None
    order_id = ocpi_locations.unregistered(party, order.order_id)
    batch.orders = [
        replace(
            order,
            order_id=order_id,
            operator_id=message.sender,
            connector_id=place,
            transaction_id=transaction,
            tariff_id=_tariff_id(directory, message.sender, party, order.tariff_id),
        )
    ]
    batch.order_periods = [replace(p, order_id=order_id) for p in batch.order_periods]
    batch.signed_records = [replace(r, connector_id=place, transaction_id=transaction) for r in batch.signed_records]
    return batch


def _place(cdr: dict[str, Any], party: str, batch: Batch, source: str, lookup: ocpi_locations.Lookup) -> str | None:
    location = cdr.get("cdr_location")
    names = [location.get(n) if isinstance(location, dict) else None for n in ("evse_id", "evse_uid", "connector_id")]
    evse_id, evse_uid, connector = (n if isinstance(n, str) else None for n in names)
    candidates = ocpi_locations.connector_candidates(evse_id, evse_uid, connector)
    found = lookup(candidates)
    if found is not None or not candidates:
        return None if found is None else str(found.connector_id)
    clause = f"{ocpi_objects.CLAUSE} mod_cdrs CdrLocation"
    detail = f"{candidates[0]!r} is no connector of yours in the register"
    deviation = Deviation("ocpi.connector_unregistered", clause, detail, "cdr_location")
    batch.deviations.append((Source(source, 1), deviation))
    return ocpi_locations.unregistered(party, candidates[0])


def _tariff_id(directory: Directory, sender: str, party: str, stated: str | None) -> str | None:
    """A tariff of the register that is the sender's, else a name that no register has: `1` is everybody's first one."""
    if stated is None:
        return None
    own = {t.tariff_id for t in directory.register.tariffs if t.operator_id == sender}
    candidates = (stated, f"{party}*{stated}")
    return next((c for c in candidates if c in own), ocpi_locations.unregistered(party, stated))


def _named(party: str, session_id: str) -> str:
    """OCPI ids are unique for a party, facts' ids among all: a short one gets its party's name."""
    return session_id if len(session_id) >= UNIQUE_CHARS else ocpi_locations.unregistered(party, session_id)


def _location(
    said: Said, message: Message, context: dict[str, Any], received_utc_ms: int, directory: Directory, source: str
) -> None:
    payload = ocpi_objects.read_object(message.payload)
    state = context.get("state") or payload
    party = _party(context, state)
    connector, station = _connector(directory, message.sender), _station(directory, message.sender)
    for evse in _evses_of(payload, state, context):
        reports, deviations = ocpi_locations.statuses(party, evse, connector)
        said.statuses += reports
        if not context.get("stale"):  # a push says what is, also where that has not changed for long
            said.statuses += [replace(r, at_utc_ms=received_utc_ms) for r in reports if r.at_utc_ms < received_utc_ms]
        for deviation in deviations:
            _note(said, source, deviation)
    if not context.get("stale"):
        said.declared = ocpi_locations.declared(party, message.sender, state, station, connector)


def _evses_of(payload: dict[str, Any], state: dict[str, Any], context: dict[str, Any]) -> list[dict[str, Any]]:
    """The EVSEs whose status this message states, whole: those that it lists, or the one that its URL names."""
    path = context.get("path") or []
    known = {str(e.get("uid")).upper(): e for e in ocpi_objects.objects_field(state, "evses", ocpi_objects.MAX_EVSES)}
    if not path:
        listed = ocpi_objects.objects_field(payload, "evses", ocpi_objects.MAX_EVSES)
        return [known.get(str(e.get("uid")).upper(), {}) | e for e in listed]
    evse = known.get(str(path[0]).upper())
    if evse is None or len(path) > 1 or payload.get("status") is None:
        return []
    return [evse | {name: payload[name] for name in ("status", "last_updated") if name in payload}]


def _tariff(
    said: Said, message: Message, context: dict[str, Any], received_utc_ms: int, zone: str, source: str
) -> None:
    if context.get("stale"):
        return
    deleted = bool(context.get("deleted"))
    value = context.get("state") if deleted else ocpi_objects.read_object(message.payload)
    if not isinstance(value, dict):
        return
    ended = received_utc_ms if deleted else None
    said.declared, deviations = ocpi_tariffs.declared(message.sender, value, zone, ended)
    for deviation in deviations:
        _note(said, source, deviation)


def _party(context: dict[str, Any], state: dict[str, Any]) -> str:
    return str(context.get("party") or f"{state.get('country_code')}*{state.get('party_id')}").upper()


def _connector(directory: Directory, sender: str) -> ocpi_locations.Lookup:
    return _lookup(directory.connectors, sender)


def _station(directory: Directory, sender: str) -> ocpi_locations.Lookup:
    return _lookup(directory.stations, sender)


def _lookup(entries: Mapping[str, Connector | Station], sender: str) -> ocpi_locations.Lookup:
    """Finds the sender's entry. OCPI ids do not tell case, and there are platforms that write them all small."""

    def found(candidates: list[str]) -> Any:
        spelt = (entries.get(name) for candidate in candidates for name in (candidate, candidate.upper()))
        return next((e for e in spelt if e is not None and e.operator_id == sender), None)

    return found


def _note(said: Said, source: str, deviation: Deviation) -> None:
    said.batch.deviations.append((Source(source, 1), deviation))
