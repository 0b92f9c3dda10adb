"""Mail notices over HTTP: a person's own subscriptions."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.party import Party
from anxin.faces.events import MAX_KINDS, KindPattern
from anxin.faces.rights import Right, allowed
from anxin.flow import mail
from anxin.flow.mail_text import MAX_ADDRESS_CHARS
from anxin.flow.platform import Platform


class SubscriptionBody(BaseModel):
    """A subscription as it is asked for."""

    model_config = ConfigDict(extra="forbid")
    address: str = Field(min_length=3, max_length=MAX_ADDRESS_CHARS)
    kinds: list[KindPattern] = Field(default=[], max_length=MAX_KINDS)
    how: Literal["at_once", "digest"] = "at_once"


class CodeBody(BaseModel):
    """The code that came by mail."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(pattern=r"^[0-9]{6}$")


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/mail", tags=["mail"])
    person = Depends(allowed(platform, Right.SUBSCRIBE_MAIL))

    def own(subscription_id: str, party: Party) -> Any:
        found = mail.of(platform, party, subscription_id)
        if found is None:
            raise HTTPException(404, "no such subscription of yours")
        return found

    @routes.get("")
    def listed(party: Party = person) -> dict[str, Any]:
        """Your subscriptions."""
        return {"subscriptions": mail.listed(platform, party)}

    @routes.post("", status_code=201)
    def subscribe(body: SubscriptionBody, party: Party = person) -> dict[str, Any]:
        """Ask for mail to an address. A code is sent there; the subscription begins when it is confirmed with it."""
        one = mail.subscribe(platform, party, body.address, tuple(body.kinds), body.how)
        return mail.document(platform, one)

    @routes.post("/{subscription_id}/confirm")
    def confirm(subscription_id: str, body: CodeBody, party: Party = person) -> dict[str, Any]:
        """Confirm an address with the code that came there: five guesses, an hour."""
        one = own(subscription_id, party)
        if not mail.confirm(platform, one, body.code):
            raise HTTPException(422, "this is not the code, or it is no longer valid")
        return mail.document(platform, own(subscription_id, party))

    @routes.delete("/{subscription_id}", status_code=204)
    def delete(subscription_id: str, party: Party = person) -> None:
        """Delete a subscription with its address."""
        mail.delete(platform, party, own(subscription_id, party))

    return routes
