"""What the maps of the web pages draw: outlines of districts, and where connectors stand, in WGS-84."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from anxin.domain.coordinates import Crs, Point, point_of
from anxin.domain.party import Sight
from anxin.domain.register import Station
from anxin.finder.coordinates import converted
from anxin.flow.finder_documents import degrees
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.platform import Platform
from anxin.flow.report_map import CREDIT, district_shapes


class Outlines:
    """Outlines of the districts that the register's stations name, made once for each version of the register."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: tuple[int, dict[str, Any]] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, Any]:
        """Return them as GeoJSON, each with its `name` and where that is written (`label_at`)."""
        directory = self._platform.directory
        with self._lock:
            if self._known is None or self._known[0] != directory.version.register:
                self._known = (directory.version.register, _outlines(directory.register.stations))
            return self._known[1]


def _outlines(stations: tuple[Station, ...]) -> dict[str, Any]:
    spots = []
    for station in stations:
        place = point_of(station.longitude, station.latitude, station.crs)
        if place is not None and station.district:
            there = converted(place, Crs.GCJ02)  # the outlines' own system
            spots.append((station, (there.longitude, there.latitude)))
    features = []
    for shape in district_shapes(spots):
        rings = [[degrees(converted(Point(x, y, Crs.GCJ02), Crs.WGS84)) for x, y in ring] for ring in shape.rings]
        within = [spot for station, spot in spots if station.district == shape.name_zh]
        middle = np.median(np.array(within), axis=0)
        label = degrees(converted(Point(float(middle[0]), float(middle[1]), Crs.GCJ02), Crs.WGS84))
        features.append({
            "type": "Feature",
            "properties": {"name": shape.name_zh, "label_at": label},
            # Each ring by itself: the outlines' holes are other districts, which are drawn over them.
            "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]},
        })  # fmt: skip
    return {"type": "FeatureCollection", "credit": CREDIT, "features": features}


def places_document(platform: Platform, occupancy: Occupancy, sight: Sight, seen: Any) -> dict[str, Any]:
    """Return stations with their places, and connectors in columns: `connector_no` is an integer that stays the same,
    `station` the position of its station in `stations`. A station without a place has null for both degrees."""
    directory, places = platform.directory, occupancy.places()
    names = {o.operator_id: o.name for o in directory.register.operators}
    stations: list[dict[str, Any]] = []
    position: dict[str, int] = {}
    for station in directory.register.stations:
        if sight.operator_id is not None and station.operator_id != sight.operator_id:
            continue
        if sight.districts and station.district not in sight.districts:
            continue
        place = point_of(station.longitude, station.latitude, station.crs)
        lon, lat = (None, None) if place is None else degrees(converted(place, Crs.WGS84))
        position[station.station_id] = len(stations)
        stations.append({
            "station_id": station.station_id, "name": station.name, "district": station.district,
            "operator_id": station.operator_id, "operator": names.get(station.operator_id, station.operator_id),
            "longitude": lon, "latitude": lat,
        })  # fmt: skip
    rows = [
        (no, c) for no, c in enumerate(places.connectors)
        if c is not None and c.station_id in position and (seen is None or seen[no])
    ]  # fmt: skip
    return {
        "crs": Crs.WGS84,
        "stations": stations,
        "connector_no": [no for no, _ in rows],
        "connector_id": [c.connector_id for _, c in rows],
        "charger_id": [c.charger_id for _, c in rows],
        "station": [position[c.station_id] for _, c in rows],
        "power_w": [c.rated_power_w for _, c in rows],
        "current": [c.current_type for _, c in rows],
    }
