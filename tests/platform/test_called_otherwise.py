"""R29 on the running platform: what the public map said of a connector against its meter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from anxin.domain.message import Kind, Message
from anxin.domain.party import Sight
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import facts, messages, reading
from tests.platform.live_city import AS_OF_UTC_MS, enrolled

MINUTE = 60_000
OFFLINE, IDLE, CHARGING, FAULT = 0, 1, 3, 255


class Speaker:
    """Says how a connector is; the platform hears it at the moment that it speaks of."""

    def __init__(self, platform: Platform, judge: Judge) -> None:
        self.platform, self.judge, self.count = platform, judge, 0

    def say(self, connector: str, *words: tuple[int, int]) -> None:
        operator = self.platform.directory.connectors[connector].operator_id
        for status, at in words:
            self.count += 1
            text = json.dumps({"ConnectorStatusInfo": {"ConnectorID": connector, "Status": status}})
            message = Message(Kind.TCEC_STATUS, operator, f"s{self.count}", text.encode())
            messages.append(self.platform.database, [message], at, committed_entry)
        self.judge.settle(AS_OF_UTC_MS)


def found(platform: Platform) -> list[tuple[str, str, str]]:
    rows = reading.page(platform.database, "findings", Sight(), "R29", None, 100)
    return sorted((r["cause"], r["connector_id"], r["tolerance"]) for r in rows)


def long_records(platform: Platform) -> list[tuple[Any, ...]]:
    """Records of at least half an hour whose energy shows it, the last of each connector."""
    with platform.database.transaction() as connection:
        rows = connection.execute(
            "select distinct on (connector_id) connector_id, begin_utc_ms, end_utc_ms from fact_record"
            " where answer = 'authentic' and clock = 'S' and end_utc_ms - begin_utc_ms > 1800000"
            " and energy_milli_wh > 5000000 order by connector_id, begin_utc_ms desc"
        ).fetchall()
    return [tuple(r) for r in rows]


def test_a_false_word_is_found_an_honest_one_is_not_and_a_late_one_takes_it_back(
    platform: Platform, tmp_path: Path
) -> None:
    city = enrolled(platform, chargers=30, days=1, cheats=0)
    judge = Judge(platform, tmp_path / "scratch")
    try:
        messages.append(platform.database, city.messages, AS_OF_UTC_MS - 1_000, committed_entry)
        judge.settle(AS_OF_UTC_MS)
        speaker, places = Speaker(platform, judge), long_records(platform)
        assert len(places) >= 5
        (c0, b0, e0), (c1, b1, e1), (c2, b2, _e2), (c3, b3, _e3), (c4, b4, _e4) = places[:5]
        assert not found(platform)
        # Honest; broken all the time; idle and never anything else; offline; idle until a minute after it began.
        speaker.say(c0, (IDLE, b0 - 9 * MINUTE), (CHARGING, b0 + MINUTE // 2), (IDLE, e0 + 1_000))
        speaker.say(c1, (FAULT, b1 - 9 * MINUTE), (FAULT, b1 + 20 * MINUTE), (IDLE, e1 + 30 * MINUTE))
        speaker.say(c2, (IDLE, b2 - 9 * MINUTE))
        speaker.say(c3, (OFFLINE, b3 - 9 * MINUTE))
        speaker.say(c4, (IDLE, b4 - 9 * MINUTE), (CHARGING, b4 + 3 * MINUTE))
        assert found(platform) == [
            ("broken_while_delivering", c1, "0:04:00"),
            ("idle_while_delivering", c2, "0:04:00"),
        ]
        # A word that comes late and speaks of the session: it was called charging after all.
        speaker.say(c2, (CHARGING, b2 + 2 * MINUTE))
        assert [(cause, place) for cause, place, _ in found(platform)] == [("broken_while_delivering", c1)]
        before = found(platform)
        facts.requeue_all(platform.database)
        judge.settle(AS_OF_UTC_MS + 1)
        assert found(platform) == before
    finally:
        judge.close()
