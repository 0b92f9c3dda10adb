"""What connectors were doing in a window, from roll-ups and exact edges, for the API.

    1  hours that are counted: their segments, cut where the window cuts them
    2  hours after the mark, the running one too: straight from the history, up to now
    3  connectors are put together to chargers, stations, cells, districts, operators, the city
    4  colours and figures of each

A window of whole hours is longer than LONG_HOURS: sums of groups by the day, and edges as above. Energy, turnover and
sessions count with the hours that begin in the window, so that windows which follow one another add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anxin.flow.intake import now_utc_ms
from anxin.flow.occupancy_places import KEPT_KINDS, CurrentPlaces, Places
from anxin.flow.platform import Platform
from anxin.occupancy.colours import Thresholds, picture_of
from anxin.occupancy.intervals import Ints, Runs, Segments, joined, segments_of
from anxin.occupancy.packing import unpack, unpack_day, unpack_trade
from anxin.occupancy.rollup import CATEGORIES, COLUMNS, HOUR_MS, by_group, totals_of
from anxin.reconcile.policy import Policy, load_policy
from anxin.store import occupancy as store

#: Windows up to this many hours are answered connector by connector; longer ones of groups from their sums.
LONG_HOURS = 48
#: The longest window in hours: two years and a day.
MAX_WINDOW_HOURS = 732 * 24
#: The longest window of single connectors and chargers in hours, which are read hour by hour.
MAX_CONNECTOR_HOURS = 32 * 24


@dataclass(frozen=True, slots=True)
class Row:
    """Totals of one group in a window."""

    key: str
    connectors: int
    totals: Ints


class Occupancy:
    """Reads what connectors were doing. One for each app; the places follow the register."""

    def __init__(self, platform: Platform) -> None:
        policy = policy_of(platform)
        self.platform = platform
        self.uk_target_ppm, self.nevi_target_ppm = policy.int("uptime.uk_target"), policy.int("uptime.nevi_target")
        self.silence_ms = policy.int("occupancy.silence")
        self.thresholds = Thresholds(
            policy.int("occupancy.busy_share"),
            policy.int("occupancy.idle_share"),
            policy.int("occupancy.least_observed"),
        )
        self.places = CurrentPlaces(platform)

    def mask(self, operator_id: str | None, districts: Sequence[str] = ()) -> np.ndarray[Any, Any] | None:
        """Return which rows a caller sees, None where he sees all."""
        if operator_id is None and not districts:
            return None
        places = self.places()
        seen = np.ones(places.rows, bool)
        if operator_id is not None:
            seen &= _in(places, "operator", (operator_id,))
        if districts:
            seen &= _in(places, "district", districts)
        return seen

    def by_connector(self, from_utc_ms: int, to_utc_ms: int, now: int | None = None) -> Ints:
        """Return totals in a window, row by connector number. What lies after `now` (the clock) is not counted."""
        moment = now_utc_ms() if now is None else now
        to_utc_ms = min(to_utc_ms, moment)
        places = self.places()
        totals = np.zeros((places.rows, COLUMNS), np.int64)
        if from_utc_ms >= to_utc_ms:
            return totals
        with self.platform.database.transaction() as connection:
            _, closed = store.marks(connection)
            first, last = from_utc_ms // HOUR_MS, -(-to_utc_ms // HOUR_MS)
            stored = store.hours(connection, first, last)
            open_from = max(from_utc_ms, closed * HOUR_MS)
            running = None
            if open_from < to_utc_ms:
                runs = Runs(**store.runs_between(connection, open_from, to_utc_ms))
                running = segments_of(runs, places.registered, open_from, to_utc_ms, self.silence_ms)
        segments = [unpack(s, h, b) for h, b, s, _ in stored if s is not None and h < closed]
        parts = [joined_raw(segments).clipped(from_utc_ms, to_utc_ms), *([running] if running is not None else [])]
        for part in parts:
            totals += totals_of(part.of(part.connector < places.rows), places.rows)
        for hour, block, _, trade in stored:
            if trade is not None and hour * HOUR_MS >= from_utc_ms:
                connectors, figures = unpack_trade(trade, block)
                inside = connectors < places.rows
                totals[connectors[inside], CATEGORIES:] += figures[inside]
        return totals

    def by_kind(
        self, kind: str, from_utc_ms: int, to_utc_ms: int, seen: Any = None, now: int | None = None
    ) -> list[Row]:
        """Return the totals of every group of a kind in a window; of the rows seen, where that is bounded."""
        moment = now_utc_ms() if now is None else now
        places = self.places()
        grouping = places.groupings[kind]
        of_row = grouping.of_row if seen is None else np.where(seen, grouping.of_row, -1)
        size = np.bincount(of_row[of_row >= 0], minlength=len(grouping.keys))
        if seen is None and kind in KEPT_KINDS and to_utc_ms - from_utc_ms > LONG_HOURS * HOUR_MS:
            sums = self._long(kind, from_utc_ms, to_utc_ms, moment)
        else:
            sums = by_group(self.by_connector(from_utc_ms, to_utc_ms, moment), of_row, len(grouping.keys))
        return [Row(key, int(size[n]), sums[n]) for n, key in enumerate(grouping.keys) if size[n]]

    def _long(self, kind: str, from_utc_ms: int, to_utc_ms: int, now: int) -> Ints:
        """Sums of groups over whole hours that are counted, and exact edges."""
        grouping = self.places().groupings[kind]
        to_utc_ms = min(to_utc_ms, now)
        with self.platform.database.transaction() as connection:
            _, closed = store.marks(connection)
        first, last = -(-from_utc_ms // HOUR_MS), min(to_utc_ms // HOUR_MS, closed)
        sums = self.group_hours(kind, None, first, max(first, last)).sum(axis=1)
        for low, high in ((from_utc_ms, first * HOUR_MS), (max(first, last) * HOUR_MS, to_utc_ms)):
            if low < high:
                sums += by_group(self.by_connector(low, high, now), grouping.of_row, len(grouping.keys))
        return np.asarray(sums)

    def group_hours(self, kind: str, keys: Sequence[str] | None, from_hour: int, to_hour: int) -> Ints:
        """Return totals of groups by hour, counted ones only: [group][hour - from_hour][COLUMNS].

        The groups are those of `keys`, else all of the kind in the order of the places' grouping.
        """
        wanted = self.places().groupings[kind].keys if keys is None else tuple(keys)
        place = {k: n for n, k in enumerate(wanted)}
        count = max(0, to_hour - from_hour)
        sums = np.zeros((len(wanted), count, COLUMNS), np.int64)
        if not count:
            return sums
        with self.platform.database.transaction() as connection:
            days = store.group_days(connection, kind, keys, from_hour // 24, -(-to_hour // 24))
        for key, day, packed in days:
            if key in place:
                low, high = max(from_hour, day * 24), min(to_hour, day * 24 + 24)
                sums[place[key], low - from_hour : high - from_hour] = unpack_day(packed)[
                    low - day * 24 : high - day * 24
                ]
        return sums

    def picture(self, rows: Sequence[Row]) -> Any:
        """Return the colours of rows of totals."""
        totals = np.stack([r.totals for r in rows]) if rows else np.zeros((0, COLUMNS), np.int64)
        return picture_of(totals, self.thresholds)


def policy_of(platform: Platform) -> Policy:
    """Return the policy that the platform's settings name."""
    name = platform.settings.policy_file
    return load_policy(Path(name) if name else None)


def joined_raw(parts: Sequence[Segments]) -> Segments:
    """Return several as one without putting them in order: sums do not ask for it."""
    if not parts:
        return joined([])
    return Segments(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("connector", "start", "end", "state")))


def _in(places: Places, kind: str, keys: Sequence[str]) -> np.ndarray[Any, Any]:
    grouping = places.groupings[kind]
    wanted = [n for n, key in enumerate(grouping.keys) if key in set(keys)]
    return np.isin(grouping.of_row, wanted)
