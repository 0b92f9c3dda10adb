"""Whether the platform does what it is there for, and how far its parts are behind; cheap enough for every second."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from anxin.evidence.note import Signer, open_checkpoint, parse_vkey
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import facts, totals

#: An entry that waits longer for its publication shows that nobody publishes.
PUBLISH_LATE_S = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """`reasons` is empty where all is well. Lags are the ages of the oldest message not judged, not published."""

    reasons: tuple[str, ...]
    log_size: int
    judged: int
    published: int
    judge_lag_s: float
    publish_lag_s: float
    judge_works: bool
    free_mb: int


def published_size(folder: Path, signer: Signer) -> int:
    """Return the size of the published log. Raises EvidenceError where its checkpoint is not this signer's."""
    path = folder / "checkpoint"
    return open_checkpoint(path.read_bytes(), parse_vkey(signer.vkey)).size if path.is_file() else 0


def health(platform: Platform, folder: Path, signer: Signer) -> Health:
    """Return how the platform is. Raises StoreError (the database is away), EvidenceError (the log is wrong)."""
    settings = platform.settings
    published = published_size(folder, signer)
    seen = totals.progress(platform.database, published)
    judge = facts.has_judge(platform.database)
    now = now_utc_ms()
    judge_lag_s, publish_lag_s = (
        0.0 if at is None else max(0.0, (now - at) / 1_000) for at in (seen.unjudged_utc_ms, seen.unpublished_utc_ms)
    )
    stat = os.statvfs(settings.data_dir)
    free_mb = stat.f_bavail * stat.f_frsize // 2**20
    late_s = max(PUBLISH_LATE_S, 10 * settings.publish_interval_ms / 1_000)
    reasons = {
        "no judge works on this database": not judge,
        f"the log is not published: {publish_lag_s:.0f} s behind": publish_lag_s > late_s,
        f"the published log has {published} entries, the database {seen.log_size}": published > seen.log_size,
        f"{free_mb} MB are left in the data folder": free_mb < settings.least_free_mb,
    }
    found = tuple(reason for reason, holds in reasons.items() if holds)
    return Health(found, seen.log_size, seen.judged, published, judge_lag_s, publish_lag_s, judge, free_mb)
