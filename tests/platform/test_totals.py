"""Running totals are what a count of the tables gives, whatever was done, and by however many at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anxin.domain.message import Kind, Message, Refused
from anxin.domain.source import Deviation
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import facts, ledger, messages, verdicts
from anxin.store.database import Database
from anxin.store.totals import NAMES, counted, totals
from anxin.store.verdicts import Scope, Standing, Verdict
from tests.platform.live_city import AS_OF_UTC_MS, enrolled

STANDING = Standing("p", "s", 1, 1)
Deed = tuple[str, int, int]
KINDS_OF_DEED = st.sampled_from(["messages", "refuse", "verdicts", "deviations", "forget"])
DEEDS = st.lists(st.tuples(KINDS_OF_DEED, st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=12)


def running(database: Database) -> dict[str, Any]:
    found = totals(database)
    names = {name: found[name] for name in NAMES}
    return {**names, "conflicts": {"all": found["conflicts"]} if found["conflicts"] else {}}


def expect_equal(database: Database) -> None:
    assert running(database) == counted(database)


def do(database: Database, deed: Deed) -> None:
    what, which, count = deed
    if what == "messages":
        kinds = [Kind.TCEC_ORDER, Kind.METER_ENVELOPE, Kind.OCPI_CDR]
        group = [Message(kinds[n % 3], "s", str(which), f"{which}/{n // 2}".encode()) for n in range(count * 2)]
        messages.append(database, group, 1, committed_entry)
    elif what == "refuse":
        ledger.refuse(database, Refused(f"door{which % 3}", "s", None, "rule", "detail", b"x"), 1, kept=count)
    elif what == "verdicts":
        states = ["agree", "disagree", "pending"]
        scope = Scope([f"place{which % 2}"], 0, 9)
        made = [_verdict(f"k{which}/{n}", states[(which + n + count) % 3], scope.places[0]) for n in range(count)]
        with database.transaction() as connection:
            verdicts.exchange_verdicts(connection, scope, made, STANDING)
    elif what == "deviations" and messages.size(database):
        with database.transaction() as connection:
            facts.put_deviations(
                connection, [(0, "s", n, Deviation(f"kind{which}", "clause", "detail")) for n in range(count)]
            )
    elif what == "forget":
        with database.transaction() as connection:
            facts.forget_messages(connection, [0])


def _verdict(key: str, state: str, place: str) -> Verdict:
    return Verdict(key, state, None, place, "o", None, None, 1, 2, None, None, None, 0)


@given(deeds=DEEDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_running_totals_are_the_counts_of_the_tables(platform: Platform, deeds: list[Deed]) -> None:
    for deed in deeds:
        do(platform.database, deed)
    expect_equal(platform.database)


def test_writers_at_the_same_time_neither_lose_a_count_nor_wait_for_one_another_for_ever(platform: Platform) -> None:
    failures: list[Exception] = []

    def writer(number: int) -> None:
        try:
            for n in range(25):
                do(platform.database, ("refuse", n + number, 1 + n % 3))
                do(platform.database, ("messages", n % 6, 1 + number % 3))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    expect_equal(platform.database)


def test_a_city_that_was_judged_is_counted_right_and_so_is_its_replay(platform: Platform, tmp_path: Path) -> None:
    city = enrolled(platform, chargers=15, days=2)
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    judge = Judge(platform, tmp_path)
    judge.settle(AS_OF_UTC_MS)
    found = totals(platform.database)
    assert found["verdicts"]["agree"] > 10
    assert found["findings"]
    expect_equal(platform.database)
    facts.requeue_all(platform.database)
    judge.settle(AS_OF_UTC_MS)
    judge.close()
    expect_equal(platform.database)


def test_a_count_that_is_wrong_by_one_is_seen(platform: Platform) -> None:
    do(platform.database, ("messages", 1, 2))
    with platform.database.transaction() as connection:
        connection.execute("update total set value = value + 1 where name = 'messages' and label = 'ocpi.cdr'")
    with pytest.raises(AssertionError):
        expect_equal(platform.database)
