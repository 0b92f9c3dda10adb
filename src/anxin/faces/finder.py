"""The nearest chargers, for anyone: no account, no cookie, and nothing is kept of who asks or where he is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import Response
from msgspec import json

from anxin.domain.coordinates import Crs, Point
from anxin.domain.errors import BusyError, LimitError
from anxin.finder.index import MAX_NEAREST, Wish
from anxin.flow.finder import Asked, Finder, find
from anxin.flow.finder_documents import found_document
from anxin.flow.rates import Buckets, address_key

#: An answer may be shown again for so long: states are a second or two old anyway.
CACHE_S = 5
#: Connectors of one answer where nobody says otherwise.
USUAL = 20
#: Operators that one question names, the widest circle in km, the largest power in kW, the highest price.
MAX_OPERATORS, MAX_WITHIN_KM, MAX_POWER_KW, MAX_PRICE = 50, 1_000, 10_000, 1_000
#: Anyone's page may ask, and nobody's learns who did.
HEADERS = {
    "Cache-Control": f"public, max-age={CACHE_S}",
    "Access-Control-Allow-Origin": "*",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
Operators = Annotated[list[Annotated[str, Query(max_length=64)]], Query(max_length=MAX_OPERATORS)]
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}


def public_rate(finder: Finder, buckets: Buckets) -> Any:
    """Return a dependency that takes one request of the caller's address, or answers 429; and 503 as long as the
    register is still being read: nobody is told, and no cache keeps, that there is nothing."""

    def take(request: Request) -> None:
        if not finder.ready:
            raise BusyError("the register is still being read")
        key = address_key(request.client.host if request.client else "unknown")
        wait_s = buckets.wait_s(key)
        if wait_s > 0:
            raise LimitError(f"more than {buckets.rate_per_s:g} requests a second from one address", wait_s)
        buckets.take(key)

    return Depends(take)


def router(finder: Finder) -> APIRouter:
    """Return the route. The finder follows the database while its app runs."""

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await finder.start()
        yield
        await finder.stop()

    routes = APIRouter(prefix="/public/v1", tags=["public"], lifespan=life)
    settings = finder.platform.settings
    rate = public_rate(finder, Buckets(settings.finder_rate_per_s, settings.finder_burst))

    @routes.get("/connectors/nearest", response_class=Response, responses=_JSON, dependencies=[rate])
    def nearest(
        lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees north, in `crs`")],
        lon: Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="degrees east, in `crs`")],
        crs: Annotated[Crs, Query(description="the system of lat and lon: phones give WGS-84, Amap GCJ-02")],
        limit: Annotated[int, Query(ge=1, le=MAX_NEAREST)] = USUAL,
        within_km: Annotated[float | None, Query(gt=0, le=MAX_WITHIN_KM, allow_inf_nan=False)] = None,
        power_kw: Annotated[float, Query(ge=0, le=MAX_POWER_KW, allow_inf_nan=False, description="at least")] = 0,
        current: Literal["AC", "DC"] | None = None,
        plug: Annotated[str | None, Query(max_length=40, pattern=r"^[A-Z0-9_]+$", description="OCPI name")] = None,
        operator: Operators = [],  # noqa: B006
        max_price: Annotated[
            Decimal | None, Query(ge=0, le=MAX_PRICE, max_digits=9, decimal_places=4, description="a kWh, with service")
        ] = None,
        currency: Annotated[str, Query(pattern=r"^[A-Z]{3}$")] = "CNY",
        free: Annotated[bool, Query(description="idle now, by a word that is not too old")] = False,
        assured: Annotated[bool, Query(description="assured; whoever is unknown is not")] = False,
        open_24h: Annotated[bool, Query(description="stated to be open day and night")] = False,
    ) -> Response:
        """The nearest connectors to a point, with distance, state and its age, price with service fee, operator,
        address, and coordinates in WGS-84 and GCJ-02. The system of the point must be named."""
        wish = Wish(math.ceil(power_kw * 1_000), current, plug, frozenset(operator) or None, free, assured, open_24h)
        price_e4 = None if max_price is None else int(max_price * 10_000)
        metres = None if within_km is None else math.ceil(within_km * 1_000)
        asked = Asked(Point(lon, lat, crs), limit, wish, price_e4, currency, metres)
        now, found = find(finder, asked)
        return Response(json.encode(found_document(finder, now, found)), 200, HEADERS, "application/json")

    return routes
