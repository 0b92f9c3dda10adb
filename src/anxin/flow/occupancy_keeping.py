"""The keeping of roll-ups: a little at a time, of low priority, in a process of its own.

    1  an hour that is over is closed: from now on a word before its end is a late one
    2  late words and changed verdicts are taken off their lists; they name the hours and connectors to be counted anew
    3  each such hour is counted: what its connectors were doing from their history, what was sold from the verdicts
    4  the sums of its groups are exchanged
    5  the mark of what is counted moves on

Steps 2 to 5 are one transaction for each hour that is closed, and one for what is late: if the process dies, lists and
mark stand where they stood. Readers never wait for it: what lies after the mark they count themselves
(flow/occupancy_reading.py), so a colour is never behind; what is late is behind by one step.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from anxin.domain.errors import StoreError
from anxin.flow.intake import now_utc_ms
from anxin.flow.occupancy_places import KEPT_KINDS, CurrentPlaces, Places
from anxin.flow.occupancy_reading import policy_of
from anxin.flow.platform import Platform
from anxin.occupancy.intervals import Ints, Runs, Segments, joined, segments_of
from anxin.occupancy.packing import BLOCK, pack, pack_day, pack_trade, unpack, unpack_day, unpack_trade
from anxin.occupancy.rollup import CATEGORIES, COLUMNS, HOUR_MS, by_group, totals_of, trade_by_hour
from anxin.store import occupancy as store

LOG = logging.getLogger("anxin.occupancy")
#: Spans taken off the lists in one step.
MAX_SPANS = 5_000
#: Hours that one late span may reach over: what a late word reaches back, and a day in which its state holds.
MAX_HOURS = 32 * 24
#: The longest session that is looked for where an hour is counted anew (policy `plausible.duration_session`).
MAX_SESSION_MS = 7 * 86_400_000
#: Pause where nothing is to be done.
IDLE_S = 1.0
RETRY_S = 2.0
_DAY_HOURS = 24


class Keeper:
    """Keeps the roll-ups of a database. `step` does a little and returns whether there was something to do."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.silence_ms = policy_of(platform).int("occupancy.silence")
        self.places = CurrentPlaces(platform, numbering=True)

    def step(self, now: int | None = None) -> bool:
        """Close an hour that is over, or count anew what is late. `now` is the clock, UTC ms."""
        moment = now_utc_ms() if now is None else now
        database, places = self.platform.database, self.places()
        with database.transaction() as connection:
            closing, closed = store.marks(connection)
            if closing < moment // HOUR_MS:
                closing = moment // HOUR_MS
                store.set_mark(connection, "status_closing", closing)
        if closed < closing:
            with database.transaction() as connection:
                self._count(connection, places, closed, None, {})
                store.set_mark(connection, "status_closed", closed + 1)
            return True
        return self._late(places, closed)

    def settle(self, now: int | None = None) -> None:
        """Step until nothing is left to do."""
        while self.step(now):
            pass

    def _late(self, places: Places, closed: int) -> bool:
        with self.platform.database.transaction() as connection:
            late = store.take_late(connection, MAX_SPANS)
            traded = store.take_traded(connection, MAX_SPANS)
            if not late and not traded:
                return False
            wanted: dict[int, set[int]] = defaultdict(set)
            for no, start, end in late:
                for hour in _hours(start, min(end, closed * HOUR_MS)):
                    wanted[hour].add(no)
            sold = self._sold(connection, places, traded)
            for hour in sorted(wanted.keys() | sold.keys()):
                self._count(connection, places, hour, wanted.get(hour, set()), sold.get(hour, {}))
        return True

    def _sold(
        self, connection: Any, places: Places, traded: Iterable[tuple[str, int, int]]
    ) -> dict[int, dict[int, Ints]]:
        """{hour: {connector: [sessions, energy, turnover]}} of the hours in which verdicts changed, counted anew."""
        spans = [
            (no, place, start, end) for place, start, end in traded if (no := places.numbers.get(place)) is not None
        ]
        if not spans:
            return {}
        found: dict[int, dict[int, Ints]] = defaultdict(dict)
        for no, _, start, end in spans:
            for hour in _hours(start, end + 1):
                found[hour][no] = np.zeros(3, np.int64)
        number = {place: no for no, place, _, _ in spans}
        low = min(s[2] for s in spans) // HOUR_MS * HOUR_MS - MAX_SESSION_MS
        high = (max(s[3] for s in spans) // HOUR_MS + 1) * HOUR_MS
        rows = store.sessions(connection, sorted(number), low, high)
        if rows:
            start, end, energy, turnover = np.array([r[1:] for r in rows], np.int64).T
            end = np.minimum(end, start + MAX_SESSION_MS)
            connector = np.array([number[r[0]] for r in rows], np.int64)
            for hour, no, figures in zip(*trade_by_hour(connector, start, end, energy, turnover), strict=True):
                if int(no) in found.get(int(hour), ()):
                    found[int(hour)][int(no)] += figures
        return dict(found)

    def _count(self, connection: Any, places: Places, hour: int, late: set[int] | None, sold: dict[int, Ints]) -> None:
        """Count one hour: all connectors (None: it is closed), or those that are late, and what was sold."""
        low, high = hour * HOUR_MS, (hour + 1) * HOUR_MS
        stored = store.hours(connection, hour, hour + 1)
        old = joined([unpack(s, hour, b) for _, b, s, _ in stored if s is not None])
        trade = _trade_of(stored)
        for no, figures in sold.items():
            trade[no] = figures
        if late is None:
            population = places.registered
        else:
            population = np.array(sorted(late & set(places.registered.tolist())), np.int64)
        nos = None if late is None else population.tolist()
        new = old
        if late is None or len(population):
            runs = Runs(**store.runs_between(connection, low, high, nos))
            counted = segments_of(runs, population, low, high, self.silence_ms)
            new = joined([old.of(~np.isin(old.connector, population)), counted])
        changed = {int(b) for b in np.unique(population // BLOCK)} | {no // BLOCK for no in sold}
        store.put_hours(connection, [_entry(new, trade, hour, b) for b in sorted(changed)])
        touched = None if late is None else population.tolist() + list(sold)
        self._group(connection, places, hour, totals_with(new, trade, places.rows), touched)

    def _group(self, connection: Any, places: Places, hour: int, totals: Ints, touched: list[int] | None) -> None:
        """Exchange the sums of the groups of these connectors (None: of all) in one hour."""
        day, slot = hour // _DAY_HOURS, hour % _DAY_HOURS
        entries = []
        for kind in KEPT_KINDS:
            grouping = places.groupings[kind]
            sums = by_group(totals, grouping.of_row, len(grouping.keys))
            wanted = range(len(grouping.keys)) if touched is None else sorted(set(grouping.of_row[touched].tolist()))
            keys = [grouping.keys[n] for n in wanted if n >= 0]
            known = {key: hours for key, _, hours in store.group_days(connection, kind, keys, day, day + 1)}
            for n in wanted:
                if n < 0:
                    continue
                hours = unpack_day(known.get(grouping.keys[n]))
                hours[slot] = sums[n]
                entries.append((kind, grouping.keys[n], day, pack_day(hours)))
        store.put_group_days(connection, entries)


def totals_with(segments: Segments, trade: dict[int, Ints], rows: int) -> Ints:
    """Return the totals of segments, row by connector, with what was sold."""
    inside = segments.of(segments.connector < rows)
    totals = totals_of(inside, rows)
    for no, figures in trade.items():
        if no < rows:
            totals[no, CATEGORIES:COLUMNS] += figures
    return totals


def _trade_of(stored: Iterable[tuple[int, int, bytes | None, bytes | None]]) -> dict[int, Ints]:
    trade: dict[int, Ints] = {}
    for _, block, _, packed in stored:
        if packed is not None:
            connectors, figures = unpack_trade(packed, block)
            trade |= dict(zip(connectors.tolist(), figures, strict=True))
    return trade


def _entry(
    segments: Segments, trade: dict[int, Ints], hour: int, block: int
) -> tuple[int, int, bytes | None, bytes | None]:
    mine = segments.of(segments.connector // BLOCK == block)
    sold = sorted(no for no, figures in trade.items() if no // BLOCK == block and figures.any())
    packed = pack_trade(np.array(sold, np.int64), np.stack([trade[n] for n in sold]), block) if sold else None
    return hour, block, pack(mine, hour, block) if len(mine) else None, packed


def _hours(from_utc_ms: int, to_utc_ms: int) -> range:
    """The hours that a span touches; of a span that is longer than any may be, the last ones."""
    first, last = from_utc_ms // HOUR_MS, -(-to_utc_ms // HOUR_MS)
    return range(max(first, last - MAX_HOURS), last)


def keep_for_ever(platform: Platform, stop: threading.Event) -> None:
    """Keep the roll-ups until `stop` is set. A database that is away is waited for."""
    keeper = Keeper(platform)
    while not stop.is_set():
        try:
            platform.refresh()
            busy = keeper.step()
        except StoreError as error:
            LOG.error("occupancy: %s", error)
            stop.wait(RETRY_S)
            continue
        if not busy:
            stop.wait(IDLE_S)
