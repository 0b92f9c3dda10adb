"""Drivers' complaints: filed and followed on the outer app without an account, read and erased on the regulator's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.party import Party
from anxin.faces.queries import Before, Limit
from anxin.faces.rights import Right, allowed
from anxin.flow.complaints import (
    MAX_COMPLAINT_CHARS,
    MAX_CONTACT_CHARS,
    MAX_ORDER_CHARS,
    Complaints,
    Filing,
    Reason,
)
from anxin.flow.platform import Platform


class FilingBody(BaseModel):
    """A complaint as it is sent."""

    model_config = ConfigDict(extra="forbid")
    order_id: str = Field(
        min_length=1, max_length=MAX_ORDER_CHARS, description="订单号 number of the order on the bill"
    )
    amount: str = Field(max_length=16, description="账单总金额（元） amount of the bill, in CNY", examples=["46.80"])
    reason: Reason
    text: str = Field("", max_length=MAX_COMPLAINT_CHARS)
    contact: str = Field("", max_length=MAX_CONTACT_CHARS)


class StateBody(BaseModel):
    """Which complaint, and the secret that was given for it."""

    model_config = ConfigDict(extra="forbid")
    number: str = Field(max_length=16)
    secret: str = Field(max_length=64)


def public(desk: Complaints) -> APIRouter:
    """Return the outer app's routes: for anyone, without an account."""
    routes = APIRouter(prefix="/public/v1/complaints", tags=["complaints"])

    @routes.post("", status_code=201)
    def file(body: FilingBody) -> dict[str, str]:
        """Complain about a bill. The answer is the same whether the order is known here or not."""
        kept = desk.file(Filing(body.order_id, body.amount, body.reason, body.text, body.contact))
        return kept | {
            "zh": f"已受理，编号 {kept['number']}。请保存编号与查询口令。",
            "en": f"kept; number {kept['number']}. Keep the number and the secret: together they show its state.",
        }

    @routes.post("/state")
    def state(body: StateBody) -> dict[str, Any]:
        """How a complaint stands, for who filed it."""
        return desk.state(body.number, body.secret)

    return routes


def router(platform: Platform, desk: Complaints) -> APIRouter:
    """Return the regulator's routes."""
    routes = APIRouter(prefix="/api/complaints", tags=["complaints"])
    lister = Depends(allowed(platform, Right.READ_COMPLAINTS))
    reader = Depends(allowed(platform, Right.READ_COMPLAINT_CONTACT))
    eraser = Depends(allowed(platform, Right.ERASE_COMPLAINT))

    @routes.get("")
    def listed(party: Party = lister, before: Before = None, limit: Limit = 50) -> list[dict[str, Any]]:
        """Complaints, newest first, without what drivers wrote."""
        return desk.listed(party, before, limit)

    @routes.get("/{number}")
    def read(number: str, party: Party = reader) -> dict[str, Any]:
        """One complaint with its words and contact. The reading is entered in the evidence log."""
        return desk.read(party, number)

    @routes.post("/{number}/erase")
    def erase(
        number: str, reason: Annotated[str, Body(embed=True, max_length=MAX_CONTACT_CHARS)], party: Party = eraser
    ) -> dict[str, str]:
        """Erase what the driver wrote and how he can be reached, with a reason that names nobody."""
        desk.erase(party, number, reason)
        return {"erased": number}

    return routes
