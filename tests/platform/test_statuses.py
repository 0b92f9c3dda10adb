"""Words on connectors' states in the database: who may say them, where late ones land, what is not counted."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from anxin.domain.connector_status import State, StatusReport, StatusWord
from anxin.domain.register import Connector, Operator, Register, Station
from anxin.flow import enrol
from anxin.flow.platform import Platform
from anxin.flow.statuses import MAX_LATE_MS, Said, keep_statuses
from anxin.occupancy.history import with_words
from anxin.store import statuses as store

IDLE, CHARGING, FAULT = State.IDLE, State.CHARGING, State.FAULT
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
#: A moment on the hour.
NOON = 1_791_504_000_000


def register(connectors: int = 4) -> Register:
    return Register(
        operators=(Operator("op", "Operator"), Operator("other", "Other")),
        stations=(Station("s", "op", "Station", "余杭区", "120.0", "30.3", "WGS-84"),),
        connectors=tuple(Connector(f"c{n}", f"charger{n}", "s", "op", 60_000, "DC") for n in range(connectors)),
    )


def known(platform: Platform, connectors: int = 4) -> None:
    enrol.enrol_register(platform.database, platform.vault, register(connectors), [])
    platform.refresh()


def keep(platform: Platform, *said: tuple[str, str, State, int, int], received: int | None = None) -> list[Said]:
    """Take (sender, connector, state, moment, message) in one transaction."""
    with platform.database.transaction() as connection:
        return keep_statuses(
            connection,
            platform.directory,
            [Said(StatusReport(c, s, at), received or at, index, sender) for sender, c, s, at, index in said],
            DAY,
        )


def rows(platform: Platform, query: str, *values: object) -> list[Any]:
    with platform.database.transaction() as connection:
        return connection.execute(query.encode(), values).fetchall()


def history(platform: Platform, connector: str) -> list[tuple[State, int, int]]:
    return [
        (r.state, r.at_utc_ms, r.heard_utc_ms) for r in store.history(platform.database, connector, 0, 1 << 60, 10_000)
    ]


def test_repeats_are_kept_once_and_how_old_a_state_is_can_be_told(platform: Platform) -> None:
    known(platform)
    for n in range(20):
        keep(platform, ("op", "c1", IDLE, NOON + n * MINUTE // 2, n))
    assert history(platform, "c1") == [(IDLE, NOON, NOON + 19 * MINUTE // 2)]
    assert rows(platform, "select count(*) from status_change") == [(1,)]
    keep(platform, ("op", "c1", CHARGING, NOON + HOUR, 20))
    assert history(platform, "c1")[0] == (IDLE, NOON, NOON + 19 * MINUTE // 2)
    (latest,) = rows(platform, "select status, at_utc_ms, heard_utc_ms, message_index from connector_status")
    assert latest == ("charging", NOON + HOUR, NOON + HOUR, 20)


def test_only_its_operator_and_the_charger_itself_may_say_it(platform: Platform) -> None:
    known(platform)
    foreign = keep(platform, ("other", "c1", FAULT, NOON, 1), ("charger1", "c1", IDLE, NOON + 1, 2))
    assert [(f.sender, f.message_index) for f in foreign] == [("other", 1)]
    assert history(platform, "c1") == [(IDLE, NOON + 1, NOON + 1)]


def test_a_connector_unknown_to_the_register_is_kept_apart_and_becomes_its_operator_s_history(
    platform: Platform,
) -> None:
    known(platform, 4)
    keep(platform, ("op", "c4", IDLE, NOON, 1), ("other", "c4", FAULT, NOON, 2))
    assert rows(platform, "select sender, status, apart from connector_status order by sender") == [
        ("op", "idle", True),
        ("other", "fault", True),
    ]
    known(platform, 5)
    keep(platform, ("op", "c4", CHARGING, NOON + MINUTE, 3))
    assert [s for s, _, _ in history(platform, "c4")] == [IDLE, CHARGING]
    assert rows(platform, "select sender, status, apart from connector_status order by sender") == [
        ("op", "charging", False),
        ("other", "fault", True),
    ]


def test_no_word_is_of_the_future_and_a_clock_that_was_never_set_says_nothing_of_the_past(platform: Platform) -> None:
    known(platform)
    keep(platform, ("op", "c1", IDLE, NOON + DAY, 1), received=NOON)
    keep(platform, ("op", "c2", IDLE, 0, 2), received=NOON)
    keep(platform, ("op", "c3", IDLE, NOON - 2 * MAX_LATE_MS, 3), received=NOON)
    assert rows(platform, "select connector_id, at_utc_ms from connector_status order by 1") == [
        ("c1", NOON),
        ("c2", NOON),
        ("c3", NOON - 2 * MAX_LATE_MS),
    ]


def test_the_database_holds_what_the_words_say_in_whatever_order_and_company_they_come(platform: Platform) -> None:
    known(platform)
    dice = random.Random(5)
    words: dict[str, list[StatusWord]] = {f"c{n}": [] for n in range(4)}
    for index in range(400):
        connector = dice.choice(sorted(words))
        at = NOON + dice.randrange(400) * MINUTE
        words[connector].append(StatusWord(dice.choice([IDLE, CHARGING, FAULT]), at, at, index, "op"))
    arriving = [(c, w) for c, said in words.items() for w in said]
    dice.shuffle(arriving)
    memory: dict[str, list[Any]] = {c: [] for c in words}
    while arriving:
        part, arriving = arriving[: dice.randrange(1, 30)], arriving[30:]
        for connector in words:
            said = [w for c, w in part if c == connector]
            memory[connector] = with_words(memory[connector], said)
        keep(platform, *[("op", c, w.state, w.at_utc_ms, w.message_index) for c, w in part])
        for connector, runs in memory.items():
            stored = store.history(platform.database, connector, 0, 1 << 60, 10_000)
            assert [dataclasses.replace(r, received_utc_ms=r.at_utc_ms) for r in stored] == [
                dataclasses.replace(r, received_utc_ms=r.at_utc_ms) for r in runs
            ]
            assert latest_of(platform, connector) == ([] if not runs else [(runs[-1].at_utc_ms, runs[-1].heard_utc_ms)])


def latest_of(platform: Platform, connector: str) -> Sequence[tuple[int, int]]:
    found = rows(
        platform,
        "select at_utc_ms, heard_utc_ms from connector_status where connector_id = %s and not apart",
        connector,
    )
    return [(int(a), int(b)) for a, b in found]


def test_a_late_word_names_the_span_that_is_counted_anew(platform: Platform) -> None:
    known(platform)
    hour = NOON // HOUR
    with platform.database.transaction() as connection:
        connection.execute("update counter set value = %s where name = 'status_closing'", (hour + 3,))
    keep(platform, ("op", "c1", IDLE, NOON, 1), received=NOON + 4 * HOUR)
    keep(platform, ("op", "c1", IDLE, NOON + 3 * HOUR, 2))
    keep(platform, ("op", "c1", CHARGING, NOON + HOUR, 3), received=NOON + 4 * HOUR)
    late = rows(platform, "select from_utc_ms, to_utc_ms from status_late order by late_id")
    assert late[0] == (NOON, NOON + DAY)
    assert late[1][0] == NOON + HOUR
    assert late[1][1] >= NOON + 3 * HOUR
    assert len(late) == 2
