"""What anyone may know of a charger and of a certificate's number: nothing that is not public, and the same words for
what does not exist and what nobody may see."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from anxin.domain.errors import CaseError
from anxin.domain.quantities import moment_of
from anxin.domain.register import Verification
from anxin.flow.assured import assured_document
from anxin.flow.certificate_view import decimal
from anxin.flow.certificates import operator_name, status_of
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import assured as assured_store
from anxin.store import certificates as store
from anxin.store.certificates import PublicPaper
from anxin.verification.assured import seal_state

#: Characters of a charger's id, and of a certificate's number, that are looked up at all.
MAX_ID_CHARS = 64
#: Papers of a charger that its page tells of, the latest first.
MAX_TOLD = 10


def charger_document(platform: Platform, charger_id: str) -> dict[str, Any]:
    """Return what is public of a charger. Raises CaseError `public.absent` for one that the register does not know."""
    directory, now = platform.directory, now_utc_ms()
    connectors = directory.connectors_of_charger.get(charger_id, ()) if len(charger_id) <= MAX_ID_CHARS else ()
    if not connectors:
        raise CaseError("public.absent", "没有此充电桩 · no such charger")
    with platform.database.transaction() as connection:
        papers = store.of_charger(connection, charger_id, MAX_TOLD)
        assured = assured_store.one(connection, charger_id)
    station = directory.stations.get(connectors[0].station_id)
    register = directory.register
    return {
        "charger_id": charger_id,
        "operator": operator_name(platform, connectors[0].operator_id),
        # Of a charger of a virtual city nothing is said without saying that.
        "virtual": directory.is_virtual(charger_id),
        "station": station.name if station else None,
        "address": station.address if station else None,
        "connectors": [
            {"connector_id": c.connector_id, "current": c.current_type or None, "plug": c.plug,
             "power_kw": decimal(c.rated_power_w, 3) if c.rated_power_w else None} for c in connectors
        ],
        "verification": _state([v for v in register.verifications if v.charger_id == charger_id], papers, now),
        "certificates": [certificate_told(c, now) for c in papers],
        "seals": [
            {"kind": s.kind, "state": seal_state(s, now), "applied_utc_ms": s.applied_utc_ms}
            for s in register.seals if s.charger_id == charger_id
        ],
        "assured": assured_document(assured),
        "complaints_line": platform.settings.complaints_line,
        "as_of_utc_ms": now,
    }  # fmt: skip


def certificate_document(platform: Platform, number: str) -> dict[str, Any]:
    """Return what is public of a certificate: `status` is valid, expired, revoked, failed (a notice), or unknown."""
    found = None
    if number.isascii() and len(number) <= MAX_ID_CHARS and number.isprintable():
        with platform.database.transaction() as connection:
            found = store.told(connection, number)
    if found is None:
        return {"number": number[:MAX_ID_CHARS], "status": "unknown"}
    digests = {"document_sha256": found.document_sha256.hex(), "pdf_sha256": found.pdf_sha256.hex()}
    return certificate_told(found, now_utc_ms()) | {"charger_id": found.charger_id} | digests


def certificate_told(c: PublicPaper, now: int) -> dict[str, Any]:
    """Return what anyone is told of a paper: no person, no figure, no reason."""
    return {
        "number": c.number, "kind": c.kind, "status": status_of(c, now), "verified_utc_ms": c.verified_utc_ms,
        "valid_to_utc_ms": c.valid_to_utc_ms, "confirmed": c.unconfirmed == 0, "revoked_utc_ms": c.revoked_utc_ms,
        "specimen": c.specimen,
    }  # fmt: skip


def _state(verified: list[Verification], papers: list[PublicPaper], now: int) -> dict[str, Any]:
    """Return the state by the latest verification that the register has: `verified`, `expired`, `failed` or `none`."""
    if not verified:
        return {"state": "none", "certificate_no": None, "verified_utc_ms": None, "valid_to_utc_ms": None,
                "confirmed": None}  # fmt: skip
    last = max(verified, key=lambda v: (v.verified_utc_ms, not v.passed))
    state = "failed" if not last.passed else "verified" if now <= last.valid_to_utc_ms else "expired"
    paper = next((p for p in papers if p.number == last.certificate_no), None)
    return {
        "state": state, "certificate_no": last.certificate_no, "verified_utc_ms": last.verified_utc_ms,
        "valid_to_utc_ms": last.valid_to_utc_ms if last.passed else None,
        # Only a paper of this platform says on what limits it rests.
        "confirmed": None if paper is None else paper.unconfirmed == 0,
    }  # fmt: skip


def day_text(platform: Platform, utc_ms: int | None) -> str:
    """Return the day of a moment in the platform's zone, an en dash for none."""
    return "–" if utc_ms is None else moment_of(utc_ms, ZoneInfo(platform.settings.zone)).strftime("%Y-%m-%d")
