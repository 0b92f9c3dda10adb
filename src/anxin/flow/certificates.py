"""Certificates of verification and notices of failure: issued, listed, revoked.

1  the result is judged again; what it rests on that is not confirmed is counted, and the issuer must have seen it
2  in one transaction: number, document, PDF, signature, the deed in the log, the row; a number never has a gap
3  the register takes a paper in that is not revoked (store/reports.py), and rule R19 judges by it

Papers are set one after another: the number's row is locked for the half second that a page takes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from anxin.domain.errors import CaseError, FormatError
from anxin.domain.message import Kind
from anxin.domain.party import Party
from anxin.domain.register import Connector
from anxin.domain.verification import VerificationResult
from anxin.flow.certificate_grounds import Grounds, day_of, grounds_of
from anxin.flow.certificate_view import FORMAT, decimal, view_of
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.formats.verification_result import result_of, result_value
from anxin.report.certificate import certificate_pdf
from anxin.store import certificates as store
from anxin.store.certificates import Certificate, PublicPaper
from anxin.store.parties import register_changed
from anxin.trust.pdf_seal import PdfSigner, certificate_sha256, pdf_signer

#: Characters of the reason for which a paper is revoked.
MAX_REVOKE_CHARS = 500
#: What begins a number: of certificates and of notices of failure.
PREFIXES = {"certificate": "ZS", "notice": "TZ"}
#: What stands before it where the charger is of a virtual city: 样本, a specimen.
SPECIMEN_PREFIX = "YB-"


class Certificates:
    """Issues, lists and revokes papers for the regulator's people."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._seal: PdfSigner | None = None

    @property
    def seal(self) -> PdfSigner:
        """Who signs papers: the key that signs evidence packs' summaries. Raises InputError."""
        if self._seal is None:
            s = self.platform.settings
            name = f"{s.log_origin} evidence packs"
            self._seal = pdf_signer(s.data_dir / "secrets", name, s.pack_key_file, s.pack_cert_file)
        return self._seal

    def issue(self, party: Party, payload: bytes, *, accept_unconfirmed: bool = False) -> dict[str, Any]:
        """Issue the paper of a bench's result; return its line. A run that has one gets that one again.

        Raises FormatError `result.*`; CaseError `certificate.unconfirmed` (limits are not confirmed, and policy or
        issuer does not accept that), `certificate.charger`, `certificate.public_url`; StoreError, InputError.
        """
        settings, now = self.platform.settings, now_utc_ms()
        # 1 judged again.
        result = result_of(payload)
        connectors = self._of_charger(party, result.charger_id)
        if not settings.public_url:
            raise CaseError("certificate.public_url", "未设 ANXIN_PUBLIC_URL，二维码无处可指 · a QR code needs it")
        specimen = self.platform.directory.is_virtual(result.charger_id)
        if result.simulated and not specimen:
            raise FormatError(
                "result.simulated", "模拟检定不能为真实的桩出证 · a simulated run gives no paper of a real charger",
                "simulated",
            )  # fmt: skip
        grounds = grounds_of(result, settings.zone, now)
        self._accepted(grounds, accept_unconfirmed)
        kind, year = ("certificate" if grounds.passed else "notice"), day_of(now, settings.zone).year
        # 2 entered.
        with self.platform.database.transaction() as connection:
            sequence = store.next_sequence(connection, f"specimen {kind}" if specimen else kind, year)
            known = store.of_run(connection, result.run_id)
            if known is not None:
                raise CaseError("certificate.run", f"该次检定已出具 {known} · this run has its paper: {known}",
                                {"number": known})  # fmt: skip
            number = f"{SPECIMEN_PREFIX if specimen else ''}{PREFIXES[kind]}-{year}-{sequence:06d}"
            document = self._document(number, kind, now, connectors, result, grounds, specimen=specimen)
            digest = hashlib.sha256(document).digest()
            pdf = self.seal.sign(certificate_pdf(view_of(document, digest.hex())), f"verification {number}")
            pdf_digest = hashlib.sha256(pdf).digest()
            deed = keep_deed(
                connection, Kind.DEED_CERTIFICATE, party.party_id, f"{number}/issued",
                {"act": "issued", "number": number, "charger": result.charger_id,
                 "verified_utc_ms": result.ended_utc_ms, "run": result.run_id,
                 "passed": grounds.passed, "unconfirmed": len(grounds.unconfirmed),
                 "document_sha256": digest.hex(), "pdf_sha256": pdf_digest.hex()}, now,
            )  # fmt: skip
            kept = Certificate(
                number, kind, year, sequence, result.run_id, result.charger_id, connectors[0].operator_id, now,
                party.party_id, result.ended_utc_ms, result.valid_to_utc_ms, len(grounds.unconfirmed), digest,
                pdf_digest, deed.index, specimen,
            )  # fmt: skip
            store.put(connection, kept, document, pdf)
            # 3 the register.
            register_changed(connection)
        return certificate_line(kept, now)

    def listed(self, party: Party, charger_id: str | None, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the papers that an officer sees, newest first."""
        now = now_utc_ms()
        with self.platform.database.transaction() as connection:
            found = store.page(connection, self._chargers(party, charger_id), before, limit)
        return [certificate_line(c, now) for c in found]

    def pdf(self, party: Party, number: str) -> bytes:
        """Return the signed PDF of a number. Raises CaseError `certificate.absent`."""
        with self.platform.database.transaction() as connection:
            found = self._found(connection, party, number)
            return store.pdf_of(connection, found.number) or b""

    def revoke(self, party: Party, number: str, reason: str) -> dict[str, Any]:
        """Revoke a paper: it stays, and from now on it is told as revoked. Raises CaseError `certificate.absent`,
        `certificate.revoked`, FormatError `certificate.reason`."""
        why, now = reason.strip(), now_utc_ms()
        if not why or len(why) > MAX_REVOKE_CHARS or not why.isprintable():
            raise FormatError("certificate.reason", f"一至 {MAX_REVOKE_CHARS} 字 · 1 to {MAX_REVOKE_CHARS} characters")
        with self.platform.database.transaction() as connection:
            found = self._found(connection, party, number, lock=True)
            if found.revoked_utc_ms is not None:
                raise CaseError("certificate.revoked", "已撤销 · revoked before")
            said = {"act": "revoked", "number": number, "charger": found.charger_id,
                    "verified_utc_ms": found.verified_utc_ms, "reason": why}  # fmt: skip
            deed = keep_deed(connection, Kind.DEED_CERTIFICATE, party.party_id, f"{number}/revoked", said, now)
            store.revoke(connection, number, now, party.party_id, why, deed.index)
            register_changed(connection)
            now_so = store.one(connection, number)
        return certificate_line(now_so or found, now)

    def _found(self, connection: Any, party: Party, number: str, *, lock: bool = False) -> Certificate:
        found = store.one(connection, number, lock=lock)
        if found is None or not self._visible(party, found.charger_id):
            raise CaseError("certificate.absent", "没有此证书 · no certificate of this number")
        return found

    def _chargers(self, party: Party, charger_id: str | None) -> list[str] | None:
        if charger_id is not None:
            return [charger_id] if self._visible(party, charger_id) else []
        if not party.districts:
            return None
        return [c for c in self.platform.directory.connectors_of_charger if self._visible(party, c)]

    def _visible(self, party: Party, charger_id: str) -> bool:
        if not party.districts:
            return True
        directory = self.platform.directory
        stations = (directory.stations.get(c.station_id) for c in directory.connectors_of_charger.get(charger_id, ()))
        return any(s is not None and s.district in party.districts for s in stations)

    def _of_charger(self, party: Party, charger_id: str) -> tuple[Connector, ...]:
        found = self.platform.directory.connectors_of_charger.get(charger_id, ())
        if not found or not self._visible(party, charger_id):
            raise CaseError("certificate.charger", "登记册中没有此桩 · the register knows no such charger")
        return found

    def _accepted(self, grounds: Grounds, accept_unconfirmed: bool) -> None:
        if not grounds.unconfirmed:
            return
        told: dict[str, object] = {"unconfirmed": list(grounds.unconfirmed)}
        if self.platform.settings.certificates_unconfirmed != "marked":
            raise CaseError(
                "certificate.unconfirmed", "政策不许凭未确认的限值出证 · not issued on unconfirmed limits", told
            )
        if not accept_unconfirmed:
            raise CaseError(
                "certificate.unconfirmed",
                "所依据的限值未经确认；确知后以 accept_unconfirmed 再提交 · it rests on limits that are not confirmed;"
                " say accept_unconfirmed to issue it with that on its face", told,
            )  # fmt: skip

    def _document(
        self, number: str, kind: str, now: int, connectors: tuple[Connector, ...], result: VerificationResult,
        grounds: Grounds, *, specimen: bool,
    ) -> bytes:  # fmt: skip
        s, first = self.platform.settings, connectors[0]
        station = self.platform.directory.stations.get(first.station_id)
        power = max(c.rated_power_w for c in connectors)
        texts = grounds.procedure.file
        document = {
            "format": FORMAT, "number": number, "kind": kind, "issued_utc_ms": now, "issuer": s.log_origin,
            "zone": s.zone, "address": charger_address(s.public_url, result.charger_id),
            "charger": {
                "operator": operator_name(self.platform, first.operator_id),
                "station": station.name if station else first.station_id,
                "address": station.address if station else None,
                "power": f"{first.current_type} {decimal(power, 3)} kW".strip() if power else None,
            },
            "procedure_title": f"{texts.text('document')} {texts.text('title_zh')}",
            "unconfirmed": list(grounds.unconfirmed),
            "signer_sha256": certificate_sha256(self.seal.certificate_pem),
            "result": result_value(result),
        } | ({"specimen": True} if specimen else {})  # fmt: skip
        return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def charger_address(public_url: str, charger_id: str) -> str:
    """Return the public page of a charger: what a QR code opens."""
    return f"{public_url.rstrip('/')}/c/{quote(charger_id, safe='')}"


def operator_name(platform: Platform, operator_id: str) -> str:
    """Return an operator's name by the register, else its id."""
    register = platform.directory.register
    return next((o.name for o in register.operators if o.operator_id == operator_id), operator_id)


def status_of(c: Certificate | PublicPaper, now_utc_ms: int) -> str:
    """Return `revoked`, `expired`, `valid`, or `failed` for a notice of failure that stands."""
    if c.revoked_utc_ms is not None:
        return "revoked"
    if c.valid_to_utc_ms is None:
        return "failed"
    return "valid" if now_utc_ms <= c.valid_to_utc_ms else "expired"


def certificate_line(c: Certificate, now_utc_ms: int) -> dict[str, Any]:
    """Return a paper as the regulator reads it."""
    return {
        "number": c.number, "kind": c.kind, "status": status_of(c, now_utc_ms), "charger_id": c.charger_id,
        "specimen": c.specimen,
        "operator_id": c.operator_id, "run_id": c.run_id, "issued_utc_ms": c.issued_utc_ms, "issued_by": c.issued_by,
        "verified_utc_ms": c.verified_utc_ms, "valid_to_utc_ms": c.valid_to_utc_ms, "unconfirmed": c.unconfirmed,
        "document_sha256": c.document_sha256.hex(), "pdf_sha256": c.pdf_sha256.hex(), "entry": c.deed_index,
        "revoked_utc_ms": c.revoked_utc_ms, "revoked_by": c.revoked_by, "revoked_reason": c.revoked_reason,
    }  # fmt: skip
