"""Test benches and seals: who may report what, and that rule R19 judges live with what they reported, in any order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.party import Party, Role
from anxin.domain.quantities import iso_of
from anxin.domain.register import Seal
from anxin.domain.seal_event import SealAct, SealEvent, seals_of
from anxin.flow.desk import Desk
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import facts, messages
from anxin.store.database import Database
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.test_desk import all_alarms
from tests.platform.web import Caller, serving

BENCH = Party("bench-1", Role.BENCH, "检定装置一")
INSPECTOR = Party("inspector", Role.INSPECTOR, "检查员")
RESULTS, EVENTS = "/bench/v1/results", "/seal/v1/events"
MARGIN_MS = 10 * 60_000
YEAR_MS = 365 * 86_400_000


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=2, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[str]:
    with serving(platform) as url:
        yield url


def charger_of(platform: Platform, owner: str | None = None) -> Any:
    return next(c for c in platform.directory.register.connectors if owner in (None, c.operator_id))


def result(charger: str, at_utc_ms: int, number: str = "JD-2026-0001", *, passed: bool = True) -> dict[str, Any]:
    said = {
        "charger_id": charger,
        "certificate_no": number,
        "verified_at": iso_of(at_utc_ms),
        "conclusion": "passed" if passed else "failed",
        "points": [{"load_kw": "7.000", "error_percent": "-0.12" if passed else "3.4", "limit_percent": "1.0"}],
        "device": {"name": "交流充电桩检定装置", "serial_no": "B-17", "certificate_no": "DL-2026-77"},
        "people": ["张三", "李四"],
    }
    return said | ({"valid_to": iso_of(at_utc_ms + 3 * YEAR_MS)} if passed else {})


def event(charger: str, act: str, at_utc_ms: int, seal: str = "S-900") -> dict[str, Any]:
    return {
        "seal_id": seal, "charger_id": charger, "kind": "physical", "event": act, "at": iso_of(at_utc_ms),
        "people": ["王五"], "photo_sha256": "ab" * 32,
    }  # fmt: skip


def send(caller: Caller, path: str, document: dict[str, Any]) -> tuple[int, Any]:
    return caller.post(path, json.dumps(document, ensure_ascii=False).encode())


def test_a_result_and_an_event_get_receipts_and_other_bytes_under_the_same_id_are_a_conflict(
    platform: Platform, server: str
) -> None:
    bench = Caller(platform, server, BENCH)
    connector = charger_of(platform)
    for path, document, other in (
        (RESULTS, result(connector.charger_id, 1_790_000_000_000), {"people": ["赵六"]}),
        (EVENTS, event(connector.charger_id, "applied", 1_790_000_000_000), {"photo_sha256": "cd" * 32}),
    ):
        status, first = send(bench, path, document)
        assert (status, first["repeated"], first["receipt"]["sender"]) == (200, False, "bench-1")
        assert send(bench, path, document) == (200, first | {"repeated": True})
        status, conflict = send(bench, path, document | other)
        assert (status, conflict["conflicts_with"]) == (409, first["receipt"]["index"])
        assert bench.get(f"/api/receipts/{first['receipt']['index']}")[0] == 200
    assert messages.size(platform.database) == 4


def test_who_may_report_what(platform: Platform, server: str, city: LiveCity) -> None:
    at = 1_790_000_000_000
    operator = platform.directory.parties[charger_of(platform).operator_id]
    own = charger_of(platform, operator.party_id).charger_id
    foreign = next(c.charger_id for c in platform.directory.register.connectors if c.operator_id != operator.party_id)
    supervised = Caller(platform, server, operator)
    tied = Caller(platform, server, Party("bench-2", Role.BENCH, "自有装置", operator.party_id))
    inspector, free = Caller(platform, server, INSPECTOR), Caller(platform, server, BENCH)
    assert send(supervised, RESULTS, result(own, at))[0] == 403
    assert send(inspector, RESULTS, result(own, at))[0] == 404
    assert send(tied, RESULTS, result(own, at))[0] == 200
    for document in (result(foreign, at), result("no such charger", at)):
        status, told = send(tied, RESULTS, document)
        assert (status, told["rule"], told["field"]) == (422, "bench.charger", "charger_id")
    assert send(free, RESULTS, result(foreign, at))[0] == 200
    for act, status in (("broken", 200), ("checked", 200), ("applied", 422), ("replaced", 422)):
        assert send(supervised, EVENTS, event(own, act, at))[0] == status, act
        assert send(inspector, EVENTS, event(own, act, at))[0] == 200
    assert send(supervised, EVENTS, event(foreign, "broken", at))[1]["rule"] == "seal.charger"
    free.headers = {"authorization": "Bearer guess"}
    assert [send(free, path, {})[0] for path in (RESULTS, EVENTS)] == [401, 401]


def test_a_wrong_document_names_its_field_and_is_corrected_from_the_ledger(platform: Platform, server: str) -> None:
    bench = Caller(platform, server, BENCH)
    good = result(charger_of(platform).charger_id, 1_790_000_000_000)
    point = good["points"][0]
    wrong: list[tuple[dict[str, Any], str, str | None]] = [
        ({"charger": "x"}, "bench.shape", None),
        ({"points": []}, "bench.shape", "points"),
        ({"points": [point | {"error_percent": -0.12}]}, "bench.shape", "points[0].error_percent"),
        ({"points": [point | {"error_percent": "nan"}]}, "bench.shape", "points[0].error_percent"),
        ({"points": [point | {"error_percent": "-1.01"}]}, "bench.conclusion", "points[0].error_percent"),
        ({"conclusion": "good"}, "bench.shape", "conclusion"),
        ({"verified_at": "2026-11-20T10:00:00.000"}, "time.zone", "verified_at"),
        ({"verified_at": "yesterday, about noon"}, "time.syntax", "verified_at"),
        ({"valid_to": good["verified_at"]}, "bench.dates", "valid_to"),
        ({"valid_to": iso_of(1_790_000_000_000 + 12 * YEAR_MS)}, "bench.dates", "valid_to"),
        ({"people": []}, "bench.shape", "people"),
        ({"certificate_no": " "}, "bench.shape", "certificate_no"),
    ]
    for change, rule, field in wrong:
        status, told = send(bench, RESULTS, good | change)
        assert (status, told["rule"], told["field"]) == (422, rule, field), change
    failed_with_validity = good | {"conclusion": "failed"}
    assert send(bench, RESULTS, failed_with_validity)[1]["rule"] == "bench.dates"
    assert bench.post(RESULTS, b'{"a":1,"a":2}')[1]["rule"] == "json.duplicate_key"
    assert bench.post(RESULTS, b"[" * 100)[1]["rule"] in {"json.depth", "json.syntax"}
    assert messages.size(platform.database) == 0
    entries = bench.get("/api/refused")[1]
    assert len(entries) == len(wrong) + 3
    number = told["refused_id"]
    assert bench.get(f"/api/refused/{number}")[1]["door"] == "bench.result"
    status, answer = bench.post(f"/api/refused/{number}/correction", json.dumps(good).encode())
    assert (status, answer["receipt"]["message_id"]) == (200, good["certificate_no"])


def seal_findings(database: Database) -> list[tuple[str, str]]:
    with database.transaction() as connection:
        rows = connection.execute(
            "select cause, en from finding where present and rule = 'R19' and"
            " (en like '%%S-900%%' or cause like 'verification_%%') order by 1, 2"
        )
        return [(r[0], r[1]) for r in rows]


def pairs_of(starts: list[int], number: int) -> tuple[int, int]:
    """How far the sessions before and after one are."""
    return starts[number] - starts[number - 1], starts[number + 1] - starts[number]


def test_r19_judges_live_with_what_came_in_and_any_order_ends_in_the_same(
    platform: Platform, server: str, city: LiveCity, tmp_path: Path
) -> None:
    """A failed verification and a broken seal make every later session of the charger a finding; what ends them, too,
    whenever it is told."""
    judge = Judge(platform, tmp_path / "scratch")
    inspector, bench = Caller(platform, server, INSPECTOR), Caller(platform, server, BENCH)
    try:
        messages.append(platform.database, city.messages, AS_OF_UTC_MS - 1_000, committed_entry)
        judge.settle(AS_OF_UTC_MS)
        with platform.database.transaction() as connection:
            rows = connection.execute("select place, start_utc_ms from verdict where present order by 2").fetchall()
        sessions: dict[str, list[int]] = {}
        for place, start in rows:
            if place in platform.directory.connectors:
                sessions.setdefault(platform.directory.connectors[place].charger_id, []).append(start)
        charger, starts = max(sessions.items(), key=lambda item: len(item[1]))
        # A session that stands alone: an order and its record may begin some minutes apart.
        alone = next(n for n in range(3, len(starts) - 1) if min(pairs_of(starts, n)) > 4 * MARGIN_MS)
        before, after = starts[alone] - MARGIN_MS, starts[alone] + MARGIN_MS
        assert not seal_findings(platform.database)
        # The seal breaks before the first session; that it was replaced in between is told later.
        assert send(inspector, EVENTS, event(charger, "broken", starts[0] - MARGIN_MS))[0] == 200
        judge.settle(AS_OF_UTC_MS)
        all_broken = seal_findings(platform.database)
        assert {cause for cause, _ in all_broken} == {"seal_broken"}
        assert len(all_broken) == len(starts)
        assert send(inspector, EVENTS, event(charger, "replaced", before))[0] == 200
        judge.settle(AS_OF_UTC_MS)
        some = seal_findings(platform.database)
        assert len(some) == alone
        # It was seen whole while it was broken: nothing heals. A failed verification is told after the one that passed.
        assert send(inspector, EVENTS, event(charger, "checked", starts[1]))[0] == 200
        assert send(bench, RESULTS, result(charger, after, "JD-2"))[0] == 200
        assert send(bench, RESULTS, result(charger, before, "JD-1", passed=False))[0] == 200
        judge.settle(AS_OF_UTC_MS)
        found = seal_findings(platform.database)
        assert [cause for cause, _ in found if cause != "seal_broken"] == ["verification_failed"]
        assert set(found) > set(some)
        assert len(found) == len(some) + 1
        facts.requeue_all(platform.database)
        judge.settle(AS_OF_UTC_MS)
        assert seal_findings(platform.database) == found
    finally:
        judge.close()


def test_a_seal_that_breaks_raises_an_alarm_at_once_and_puts_in_doubt_what_lies_before(
    platform: Platform, server: str, city: LiveCity, tmp_path: Path
) -> None:
    """Nobody charges there, and the inspector is told; the sessions since the last good check are marked."""
    judge, desk = Judge(platform, tmp_path / "scratch"), Desk(platform)
    inspector = Caller(platform, server, INSPECTOR)
    try:
        messages.append(platform.database, city.messages, AS_OF_UTC_MS - 1_000, committed_entry)
        judge.settle(AS_OF_UTC_MS)
        desk.settle()
        before = {a.alarm_id for a in all_alarms(platform)}
        with platform.database.transaction() as connection:
            rows = connection.execute("select place, start_utc_ms from verdict where present order by 2").fetchall()
        sessions: dict[str, list[int]] = {}
        for place, start in rows:
            if place in platform.directory.connectors:
                sessions.setdefault(platform.directory.connectors[place].charger_id, []).append(start)
        charger, starts = max(sessions.items(), key=lambda item: len(item[1]))
        whole, broken = starts[0] - MARGIN_MS, starts[-1] + 10 * MARGIN_MS
        assert send(inspector, EVENTS, event(charger, "applied", whole - 1_000))[0] == 200
        assert send(inspector, EVENTS, event(charger, "checked", whole))[0] == 200
        judge.settle(AS_OF_UTC_MS)
        desk.settle()
        assert {a.alarm_id for a in all_alarms(platform)} == before
        assert send(inspector, EVENTS, event(charger, "broken", broken))[0] == 200
        judge.settle(AS_OF_UTC_MS)
        desk.settle()
        (alarm,) = [a for a in all_alarms(platform) if a.alarm_id not in before]
        assert (alarm.charger_id, alarm.severity, alarm.cause) == (charger, "grave", "device")
        assert Counter(c for c, _ in seal_findings(platform.database)) == {"seal_doubtful": len(starts)}
        # Told afterwards that it was taken off by an order before: then nothing was broken, and nothing is in doubt.
        order = event(charger, "removed", broken - 1_000) | {"order_no": "CF-2026-17"}
        assert send(inspector, EVENTS, order)[0] == 200
        assert send(inspector, EVENTS, event(charger, "removed", broken))[1]["rule"] == "seal.order"
        judge.settle(AS_OF_UTC_MS)
        with platform.database.transaction() as connection:
            left = connection.execute("select cause from finding where present and rule = 'R30'").fetchall()
        assert left == []
        assert not seal_findings(platform.database)
    finally:
        judge.close()


def test_the_first_result_under_a_certificate_number_counts_and_the_register_before_it(
    platform: Platform, server: str, tmp_path: Path
) -> None:
    judge = Judge(platform, tmp_path / "scratch")
    bench = Caller(platform, server, BENCH)
    known = platform.directory.register.verifications[0]
    try:
        send(bench, RESULTS, result(known.charger_id, 1_790_000_000_000))
        send(bench, RESULTS, result(known.charger_id, 1_790_000_000_001))
        send(bench, RESULTS, result(known.charger_id, 1_790_000_000_002, known.certificate_no))
        judge.settle(AS_OF_UTC_MS)
    finally:
        judge.close()
    platform.refresh()
    mine = {v.certificate_no: v for v in platform.directory.register.verifications if v.charger_id == known.charger_id}
    assert mine["JD-2026-0001"].verified_utc_ms == 1_790_000_000_000
    assert mine[known.certificate_no] == known


def told_one_by_one(events: list[SealEvent]) -> list[tuple[int, int | None]]:
    """The breaks by the definition alone: moment by moment, is the seal broken?"""
    broken_at, off, found = None, False, []
    for moment in sorted({e.at_utc_ms for e in events}):
        acts = {e.act for e in events if e.at_utc_ms == moment}
        off = off and SealAct.APPLIED not in acts
        if broken_at is not None and SealAct.APPLIED in acts:
            found.append((broken_at, moment))
            broken_at = None
        # What was taken off by order cannot break any more.
        if SealAct.BROKEN in acts and broken_at is None and not off:
            broken_at = moment
        off = (off or SealAct.REMOVED in acts) and SealAct.REPLACED not in acts
        if broken_at is not None and SealAct.REPLACED in acts:
            found.append((broken_at, moment))
            broken_at = None
    return [*found, *([(broken_at, None)] if broken_at is not None else [])]


EVENT = st.builds(
    SealEvent, st.just("C"), st.just("S"), st.just("physical"), st.sampled_from(SealAct), st.integers(0, 6)
)


@given(st.lists(EVENT, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_a_seal_s_state_is_a_function_of_the_set_of_its_events(events: list[SealEvent], rng: Any) -> None:
    seals = seals_of((), events)
    mixed = [*events, *events[:2]]
    rng.shuffle(mixed)
    assert seals_of((), mixed) == seals
    assert [(s.broken_utc_ms, s.replaced_utc_ms) for s in seals if s.broken_utc_ms is not None] == told_one_by_one(
        events
    )


def test_other_seals_of_the_register_stay_as_they_are() -> None:
    seals = (Seal("A", "C1", "electronic", 1), Seal("B", "C1", "physical", 1, 5, 6))
    moved = seals_of(seals, [SealEvent("C1", "A", "electronic", SealAct.BROKEN, 9)])
    assert moved == (seals[1], Seal("A", "C1", "electronic", 1, 9, None, 1))
    assert seals_of(seals, []) == seals
    healed = seals_of(moved, [SealEvent("C1", "A", "electronic", SealAct.REPLACED, 11)])
    assert healed == (seals[1], Seal("A", "C1", "electronic", 1, 9, 11, 1), Seal("A", "C1", "electronic", 11))
