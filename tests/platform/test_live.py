"""Live, in any order of arrival, the rule book says what an audit of the same data says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from anxin.domain.errors import StoreError
from anxin.domain.message import Message
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge, judge_for_ever
from anxin.flow.platform import Platform
from anxin.store import facts, parties
from anxin.store import messages as store
from tests.platform.live_city import AS_OF_UTC_MS, enrolled, shuffled

TOTALS_LATER_MS = 7_200_000


def send_and_judge(platform: Platform, judge: Judge, messages: list[Message], step: int) -> None:
    for start in range(0, len(messages), step):
        store.append(platform.database, messages[start : start + step], AS_OF_UTC_MS - 1_000, committed_entry)
        judge.settle(AS_OF_UTC_MS)
    judge.settle(AS_OF_UTC_MS + TOTALS_LATER_MS)


def verdicts(platform: Platform) -> list[tuple[object, ...]]:
    with platform.database.transaction() as connection:
        return connection.execute(
            "select session_key, state, order_energy_milli_wh, record_energy_milli_wh, findings from verdict"
            " where present order by 1"
        ).fetchall()


def findings(platform: Platform) -> Counter[tuple[object, ...]]:
    with platform.database.transaction() as connection:
        return Counter(
            connection.execute("select rule, cause, order_ids::text, en from finding where present").fetchall()
        )


def rejudged(platform: Platform, judge: Judge) -> None:
    """Judge everything again from the kept messages, as a replay of the whole log does."""
    facts.requeue_all(platform.database)
    judge.settle(AS_OF_UTC_MS + TOTALS_LATER_MS)


def test_piece_by_piece_and_shuffled_the_verdicts_are_those_of_a_replay_of_the_log(
    platform: Platform, tmp_path: Path
) -> None:
    city = enrolled(platform)
    judge = Judge(platform, tmp_path / "scratch")
    try:
        send_and_judge(platform, judge, shuffled(city.messages, 5), 120)
        live, found = verdicts(platform), findings(platform)
        assert {state for _, state, *_ in live} >= {"agree", "disagree"}
        assert {rule for rule, *_ in found} >= {"R04", "R06", "R07", "R17", "R19"}
        rejudged(platform, judge)
        assert verdicts(platform) == live
        assert findings(platform) == found
    finally:
        judge.close()


def test_a_key_revoked_back_to_the_theft_reopens_what_it_touched(platform: Platform, tmp_path: Path) -> None:
    city = enrolled(platform, chargers=10, days=2)
    judge = Judge(platform, tmp_path / "scratch")
    try:
        send_and_judge(platform, judge, city.messages, 1_000)
        before = findings(platform)
        with platform.database.transaction() as connection:
            row = connection.execute(
                "select key_id, count(*) from fact_signed_record where answer = 'authentic' group by 1 order by 2 desc"
            ).fetchone()
        assert row is not None
        key_id, touched = row
        register = parties.load_register(platform.database)
        keys = tuple(replace(k, revoked_utc_ms=k.valid_from_utc_ms) if k.key_id == key_id else k for k in register.keys)
        parties.put_register(platform.database, replace(register, keys=keys))
        assert facts.requeue_records_of(platform.database, key_id) == touched
        judge.settle(AS_OF_UTC_MS + TOTALS_LATER_MS)
        new = findings(platform) - before
        assert len([1 for rule, cause, *_ in new if rule == "R17"]) >= touched // 2
        assert all(rule == "R17" for rule, *_ in new)
    finally:
        judge.close()


def test_a_second_judge_is_refused(platform: Platform) -> None:
    import threading

    with facts.judge_lock(platform.database), pytest.raises(StoreError, match="another judge"):
        judge_for_ever(platform, threading.Event())
