"""Where the small drawings put things: the register staircase of a case and the map. Points only; templates draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians

from anxin.report.view import CaseRow, MapView, RegisterPoint, StationMark

#: More readings than this make a staircase that nobody can read; those nearest to the case are kept.
MAX_STAIRCASE_POINTS = 14
#: A ring keeps at most this many points on the page: below a pixel nothing more is seen.
MAX_RING_POINTS = 400
#: Stations drawn on the map: worst first, so that what is left out is what agrees.
MAX_STATIONS = 3_000

STAIR_WIDTH, STAIR_HEIGHT, _STAIR_LEFT, _STAIR_RIGHT, _STAIR_TOP, _STAIR_BOTTOM = 560, 150, 12, 12, 26, 34
MAP_WIDTH, MAP_HEIGHT, _MAP_EDGE = 720, 460, 16


@dataclass(frozen=True, slots=True)
class Step:
    """One reading on the staircase, in the drawing's pixels."""

    x: str
    y: str
    point: RegisterPoint


@dataclass(frozen=True, slots=True)
class Staircase:
    """The register as a line through `steps`, and where this case lies.

    case_path   the part of the line that is the case itself, or empty where it has no reading of its own
    case_x      where the case lies: between its readings, else between the readings around its time
    claim_y     the height that the register would have reached had the order been right, or None
    """

    steps: tuple[Step, ...]
    path: str
    case_path: str
    case_x: tuple[str, str] | None
    claim_y: str | None
    low_milli_wh: int
    high_milli_wh: int


@dataclass(frozen=True, slots=True)
class MapDrawing:
    """Districts as SVG paths and stations as points, in the drawing's pixels; worst stations last, so on top."""

    districts: tuple[tuple[str, str, str, str, str], ...]
    stations: tuple[tuple[str, str, StationMark], ...]
    stations_left_out: int


def staircase(case: CaseRow) -> Staircase | None:
    """Return the drawing of the case's meter, None where fewer than two readings are known.

    Readings stand at even distances in order of time: true distances would press an hour's session between two idle
    days into a single line.
    """
    meter = sorted(
        (p for p in case.registers if not p.kind.startswith("order_")),
        key=lambda p: (p.time_utc_ms, p.register_milli_wh, not p.kind.endswith("end")),
    )
    points = _nearest(meter)
    if len(points) < 2:
        return None
    begin = next((i for i, p in enumerate(points) if p.kind == "case_begin"), None)
    end = next((i for i, p in enumerate(points) if p.kind == "case_end"), None)
    around = _around(case, points) if begin is None and end is None else None
    start = begin if begin is not None else around
    claim = _claim(case, points[start] if start is not None else None)
    values = [p.register_milli_wh for p in points] + ([claim] if claim is not None else [])
    low, high = min(values), max(values)
    width, height = STAIR_WIDTH - _STAIR_LEFT - _STAIR_RIGHT, STAIR_HEIGHT - _STAIR_TOP - _STAIR_BOTTOM

    def x(i: int) -> str:
        return _number(_STAIR_LEFT + width * (i + 0.5) / len(points))

    def y(value: int) -> str:
        return _number(_STAIR_TOP + height * (1 - (value - low) / max(high - low, 1)))

    steps = tuple(Step(x(i), y(p.register_milli_wh), p) for i, p in enumerate(points))
    case_steps = steps[begin : end + 1] if begin is not None and end is not None and begin < end else ()
    within = (case_steps[0].x, case_steps[-1].x) if case_steps else None
    if around is not None:
        within = (steps[around].x, steps[around + 1].x)
    return Staircase(
        steps=steps,
        path=_line(steps),
        case_path=_line(case_steps),
        case_x=within,
        claim_y=None if claim is None else y(claim),
        low_milli_wh=low,
        high_milli_wh=high,
    )


def map_drawing(view: MapView | None) -> MapDrawing | None:
    """Return the map in pixels, None where there is no place to show. North is up; a degree of longitude is shortened
    by the cosine of the middle latitude, which is within a pixel for a city."""
    if view is None:
        return None
    stations = [s for s in view.stations if -180 <= s.longitude <= 180 and -90 <= s.latitude <= 90]
    spots = [spot for d in view.districts for ring in d.rings for spot in ring]
    spots += [(s.longitude, s.latitude) for s in stations]
    if not spots:
        return None
    west, east = min(s[0] for s in spots), max(s[0] for s in spots)
    south, north = min(s[1] for s in spots), max(s[1] for s in spots)
    squeeze = cos(radians((south + north) / 2))
    wide, high = max((east - west) * squeeze, 1e-4), max(north - south, 1e-4)
    scale = min((MAP_WIDTH - 2 * _MAP_EDGE) / wide, (MAP_HEIGHT - 2 * _MAP_EDGE) / high)
    left, top = (MAP_WIDTH - wide * scale) / 2, (MAP_HEIGHT - high * scale) / 2

    def place(longitude: float, latitude: float) -> tuple[str, str]:
        return _number(left + (longitude - west) * squeeze * scale), _number(top + (north - latitude) * scale)

    districts = []
    for district in view.districts:
        rings = [_thinned([place(*spot) for spot in ring]) for ring in district.rings if len(ring) >= 3]
        if rings:
            biggest = max(rings, key=len)
            label_x = _number((min(float(p[0]) for p in biggest) + max(float(p[0]) for p in biggest)) / 2)
            label_y = _number((min(float(p[1]) for p in biggest) + max(float(p[1]) for p in biggest)) / 2)
            path = "".join("M" + "L".join(f"{a},{b}" for a, b in ring) + "Z" for ring in rings)
            districts.append((path, label_x, label_y, district.name_zh, district.name_en))
    order = {"agree": 0, "pending": 1, "record_only": 2, "order_only": 3, "disagree": 4}
    ranked = sorted(stations, key=lambda s: (order.get(s.state, 0), s.station_id))
    drawn = ranked[-MAX_STATIONS:]
    marks = tuple((*place(s.longitude, s.latitude), s) for s in drawn)
    return MapDrawing(tuple(districts), marks, len(ranked) - len(drawn))


def _around(case: CaseRow, points: Sequence[RegisterPoint]) -> int | None:
    """Return the last reading before a case that has none of its own, None where it does not lie between two."""
    if case.start_utc_ms is None:
        return None
    before = sum(point.time_utc_ms <= case.start_utc_ms for point in points)
    return before - 1 if 0 < before < len(points) else None


def _claim(case: CaseRow, begin: RegisterPoint | None) -> int | None:
    """Return the register that the order says was reached, mWh: as it states it, else its energy on top of `begin`.

    None where order and meter agree: the dashed line would lie on the register itself.
    """
    if case.difference_milli_wh == 0:
        return None
    stated = next((p.register_milli_wh for p in case.registers if p.kind == "order_end"), None)
    if stated is not None or begin is None or case.order_energy_milli_wh is None:
        return stated
    return begin.register_milli_wh + case.order_energy_milli_wh


def _nearest(points: Sequence[RegisterPoint]) -> Sequence[RegisterPoint]:
    if len(points) <= MAX_STAIRCASE_POINTS:
        return points
    middle = next((i for i, p in enumerate(points) if p.kind == "case_begin"), len(points) // 2)
    first = min(max(0, middle + 1 - MAX_STAIRCASE_POINTS // 2), len(points) - MAX_STAIRCASE_POINTS)
    return points[first : first + MAX_STAIRCASE_POINTS]


def _thinned(ring: list[tuple[str, str]]) -> list[tuple[str, str]]:
    stride = -(-len(ring) // MAX_RING_POINTS)
    return [spot for i, spot in enumerate(ring) if i % stride == 0]


def _line(steps: Sequence[Step]) -> str:
    return "M" + "L".join(f"{s.x},{s.y}" for s in steps) if steps else ""


def _number(value: float) -> str:
    """Return a coordinate with one decimal: a tenth of a pixel, and the same text on every machine."""
    return f"{value:.1f}".removesuffix(".0")
