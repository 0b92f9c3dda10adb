"""What maps are drawn of: outlines for anyone, the places of connectors for whoever sees their states."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from anxin.domain.errors import LimitError
from anxin.domain.party import REGULATOR, Party
from anxin.faces.rights import Right, allowed, sight_of, tenant_of
from anxin.flow.map_places import Outlines, places_document
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.platform import Platform
from anxin.flow.rates import Buckets, address_key

#: Outlines change with the register's districts alone.
_KEPT = {"Cache-Control": "public, max-age=3600"}


def router(platform: Platform) -> APIRouter:
    """Return the routes of both apps."""
    routes = APIRouter(tags=["places"])
    outlines, occupancy = Outlines(platform), Occupancy(platform)
    buckets = Buckets(platform.settings.public_rate_per_s, platform.settings.public_burst)
    reader = Depends(allowed(platform, Right.READ_OCCUPANCY))

    @routes.get("/public/v1/outlines.geojson")
    def drawn(request: Request) -> Response:
        """Outlines of the districts in which there are stations, WGS-84, with where each name is written."""
        key = address_key(request.client.host if request.client else "unknown")
        wait_s = buckets.wait_s(key)
        if wait_s > 0:
            raise LimitError(f"more than {buckets.rate_per_s:g} questions a second from one address", wait_s)
        buckets.take(key)
        return JSONResponse(outlines(), headers=_KEPT, media_type="application/geo+json")

    @routes.get("/api/places")
    def places(party: Party = reader) -> dict[str, Any]:
        """Stations and connectors as they stand in the register, WGS-84; states are at `/api/occupancy/now`."""
        mask = occupancy.mask(tenant_of(party), party.districts if party.role in REGULATOR else ())
        return places_document(platform, occupancy, sight_of(party), mask)

    return routes
