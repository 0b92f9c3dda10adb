"""Results of verifications as a bench writes them: whole, and judged by the procedure's own data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from anxin.domain.quantities import utc_ms
from anxin.domain.verification import (
    ItemResult,
    LoadMethod,
    LoadPoint,
    Outcome,
    Reading,
    Reference,
    VerificationKind,
    VerificationResult,
)
from anxin.flow.certificate_grounds import day_of
from anxin.flow.intake import now_utc_ms
from anxin.formats.verification_result import result_value
from anxin.verification.conclusion import judge_point, valid_through
from anxin.verification.procedures import procedure_of

ZONE = "Asia/Shanghai"
YEAR_MS = 365 * 86_400_000


def result(charger: str, run_id: str = "run-1", *, error_ppm: int = 1_200, **more: Any) -> VerificationResult:
    """Return the result of an AC charger of class 1 whose readings are all off by `error_ppm`."""
    procedure, kind, ended = procedure_of("jjg-1148-2022"), VerificationKind.PERIODIC, now_utc_ms() - 60_000
    limit = procedure.working_error("1", kind)
    points = []
    for current in (32_000, 3_200):
        readings = [Reading(1_000_000 + error_ppm + n, 1_000_000) for n in (-20, 0, 30)]
        point = LoadPoint(current, 220_000, 1)
        points.append(judge_point(procedure, limit, point, readings, 3_100, 3_000_000, 90_000)[0])
    outcome = Outcome.PASS if all(p.outcome is Outcome.PASS for p in points) else Outcome.FAIL
    items = tuple(
        ItemResult(item, outcome if item == "working_error" else Outcome.PASS, "0.9" if item == "clock_error" else None,
                   "3" if item == "clock_error" else None, "s" if item == "clock_error" else None,
                   None if item == "clock_error" else "无异常")
        for item in procedure.items
    )  # fmt: skip
    last, _ = valid_through(procedure, day_of(ended, ZONE))
    valid_to = utc_ms(datetime.combine(last, time(23, 59, 59), ZoneInfo(ZONE)))
    made = VerificationResult(
        run_id, charger, procedure.id, procedure.sha256, kind, LoadMethod.VIRTUAL, "1", ended - 420_000, ended, items,
        tuple(points), outcome, Reference("REF-17", "0.05", 500, "DL-2026-77", ended + YEAR_MS), "检定员甲", "核验员乙",
        23_500, 452, "120.1551", "30.2741", "WGS-84", "anxin-charging 0.1", "ab" * 32,
        valid_to if outcome is Outcome.PASS else None,
    )  # fmt: skip
    return replace(made, **more)


def body(found: VerificationResult) -> bytes:
    """Return the document of a result."""
    return json.dumps(result_value(found), ensure_ascii=False).encode()
