"""What faces read of the running platform."""

from __future__ import annotations

from typing import Any

from anxin.domain.message import Receipt
from anxin.domain.party import Sight
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.reconcile.book import rule_book
from anxin.store import messages, reading, totals

MAX_PAGE = reading.MAX_PAGE


def verdicts(
    platform: Platform, sight: Sight, state: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return present verdicts that are seen, newest first."""
    return reading.page(platform.database, "verdicts", sight, state, before, limit)


def findings(
    platform: Platform, sight: Sight, rule: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return present findings that are seen, newest first."""
    return reading.page(platform.database, "findings", sight, rule, before, limit)


def refused(platform: Platform, sight: Sight, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return the failed-write ledger as it is seen, newest first."""
    senders = platform.directory.senders_in(sight.districts) if sight.districts else None
    return reading.refused(platform.database, sight.operator_id, senders, before, limit)


def receipt(platform: Platform, sight: Sight, index: int) -> Receipt | None:
    """Return a receipt; an operator gets those of his own messages and of his chargers alone."""
    found = messages.receipt(platform.database, index) if 0 <= index < 1 << 62 else None
    if found is None or (sight.operator_id is None and not sight.districts) or found.sender == sight.operator_id:
        return found
    if sight.districts:
        return found if found.sender in platform.directory.senders_in(sight.districts) else None
    sender = platform.directory.parties.get(found.sender)
    return found if sender is not None and sender.operator_id == sight.operator_id else None


def status(platform: Platform) -> dict[str, Any]:
    """Return the numbers of the status page; `judge_lag_s` is how long the oldest message that is not judged waits."""
    found = totals.totals(platform.database)
    received = totals.progress(platform.database, found["log_size"]).unjudged_utc_ms
    found["judge_lag_s"] = 0 if received is None else max(0, now_utc_ms() - received) // 1_000
    return found


def rule_titles() -> dict[str, tuple[str, str]]:
    """Return what each rule is called, in Chinese and English."""
    return {rule.id: (rule.title_zh, rule.title_en) for rule in rule_book()}
