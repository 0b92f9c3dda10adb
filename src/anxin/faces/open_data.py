"""Open data for anyone: GeoJSON and CSV of all stations and their states, and the catalogue of what there is.

A client that names what it has (If-None-Match, If-Modified-Since) is told where nothing is newer. Downloads go out a
piece at a time, some at once.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from anxin.domain.errors import BusyError
from anxin.domain.quantities import iso_of
from anxin.faces.finder import public_rate
from anxin.flow import open_data
from anxin.flow.finder import Finder
from anxin.flow.finder_documents import source_document
from anxin.flow.open_data import Kind
from anxin.flow.rates import Buckets

#: Seconds for which an answer may be shown again.
STATIC_CACHE_S, DYNAMIC_CACHE_S = 300, 15
FILES: dict[str, tuple[str, Kind]] = {
    "stations.geojson": ("application/geo+json", "static"),
    "states.geojson": ("application/geo+json", "dynamic"),
    "connectors.csv": ("text/csv; charset=utf-8", "static"),
    "states.csv": ("text/csv; charset=utf-8", "dynamic"),
}
_EXPOSED = "ETag, Last-Modified, Link, X-Total-Count, X-Limit"


def router(finder: Finder) -> APIRouter:
    """Return the routes over what a finder knows."""
    settings = finder.platform.settings
    rate = public_rate(finder, Buckets(settings.finder_rate_per_s, settings.finder_burst))
    routes = APIRouter(prefix="/public/v1", tags=["public"], dependencies=[rate])
    downloads = Downloads(settings.open_data_downloads)

    def file(name: str, request: Request) -> Response:
        media, kind = FILES[name]
        headers = fresh_headers(finder, kind)
        if has_it(request, headers):
            return Response(None, 304, headers)
        headers |= {"Content-Type": media, "Content-Disposition": f'inline; filename="{name}"'}
        write = open_data.geojson if name.endswith(".geojson") else open_data.table
        return StreamingResponse(downloads.counted(write(finder, kind)), 200, headers)

    @routes.get("")
    def catalogue(request: Request) -> dict[str, Any]:
        """What there is, of whom, under which licence, and how fresh."""
        here = public_base(finder, request)
        kinds: tuple[Kind, ...] = ("static", "dynamic")
        return {
            **source_document(settings),
            "stations": len(finder.snapshot.sites),
            "connectors": len(finder.snapshot.index),
            "stations_without_place": finder.snapshot.left_out,
            "changed": {kind: iso_of(open_data.version_of(finder, kind).changed_utc_ms) for kind in kinds},
            "data": {name: f"{here}/{name}" for name in FILES}
            | {"ocpi": f"{here}/ocpi/versions", "nearest": f"{here}/connectors/nearest"},
        }

    @routes.get("/stations.geojson", response_class=Response)
    def stations_geojson(request: Request) -> Response:
        """All stations with their connectors: GeoJSON, WGS-84."""
        return file("stations.geojson", request)

    @routes.get("/states.geojson", response_class=Response)
    def states_geojson(request: Request) -> Response:
        """The states of all connectors, station by station, with when each began and was last heard."""
        return file("states.geojson", request)

    @routes.get("/connectors.csv", response_class=Response)
    def connectors_csv(request: Request) -> Response:
        """All connectors: CSV, coordinates in WGS-84 and GCJ-02."""
        return file("connectors.csv", request)

    @routes.get("/states.csv", response_class=Response)
    def states_csv(request: Request) -> Response:
        """The states of all connectors and their prices now: CSV."""
        return file("states.csv", request)

    return routes


def public_base(finder: Finder, request: Request) -> str:
    """Return the address under which the public reads."""
    return (finder.platform.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")) + "/public/v1"


class Downloads:
    """How many downloads may be under way at once."""

    def __init__(self, most: int) -> None:
        self.free = threading.BoundedSemaphore(most)

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return the pieces; the place is taken now and given back at their end. Raises BusyError."""
        if not self.free.acquire(blocking=False):
            raise BusyError("too many downloads are under way: come again in a moment")
        return _Counted(pieces, self.free.release)


class _Counted:
    """Pieces with a place, which is given back at their end, or where nobody holds them any more: a client may leave
    before the first one, and a generator that was never begun runs no `finally`."""

    def __init__(self, pieces: Iterator[bytes], give_back: Callable[[], None]) -> None:
        self._pieces = pieces
        self._end = weakref.finalize(self, give_back)

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self._end()
            raise


def fresh_headers(finder: Finder, kind: Kind) -> dict[str, str]:
    """Return the headers of an answer of some data: version, how long it may be shown, who may read."""
    version = open_data.version_of(finder, kind)
    seconds = STATIC_CACHE_S if kind == "static" else DYNAMIC_CACHE_S
    source = source_document(finder.platform.settings)
    return {
        "ETag": version.tag,
        "Last-Modified": format_datetime(datetime.fromtimestamp(version.changed_utc_ms // 1_000, UTC), usegmt=True),
        "Cache-Control": f"public, max-age={seconds}",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": _EXPOSED,
        "Link": f'<{source["licence_url"]}>; rel="license"',
    }


def has_it(request: Request, headers: dict[str, str]) -> bool:
    """Return whether the client has it already (RFC 9110, 13.2.2: the time counts without a tag alone)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        plain = headers["ETag"].removeprefix("W/")
        return tags.strip() == "*" or plain in [t.strip().removeprefix("W/") for t in tags.split(",")]
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return parsedate_to_datetime(since) >= parsedate_to_datetime(headers["Last-Modified"])
    except (ValueError, TypeError):
        return False
