"""The index of connectors by place: the nearest ones to a point that a wish allows, exact by the great circle.

    1  connectors are cut into blocks of neighbours: the widest axis is halved until a block is left
    2  each block keeps the ball around it, and what is in it at all (powers, kinds, operators, free ones)
    3  a question visits blocks from near to far, more at each step, and skips those that cannot hold what is wished
    4  it ends when the last one wanted is nearer than any ball that is left

Places are unit vectors in space: poles and the antimeridian are places like any other. A state that changes changes its
row and its block's count; nothing is built anew. What is rare is the hard case: then all blocks are visited, which is a
few passes over bytes that lie next to one another (bench/finder.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anxin.domain.connector_status import State
from anxin.domain.coordinates import EARTH_RADIUS_M, Crs, Point

#: Connectors of one block: fewer make more balls to look at, more make a visit dearer.
BLOCK_ROWS = 256
#: Blocks of the first step, and how many times more each step takes.
FIRST_BLOCKS, STEP_FACTOR = 8, 4
#: From one block in so many on, all are passed over.
FLAT_SHARE = 4
#: The most connectors of one answer.
MAX_NEAREST = 200
#: Metres that a ball is taken wider than reckoned, so that rounding never ends a search too early.
SLACK_M = 0.01
MM_PER_M = 1_000
Floats = npt.NDArray[np.float64]
#: Bits of a row: what does not change while the index stands, and the last, which does.
AC, DC, OPEN_24H, ASSURED, FREE = 1, 2, 4, 8, 16
#: States by their numbers in the index.
STATES = tuple(State)
STATE_NUMBERS = {state: number for number, state in enumerate(STATES)}
_IDLE = STATE_NUMBERS[State.IDLE]
_KINDS = {"AC": AC, "DC": DC}
#: Before everything: a connector of which nothing was ever heard.
NEVER = -(1 << 60)


@dataclass(frozen=True, slots=True)
class Row:
    """A connector in the index. `point` is WGS-84."""

    connector_id: str
    point: Point
    rated_power_w: int
    current_type: str
    operator_id: str
    plug: str | None = None
    open_24h: bool = False
    station_id: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """What was last heard of a connector: its state since when, and when that was last said."""

    connector_id: str
    state: State
    since_utc_ms: int
    heard_utc_ms: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connector must be; None and False ask for nothing. `operators` None: any."""

    least_power_w: int = 0
    current_type: str | None = None
    plug: str | None = None
    operators: frozenset[str] | None = None
    free: bool = False
    assured: bool = False
    open_24h: bool = False


@dataclass(frozen=True, slots=True)
class Near:
    """A connector that was found, its distance in millimetres, and its state as last heard (None: never)."""

    row: Row
    distance_mm: int
    word: Word | None
    assured: bool


@dataclass(slots=True)
class _Blocks:
    """Rows block by block (blocks x BLOCK_ROWS), and what holds of each block. The last rows are empty: power -1."""

    xyz: Floats
    bits: npt.NDArray[np.uint8]
    power: npt.NDArray[np.int32]
    operator: npt.NDArray[np.int32]
    plug: npt.NDArray[np.int16]
    rank: npt.NDArray[np.int32]
    centre: Floats
    radius: Floats
    static: npt.NDArray[np.uint8]
    #: The greatest power of a block by the kinds of current that a wish names: any, AC, DC.
    most_power: dict[int, npt.NDArray[np.int32]]
    operators: npt.NDArray[np.uint64]
    free: npt.NDArray[np.int32]


class Index:
    """All connectors of one register. Reading and changing states may happen in several threads."""

    def __init__(self, rows: Sequence[Row], assured: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        ranked = sorted(rows, key=lambda r: r.connector_id)
        self.rows = ranked
        self._operators = {o: n for n, o in enumerate(sorted({r.operator_id for r in ranked}))}
        self._plugs = {p: n for n, p in enumerate(sorted({r.plug for r in ranked if r.plug}))}
        places = unit_vectors(
            np.array([r.point.longitude for r in ranked]), np.array([r.point.latitude for r in ranked])
        )
        if any(r.point.crs is not Crs.WGS84 for r in ranked):
            raise ValueError("an index is of WGS-84 alone")
        order = _halved(places)
        self._blocks = _laid_out(ranked, places, order, self._operators, self._plugs, frozenset(assured))
        #: Where a connector stands in the blocks.
        self._slot = {ranked[n].connector_id: slot for slot, n in enumerate(order.tolist()) if n >= 0}
        slots = self._blocks.power.size
        self._state = np.full(slots, STATE_NUMBERS[State.UNKNOWN], np.uint8)
        self._since = np.full(slots, NEVER, np.int64)
        self._heard = np.full(slots, NEVER, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def put(self, words: Iterable[Word]) -> int:
        """Enter states; return how many connectors are in the index."""
        known = [(self._slot[w.connector_id], w) for w in words if w.connector_id in self._slot]
        b = self._blocks
        bits, free = b.bits.reshape(-1), b.free
        with self._lock:
            for slot, word in known:
                number = STATE_NUMBERS[word.state]
                was, now = self._state[slot] == _IDLE, number == _IDLE
                self._state[slot], self._since[slot] = number, word.since_utc_ms
                self._heard[slot] = word.heard_utc_ms
                if was != now:
                    bits[slot] ^= FREE
                    free[slot // BLOCK_ROWS] += 1 if now else -1
        return len(known)

    def assure(self, connector_ids: Iterable[str]) -> None:
        """Take these connectors as assured, and no others."""
        slots = [self._slot[i] for i in connector_ids if i in self._slot]
        b = self._blocks
        with self._lock:
            b.bits &= np.uint8(~ASSURED & 0xFF)
            b.bits.reshape(-1)[slots] |= ASSURED
            b.static[:] = np.bitwise_or.reduce(b.bits, axis=1)

    def word_of(self, connector_id: str) -> Word | None:
        """Return what was last heard of a connector, None: nothing."""
        slot = self._slot.get(connector_id)
        return None if slot is None else self._word(slot, connector_id)

    def _word(self, slot: int, connector_id: str) -> Word | None:
        since = int(self._since[slot])
        if since == NEVER:
            return None
        return Word(connector_id, STATES[self._state[slot]], since, int(self._heard[slot]))

    def nearest(
        self, point: Point, count: int, wish: Wish | None = None, heard_since_utc_ms: int = NEVER
    ) -> list[Near]:
        """Return at most `count` connectors that a wish allows, by distance, those of one distance by their id.

        Who asks for free ones gets those whose state was heard since `heard_since_utc_ms`: an older word is no word.
        """
        if point.crs is not Crs.WGS84:
            raise ValueError(f"an index is asked in WGS-84, not in {point.crs}")
        if not 0 < count <= MAX_NEAREST:
            raise ValueError(f"1 to {MAX_NEAREST} connectors at once")
        with self._lock:
            slots, distances = self._search(point, count, wish or Wish(), heard_since_utc_ms)
            b = self._blocks
            bits, ranks = b.bits.reshape(-1), b.rank.reshape(-1)
            found = []
            for slot, distance in zip(slots.tolist(), distances.tolist(), strict=True):
                row = self.rows[ranks[slot]]
                found.append(Near(row, distance, self._word(slot, row.connector_id), bool(bits[slot] & ASSURED)))
            return found

    def _search(self, point: Point, count: int, wish: Wish, heard_since: int) -> tuple[Any, Any]:
        b = self._blocks
        here = unit_vectors(np.array([point.longitude]), np.array([point.latitude]))[0]
        test = self._test(wish)
        slots, distances = np.zeros(0, np.int64), np.zeros(0, np.int64)
        if test is None:
            return slots, distances
        able = np.flatnonzero(test.blocks(b))
        nearest_mm = _bounds_mm(here, b.centre[able], b.radius[able])
        order = np.argsort(nearest_mm, kind="stable")
        able, nearest_mm = able[order], nearest_mm[order]
        begin, step = 0, FIRST_BLOCKS
        while begin < len(able) and not (len(slots) == count and nearest_mm[begin] > distances[-1]):
            end = min(begin + step, len(able))
            if len(slots) == count:  # nothing beyond the last one wanted is worth a visit
                end = min(end, int(np.searchsorted(nearest_mm, distances[-1], "right")))
            fresh = test.slots(b, able[begin:end])
            if wish.free and heard_since > NEVER:
                fresh = fresh[self._heard[fresh] >= heard_since]
            away = _distances_mm(here, b.xyz[fresh])
            if len(fresh) > count:
                near = away <= np.partition(away, count - 1)[count - 1]
                fresh, away = fresh[near], away[near]
            slots, distances = np.concatenate([slots, fresh]), np.concatenate([distances, away])
            best = np.lexsort((b.rank.reshape(-1)[slots], distances))[:count]
            slots, distances = slots[best], distances[best]
            begin, step = end, step * STEP_FACTOR
        return slots, distances

    def _test(self, wish: Wish) -> _Test | None:
        """What a wish means for rows; None where no connector can be meant."""
        bits = (FREE if wish.free else 0) | (ASSURED if wish.assured else 0) | (OPEN_24H if wish.open_24h else 0)
        if wish.current_type is not None:
            if wish.current_type not in _KINDS:
                return None
            bits |= _KINDS[wish.current_type]
        plug = -1 if wish.plug is None else self._plugs.get(wish.plug, -2)
        allowed = None
        if wish.operators is not None:
            allowed = np.zeros(len(self._operators), bool)
            allowed[[self._operators[o] for o in wish.operators if o in self._operators]] = True
        if plug == -2 or (allowed is not None and not allowed.any()):
            return None
        return _Test(bits, wish.least_power_w, plug, allowed)


@dataclass(frozen=True, slots=True)
class _Test:
    """A wish in the numbers of one index."""

    bits: int
    least_power_w: int
    plug: int
    operators: npt.NDArray[np.bool_] | None

    def blocks(self, b: _Blocks) -> npt.NDArray[np.bool_]:
        """Return which blocks may hold what is wished."""
        static = self.bits & ~FREE
        able: npt.NDArray[np.bool_] = (b.static & static == static) & (
            b.most_power[self.bits & (AC | DC)] >= self.least_power_w
        )
        if self.bits & FREE:
            able &= b.free > 0
        if self.operators is not None:
            able &= b.operators & _operator_bits(np.flatnonzero(self.operators)) != 0
        return able

    def slots(self, b: _Blocks, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rows of blocks that are what is wished."""
        # Where most is visited, a pass over everything is quicker than gathering it.
        everything = len(blocks) * FLAT_SHARE >= len(b.power)
        power, bits = (b.power, b.bits) if everything else (b.power[blocks], b.bits[blocks])
        fits = power >= max(self.least_power_w, 0)  # the powers of empty rows are -1
        if self.bits:
            fits &= bits & np.uint8(self.bits) == self.bits
        found = np.flatnonzero(fits)
        if everything:
            chosen = np.zeros(len(b.power), bool)
            chosen[blocks] = True
            found = found[chosen[found // BLOCK_ROWS]]
        else:
            found = blocks[found // BLOCK_ROWS] * BLOCK_ROWS + found % BLOCK_ROWS
        if self.operators is not None:
            found = found[self.operators[b.operator.reshape(-1)[found]]]
        if self.plug >= 0:
            found = found[b.plug.reshape(-1)[found] == self.plug]
        return found


def unit_vectors(longitudes: Floats, latitudes: Floats) -> Floats:
    """Return points of the unit sphere, a row each, of degrees."""
    lon, lat = np.radians(longitudes), np.radians(latitudes)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _distances_mm(here: Floats, places: Floats) -> npt.NDArray[np.int64]:
    """Millimetres along the great circle, from the chords to a point and to its antipode: exact near both (Kahan)."""
    apart, across = places - here, places + here
    squares = (np.einsum("ij,ij->i", v, v) for v in (apart, across))
    angles: Floats = 2 * np.arctan2(*map(np.sqrt, squares))
    found: npt.NDArray[np.int64] = np.rint(EARTH_RADIUS_M * MM_PER_M * angles).astype(np.int64)
    return found


def _bounds_mm(here: Floats, centres: Floats, radii: Floats) -> Floats:
    """Millimetres nearer than which nothing of each block is."""
    return _distances_mm(here, centres) - radii


def _operator_bits(numbers: npt.NDArray[np.int64]) -> np.uint64:
    """A bit of 64 for each operator: who has none of them set is not in a block."""
    bits = np.left_shift(np.uint64(1), (numbers % 64).astype(np.uint64))
    return np.uint64(np.bitwise_or.reduce(bits, initial=np.uint64(0)))


def _halved(places: Floats) -> npt.NDArray[np.int64]:
    """Return numbers of places, block by block: neighbours stand in one block. -1 fills the last."""
    blocks = -(-len(places) // BLOCK_ROWS)
    parts: list[npt.NDArray[np.int64]] = []
    waiting = [(np.arange(len(places)), blocks)] if blocks else []
    while waiting:
        part, count = waiting.pop()
        if count == 1:
            parts.append(np.pad(part, (0, BLOCK_ROWS - len(part)), constant_values=-1))
            continue
        here = places[part]
        axis = int(np.argmax(here.max(axis=0) - here.min(axis=0)))
        left = count // 2
        cut = left * BLOCK_ROWS
        part = part[np.argpartition(here[:, axis], cut - 1)]
        waiting += [(part[:cut], left), (part[cut:], count - left)]
    # Every block but the last is full: the right half always takes the rest.
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _laid_out(
    rows: Sequence[Row],
    places: Floats,
    order: npt.NDArray[np.int64],
    operators: dict[str, int],
    plugs: dict[str, int],
    assured: frozenset[str],
) -> _Blocks:
    there = order >= 0
    taken = np.where(there, order, 0)
    shape = (-1, BLOCK_ROWS)

    def laid(values: list[int], kind: Any, empty: int) -> Any:
        return np.where(there, np.array(values or [0], kind)[taken], kind(empty)).reshape(shape)

    bits = laid(
        [
            _KINDS.get(r.current_type, 0) | (OPEN_24H if r.open_24h else 0) | (ASSURED * (r.connector_id in assured))
            for r in rows
        ],
        np.uint8, 0,
    )  # fmt: skip
    operator = laid([operators[r.operator_id] for r in rows], np.int32, 0)
    power = laid([r.rated_power_w for r in rows], np.int32, -1)
    # Empty rows repeat the first of their block, so that they widen no ball.
    xyz = places[np.where(there, order, np.repeat(order.reshape(shape)[:, :1], BLOCK_ROWS))] if len(order) else places
    cubes = xyz.reshape(-1, BLOCK_ROWS, 3)
    middle = cubes.mean(axis=1)
    length = np.linalg.norm(middle, axis=1, keepdims=True)
    centre = np.where(length > 1e-9, middle / np.maximum(length, 1e-9), cubes[:, 0] if len(cubes) else middle)
    radius = np.array(
        [_distances_mm(c, block).max() + SLACK_M * MM_PER_M for c, block in zip(centre, cubes, strict=True)]
    )
    masks = np.left_shift(np.uint64(1), (operator % 64).astype(np.uint64))
    return _Blocks(
        xyz, bits, power, operator,
        laid([plugs.get(r.plug or "", -1) for r in rows], np.int16, -1),
        laid(list(range(len(rows))), np.int32, 0),
        centre, radius,
        np.bitwise_or.reduce(bits, axis=1),
        {kind: np.where(bits & np.uint8(kind) == kind, power, -1).max(axis=1, initial=-1) for kind in (0, AC, DC)},
        np.bitwise_or.reduce(np.where(power >= 0, masks, np.uint64(0)), axis=1),
        np.zeros(len(bits), np.int32),
    )  # fmt: skip
