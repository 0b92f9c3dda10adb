"""Where new chargers would serve best, for the regulator: ranked cells with reasons, and what-if."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.errors import InputError
from anxin.domain.party import Party
from anxin.faces.occupancy import Month, Zone
from anxin.faces.rights import Right, allowed
from anxin.flow import siting
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.platform import Platform

_CELL = r"^[0-9a-f]{15}$"
Cell = Annotated[str, Path(pattern=_CELL, description="an H3 cell of resolution 8")]


class WhatIf(BaseModel):
    """So many chargers more in each of these cells; `seed` makes the estimated drivers the same again."""

    model_config = ConfigDict(extra="forbid")
    cells: list[Annotated[str, Field(pattern=_CELL)]] = Field(min_length=1, max_length=siting.MAX_WHAT_IF_CELLS)
    k: int = Field(ge=1, le=siting.MAX_ADDED)
    month: str = Field(default="", pattern=r"^(\d{4}-\d{2})?$")
    zone: str | None = Field(default=None, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")
    seed: int = Field(default=1, ge=0, lt=1 << 32)


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/siting", tags=["siting"])
    occupancy = Occupancy(platform)
    reader = Depends(allowed(platform, Right.READ_SITING))

    @routes.get("/candidates")
    def candidates(
        party: Party = reader,
        month: Month = "",
        zone: Zone = None,
        limit: Annotated[int, Query(ge=1, le=siting.MAX_CANDIDATES)] = 20,
    ) -> dict[str, Any]:
        """Cells in which chargers would save the most detours in a month, each with its reasons."""
        try:
            seen = occupancy.mask(None, party.districts)
            return siting.candidates(occupancy, month, zone or platform.settings.zone, limit, seen)
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    @routes.get("/cells/{cell}")
    def cell(cell: Cell, party: Party = reader, month: Month = "", zone: Zone = None) -> dict[str, Any]:
        """One cell by hour of the week (168, Monday first): share taken, blocked, distance to the next free one."""
        try:
            seen = occupancy.mask(None, party.districts)
            found = siting.cell(occupancy, cell, month, zone or platform.settings.zone, seen)
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        if found is None:
            raise HTTPException(404, f"no chargers of yours in {cell}")
        return found

    @routes.post("/what-if")
    def what_if(body: WhatIf, party: Party = reader) -> dict[str, Any]:
        """How the drivers of a month would have been served with more chargers. Changes nothing."""
        zone, seen = body.zone or platform.settings.zone, occupancy.mask(None, party.districts)
        try:
            found = siting.what_if(occupancy, sorted(set(body.cells)), body.k, body.month, zone, body.seed, seen)
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        if found is None:
            raise HTTPException(404, "a cell has no chargers of yours in it or beside it")
        return found

    return routes
