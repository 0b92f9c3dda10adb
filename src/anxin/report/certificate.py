"""A certificate of verification, or a notice of failure, as a PDF in Chinese and English: it draws what its view holds.

The machine-readable result is attached (PDF/A-3b); its SHA-256 is printed in the footer and stands in the keywords.
"""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from anxin.report.pack_summary import Field, Words

#: Name of the attached result.
RESULT_NAME = "result.json"
_TEMPLATE = Path(__file__).with_name("certificate.typ")


@dataclass(frozen=True, slots=True)
class PointRow:
    """One load point: all as text; `bad` draws the outcome red."""

    load: str
    readings: str
    error: str
    rounded: str
    limit: str
    uncertainty: str
    outcome: str
    bad: bool


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of the procedure."""

    zh: str
    en: str
    measured: str
    limit: str
    outcome: str
    bad: bool


@dataclass(frozen=True, slots=True)
class CertificateView:
    """All that the paper shows. Times are text in the platform's zone.

    passed        certificate, or notice of failure
    warning       what must be read first: that the paper rests on limits that are not confirmed; None: nothing
    specimen      that the charger is not real, said on every page; None: it is
    address       what the QR code opens
    document      the attached result, exactly; `document_sha256` its digest
    """

    title: Words
    passed: bool
    number: str
    issued: str
    issued_utc_ms: int
    author: str
    conclusion: Words
    address: str
    document: str
    document_sha256: str
    warning: Words | None = None
    subject: list[Field] = field(default_factory=list)
    validity: list[Field] = field(default_factory=list)
    items: list[ItemRow] = field(default_factory=list)
    points: list[PointRow] = field(default_factory=list)
    conditions: list[Field] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    notes: list[Words] = field(default_factory=list)
    specimen: Words | None = None


def certificate_pdf(view: CertificateView) -> bytes:
    """Return the PDF (PDF/A-3b), not signed yet. The same view gives the same bytes."""
    import pylopdf_fonts_zh_cn as fonts
    import typst

    data = dataclasses.asdict(view) | {"qr": qr_svg(view.address), "name": RESULT_NAME}
    return typst.compile(
        _TEMPLATE,
        sys_inputs={"view": json.dumps(data, ensure_ascii=False)},
        font_paths=[Path(fonts.sans_path()).parent],
        ignore_system_fonts=True,
        pdf_standards="a-3b",
        timestamp=datetime.fromtimestamp(view.issued_utc_ms // 1_000, UTC),
    )


def qr_svg(text: str) -> str:
    """Return a QR code (ISO/IEC 18004, level M: 15 % may be lost) as SVG, with its quiet zone of four modules."""
    import segno

    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", border=4, xmldecl=False)
    return out.getvalue().decode()
