"""What faces read of surveillance: the ranked list, one charger's evidence, data quality and the rows behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.flow.surveillance import DAY_MS, MAX_WEIGHED_DAYS, counts_of, day_of_row
from anxin.store import surveillance as store
from anxin.store.surveillance import Row
from anxin.surveillance.days import DIMENSIONS, Counts, day_tests
from anxin.surveillance.policy import SurveillancePolicy, load_surveillance_policy
from anxin.surveillance.quality import MEANING, quality_of
from anxin.surveillance.ranking import steps_of
from anxin.surveillance.sequential import walk

#: What every answer says of itself.
NOTE = {
    "zh": "本清单用于安排现场检查的先后，不是违法认定；误报率见 docs/surveillance.md。",
    "en": "This list ranks what to inspect first; it is no verdict. Error rates: docs/surveillance.md.",
}
#: Entries of one page of the ranked list; places and days of one page of rows behind a score.
MAX_LISTED, MAX_ROW_DAYS = 200, 100
#: Entries that may be skipped: beyond it a list is no longer read but copied.
MAX_OFFSET = 10_000
_POLICY = load_surveillance_policy()


def listed(
    platform: Platform,
    operator_id: str | None,
    districts: Sequence[str] | None,
    reason: str | None,
    limit: int,
    offset: int,
) -> dict[str, Any]:
    """Return the ranked list: what is to be inspected first, with reasons. Districts None: all."""
    rows = store.ranked(
        platform.database, operator_id, districts, reason, min(limit, MAX_LISTED), min(offset, MAX_OFFSET)
    )
    return {
        "note": NOTE,
        "policy_sha256": _POLICY.sha256,
        "entries": [_entry(row, offset + n) for n, row in enumerate(rows, 1)],
    }


def _entry(row: Row, rank: int | None = None) -> dict[str, Any]:
    reasons = [*row["reasons"], *([row["silence"]] if row["silence"] else [])]
    shown = {k: v for k, v in row.items() if k not in ("silence", "reasons")}
    return {"rank": rank, **shown, "reasons": sorted(reasons, key=lambda r: -int(r["strength"]))}


def charger(platform: Platform, charger_id: str, districts: Sequence[str] | None) -> dict[str, Any] | None:
    """Return a charger's evidence: each test's cumulative sum day by day with its thresholds, and the days' counts.
    None for a charger that is unknown, without a day, or not of these districts."""
    row = store.subject(platform.database, "charger", charger_id)
    if row is None or (districts is not None and row["district"] not in districts):
        return None
    connectors = platform.directory.connectors_of_charger.get(charger_id, ())
    today = now_utc_ms() // DAY_MS
    with platform.database.transaction() as connection:
        rows = store.days_of(connection, [c.connector_id for c in connectors], today - MAX_WEIGHED_DAYS)
    tests = day_tests(_POLICY)
    days = [day_of_row(r) for r in rows]
    walks = {}
    for kind, steps in steps_of(days, tests).items():
        limits = (tests.lean if kind.startswith("lean") else tests.gaps).limits
        done = walk(steps, limits)
        walks[kind] = {
            "points": [{"day": day, "utc_ms": day * DAY_MS, "sum": value} for day, value in done.points],
            "alerts": done.alerts, "accepted_runs": done.accepted, "now": done.value,
            "upper": limits.upper, "lower": limits.lower, "unit": "1e-6 nat",
        }  # fmt: skip
    return {
        "note": NOTE,
        **_entry(row),
        "walks": walks,
        "days": [{"place": d.place, "day": d.day, **dataclasses.asdict(d.counts)} for d in days],
    }


def quality(platform: Platform, operator_id: str | None) -> list[dict[str, Any]]:
    """Return the data quality of an operator (None: of each), lowest score first, over the policy's period."""
    after = now_utc_ms() // DAY_MS - _POLICY.int("quality.period_days")
    counts: dict[str, Counts] = {} if operator_id is None else {operator_id: Counts()}
    with platform.database.transaction() as connection:
        for row in store.operator_days(connection, after, operator_id):
            if row["operator_id"]:
                counts[row["operator_id"]] = counts.get(row["operator_id"], Counts()).plus(counts_of(row))
    found = [_quality(operator, total, after, _POLICY) for operator, total in sorted(counts.items())]
    return sorted(found, key=lambda q: (q["score_ppm"] is None, q["score_ppm"] or 0, q["operator_id"]))


def _quality(operator_id: str, counts: Counts, after_day: int, policy: SurveillancePolicy) -> dict[str, Any]:
    found = quality_of(counts, policy)
    return {
        "operator_id": operator_id,
        "score_ppm": found.score_ppm,
        "from_utc_ms": (after_day + 1) * DAY_MS,
        "policy_sha256": policy.sha256,
        "dimensions": [
            dataclasses.asdict(d) | dict(zip(("zh", "en"), MEANING[d.name], strict=True)) for d in found.dimensions
        ],
    }


def rows_behind(
    platform: Platform, operator_id: str, dimension: str, before: tuple[int, str] | None, limit: int
) -> dict[str, Any]:
    """Return the rows behind the lost points of one dimension, newest day first, with their present verdicts.

    `next` is what to give as `before` for the following page, None at the end. Raises KeyError for no dimension.
    """
    if dimension not in DIMENSIONS:
        raise KeyError(dimension)
    after = now_utc_ms() // DAY_MS - _POLICY.int("quality.period_days")
    limit = min(limit, MAX_ROW_DAYS)
    days = store.rows_behind(platform.database, operator_id, dimension, after, before, limit)
    verdicts = store.verdicts_of(platform.database, [key for d in days for key in d["keys"]])
    rows = [
        {"place": d["place"], "day": d["day"], "key": key, "verdict": verdicts.get(key)}
        for d in days
        for key in d["keys"]
    ]
    more = len(days) == limit
    return {"dimension": dimension, "rows": rows, "next": f"{days[-1]['day']}:{days[-1]['place']}" if more else None}
