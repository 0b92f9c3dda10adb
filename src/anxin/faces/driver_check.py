"""A driver's session by his bill, on the outer app: no account, no cookie, nothing kept of who asks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.errors import LimitError
from anxin.flow.complaints import MAX_ORDER_CHARS
from anxin.flow.driver_check import DriverCheck
from anxin.flow.rates import Buckets, address_key

#: Whose bill it is, no cache learns.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}


class BillBody(BaseModel):
    """What stands on a bill."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    order_id: str = Field(min_length=1, max_length=MAX_ORDER_CHARS, description="订单号 number of the order")
    amount: str = Field(max_length=16, description="账单总金额（元） amount of the bill, in CNY", examples=["46.80"])


def router(check: DriverCheck) -> APIRouter:
    """Return the route: a few questions a second from one address; a wrong one counts as a guess."""
    routes = APIRouter(prefix="/public/v1/sessions", tags=["public"])
    settings = check.platform.settings
    buckets = Buckets(settings.public_rate_per_s, settings.public_burst)

    def take(request: Request) -> None:
        key = address_key(request.client.host if request.client else "unknown")
        wait_s = buckets.wait_s(key)
        if wait_s > 0:
            raise LimitError(f"more than {buckets.rate_per_s:g} questions a second from one address", wait_s)
        buckets.take(key)

    @routes.post("/check", response_class=Response, responses=_JSON, dependencies=[Depends(take)])
    def session(body: BillBody) -> Response:
        """Order and meter's record of a bill side by side, what was found, and all that is needed to verify signature
        and log without this platform."""
        return JSONResponse(check.session(body.order_id, body.amount), headers=_HEADERS)

    return routes
