"""Roll-ups as bytes: the segments of a block of connectors in one hour, what they sold, and a group's day.

Connectors stand in blocks of BLOCK by their numbers. Most connectors have one segment an hour, which begins with it; so
numbers are kept as steps, starts as milliseconds of the hour, columns one after the other, and all is deflated.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from anxin.occupancy.intervals import Ints, Segments
from anxin.occupancy.rollup import COLUMNS, HOUR_MS

BLOCK = 1_024
_LEVEL = 1
_TRADE = 3


def pack(segments: Segments, hour: int, block: int) -> bytes:
    """Return the segments of one block in one hour as bytes; they cover the hour for each connector they name."""
    ordinal = segments.connector - block * BLOCK
    offset = segments.start - hour * HOUR_MS
    parts = (
        np.array([len(segments)], "<u4"),
        np.diff(ordinal, prepend=0).astype("<u2"),
        offset.astype("<u4"),
        segments.state.astype("u1"),
    )
    return zlib.compress(b"".join(p.tobytes() for p in parts), _LEVEL)


def unpack(data: bytes, hour: int, block: int) -> Segments:
    """Return what `pack` was given."""
    raw = zlib.decompress(data)
    count = int.from_bytes(raw[:4], "little")
    connector = np.cumsum(np.frombuffer(raw, "<u2", count, 4).astype(np.int64)) + block * BLOCK
    start = np.frombuffer(raw, "<u4", count, 4 + 2 * count).astype(np.int64) + hour * HOUR_MS
    state = np.frombuffer(raw, "u1", count, 4 + 6 * count).astype(np.int64)
    end = np.full(count, (hour + 1) * HOUR_MS, np.int64)
    same = connector[1:] == connector[:-1]
    end[:-1][same] = start[1:][same]
    return Segments(connector, start, end, state)


def pack_trade(connector: Ints, figures: Ints, block: int) -> bytes:
    """Return [sessions, energy, turnover] of connectors of one block as bytes."""
    parts = (np.array([len(connector)], "<u4"), (connector - block * BLOCK).astype("<u2"), figures.astype("<i8"))
    return zlib.compress(b"".join(np.ascontiguousarray(p).tobytes() for p in parts), _LEVEL)


def unpack_trade(data: bytes, block: int) -> tuple[Ints, Ints]:
    """Return what `pack_trade` was given."""
    raw = zlib.decompress(data)
    count = int.from_bytes(raw[:4], "little")
    connector = np.frombuffer(raw, "<u2", count, 4).astype(np.int64) + block * BLOCK
    return connector, np.frombuffer(raw, "<i8", count * _TRADE, 4 + 2 * count).astype(np.int64).reshape(count, _TRADE)


def pack_day(hours: Ints) -> bytes:
    """Return a group's totals of the 24 hours of a UTC day (24 x COLUMNS) as bytes."""
    return zlib.compress(hours.astype("<i8").tobytes(), _LEVEL)


def unpack_day(data: bytes | None) -> npt.NDArray[np.int64]:
    """Return what `pack_day` was given; zeros for a day without an entry."""
    if data is None:
        return np.zeros((24, COLUMNS), np.int64)
    return np.frombuffer(zlib.decompress(data), "<i8").reshape(24, COLUMNS).astype(np.int64)
