"""What chargers are doing: words taken a second, pictures of any window, heat maps, what is late, bytes a year.

python -m bench.occupancy [--chargers 14000] [--days 365] [--windows 300]

One day of changes is made and closed hour by hour, as the process does it; its closed hours are then copied to the
other days, so that the store has the size of the whole time and windows fall anywhere in it.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from anxin.assembly import open_platform
from anxin.domain.connector_status import State, StatusReport
from anxin.domain.register import Connector, Operator, Register, Station
from anxin.flow import enrol, occupancy_views
from anxin.flow.occupancy_keeping import IDLE_S, Keeper
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.platform import Platform, set_aside
from anxin.flow.statuses import Said, keep_statuses
from anxin.occupancy.rollup import HOUR_MS
from anxin.settings import Settings
from anxin.store.embedded import EmbeddedServer
from bench.common import write

#: Connectors of a charger, chargers of a station, districts, operators.
PLUGS, CHARGERS_OF_STATION, DISTRICTS, OPERATORS = 1.5, 8, 13, 40
#: Sessions of a connector a day; each changes its state three times (charging, occupied, idle).
SESSIONS_A_DAY = 5
#: Words of one transaction, as the judge takes them.
BATCH = 2_000
#: How often a charger repeats its state.
REPEAT_MS = 30_000
#: One word in so many comes an hour late.
LATE_SHARE = 20
DAY_MS = 24 * HOUR_MS
ZONE = "Asia/Shanghai"


def register_of(chargers: int) -> Register:
    """Return a register of so many chargers."""
    dice = random.Random(1)
    connectors, stations = [], []
    for n in range(chargers):
        station, operator = n // CHARGERS_OF_STATION, (n // CHARGERS_OF_STATION) % OPERATORS
        if n % CHARGERS_OF_STATION == 0:
            place = (f"{119.9 + dice.random() * 0.6:.6f}", f"{30.1 + dice.random() * 0.4:.6f}", "GCJ-02")
            stations.append(
                Station(f"s{station}", f"op{operator}", f"s{station}", f"d{dice.randrange(DISTRICTS)}", *place)
            )
        for plug in range(1 + n % 2):
            connectors.append(Connector(f"c{n}-{plug}", f"h{n}", f"s{station}", f"op{operator}", 60_000, "DC"))
    operators = tuple(Operator(f"op{n}", f"op{n}") for n in range(OPERATORS))
    return Register(operators, tuple(stations), tuple(connectors))


def changes_of(register: Register, day_ms: int) -> list[Said]:
    """Return the changes of one day, in the order of their times."""
    dice = np.random.default_rng(2)
    said = []
    for n, c in enumerate(register.connectors):
        starts = np.sort(dice.integers(0, DAY_MS - 2 * HOUR_MS, SESSIONS_A_DAY))
        for start in starts.tolist():
            length = int(dice.integers(20, 80)) * 60_000
            for offset, state in ((0, State.CHARGING), (length, State.OCCUPIED), (length + 300_000, State.IDLE)):
                at = day_ms + start + offset
                said.append(Said(StatusReport(c.connector_id, state, at), at, n, c.operator_id))
    return sorted(said, key=lambda s: s.received_utc_ms)


def take(platform: Platform, said: list[Said]) -> float:
    """Take words in batches; return words a second."""
    began = time.perf_counter()
    for first in range(0, len(said), BATCH):
        with platform.database.transaction() as connection:
            keep_statuses(connection, platform.directory, said[first : first + BATCH], DAY_MS)
    return len(said) / (time.perf_counter() - began)


def bare_upserts(platform: Platform, said: list[Said]) -> float:
    """The floor: the same words as bare upserts of one latest row each; return words a second."""
    with platform.database.transaction() as connection:
        connection.execute("create table bare (id text primary key, state text, at bigint) with (fillfactor = 50)")
    began = time.perf_counter()
    for first in range(0, len(said), BATCH):
        latest = {s.report.connector_id: s.report for s in said[first : first + BATCH]}
        with platform.database.transaction() as connection:
            connection.execute(
                "insert into bare select * from unnest(%s::text[], %s::text[], %s::bigint[])"
                " on conflict (id) do update set state = excluded.state, at = excluded.at",
                ([*latest], [r.state.value for r in latest.values()], [r.at_utc_ms for r in latest.values()]),
            )
    return len(said) / (time.perf_counter() - began)


def timed(work: Any, times: int) -> dict[str, float]:
    """Return milliseconds of a piece of work: median, 99th percentile, most."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1_000)
    spent.sort()
    return {"p50": round(spent[len(spent) // 2], 1), "p99": round(spent[int(len(spent) * 0.99)], 1), "n": times}


def plain_sql(platform: Platform, start: int) -> None:
    """The peer: the taken time of each connector in two hours, from the history by a window function alone."""
    with platform.database.transaction() as connection:
        connection.execute(
            "select connector_no, sum(least(coalesce(until, %(to)s), %(to)s) - greatest(at_utc_ms, %(from)s))"
            " filter (where state in (3, 4, 5)) from (select connector_no, state, at_utc_ms,"
            "   lead(at_utc_ms) over (partition by connector_no order by at_utc_ms) as until from status_change"
            "   where at_utc_ms < %(to)s) s where coalesce(until, %(to)s) > %(from)s group by 1",
            {"from": start, "to": start + 2 * HOUR_MS},
        ).fetchall()


def copy_days(platform: Platform, days: int) -> None:
    """Copy the hours that are closed to the days before them."""
    with platform.database.transaction() as connection:
        for day in range(1, days):
            connection.execute(
                "insert into occupancy_hour select hour - 24 * %(d)s, block, segments, trade from occupancy_hour"
                " where hour >= (select max(hour) from occupancy_hour) - 23",
                {"d": day},
            )
            connection.execute(
                "insert into occupancy_group select day - %(d)s, kind, key, hours from occupancy_group"
                " where day = (select max(day) from occupancy_group)",
                {"d": day},
            )


def measured(platform: Platform, chargers: int, days: int, windows: int) -> dict[str, Any]:
    """Return the figures of one size."""
    register = register_of(chargers)
    enrol.enrol_register(platform.database, platform.vault, register, [])
    platform.refresh()
    day_ms = int(time.time() * 1_000) // DAY_MS * DAY_MS - DAY_MS  # yesterday, UTC
    with platform.database.transaction() as connection:
        connection.execute("update counter set value = %s where name like 'status_clos%%'", (day_ms // HOUR_MS,))
    said = changes_of(register, day_ms)
    result: dict[str, Any] = {"chargers": chargers, "connectors": len(register.connectors), "days": days}
    result["changes_a_second"] = round(take(platform, said))
    idle = day_ms + DAY_MS - HOUR_MS // 2
    again = [
        Said(StatusReport(c.connector_id, State.IDLE, at), at, 1, c.operator_id)
        for at in range(idle, idle + 10 * REPEAT_MS, REPEAT_MS)
        for c in register.connectors
    ]
    result["repeats_a_second"] = round(take(platform, again))
    result["bare_upserts_a_second"] = round(bare_upserts(platform, again))
    keeper, reader = Keeper(platform), Occupancy(platform)
    keeper.places()
    closings = []
    for hour in range(24):
        began = time.perf_counter()
        keeper.step(day_ms + (hour + 1) * HOUR_MS + 1)
        closings.append(time.perf_counter() - began)
    result["hour_closed_s"] = {"median": round(sorted(closings)[12], 2), "most": round(max(closings), 2)}
    middle = said[len(said) // 2 : len(said) // 2 + 1_000]
    late = [
        Said(StatusReport(s.report.connector_id, State.FAULT, s.report.at_utc_ms + 1_000), day_ms + DAY_MS, 2, s.sender)
        for s in middle
    ]
    take(platform, late)
    began = time.perf_counter()
    keeper.settle(day_ms + DAY_MS + 1)
    result["thousand_late_words_counted_s"] = round(time.perf_counter() - began, 2)
    result["bytes"] = stored(platform, len(register.connectors), len(said), chargers)
    copy_days(platform, days)
    with platform.database.transaction() as connection:
        connection.execute("analyze")
    set_aside()  # as the process that serves it does; here for the words that were made, too
    dice, now = random.Random(3), day_ms + DAY_MS + 1

    def window() -> None:
        start = day_ms + DAY_MS - dice.randrange(2 * 60, days * 24 * 60) * 60_000
        rows = reader.by_kind("charger", start, start + 2 * HOUR_MS, now=now)
        reader.picture(rows)

    def live() -> None:
        reader.picture(reader.by_kind("charger", day_ms + DAY_MS - HOUR_MS // 2, now, now=now))

    def heat(by: str, key: str | None) -> None:
        month = time.strftime("%Y-%m", time.gmtime((day_ms - 1) / 1_000))
        occupancy_views.heat_map(reader, by, key, month, ZONE, None)

    result["picture_of_2_h_ms"] = timed(window, windows)
    result["picture_of_now_ms"] = timed(live, max(20, windows // 10))
    result["heat_map_city_ms"] = timed(lambda: heat("city", "city"), 50)
    result["heat_map_district_ms"] = timed(lambda: heat("district", "d1"), 50)
    result["heat_map_sum_of_all_cells_ms"] = timed(lambda: heat("cell", None), 5)
    result["followed"] = followed(platform, keeper, day_ms + DAY_MS + HOUR_MS, 60)
    result["plain_sql_over_one_day_of_history_ms"] = timed(lambda: plain_sql(platform, day_ms + 12 * HOUR_MS), 5)
    return result


def followed(platform: Platform, keeper: Keeper, base: int, seconds: int) -> dict[str, Any]:
    """Let every connector repeat its state each 30 s of real time, one in LATE_SHARE an hour late, across the end of an
    hour, while roll-ups are kept as the process keeps them. Return seconds from a late word's commit until nothing is
    left to count, from the end of the hour until it is closed, and how long a second's words took to be taken."""
    connectors = platform.directory.register.connectors
    each = max(1, len(connectors) * 1_000 // REPEAT_MS)
    began, over = time.perf_counter(), threading.Event()
    idle: list[tuple[float, float]] = []  # steps that found nothing left to do
    closed: list[float] = []
    end_of_hour_s = seconds / 2

    def moment() -> int:
        return base + int((time.perf_counter() - began - end_of_hour_s) * 1_000)

    def keep() -> None:
        while not over.is_set():
            start = time.perf_counter()
            busy = keeper.step(moment())
            end = time.perf_counter()
            if not closed and start - began > end_of_hour_s:
                closed.append(end - began - end_of_hour_s)
            if not busy:
                idle.append((start, end))
                over.wait(IDLE_S)

    keeping = threading.Thread(target=keep)
    keeping.start()
    committed, taking = [], []
    for second in range(seconds):
        time.sleep(max(0.0, began + second - time.perf_counter()))
        start, at = time.perf_counter(), moment()
        words = []
        for n in range(each):
            c = connectors[(second * each + n) % len(connectors)]
            is_late = n % LATE_SHARE == 0
            report = StatusReport(c.connector_id, State.FAULT if is_late else State.IDLE, at - HOUR_MS * is_late)
            words.append(Said(report, at, 3, c.operator_id))
        with platform.database.transaction() as connection:
            keep_statuses(connection, platform.directory, words, DAY_MS)
        committed.append(time.perf_counter())
        taking.append(committed[-1] - start)
    time.sleep(4 * IDLE_S)
    over.set()
    keeping.join()
    behind = sorted(min(end for start, end in idle if start >= at) - at for at in committed)
    return {
        "words_a_second": each,
        "seconds": seconds,
        "late_word_counted_after_s": {"p50": round(behind[len(behind) // 2], 2), "most": round(behind[-1], 2)},
        "hour_closed_after_s": round(closed[0], 2),
        "a_second_of_words_taken_in_s": {"most": round(max(taking), 2)},
    }


def stored(platform: Platform, connectors: int, changes: int, chargers: int) -> dict[str, float]:
    """Return bytes a charger and year: of the history, of closed hours, of groups; from the one day that is there."""
    with platform.database.transaction() as connection:
        connection.execute("analyze")
        sizes = {
            name: int((connection.execute("select pg_total_relation_size(%s::regclass)", (name,)).fetchone() or [0])[0])
            for name in ("status_change", "occupancy_hour", "occupancy_group")
        }
    figures: dict[str, float] = {
        f"{name}_kb_a_charger_and_year": round(size * 365 / chargers / 1_000, 1) for name, size in sizes.items()
    }
    figures["history_bytes_a_change"] = round(sizes["status_change"] / changes, 1)
    figures["closed_bytes_a_connector_hour"] = round(sizes["occupancy_hour"] / connectors / 24, 2)
    return figures


def main() -> None:
    """Run at one size and write build/bench/occupancy.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chargers", type=int, default=14_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--windows", type=int, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anxin-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "postgres").start()
        try:
            platform = open_platform(Settings(data_dir=Path(folder) / "data"), server.url)
            write("occupancy", measured(platform, args.chargers, args.days, args.windows))
            platform.database.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
