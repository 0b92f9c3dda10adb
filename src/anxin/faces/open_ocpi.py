"""Open data in OCPI 2.2.1: locations as a sender gives them (mod_locations), for anyone, without credentials."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from msgspec import json

from anxin.faces.finder import public_rate
from anxin.faces.open_data import fresh_headers, has_it, public_base
from anxin.flow import open_data
from anxin.flow.finder import Finder
from anxin.flow.open_data import MAX_PAGE, USUAL_PAGE
from anxin.flow.rates import Buckets
from anxin.formats.ocpi_published import ocpi_time

OK, UNKNOWN_LOCATION = 1000, 2003
#: An OCPI DateTime: RFC 3339, in UTC where no offset is named.
TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})?$"
Time = Annotated[str | None, Query(pattern=TIME, max_length=40)]


def router(finder: Finder) -> APIRouter:
    """Return the routes over what a finder knows."""
    settings = finder.platform.settings
    rate = public_rate(finder, Buckets(settings.finder_rate_per_s, settings.finder_burst))
    routes = APIRouter(prefix="/public/v1/ocpi", tags=["public"], dependencies=[rate])

    def base(request: Request) -> str:
        return f"{public_base(finder, request)}/ocpi"

    @routes.get("/versions")
    def versions(request: Request) -> Response:
        """The OCPI version of the open data."""
        return _ocpi([{"version": "2.2.1", "url": f"{base(request)}/2.2.1"}])

    @routes.get("/2.2.1")
    def details(request: Request) -> Response:
        """Its one endpoint: locations, to be read by anyone."""
        endpoint = {"identifier": "locations", "role": "SENDER", "url": f"{base(request)}/2.2.1/locations"}
        return _ocpi({"version": "2.2.1", "endpoints": [endpoint]})

    @routes.get("/2.2.1/locations", response_class=Response)
    def locations(
        request: Request,
        offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
        limit: Annotated[int, Query(ge=1)] = USUAL_PAGE,
        date_from: Time = None,
        date_to: Time = None,
    ) -> Response:
        """A page of locations (OCPI 2.2.1, mod_locations, sender interface), by their ids."""
        headers = fresh_headers(finder, "dynamic")
        if has_it(request, headers):
            return Response(None, 304, headers)
        limit = min(limit, MAX_PAGE)
        found, total = open_data.locations(finder, offset, limit, _time(date_from), _time(date_to))
        headers |= {"X-Total-Count": str(total), "X-Limit": str(MAX_PAGE)}
        del headers["Link"]  # OCPI knows one link alone, the next page
        if offset + limit < total:
            url = request.url.include_query_params(offset=offset + limit, limit=limit)
            headers["Link"] = f'<{base(request)}/2.2.1/locations?{url.query}>; rel="next"'
        return _ocpi(found, headers)

    def one(location_id: str, evse_uid: str | None = None, connector_id: str | None = None) -> Response:
        found = open_data.location(finder, location_id)
        for name, key, wanted in (("evses", "uid", evse_uid), ("connectors", "id", connector_id)):
            if found is not None and wanted is not None:
                found = next((o for o in found[name] if o[key].upper() == wanted.upper()), None)
        headers = fresh_headers(finder, "dynamic")
        return _ocpi(found, headers) if found is not None else _ocpi(None, headers, 404, UNKNOWN_LOCATION)

    @routes.get("/2.2.1/locations/{location_id}", response_class=Response)
    def location(location_id: str) -> Response:
        """One location."""
        return one(location_id)

    @routes.get("/2.2.1/locations/{location_id}/{evse_uid}", response_class=Response)
    def evse(location_id: str, evse_uid: str) -> Response:
        """One EVSE of a location."""
        return one(location_id, evse_uid)

    @routes.get("/2.2.1/locations/{location_id}/{evse_uid}/{connector_id}", response_class=Response)
    def connector(location_id: str, evse_uid: str, connector_id: str) -> Response:
        """One connector of an EVSE."""
        return one(location_id, evse_uid, connector_id)

    return routes


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise HTTPException(422, "not a time such as 2026-01-31T08:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def _ocpi(data: Any, headers: dict[str, str] | None = None, http_status: int = 200, status_code: int = OK) -> Response:
    told: dict[str, Any] = {} if data is None else {"data": data}
    told |= {"status_code": status_code, "timestamp": ocpi_time(int(datetime.now(UTC).timestamp() * 1_000))}
    if status_code != OK:
        told["status_message"] = "no such location"
    return Response(json.encode(told), http_status, headers, "application/json")
