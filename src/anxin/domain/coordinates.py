"""A place on Earth, with the system that its degrees are of. Degrees of two systems are never compared or mixed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from anxin.domain.errors import FormatError

#: Mean radius R1 of the Earth in metres (IUGG; Moritz, Geodetic Reference System 1980).
EARTH_RADIUS_M = 6_371_008.8


class Crs(StrEnum):
    """Systems of coordinates.

    WGS-84    what satellites give; OCPI, GeoJSON (RFC 7946), and all that is computed here
    GCJ-02    the obfuscated system of maps in China: T/CEC 102, Amap (高德), Tencent
    BD-09     Baidu's, on top of GCJ-02
    """

    WGS84 = "WGS-84"
    GCJ02 = "GCJ-02"
    BD09 = "BD-09"


@dataclass(frozen=True, slots=True)
class Point:
    """A place. Longitude and latitude are degrees east and north in `crs`."""

    longitude: float
    latitude: float
    crs: Crs

    def __post_init__(self) -> None:
        # NaN fails both comparisons.
        if not (abs(self.longitude) <= 180 and abs(self.latitude) <= 90):
            raise FormatError("coordinates.range", "no place on Earth: longitude -180 to 180, latitude -90 to 90")


def point_of(longitude: str | None, latitude: str | None, crs: str | None) -> Point | None:
    """Return the place of decimal texts, None where they give none: nothing stated, no system named, no such place."""
    try:
        return Point(float(longitude or ""), float(latitude or ""), Crs(crs or ""))
    except ValueError:
        return None
    except FormatError:
        return None


def distance_m(one: Point, other: Point) -> float:
    """Return metres along the great circle (haversine, sphere of EARTH_RADIUS_M): within 0.56 % of the ellipsoid.

    Both points are WGS-84; anything else is a fault of the program: ValueError.
    """
    if one.crs is not Crs.WGS84 or other.crs is not Crs.WGS84:
        raise ValueError(f"distances are of WGS-84, not of {one.crs} and {other.crs}")
    lat1, lat2 = math.radians(one.latitude), math.radians(other.latitude)
    half = math.radians(other.longitude - one.longitude) / 2
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(half) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(h)))
