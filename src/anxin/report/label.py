"""The label that goes on a charger after its verification, as a PDF of 80 mm by 50 mm."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anxin.report.certificate import qr_svg

_TEMPLATE = Path(__file__).with_name("label.typ")


def label_pdf(
    charger_id: str, number: str, address: str, valid_to: str | None, issued_utc_ms: int, **more: Any
) -> bytes:  # fmt: skip
    """Return the label of a paper: passed with the day until which it is valid, or not to be used (`valid_to` None).

    `address` is what its QR code opens; `more`: `author`, who issued the paper, and `specimen`, whether the charger is
    of a virtual city.
    """
    import pylopdf_fonts_zh_cn as fonts
    import typst

    passed = valid_to is not None
    data = {
        "charger_id": charger_id, "number": number, "valid_to": valid_to, "passed": passed, "qr": qr_svg(address),
        "conclusion_zh": "检定合格" if passed else "停止使用",
        "conclusion_en": "verified" if passed else "not to be used",
        "author": more.get("author", ""), "specimen": bool(more.get("specimen")),
    }  # fmt: skip
    return typst.compile(
        _TEMPLATE,
        sys_inputs={"view": json.dumps(data, ensure_ascii=False)},
        font_paths=[Path(fonts.sans_path()).parent],
        ignore_system_fonts=True,
        timestamp=datetime.fromtimestamp(issued_utc_ms // 1_000, UTC),
    )
