"""The rule book and the numbers that judge, with their sources, as the platform holds them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from anxin.domain.party import Party
from anxin.faces.rights import Right, allowed
from anxin.flow.occupancy_reading import policy_of
from anxin.flow.platform import Platform
from anxin.flow.standing import policy_document, rule_documents


def router(platform: Platform) -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix="/api", tags=["rules"])
    reader = Depends(allowed(platform, Right.READ_FINDINGS))

    @routes.get("/policy")
    def policy(_: Party = reader) -> dict[str, Any]:
        """Rules in both languages, and the policy in force: every value with unit, source and how far it is known."""
        found = policy_of(platform)
        return {"sha256": found.sha256, "policy": policy_document(found), "rules": rule_documents()}

    return routes
