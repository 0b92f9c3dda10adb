"""Data quality of an operator: four dimensions, each a share of rows that are as they should be; their weighted mean.

The dimensions are those that data quality standards name (GB/T 36344-2018; not read) and a platform can count itself;
the weights are the authority's, in the surveillance policy.
"""

from __future__ import annotations

from dataclasses import dataclass

from anxin.surveillance.days import DIMENSIONS, Counts
from anxin.surveillance.late import PPM
from anxin.surveillance.policy import SurveillancePolicy

#: What each dimension counts, Chinese and English: shown with the score.
MEANING: dict[str, tuple[str, str]] = {
    "completeness": (
        "完整性：订单与电能表记录双方俱全的充电次数所占比例",
        "sessions of which order and record came",
    ),
    "accuracy": ("准确性：双方俱全者中未见不一致的比例", "of these, sessions in which nothing disagrees"),
    "consistency": (
        "一致性：数据自身不矛盾的充电次数所占比例",
        "sessions without a contradiction of their own",
    ),
    "timeliness": ("及时性：在规定时间内到达的订单与记录所占比例", "orders and records that came in time"),
}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension: rows that count against it out of all, the share that is as it should be, and its weight."""

    name: str
    bad: int
    total: int
    share_ppm: int | None
    weight: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The score in millionths (None where no dimension has rows) and what it is made of."""

    score_ppm: int | None
    dimensions: tuple[Dimension, ...]


def quality_of(counts: Counts, policy: SurveillancePolicy) -> Quality:
    """Return the quality of what was counted. A dimension without rows takes no part; shares are rounded down."""
    figures = {
        "completeness": (counts.one_sided, counts.sessions),
        "accuracy": (counts.disagreeing, counts.paired),
        "consistency": (counts.inconsistent, counts.sessions),
        "timeliness": (counts.late_orders + counts.late_records, counts.uploads),
    }
    dimensions = tuple(
        Dimension(name, bad, total, _share(bad, total), policy.int(f"quality.{name}"))
        for name in DIMENSIONS
        for bad, total in (figures[name],)
    )
    told = [(d.share_ppm, d.weight) for d in dimensions if d.share_ppm is not None]
    weights = sum(weight for _, weight in told)
    return Quality(sum(share * weight for share, weight in told) // weights if weights else None, dimensions)


def _share(bad: int, total: int) -> int | None:
    return PPM * max(0, total - bad) // total if total > 0 else None
