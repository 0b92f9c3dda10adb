"""Coordinates: published points, a second implementation, there and back, and no shift abroad."""

from __future__ import annotations

import geocoordinates_ffi as peer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.coordinates import Crs, Point, distance_m, point_of
from anxin.domain.errors import FormatError
from anxin.finder.coordinates import converted, in_china

#: Inland, far from every border.
INLAND = st.tuples(st.floats(100, 117), st.floats(27, 39))
CITIES = {"上海": (121.4737, 31.2304), "深圳": (114.0579, 22.5431), "香港": (114.1694, 22.3193), "哈密": (93.51, 42.83)}
ABROAD = {
    "首尔": (126.978, 37.5665), "河内": (105.8342, 21.0278), "新加坡": (103.8198, 1.3521), "东京": (139.69, 35.68),
    "海参崴": (131.8869, 43.1155), "阿拉木图": (76.8897, 43.2389), "伦敦": (-0.1276, 51.5072), "南极": (0.0, -90.0),
    "日期变更线": (180.0, 0.0),
}  # fmt: skip


def metres(one: Point, other: Point) -> float:
    """Distance of two sets of degrees, whatever they are called."""
    return distance_m(Point(one.longitude, one.latitude, Crs.WGS84), Point(other.longitude, other.latitude, Crs.WGS84))


#: (from, degrees, to, degrees, metres). googollee/eviltransform (an older ellipsoid) and wandergis/coordtransform,
#: whose backward ways are one step of an iteration.
PUBLISHED = [
    (Crs.WGS84, (121.5272106, 31.1774276), Crs.GCJ02, (121.531541859215, 31.17530398364597), 0.01),
    (Crs.WGS84, (113.912316, 22.543847), Crs.GCJ02, (113.9171764808363, 22.540796131694766), 0.01),
    (Crs.WGS84, (116.377817, 39.911954), Crs.GCJ02, (116.38404722455657, 39.91334545536069), 0.01),
    (Crs.WGS84, (116.404, 39.915), Crs.GCJ02, (116.41024449916938, 39.91640428150164), 0.001),
    (Crs.GCJ02, (116.404, 39.915), Crs.WGS84, (116.39775550083061, 39.91359571849836), 0.1),
    (Crs.GCJ02, (116.404, 39.915), Crs.BD09, (116.41036949371029, 39.92133699351021), 0.001),
    (Crs.BD09, (116.404, 39.915), Crs.GCJ02, (116.39762729119315, 39.90865673957631), 0.1),
]


@pytest.mark.parametrize(("own", "degrees", "other", "expected", "within_m"), PUBLISHED)
def test_published_points(
    own: Crs, degrees: tuple[float, float], other: Crs, expected: tuple[float, float], within_m: float
) -> None:
    assert metres(converted(Point(*degrees, own), other), Point(*expected, other)) < within_m


@given(INLAND)
@settings(max_examples=300, deadline=None)
def test_a_second_implementation_finds_the_same(place: tuple[float, float]) -> None:
    here = Point(*place, Crs.WGS84)
    gcj = peer.wgs84_to_gcj02(peer.Wgs84(lat=place[1], lon=place[0]))
    bd = peer.wgs84_to_bd09(peer.Wgs84(lat=place[1], lon=place[0]))
    assert metres(converted(here, Crs.GCJ02), Point(gcj.lon, gcj.lat, Crs.GCJ02)) < 0.01
    assert metres(converted(here, Crs.BD09), Point(bd.lon, bd.lat, Crs.BD09)) < 0.01
    back = peer.gcj02_to_wgs84_refined(peer.Gcj02(lat=place[1], lon=place[0]))
    assert metres(converted(Point(*place, Crs.GCJ02), Crs.WGS84), Point(back.lon, back.lat, Crs.WGS84)) < 0.01


@given(st.tuples(st.floats(73, 135), st.floats(18, 54)), st.sampled_from([Crs.GCJ02, Crs.BD09]))
@settings(max_examples=500, deadline=None)
def test_there_and_back_stays_within_half_a_metre(place: tuple[float, float], crs: Crs) -> None:
    here = Point(*place, Crs.WGS84)
    if in_china(*place):  # abroad a ribbon along the margin has two readings
        assert metres(converted(converted(here, crs), Crs.WGS84), here) < 0.5
        assert 20 < metres(converted(here, crs), here) < 2_500


@pytest.mark.parametrize("name", ABROAD)
def test_nothing_is_shifted_abroad(name: str) -> None:
    for one in Crs:
        for other in Crs:
            found = converted(Point(*ABROAD[name], one), other)
            assert (found.longitude, found.latitude, found.crs) == (*ABROAD[name], other)


@pytest.mark.parametrize("name", CITIES)
def test_cities_are_shifted_by_some_hundred_metres(name: str) -> None:
    here = Point(*CITIES[name], Crs.WGS84)
    assert 100 < metres(converted(here, Crs.GCJ02), here) < 1_000
    assert 500 < metres(converted(here, Crs.BD09), converted(here, Crs.GCJ02)) < 1_500


def test_systems_are_never_mixed() -> None:
    here = Point(114.0, 22.5, Crs.WGS84)
    with pytest.raises(ValueError, match="GCJ-02"):
        distance_m(here, converted(here, Crs.GCJ02))
    assert here != Point(114.0, 22.5, Crs.GCJ02)


@pytest.mark.parametrize("place", [(181, 0), (0, 91), (float("nan"), 0), (0, float("inf"))])
def test_no_place_on_earth_is_refused(place: tuple[float, float]) -> None:
    with pytest.raises(FormatError, match="no place"):
        Point(*place, Crs.WGS84)


def test_texts_without_a_named_system_give_no_point() -> None:
    assert point_of("114.1", "22.5", "GCJ-02") == Point(114.1, 22.5, Crs.GCJ02)
    for texts in (("114.1", "22.5", None), (None, "22.5", "GCJ-02"), ("x", "1", "WGS-84"), ("1", "91", "WGS-84")):
        assert point_of(*texts) is None


def test_distance_is_the_great_circle() -> None:
    # A quarter of the way around, over the pole, and over the antimeridian.
    quarter = distance_m(Point(0, 0, Crs.WGS84), Point(0, 90, Crs.WGS84))
    assert quarter == pytest.approx(10_007_557, abs=1)
    assert distance_m(Point(179.999, 0, Crs.WGS84), Point(-179.999, 0, Crs.WGS84)) == pytest.approx(222.39, abs=0.01)
    assert distance_m(Point(30, 89.999, Crs.WGS84), Point(-150, 89.999, Crs.WGS84)) == pytest.approx(222.39, abs=0.01)
