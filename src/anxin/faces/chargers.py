"""Sessions and chargers for the regulator's pages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from anxin.domain.party import Party
from anxin.faces.rights import Right, allowed, sight_of
from anxin.flow import charger_view
from anxin.flow.platform import Platform

Key = Annotated[str, Path(max_length=200)]
Words = Annotated[str, Query(max_length=100)]


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["chargers"])
    reader = Depends(allowed(platform, Right.READ_VERDICTS))

    @routes.get("/verdicts/{session_key:path}")
    def session(session_key: Key, party: Party = reader) -> dict[str, Any]:
        """One session: its orders and records side by side, findings, and the messages behind them."""
        return charger_view.session_document(platform, sight_of(party), session_key)

    @routes.get("/chargers")
    def search(party: Party = reader, words: Words = "") -> list[dict[str, Any]]:
        """Chargers whose id, connector, meter, station or operator holds the words."""
        return charger_view.charger_search(platform, sight_of(party), words)

    @routes.get("/chargers/{charger_id}")
    def charger(charger_id: Key, party: Party = reader) -> dict[str, Any]:
        """All that stands of a charger: meters, seals, verifications, Assured, alarms, sessions, registers."""
        return charger_view.charger_document(platform, sight_of(party), charger_id)

    @routes.get("/chargers/{charger_id}/history")
    def history(charger_id: Key, party: Party = reader) -> list[dict[str, Any]]:
        """What happened to a charger, the latest first, with places in the evidence log."""
        return charger_view.charger_history(platform, sight_of(party), charger_id)

    return routes
