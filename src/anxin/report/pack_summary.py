"""The summary of an evidence pack as a PDF, Chinese and English: it draws what its view holds (template beside it).

The PDF names the SHA-256 of the pack's manifest in its footer, its last table and its keywords; whoever signs the PDF
signs the pack by it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

#: Rows of one table of the summary; the pack's JSON files hold all of them, and the summary says how many there are.
MAX_ROWS = 40
_TEMPLATE = Path(__file__).with_name("pack_summary.typ")


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Field:
    """One line: what it is called and what it says."""

    zh: str
    en: str
    value: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One large figure; `grave` draws it red."""

    zh: str
    en: str
    value: str
    unit: str = ""
    grave: bool = False


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding with its sentences and, in one text, what was expected and found."""

    rule: str
    severity: str
    grave: bool
    zh: str
    en: str
    figures: str
    at: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session; energies in kWh and money in CNY, as text. `more`: more was billed than measured."""

    order: str
    state: str
    billed: str
    metered: str
    difference: str
    amount: str
    more: bool


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of an alarm's handling; `entry` is the number of its deed in the evidence log."""

    at: str
    act: str
    by: str
    said: str
    entry: str


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One message; `answer` is that on its signed records, `good` false where it is not authentic."""

    index: str
    kind: str
    sender: str
    received: str
    sha256: str
    answer: str
    good: bool


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """One attachment."""

    name: str
    kind: str
    size: str
    sha256: str


@dataclass(frozen=True, slots=True)
class PackSummary:
    """All that the PDF shows. Times are text in the platform's zone."""

    title: str
    author: str
    number: str
    made: str
    made_utc_ms: int
    purpose: Words
    manifest_sha256: str
    check: Words
    counts: dict[str, str]
    subject: list[Field] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    findings: list[FindingRow] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    evidence: list[EvidenceRow] = field(default_factory=list)
    attachments: list[AttachmentRow] = field(default_factory=list)
    notes: list[Words] = field(default_factory=list)
    anchors: list[Field] = field(default_factory=list)


def summary_pdf(view: PackSummary) -> bytes:
    """Return the PDF (PDF/A-2b), not signed yet. The same view gives the same bytes."""
    import pylopdf_fonts_zh_cn as fonts
    import typst

    data = json.dumps(dataclasses.asdict(view), ensure_ascii=False)
    return typst.compile(
        _TEMPLATE,
        sys_inputs={"view": data},
        font_paths=[Path(fonts.sans_path()).parent],
        ignore_system_fonts=True,
        pdf_standards="a-2b",
        timestamp=datetime.fromtimestamp(view.made_utc_ms // 1_000, UTC),
    )
