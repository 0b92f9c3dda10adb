"""Which connector belongs to which charger, station, cell, district and operator: columns by the connector's number.

Cells are H3 (Uber, Apache-2.0) at CELL_RESOLUTION, whose coordinates are WGS-84. T/CEC 102 gives GCJ-02, which is
converted by `prcoords`; a station of another coordinate system, or of none, has no cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import h3
import numpy as np
import prcoords

from anxin.domain.register import Connector, Station
from anxin.flow.platform import Directory, Platform
from anxin.occupancy.intervals import Ints
from anxin.store.database import Database
from anxin.store.statuses import known_numbers, numbers

#: Edges of about 530 m, 0.74 km2: some streets.
CELL_RESOLUTION = 8
#: Kinds of groups whose sums are kept by the hour.
KEPT_KINDS = ("city", "district", "operator", "station", "cell")
KINDS = (*KEPT_KINDS, "charger", "connector")
CITY = "city"


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of one kind. `of_row[n]` is the place in `keys` of connector n's group, -1 for none."""

    keys: tuple[str, ...]
    of_row: Ints


@dataclass(frozen=True, slots=True)
class Places:
    """All registered connectors: `rows` is one more than the highest number, `connectors[n]` None where n is none."""

    rows: int
    numbers: dict[str, int]
    registered: Ints
    connectors: tuple[Connector | None, ...]
    groupings: dict[str, Grouping]


class CurrentPlaces:
    """The places of a platform's register, read anew where the register has changed.

    Whoever keeps the roll-ups gives numbers to connectors that have none; who reads only waits for them.
    """

    def __init__(self, platform: Platform, numbering: bool = False) -> None:
        self._platform = platform
        self._numbering = numbering
        self._known: tuple[int, Places] | None = None

    def __call__(self) -> Places:
        """Return them as the register stands."""
        directory = self._platform.directory
        if self._known is None or self._known[0] != directory.version.register:
            places = places_of(self._platform.database, directory, self._numbering)
            if len(places.numbers) < len(directory.connectors):
                return places
            self._known = (directory.version.register, places)
        return self._known[1]


def places_of(database: Database, directory: Directory, numbering: bool) -> Places:
    """Return the places of the register as it stands: of connectors that have a number, or are given one now."""
    connectors = directory.connectors
    with database.transaction() as connection:
        keys = [(i, "") for i in connectors]
        if numbering:
            found = numbers(connection, keys, {i: c.operator_id for i, c in connectors.items()})
        else:
            found = known_numbers(connection, keys)
    rows = max(found.values(), default=0) + 1
    by_row: list[Connector | None] = [None] * rows
    for (connector_id, _), no in found.items():
        by_row[no] = connectors[connector_id]
    cells = {s.station_id: cell_of(s) for s in directory.register.stations}
    groupings = {}
    for kind in KINDS:
        groupings[kind] = _grouping([None if c is None else _key(kind, c, directory, cells) for c in by_row])
    numbers_of = {connector_id: no for (connector_id, _), no in found.items()}
    return Places(rows, numbers_of, np.array(sorted(found.values()), np.int64), tuple(by_row), groupings)


def cell_of(station: Station) -> str | None:
    """Return the H3 cell of a station, None where its coordinates cannot be read as WGS-84."""
    try:
        longitude, latitude = float(station.longitude or ""), float(station.latitude or "")
    except ValueError:
        return None
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return None
    return _cell(longitude, latitude, station.crs)


@lru_cache(maxsize=65_536)
def _cell(longitude: float, latitude: float, crs: str | None) -> str | None:
    if crs == "GCJ-02":
        latitude, longitude = prcoords.gcj_wgs_bored((latitude, longitude))
    elif crs != "WGS-84":
        return None
    return str(h3.latlng_to_cell(latitude, longitude, CELL_RESOLUTION))


def _key(kind: str, connector: Connector, directory: Directory, cells: dict[str, str | None]) -> str | None:
    station = directory.stations.get(connector.station_id)
    return {
        "city": CITY,
        "district": None if station is None else station.district,
        "operator": connector.operator_id,
        "station": connector.station_id,
        "cell": cells.get(connector.station_id),
        "charger": connector.charger_id,
        "connector": connector.connector_id,
    }[kind]


def _grouping(keys: list[str | None]) -> Grouping:
    known = sorted({k for k in keys if k is not None})
    place = {k: n for n, k in enumerate(known)}
    return Grouping(tuple(known), np.array([-1 if k is None else place[k] for k in keys], np.int64))
