"""Reading: oddities of messages, what operators declare beside the register, how asking their platforms goes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from anxin.domain.party import Party
from anxin.faces.queries import Before, Limit, Word
from anxin.faces.rights import Right, allowed, sight_of
from anxin.flow import declared_reading
from anxin.flow.platform import Platform


def router(platform: Platform) -> APIRouter:
    """Return the routes, for the reading API to include. An operator sees his own, an inspector all."""
    routes = APIRouter()
    deviations = Depends(allowed(platform, Right.READ_DEVIATIONS))
    declarations = Depends(allowed(platform, Right.READ_DECLARATIONS))
    pulls = Depends(allowed(platform, Right.READ_PULLS))

    @routes.get("/deviations")
    def read_deviations(
        party: Party = deviations,
        kind: Word = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> list[dict[str, Any]]:
        """Oddities of messages that were read all the same, newest first, each with field and clause."""
        return declared_reading.deviations(platform, sight_of(party), kind, before, limit)

    @routes.get("/declarations")
    def read_declarations(
        party: Party = declarations, before: Before = None, limit: Limit = 50
    ) -> list[dict[str, Any]]:
        """What operators declare of stations and connectors, and where it differs from the register."""
        return declared_reading.declarations(platform, sight_of(party), before, limit)

    @routes.get("/pulls")
    def read_pulls(party: Party = pulls) -> list[dict[str, Any]]:
        """How asking an operator's platform goes: last success, last error, next time."""
        return declared_reading.pulls_of(platform, sight_of(party))

    return routes
