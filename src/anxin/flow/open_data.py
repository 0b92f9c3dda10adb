"""Open data of all stations: OCPI 2.2.1 locations, GeoJSON (RFC 7946) and CSV, static and dynamic, a piece at a time.

Static data change with the register; dynamic ones with every state. Each has a tag that changes when it does, and the
time of the newest thing in it. What is written comes from one snapshot of the register; states are those of the moment
at which their piece is written.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from msgspec import json

from anxin.domain.quantities import iso_of
from anxin.finder.coordinates import in_china
from anxin.finder.index import NEVER, Word
from anxin.flow.finder import ALWAYS, Finder, Site, Snapshot
from anxin.flow.finder_documents import UNKNOWN, degrees, e4_text, source_document, station_document
from anxin.flow.intake import now_utc_ms
from anxin.formats import ocpi_published as ocpi

Kind = Literal["static", "dynamic"]
#: Stations written at a time.
PIECE = 200
#: Locations of one page of OCPI, and those where nobody says otherwise.
MAX_PAGE = 1_000
USUAL_PAGE = 100
#: What makes a cell a formula in spreadsheets.
FORMULA_SIGNS = frozenset("=+-@\t\r")
STATIC_COLUMNS = (
    "connector_id", "charger_id", "station_id", "station_name", "operator_id", "operator_name", "address", "district",
    "opening", "longitude_wgs84", "latitude_wgs84", "longitude_gcj02", "latitude_gcj02", "current", "plug", "power_w",
    "changed", "licence", "licence_url", "publisher",
)  # fmt: skip
DYNAMIC_COLUMNS = (
    "connector_id", "station_id", "state", "since", "heard", "price_total", "price_energy", "price_service", "currency",
    "price_until", "assured", "written", "licence", "licence_url", "publisher",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """Of which state some data are: `tag` changes when they do, `changed_utc_ms` is when the newest thing in them was
    said. A weak tag: what is written also holds when it was written."""

    tag: str
    changed_utc_ms: int


def version_of(finder: Finder, kind: Kind) -> Version:
    """Return the version of static or dynamic data."""
    snapshot = finder.snapshot
    parts = [
        snapshot.register_version,
        snapshot.changed_utc_ms,
        sorted(source_document(finder.platform.settings).items()),
    ]
    changed = snapshot.changed_utc_ms
    if kind == "dynamic":
        finder.prices(now_utc_ms())  # sees whether one has changed
        parts += [finder.heard_utc_ms, finder.changes, finder.priced_utc_ms]
        changed = max(changed, finder.heard_utc_ms, finder.priced_utc_ms)
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return Version(f'W/"{digest}"', changed)


def geojson(finder: Finder, kind: Kind) -> Iterator[bytes]:
    """Yield a FeatureCollection: a feature a station, its point in WGS-84, its connectors among its properties."""
    snapshot, now = finder.snapshot, now_utc_ms()
    prices = finder.prices(now)
    head = {"generated": iso_of(now), "data_changed": iso_of(version_of(finder, kind).changed_utc_ms), "data": kind,
            **source_document(finder.platform.settings)}  # fmt: skip
    yield b'{"type":"FeatureCollection",' + json.encode(head)[1:-1] + b',"features":['
    first = True
    for sites in _pieces(snapshot):
        encoded = []
        for site in sites:
            if kind == "static":
                properties: dict[str, Any] = station_document(site) | {
                    "changed": iso_of(site.changed_utc_ms),
                    "connectors": [
                        {"connector_id": c.connector_id, "charger_id": c.charger_id, "current": c.current_type or None,
                         "plug": c.plug, "power_kw": c.rated_power_w / 1_000 or None}
                        for c in site.connectors
                    ],
                }  # fmt: skip
            else:
                price = prices.get(site.station.operator_id)
                properties = {
                    "station_id": site.station.station_id,
                    "price": None if price is None else e4_text(price.total_e4),
                    "currency": None if price is None else price.currency,
                    "connectors": [_state(finder, snapshot, c.connector_id, now) for c in site.connectors],
                }
            feature = {
                "type": "Feature",
                "id": site.station.station_id,
                "geometry": {"type": "Point", "coordinates": degrees(site.wgs84)},
                "properties": properties,
            }
            encoded.append(json.encode(feature))
        yield (b"" if first else b",") + b",".join(encoded)
        first = False
    yield b"]}\n"


def table(finder: Finder, kind: Kind) -> Iterator[bytes]:
    """Yield CSV (RFC 4180, UTF-8): a row a connector, licence and publisher in each."""
    snapshot, now = finder.snapshot, now_utc_ms()
    prices, source = finder.prices(now), source_document(finder.platform.settings)
    tail = [source["licence"], source["licence_url"], source["publisher"]]
    yield _rows([STATIC_COLUMNS if kind == "static" else DYNAMIC_COLUMNS])
    for sites in _pieces(snapshot):
        rows: list[list[Any]] = []
        for site in sites:
            for c in site.connectors:
                if kind == "static":
                    s = site.station
                    rows.append([
                        c.connector_id, c.charger_id, s.station_id, s.name, c.operator_id, site.operator.name,
                        site.address, s.district, site.opening, *degrees(site.wgs84), *degrees(site.gcj02),
                        c.current_type, c.plug, c.rated_power_w or None, iso_of(site.changed_utc_ms), *tail,
                    ])  # fmt: skip
                else:
                    state = _state(finder, snapshot, c.connector_id, now)
                    price = prices.get(c.operator_id)
                    money = [None] * 5 if price is None else [
                        e4_text(price.total_e4), e4_text(price.energy_e4), e4_text(price.service_e4), price.currency,
                        iso_of(price.until_utc_ms),
                    ]  # fmt: skip
                    rows.append([
                        c.connector_id, site.station.station_id, state["state"], state["since"], state["heard"], *money,
                        str(state["assured"]).lower(), iso_of(now), *tail,
                    ])  # fmt: skip
        yield _rows(rows)


def locations(
    finder: Finder, offset: int, limit: int, from_utc_ms: int | None = None, to_utc_ms: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Return a page of OCPI locations in the order of their ids, and how many there are in all.

    `from_utc_ms` (with it) and `to_utc_ms` (without it) bound `last_updated`, as OCPI's date_from and date_to do.
    """
    snapshot, now = finder.snapshot, now_utc_ms()
    if from_utc_ms is None and to_utc_ms is None:
        chosen = [_published(finder, snapshot, s, now) for s in islice(snapshot.sites.values(), offset, offset + limit)]
        return [_location(finder, s) for s in chosen], len(snapshot.sites)
    low, high = from_utc_ms or 0, (1 << 60) if to_utc_ms is None else to_utc_ms
    fitting = [s for s in snapshot.sites.values() if low <= _last_updated(finder, snapshot, s, now) < high]
    page = [_published(finder, snapshot, s, now) for s in fitting[offset : offset + limit]]
    return [_location(finder, s) for s in page], len(fitting)


def location(finder: Finder, location_id: str) -> dict[str, Any] | None:
    """Return one OCPI location, None where there is none of this id (ids tell no case)."""
    snapshot = finder.snapshot
    wanted = location_id.upper()
    site = snapshot.sites.get(location_id) or next(
        (s for name, s in snapshot.sites.items() if ocpi.object_id(name).upper() == wanted), None
    )
    return None if site is None else _location(finder, _published(finder, snapshot, site, now_utc_ms()))


def _location(finder: Finder, station: ocpi.PublishedStation) -> dict[str, Any]:
    settings = finder.platform.settings
    return ocpi.location(station, settings.ocpi_country_code, settings.ocpi_party_id, settings.zone)


def _published(finder: Finder, snapshot: Snapshot, site: Site, now: int) -> ocpi.PublishedStation:
    connectors = []
    for c in site.connectors:
        word = snapshot.index.word_of(c.connector_id)
        changed = _changed(site, word, now, finder.silence_ms)
        connectors.append(ocpi.PublishedConnector(c, finder.state_of(word, now), changed))
    inside = in_china(site.wgs84.longitude, site.wgs84.latitude)
    return ocpi.PublishedStation(
        site.station.station_id, site.station.name, site.operator.name, site.wgs84, inside,
        "CHN" if inside else finder.platform.settings.open_data_country, site.station.district, site.address,
        site.opening == ALWAYS, tuple(connectors), site.changed_utc_ms,
    )  # fmt: skip


def _changed(site: Site, word: Word | None, now: int, silence_ms: int) -> int:
    """When a connector last changed: its entry, its state, or the moment at which silence made the state unknown."""
    if word is None:
        return site.changed_utc_ms
    silent = word.heard_utc_ms + silence_ms
    return max(site.changed_utc_ms, word.since_utc_ms, silent if silent < now else NEVER)


def _last_updated(finder: Finder, snapshot: Snapshot, site: Site, now: int) -> int:
    words = (snapshot.index.word_of(c.connector_id) for c in site.connectors)
    return max(site.changed_utc_ms, *(_changed(site, w, now, finder.silence_ms) for w in words))


def _state(finder: Finder, snapshot: Snapshot, connector_id: str, now: int) -> dict[str, Any]:
    word = snapshot.index.word_of(connector_id)
    return {
        "connector_id": connector_id,
        "state": finder.state_of(word, now).value,
        "since": None if word is None else iso_of(word.since_utc_ms),
        "heard": None if word is None else iso_of(word.heard_utc_ms),
        "assured": finder.assured.get(connector_id, UNKNOWN),
    }


def _pieces(snapshot: Snapshot) -> Iterator[list[Site]]:
    sites = iter(snapshot.sites.values())
    while piece := list(islice(sites, PIECE)):
        yield piece


def _rows(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[_harmless(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def _harmless(cell: Any) -> Any:
    """A name that a spreadsheet would take for a formula begins with an apostrophe: names are the operators' words."""
    return f"'{cell}" if isinstance(cell, str) and cell and cell[0] in FORMULA_SIGNS else cell
