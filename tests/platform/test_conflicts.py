"""Same id, other bytes: a conflict, and a finding that stands in the table and survives every replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from anxin.domain.message import Kind, Message
from anxin.domain.party import Sight
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import facts, messages, reading
from tests.platform.live_city import AS_OF_UTC_MS, enrolled


def kept(platform: Platform, judge: Judge, *sent: Message) -> None:
    messages.append(platform.database, sent, AS_OF_UTC_MS - 1_000, committed_entry)
    judge.settle(AS_OF_UTC_MS)


def found(platform: Platform, operator: str | None = None) -> list[dict[str, Any]]:
    """Findings of the rule, by the message that they were raised on."""
    rows = reading.page(platform.database, "findings", Sight(operator), "R28", None, 100)
    return sorted(rows, key=lambda row: int(row["found"]))


def test_a_conflict_is_a_finding_and_a_replay_finds_the_same(platform: Platform, tmp_path: Path) -> None:
    city = enrolled(platform, chargers=6, days=1, cheats=0)
    judge = Judge(platform, tmp_path / "scratch")
    envelope, order, check = (
        next(m for m in city.messages if m.kind is kind)
        for kind in (Kind.METER_ENVELOPE, Kind.TCEC_ORDER, Kind.TCEC_CHECK)
    )
    result = Message(Kind.BENCH_RESULT, "bench-1", "JD-1", b"{}")
    try:
        kept(platform, judge, *city.messages, result)
        assert not found(platform)
        size = messages.size(platform.database)
        altered = [replace(m, payload=m.payload + b" ") for m in (envelope, check, order, result)]
        kept(platform, judge, *altered, *altered, envelope)
        assert messages.size(platform.database) == size + 4
        first = found(platform)
        assert [(f["cause"], f["found"]) for f in first] == [
            ("counter_used_twice", str(size)), ("conflicting_message", str(size + 1)),
            ("conflicting_message", str(size + 3)),
        ]  # fmt: skip
        owner = platform.directory.operator_of_connector(first[0]["connector_id"])
        assert (first[0]["meter_id"], first[0]["operator_id"]) == (envelope.sender, owner)
        assert (first[1]["operator_id"], first[2]["operator_id"]) == (check.sender, None)
        others = {o.operator_id for o in platform.directory.register.operators} - {owner, check.sender}
        assert all(not found(platform, other) for other in others)
        # A third one under the same id; the place judged again; everything judged again: nothing comes, nothing goes.
        kept(platform, judge, replace(envelope, payload=envelope.payload + b"  "))
        assert [f["found"] for f in found(platform)] == [*(f["found"] for f in first), str(size + 4)]
        before = found(platform)
        facts.requeue_all(platform.database)
        judge.settle(AS_OF_UTC_MS + 1)
        assert found(platform) == before
        # As a replay into empty tables would: the same findings but for their numbers.
        with platform.database.transaction() as connection:
            connection.execute("delete from finding")
        facts.requeue_all(platform.database)
        judge.settle(AS_OF_UTC_MS + 1)
        assert [f["digest"] for f in found(platform)] == [f["digest"] for f in before]
    finally:
        judge.close()
