"""The answers about occupancy: windows of a zone's calendar, and roll-ups as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from anxin.domain.errors import InputError
from anxin.flow.intake import now_utc_ms
from anxin.flow.occupancy_reading import MAX_CONNECTOR_HOURS, MAX_WINDOW_HOURS, Occupancy, Row
from anxin.occupancy.colours import COLOURS
from anxin.occupancy.intervals import Ints, intervals
from anxin.occupancy.rollup import COLUMNS, HOUR_MS, Column, counted_ms, observed_ms, share_ppm
from anxin.occupancy.uptime import Uptime, nevi_uptime, uk_reliability
from anxin.store import occupancy as store
from anxin.store import statuses

#: Connectors in one answer on present states.
MAX_STATES = 50_000
#: Runs of one connector in one answer: a month of changes every few minutes.
MAX_RUNS = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, UTC ms."""

    from_utc_ms: int
    to_utc_ms: int

    @property
    def hours(self) -> float:
        """Its length."""
        return (self.to_utc_ms - self.from_utc_ms) / HOUR_MS


def window_of(start: int | None, end: int | None, day: str | None, hours: str, zone: str) -> Window:
    """Return a window: from moment to moment; or of a day of a zone, from hour to hour by its wall clock, over midnight
    where the second is not above the first; the last hour where nothing is given. Raises InputError.

    On the day on which clocks change the window has the length that it really had: `0-24` is 23 or 25 hours long, and
    `2-3` nothing at all in the night in which that hour does not exist.
    """
    if day is None:
        end = now_utc_ms() if end is None else end
        found = Window(end - HOUR_MS if start is None else start, end)
    else:
        if start is not None or end is not None:
            raise InputError("a date, or from and to, not both")
        first, last = (int(h) for h in hours.split("-"))
        if first > 23 or last > 24:
            raise InputError(f"hours {hours}: from 0-24")
        begin = _date(day)
        found = Window(_local(begin, first, zone), _local(begin + timedelta(days=0 if last > first else 1), last, zone))
    if not 0 <= found.to_utc_ms - found.from_utc_ms <= MAX_WINDOW_HOURS * HOUR_MS:
        raise InputError(f"a window begins before it ends, and has at most {MAX_WINDOW_HOURS} hours")
    return found


def month_of(month: str, zone: str) -> Window:
    """Return a month (`2026-11`) of a zone; the running one where none is given. Raises InputError."""
    if not month:
        month = datetime.now(_zone(zone)).strftime("%Y-%m")
    first = _date(f"{month}-01")
    return Window(_local(first, 0, zone), _local((first + timedelta(days=32)).replace(day=1), 0, zone))


def states(occupancy: Occupancy, seen: Any, after: int, limit: int) -> dict[str, Any]:
    """Return present states in columns, with ages; a state not heard of for longer than the silence is unknown."""
    now, places = now_utc_ms(), occupancy.places()
    found = store.present(occupancy.platform.database, after, limit)
    rows = [
        (p, connector)
        for p in found
        if p.connector_no < places.rows
        and (connector := places.connectors[p.connector_no]) is not None
        and (seen is None or seen[p.connector_no])
    ]
    silent = [now - p.heard_utc_ms > occupancy.silence_ms for p, _ in rows]
    return {
        "at_utc_ms": now,
        "next": found[-1].connector_no if len(found) == limit else None,
        "connector_id": [p.connector_id for p, _ in rows],
        "station_id": [c.station_id for _, c in rows],
        "operator_id": [c.operator_id for _, c in rows],
        "state": ["unknown" if s else p.status for s, (p, _) in zip(silent, rows, strict=True)],
        "last_state": [p.status for p, _ in rows],
        "since_utc_ms": [p.at_utc_ms for p, _ in rows],
        "age_ms": [max(0, now - p.at_utc_ms) for p, _ in rows],
        "heard_ms_ago": [max(0, now - p.heard_utc_ms) for p, _ in rows],
        "message_index": [p.message_index for p, _ in rows],
        "silent": len(places.registered) - len(rows) if seen is None and after == 0 and len(found) < limit else None,
    }


def picture(occupancy: Occupancy, by: str, window: Window, seen: Any) -> dict[str, Any]:
    """Return colours and figures of every group in a window. Raises InputError for one too long."""
    if (by in ("charger", "connector") or seen is not None) and window.hours > MAX_CONNECTOR_HOURS:
        raise InputError(f"at most {MAX_CONNECTOR_HOURS} hours")
    rows = occupancy.by_kind(by, window.from_utc_ms, window.to_utc_ms, seen)
    colours = occupancy.picture(rows)
    return {
        "by": by,
        "from_utc_ms": window.from_utc_ms,
        "to_utc_ms": window.to_utc_ms,
        "groups": [
            {"key": row.key, "colour": COLOURS[colour].value, **_figures(row, int(taken), int(seen_ppm))}
            for row, colour, taken, seen_ppm in zip(
                rows, colours.colour, colours.taken_ppm, colours.observed_ppm, strict=True
            )
        ],
    }


def heat_map(occupancy: Occupancy, by: str, key: str | None, month: str, zone: str, seen: Any) -> dict[str, Any]:
    """Return a month by weekday and hour of a zone: 7 x 24 shares, energy, turnover, sessions. Raises InputError."""
    window = month_of(month, zone)
    first, last = window.from_utc_ms // HOUR_MS, -(-min(window.to_utc_ms, now_utc_ms()) // HOUR_MS)
    keys = _keys(occupancy, by, key, seen)
    sums = occupancy.group_hours(by, keys, first, max(first, last)).sum(axis=0)
    cells = np.zeros((7 * 24, COLUMNS), np.int64)
    np.add.at(cells, weekday_hours(first, len(sums), zone), sums)
    taken = cells[:, Column.CHARGING] + cells[:, Column.OCCUPIED]
    return {
        "by": by,
        "key": key,
        "zone": zone,
        "from_utc_ms": window.from_utc_ms,
        "to_utc_ms": window.to_utc_ms,
        "taken_ppm": _grid(share_ppm(taken, taken + cells[:, Column.IDLE])),
        "observed_ppm": _grid(share_ppm(observed_ms(cells), counted_ms(cells))),
        "sessions": _grid(cells[:, Column.SESSIONS]),
        "energy_milli_wh": _grid(cells[:, Column.ENERGY]),
        "turnover_e4": _grid(cells[:, Column.TURNOVER]),
    }


def change(occupancy: Occupancy, by: str, month: str, other: str, zone: str, seen: Any) -> dict[str, Any]:
    """Return each group's figures in two months and their differences. Raises InputError."""
    sides = []
    for name in (month, other):
        window = month_of(name, zone)
        rows = occupancy.by_kind(by, window.from_utc_ms, window.to_utc_ms, seen)
        colours = occupancy.picture(rows)
        sides.append({
            r.key: {"colour": COLOURS[c].value, **_figures(r, int(t), int(o))}
            for r, c, t, o in zip(rows, colours.colour, colours.taken_ppm, colours.observed_ppm, strict=True)
        })  # fmt: skip
    groups = []
    for key in sorted(sides[0].keys() | sides[1].keys()):
        one, two = sides[0].get(key), sides[1].get(key)
        groups.append({"key": key, "month": one, "other": two, "change": _difference(one, two)})
    return {"by": by, "month": month, "other": other, "groups": groups}


def history(occupancy: Occupancy, connector_id: str, window: Window, seen: Any) -> dict[str, Any] | None:
    """Return the intervals of a connector in a window with what says so, and uptime; None for one not seen."""
    no = occupancy.places().numbers.get(connector_id)
    if no is None or (seen is not None and not seen[no]):
        return None
    end = min(window.to_utc_ms, now_utc_ms())
    database = occupancy.platform.database
    runs = statuses.history(database, connector_id, window.from_utc_ms, end, MAX_RUNS)
    if len(runs) == MAX_RUNS:
        end = runs[-1].at_utc_ms  # the rest is asked for from there on
    spans = intervals(runs, window.from_utc_ms, end, occupancy.silence_ms)
    return {
        "connector_id": connector_id,
        "from_utc_ms": window.from_utc_ms,
        "to_utc_ms": end,
        "intervals": [
            {
                "from_utc_ms": s.from_utc_ms,
                "to_utc_ms": s.to_utc_ms,
                "state": s.state.value,
                "message_index": s.run.message_index if s.run else None,
                "sender": s.run.sender if s.run else None,
                "heard_utc_ms": s.run.heard_utc_ms if s.run else None,
            }
            for s in spans
        ],
        "uk_reliability": _uptime(uk_reliability(spans)),
        "nevi_uptime": _uptime(nevi_uptime(spans)),
    }


def uptime(occupancy: Occupancy, by: str, month: str, zone: str, seen: Any) -> dict[str, Any]:
    """Return uptime of groups in a month by both formulas, from their totals; nothing is excluded by claim."""
    window = month_of(month, zone)
    rows = occupancy.by_kind(by, window.from_utc_ms, window.to_utc_ms, seen)
    return {
        "by": by,
        "from_utc_ms": window.from_utc_ms,
        "to_utc_ms": window.to_utc_ms,
        "uk_target_ppm": occupancy.uk_target_ppm,
        "nevi_target_ppm": occupancy.nevi_target_ppm,
        "groups": [
            {
                "key": r.key,
                "connectors": r.connectors,
                "uk_reliability": _uptime(_uk(r)),
                "nevi_uptime": _uptime(_nevi(r)),
            }
            for r in rows
        ],
    }


def _uk(row: Row) -> Uptime:
    t = [int(v) for v in row.totals]
    good, bad = t[Column.IDLE] + t[Column.OCCUPIED] + t[Column.CHARGING], t[Column.FAULTY]
    share = None if good + bad == 0 else good * 1_000_000 // (good + bad)
    return Uptime(share, good, bad, t[Column.BLOCKED] + t[Column.ABSENT], t[Column.UNKNOWN] + t[Column.OFFLINE])


def _nevi(row: Row) -> Uptime:
    t = [int(v) for v in row.totals]
    down = t[Column.FAULTY] + t[Column.OFFLINE]
    up = t[Column.IDLE] + t[Column.OCCUPIED] + t[Column.CHARGING] + t[Column.BLOCKED]
    share = None if up + down == 0 else up * 1_000_000 // (up + down)
    return Uptime(share, up, down, 0, t[Column.UNKNOWN] + t[Column.ABSENT])


def _uptime(figure: Uptime) -> dict[str, int | None]:
    return {
        "share_ppm": figure.share_ppm,
        "up_ms": figure.up_ms,
        "down_ms": figure.down_ms,
        "excluded_ms": figure.excluded_ms,
        "unobserved_ms": figure.unobserved_ms,
    }


def _figures(row: Row, taken_ppm: int, observed_ppm: int) -> dict[str, Any]:
    return {
        "connectors": row.connectors,
        "taken_ppm": None if taken_ppm < 0 else taken_ppm,
        "observed_ppm": None if observed_ppm < 0 else observed_ppm,
        **{f"{c.name.lower()}_ms": int(row.totals[c]) for c in list(Column)[:8]},
        "sessions": int(row.totals[Column.SESSIONS]),
        "energy_milli_wh": int(row.totals[Column.ENERGY]),
        "turnover_e4": int(row.totals[Column.TURNOVER]),
    }


def _difference(one: dict[str, Any] | None, two: dict[str, Any] | None) -> dict[str, int] | None:
    if one is None or two is None:
        return None
    return {n: two[n] - v for n, v in one.items() if isinstance(v, int) and isinstance(two[n], int)}


def _keys(occupancy: Occupancy, by: str, key: str | None, seen: Any) -> Sequence[str] | None:
    """The groups that a heat map sums; a caller who does not see all names one that is his alone."""
    if seen is not None:
        grouping = occupancy.places().groupings[by]
        foreign = {int(n) for n in grouping.of_row[~seen]}
        if key is None or key not in grouping.keys or grouping.keys.index(key) in foreign:
            raise InputError("name a group that is yours alone, by operator or by station")
    return None if key is None else [key]


def weekday_hours(first_hour: int, count: int, zone: str) -> Ints:
    """weekday * 24 + hour of each hour by a zone's clock. An hour that a zone cuts counts with where it begins."""
    clock = _zone(zone)
    moments = [datetime.fromtimestamp((first_hour + n) * 3_600, UTC).astimezone(clock) for n in range(count)]
    return np.array([m.weekday() * 24 + m.hour for m in moments], np.int64)


def _grid(values: Ints) -> list[list[int | None]]:
    return [[None if v < 0 else int(v) for v in day] for day in values.reshape(7, 24)]


def _local(day: date, hour: int, zone: str) -> int:
    """The moment of a wall clock, UTC ms. Of an hour that comes twice the first; one that is left out is the moment to
    which the clocks jump."""
    day, hour = (day + timedelta(days=1), 0) if hour == 24 else (day, hour)
    # Of an hour that is left out, Python takes the offset before it: that is the moment at which the clocks jump.
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=_zone(zone)).timestamp()) * 1_000


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text[:20]} is no day") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(f"{name[:64]} is no IANA zone") from None
