"""Surveillance: the regulator's ranked list with its evidence; data quality, of which an operator sees his own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query

from anxin.domain.party import Party
from anxin.faces.queries import Word
from anxin.faces.rights import Right, allowed, tenant_of
from anxin.flow import surveillance_reading as reading
from anxin.flow.platform import Platform

Kind = Literal["lean_up", "lean_down", "gap_up", "gap_down", "silent", "late", "lost"]
Dimension = Literal["completeness", "accuracy", "consistency", "timeliness"]
Limit = Annotated[int, Query(ge=1, le=reading.MAX_LISTED)]
Offset = Annotated[int, Query(ge=0, le=reading.MAX_OFFSET)]
District = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00-\x1f]*$")]
#: Where a page of rows goes on: a day and a place, as an answer's `next` says.
Cursor = Annotated[str | None, Query(max_length=300, pattern=r"^\d{1,6}:[^\x00-\x1f]+$")]


def triage(platform: Platform) -> APIRouter:
    """Return the regulator's routes: no operator may know which of his chargers is looked at more closely."""
    routes = APIRouter(prefix="/api/surveillance", tags=["surveillance"])
    inside = Depends(allowed(platform, Right.READ_SURVEILLANCE))

    @routes.get("")
    def read_list(
        party: Party = inside,
        operator: Word = None,
        district: District = None,
        reason: Kind | None = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """What to inspect first, with reasons; triage, never a verdict."""
        return reading.listed(platform, operator, _districts(party, district), reason, limit, offset)

    @routes.get("/silent")
    def read_silent(
        party: Party = inside, district: District = None, limit: Limit = 50, offset: Offset = 0
    ) -> dict[str, Any]:
        """Chargers and operators that are silent against their own rhythm."""
        return reading.listed(platform, None, _districts(party, district), "silent", limit, offset)

    @routes.get("/chargers/{charger_id}")
    def read_charger(charger_id: str, party: Party = inside) -> dict[str, Any]:
        """One charger's evidence: cumulative sums with thresholds, ready to be drawn, and the days' counts."""
        found = reading.charger(platform, charger_id, _districts(party, None))
        if found is None:
            raise HTTPException(404, "no such charger, or nothing of it was counted yet")
        return found

    return routes


def quality(platform: Platform) -> APIRouter:
    """Return the routes of data quality."""
    routes = APIRouter(prefix="/api/quality", tags=["quality"])
    allowed_party = Depends(allowed(platform, Right.READ_QUALITY))

    @routes.get("")
    def read_quality(party: Party = allowed_party) -> list[dict[str, Any]]:
        """Completeness, accuracy, consistency, timeliness and the score; an operator gets his own alone."""
        return reading.quality(platform, tenant_of(party))

    @routes.get("/{operator_id}/rows")
    def read_rows(
        operator_id: str,
        dimension: Dimension,
        party: Party = allowed_party,
        before: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=reading.MAX_ROW_DAYS)] = 50,
    ) -> dict[str, Any]:
        """The rows behind each lost point of a dimension, newest first; `limit` counts connectors' days."""
        tenant = tenant_of(party)
        if tenant not in (None, operator_id):
            raise HTTPException(404, "no such operator of yours")
        day, _, place = (before or "").partition(":")
        return reading.rows_behind(platform, operator_id, dimension, (int(day), place) if before else None, limit)

    return routes


def _districts(party: Party, wanted: str | None) -> list[str] | None:
    """The districts to be shown: what is asked for, within what the party may see; None: all."""
    if not party.districts:
        return None if wanted is None else [wanted]
    return [d for d in party.districts if wanted in (None, d)]
