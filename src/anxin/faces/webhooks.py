"""Webhooks over HTTP: endpoints of one's own, their secrets, a test, and the dead letters."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.party import Party
from anxin.faces.events import MAX_KINDS, KindPattern
from anxin.faces.rights import Right, allowed
from anxin.flow import webhook_delivery, webhooks
from anxin.flow.platform import Platform
from anxin.flow.webhooks import MAX_DESCRIPTION_CHARS, MAX_URL_CHARS, Wanted
from anxin.store.webhooks import Letter, Webhook

After = Annotated[int, Query(ge=0, lt=1 << 63)]
PageLimit = Annotated[int, Query(ge=1, le=100)]


class WebhookBody(BaseModel):
    """An endpoint as it is asked for."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(min_length=1, max_length=MAX_URL_CHARS)
    kinds: list[KindPattern] = Field(default=[], max_length=MAX_KINDS)
    description: str = Field(default="", max_length=MAX_DESCRIPTION_CHARS)

    def wanted(self) -> Wanted:
        """Return it as a value."""
        return Wanted(self.url, tuple(self.kinds), self.description)


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/webhooks", tags=["webhooks"])
    manager = Depends(allowed(platform, Right.MANAGE_WEBHOOKS))

    def own(webhook_id: str, party: Party) -> Webhook:
        found = webhooks.of(platform, party, webhook_id)
        if found is None:
            raise HTTPException(404, "no such endpoint of yours")
        return found

    @routes.get("")
    def listed(party: Party = manager) -> dict[str, Any]:
        """Your endpoints."""
        return {"webhooks": [_document(h) for h in webhooks.listed(platform, party)]}

    @routes.post("", status_code=201)
    def create(body: WebhookBody, party: Party = manager) -> dict[str, Any]:
        """Enter an endpoint. It is told of what happens from now on. The secret is shown here and never again."""
        hook, secret = webhooks.create(platform, party, body.wanted())
        return _document(hook) | {"secret": secret}

    @routes.get("/{webhook_id}")
    def read(webhook_id: str, party: Party = manager) -> dict[str, Any]:
        """One endpoint and how it goes."""
        return _document(own(webhook_id, party))

    @routes.put("/{webhook_id}")
    def alter(webhook_id: str, body: WebhookBody, party: Party = manager) -> dict[str, Any]:
        """Give an endpoint another URL, other kinds, another description."""
        webhooks.alter(platform, party, own(webhook_id, party), body.wanted())
        return _document(own(webhook_id, party))

    @routes.delete("/{webhook_id}", status_code=204)
    def delete(webhook_id: str, party: Party = manager) -> None:
        """Delete an endpoint with its dead letters and secrets."""
        webhooks.delete(platform, party, own(webhook_id, party))

    @routes.post("/{webhook_id}/secret")
    def rotate(webhook_id: str, party: Party = manager) -> dict[str, Any]:
        """A new secret, shown here and never again; until `old_until_utc_ms` the old one signs beside it."""
        secret, until = webhooks.rotate(platform, party, own(webhook_id, party))
        return {"secret": secret, "old_until_utc_ms": until}

    @routes.post("/{webhook_id}/pause")
    def pause(webhook_id: str, party: Party = manager) -> dict[str, Any]:
        """Tell an endpoint nothing until it is resumed; what happens meanwhile waits."""
        webhooks.pause(platform, party, own(webhook_id, party))
        return _document(own(webhook_id, party))

    @routes.post("/{webhook_id}/resume")
    def resume(webhook_id: str, party: Party = manager) -> dict[str, Any]:
        """Tell an endpoint again, from where it was."""
        webhooks.resume(platform, party, own(webhook_id, party))
        return _document(own(webhook_id, party))

    @routes.post("/{webhook_id}/test")
    async def test(webhook_id: str, party: Party = manager) -> dict[str, Any]:
        """Send a message of the kind `notice.test` now, once, and say what became of it."""
        hook = await asyncio.to_thread(own, webhook_id, party)
        outcome, took_ms = await webhook_delivery.test(platform, hook, party)
        return {"taken": outcome.taken, "status": outcome.status, "error": outcome.error, "took_ms": took_ms}

    @routes.get("/{webhook_id}/dead")
    def dead(webhook_id: str, after: After = 0, limit: PageLimit = 50, party: Party = manager) -> dict[str, Any]:
        """What the endpoint did not take in all its attempts, in the order of events."""
        found = webhooks.dead_letters(platform, own(webhook_id, party), after, limit)
        return {"letters": [_letter(x) for x in found], "next_after": found[-1].event_id if found else None}

    @routes.post("/{webhook_id}/dead/resend")
    def resend_all(webhook_id: str, party: Party = manager) -> dict[str, Any]:
        """Send all dead letters again."""
        return {"sent_again": webhooks.send_again(platform, party, own(webhook_id, party), None)}

    @routes.post("/{webhook_id}/dead/{event_id}/resend")
    def resend(webhook_id: str, event_id: int, party: Party = manager) -> dict[str, Any]:
        """Send one dead letter again."""
        if not 0 < event_id < 1 << 63 or not webhooks.send_again(platform, party, own(webhook_id, party), event_id):
            raise HTTPException(404, "no such dead letter")
        return {"sent_again": 1}

    return routes


def _document(hook: Webhook) -> dict[str, Any]:
    names = (
        "webhook_id", "url", "kinds", "description", "districts", "state", "reason", "created_by", "created_utc_ms",
        "place", "attempts", "failing_since_utc_ms", "next_utc_ms", "delivered", "last_utc_ms", "last_status",
        "last_error",
    )  # fmt: skip
    return {name: getattr(hook, name) for name in names}


def _letter(letter: Letter) -> dict[str, Any]:
    return {
        "event_id": letter.event_id, "kind": letter.kind, "attempts": letter.attempts,
        "last_utc_ms": letter.last_utc_ms, "last_status": letter.last_status, "last_error": letter.last_error,
        "message": json.loads(letter.body),
    }  # fmt: skip
