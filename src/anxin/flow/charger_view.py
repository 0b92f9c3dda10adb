"""One session and one charger as the regulator's pages show them: what stands in many places as one document, and all
that ever happened to a charger as one history."""

from __future__ import annotations

from typing import Any

from anxin.domain.errors import CaseError
from anxin.domain.party import Sight
from anxin.domain.register import Connector
from anxin.flow.assured import assured_document
from anxin.flow.certificates import certificate_line, operator_name
from anxin.flow.charger_page import MAX_ID_CHARS
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.flow.seals import steps_of_chargers
from anxin.store import assured as assured_store
from anxin.store import certificates as certificate_store
from anxin.store import charger_view as store
from anxin.verification.assured import seal_state

#: Rows of each kind that a charger's document holds.
MAX_SHOWN_ROWS = 200
#: Readings of registers that are drawn: a year of a busy charger.
MAX_READINGS = 2_000
#: Chargers of one answer to a search.
MAX_FOUND = 50


def session_document(platform: Platform, sight: Sight, session_key: str) -> dict[str, Any]:
    """Return a session: order and record side by side, findings, messages. Raises CaseError `session.absent`."""
    with platform.database.transaction() as connection:
        found = store.session(connection, session_key)
    if found is None or not _visible(platform, sight, found["verdict"]["place"]):
        raise CaseError("session.absent", "没有此充电记录 · no such session")
    place = platform.directory.connectors.get(found["verdict"]["place"] or "")
    return found | {"charger_id": None if place is None else place.charger_id}


def charger_search(platform: Platform, sight: Sight, words: str) -> list[dict[str, Any]]:
    """Return chargers whose id, connector, meter, station or operator holds the words, by id."""
    directory, wanted = platform.directory, words.strip().lower()
    names = {o.operator_id: o.name for o in directory.register.operators}
    meters: dict[str, str] = {m.connector_id: m.meter_id for m in directory.register.meters}
    found = []
    for charger, connectors in sorted(directory.connectors_of_charger.items()):
        first = connectors[0]
        station = directory.stations.get(first.station_id)
        own = [c.connector_id for c in connectors]
        texts = (
            charger, first.station_id, station.name if station else "", names.get(first.operator_id, ""), *own,
            *(meters.get(i, "") for i in own),
        )  # fmt: skip
        if any(wanted in text.lower() for text in texts) and _visible(platform, sight, first.connector_id):
            found.append({
                "charger_id": charger, "station": station.name if station else None,
                "district": station.district if station else None, "operator_id": first.operator_id,
                "operator": names.get(first.operator_id, first.operator_id), "connectors": len(connectors),
                "power_w": max(c.rated_power_w for c in connectors), "current": first.current_type,
            })  # fmt: skip
            if len(found) == MAX_FOUND:
                break
    return found


def charger_document(platform: Platform, sight: Sight, charger_id: str) -> dict[str, Any]:
    """Return all that stands of a charger. Raises CaseError `charger.absent`."""
    connectors = _connectors(platform, sight, charger_id)
    directory, now = platform.directory, now_utc_ms()
    ids = [c.connector_id for c in connectors]
    station = directory.stations.get(connectors[0].station_id)
    with platform.database.transaction() as connection:
        readings = store.registers(connection, ids, MAX_READINGS)
        sessions = store.sessions(connection, ids, MAX_SHOWN_ROWS)
        alarms = store.alarms(connection, charger_id, MAX_SHOWN_ROWS)
        papers = certificate_store.page(connection, [charger_id], None, MAX_SHOWN_ROWS)
        assured = assured_store.one(connection, charger_id)
    register = directory.register
    return {
        "charger_id": charger_id,
        "virtual": directory.is_virtual(charger_id),
        "operator_id": connectors[0].operator_id,
        "operator": operator_name(platform, connectors[0].operator_id),
        "station": None if station is None else {
            "station_id": station.station_id, "name": station.name, "district": station.district,
            "address": station.address,
        },
        "connectors": [
            {"connector_id": c.connector_id, "power_w": c.rated_power_w, "current": c.current_type, "plug": c.plug}
            for c in connectors
        ],
        "meters": [
            {"meter_id": m.meter_id, "connector_id": m.connector_id, "installed_utc_ms": m.installed_utc_ms,
             "removed_utc_ms": m.removed_utc_ms, "accuracy_class": m.accuracy_class,
             "approved_firmware": m.approved_firmware}
            for m in register.meters if m.connector_id in ids
        ],
        "verifications": [
            {"certificate_no": v.certificate_no, "verified_utc_ms": v.verified_utc_ms,
             "valid_to_utc_ms": v.valid_to_utc_ms, "passed": v.passed}
            for v in register.verifications if v.charger_id == charger_id
        ],
        "seals": [
            {"seal_id": s.seal_id, "kind": s.kind, "state": seal_state(s, now), "applied_utc_ms": s.applied_utc_ms}
            for s in register.seals if s.charger_id == charger_id
        ],
        "certificates": [certificate_line(c, now) for c in papers],
        "assured": assured_document(assured),
        "alarms": alarms, "sessions": sessions, "readings": readings, "as_of_utc_ms": now,
    }  # fmt: skip


def charger_history(platform: Platform, sight: Sight, charger_id: str) -> list[dict[str, Any]]:
    """Return what happened to a charger, the latest first: meters, firmware, seals, verifications, certificates,
    alarms. `index` is the place in the evidence log where one stands behind it. Raises CaseError `charger.absent`."""
    connectors = _connectors(platform, sight, charger_id)
    ids = [c.connector_id for c in connectors]
    register = platform.directory.register
    lines: list[dict[str, Any]] = []

    now = now_utc_ms()

    def line(at_utc_ms: int | None, kind: str, what: str, index: int | None = None, **said: Any) -> None:
        # A register may name a moment to come; it is no history yet.
        if at_utc_ms is not None and at_utc_ms <= now:
            lines.append({"at_utc_ms": at_utc_ms, "kind": kind, "what": what, "index": index, "said": said})

    with platform.database.transaction() as connection:
        reported = store.verifications(connection, charger_id, MAX_SHOWN_ROWS)
        for v in reported:
            line(v["verified_utc_ms"], "verification", "passed" if v["passed"] else "failed", v["message_index"],
                 certificate_no=v["certificate_no"], valid_to_utc_ms=v["valid_to_utc_ms"])  # fmt: skip
        for c in certificate_store.page(connection, [charger_id], None, MAX_SHOWN_ROWS):
            line(c.issued_utc_ms, "certificate", "issued", c.deed_index, number=c.number, specimen=c.specimen)
            line(c.revoked_utc_ms, "certificate", "revoked", c.revoked_deed_index, number=c.number)
        for a in store.alarms(connection, charger_id, MAX_SHOWN_ROWS):
            line(a["opened_utc_ms"], "alarm", "opened", None, alarm_id=a["alarm_id"], severity=a["severity"],
                 cause=a["cause"])  # fmt: skip
            line(a["closed_utc_ms"], "alarm", "closed", None, alarm_id=a["alarm_id"], conclusion=a["conclusion"])
        for f in store.firmware(connection, ids, MAX_SHOWN_ROWS):
            line(f["since_utc_ms"], "firmware", "first_seen", None, meter_id=f["meter_id"], firmware=f["firmware"])
        indexes = {
            (s["seal_id"], s["act"], s["at_utc_ms"]): (s["message_index"], s["sender"])
            for s in store.seal_events(connection, charger_id, MAX_SHOWN_ROWS)
        }
        told = set()
        for (_, seal), steps in steps_of_chargers(connection, [charger_id]).items():
            told.add(seal)
            for step in steps:
                e = step.event
                index, sender = indexes.get((seal, e.act.value, e.at_utc_ms), (None, None))
                line(e.at_utc_ms, "seal", e.act.value, index, seal_id=seal, seal_kind=e.kind, by=sender,
                     irregular=step.irregular and step.irregular.value)  # fmt: skip
    for s in register.seals:
        if s.charger_id == charger_id and s.seal_id not in told:
            line(s.applied_utc_ms, "seal", "applied", None, seal_id=s.seal_id, seal_kind=s.kind)
            line(s.broken_utc_ms, "seal", "broken", None, seal_id=s.seal_id, seal_kind=s.kind)
            line(s.replaced_utc_ms, "seal", "replaced", None, seal_id=s.seal_id, seal_kind=s.kind)
    known = {v["certificate_no"] for v in reported}
    for entered in register.verifications:
        if entered.charger_id == charger_id and entered.certificate_no not in known:
            line(entered.verified_utc_ms, "verification", "passed" if entered.passed else "failed", None,
                 certificate_no=entered.certificate_no, valid_to_utc_ms=entered.valid_to_utc_ms)  # fmt: skip
    for m in register.meters:
        if m.connector_id in ids:
            line(m.installed_utc_ms, "meter", "installed", None, meter_id=m.meter_id, connector_id=m.connector_id)
            line(m.removed_utc_ms, "meter", "removed", None, meter_id=m.meter_id, connector_id=m.connector_id)
    return sorted(lines, key=lambda found: (-found["at_utc_ms"], found["kind"], found["what"]))


def _connectors(platform: Platform, sight: Sight, charger_id: str) -> tuple[Connector, ...]:
    known = platform.directory.connectors_of_charger
    found = known.get(charger_id, ()) if len(charger_id) <= MAX_ID_CHARS else ()
    if not found or not _visible(platform, sight, found[0].connector_id):
        raise CaseError("charger.absent", "没有此充电桩 · no such charger")
    return found


def _visible(platform: Platform, sight: Sight, place: str | None) -> bool:
    """Whether a place is seen: an officer of districts sees theirs."""
    return not sight.districts or platform.directory.district_of_connector(place) in sight.districts
