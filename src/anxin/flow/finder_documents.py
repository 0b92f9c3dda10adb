"""What the public reads, as documents: one connector with all that a driver needs, times with their ages, prices."""

from __future__ import annotations

from typing import Any

from anxin.domain.connector_status import State
from anxin.domain.coordinates import Point
from anxin.domain.quantities import iso_of
from anxin.finder.index import Word
from anxin.finder.prices import Price
from anxin.flow.finder import ALWAYS, Finder, Found, Site
from anxin.settings import Settings

#: Decimals of a coordinate: a tenth of a metre. What operators state is not more exact.
DEGREE_DECIMALS = 6
E4 = 10_000
#: Said wherever assurance is not known: not assured would say too much, and assured far too much.
UNKNOWN = "unknown"


def source_document(settings: Settings) -> dict[str, str]:
    """Return publisher and licence, which go with all data."""
    return {
        "publisher": settings.open_data_publisher or settings.ocpi_name,
        "licence": settings.open_data_licence,
        "licence_url": settings.open_data_licence_url,
    }


def found_document(finder: Finder, at_utc_ms: int, found: list[Found]) -> dict[str, Any]:
    """Return the answer to a driver: connectors from near to far, nothing of who asked or where."""
    return {
        "at": iso_of(at_utc_ms),
        "connectors": [_found(one, at_utc_ms) for one in found],
        "prices": "每千瓦时，含服务费 · per kWh, service fee included",
        "distances": "WGS-84 大圆距离，米 · great circle, metres",
        **source_document(finder.platform.settings),
    }


def _found(one: Found, at_utc_ms: int) -> dict[str, Any]:
    connector = one.connector
    return {
        "connector_id": connector.connector_id,
        "charger_id": connector.charger_id,
        "distance_m": round(one.distance_mm / 1_000, 1),
        "power_kw": connector.rated_power_w / 1_000 or None,
        "current": connector.current_type or None,
        "plug": connector.plug,
        **state_document(one.word, one.state, at_utc_ms),
        "price": price_document(one.price),
        "assured": UNKNOWN if one.assured is None else one.assured,
        "station": station_document(one.site),
    }


def state_document(word: Word | None, state: State, at_utc_ms: int) -> dict[str, Any]:
    """Return a state with its ages in seconds: `age_s` since it began, `heard_age_s` since it was last said."""
    return {
        "state": state.value,
        "since": None if word is None else iso_of(word.since_utc_ms),
        "heard": None if word is None else iso_of(word.heard_utc_ms),
        "age_s": None if word is None else max(0, at_utc_ms - word.since_utc_ms) // 1_000,
        "heard_age_s": None if word is None else max(0, at_utc_ms - word.heard_utc_ms) // 1_000,
    }


def station_document(site: Site) -> dict[str, Any]:
    """Return what is public of a station, its place in both systems."""
    return {
        "station_id": site.station.station_id,
        "name": site.station.name,
        "operator": {"operator_id": site.operator.operator_id, "name": site.operator.name},
        "address": site.address,
        "district": site.station.district,
        "opening": site.opening,
        "open_24h": True if site.opening == ALWAYS else None if site.opening is None else False,
        "coordinates": {
            str(point.crs): {"longitude": degrees(point)[0], "latitude": degrees(point)[1]}
            for point in (site.wgs84, site.gcj02)
        },
    }


def degrees(point: Point) -> tuple[float, float]:
    """Return longitude and latitude as they are published."""
    return round(point.longitude, DEGREE_DECIMALS), round(point.latitude, DEGREE_DECIMALS)


def price_document(price: Price | None) -> dict[str, Any] | None:
    """Return a price per kWh as decimal text, None where there is not exactly one."""
    if price is None:
        return None
    return {
        "total": e4_text(price.total_e4),
        "energy": e4_text(price.energy_e4),
        "service": e4_text(price.service_e4),
        "currency": price.currency,
        "until": iso_of(price.until_utc_ms),
        "tariff_id": price.tariff_id,
    }


def e4_text(value_e4: int) -> str:
    """Return ten-thousandths as exact decimal text with at least two decimals."""
    whole, rest = divmod(value_e4, E4)
    text = f"{rest:04d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{text}"
