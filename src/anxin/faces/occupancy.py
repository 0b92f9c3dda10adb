"""What every charger is doing: present states, three colours, heat map, uptime, change between months.

The regulator sees all, a person of it with districts these, an operator his own. Numbers are exact: milliseconds, mWh,
1/10,000 of the currency; shares are millionths (ppm), null where nothing can be divided.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query

from anxin.domain.errors import InputError
from anxin.domain.party import REGULATOR, Party
from anxin.faces.rights import Right, allowed, tenant_of
from anxin.flow import occupancy_views as views
from anxin.flow.occupancy_reading import Occupancy
from anxin.flow.platform import Platform
from anxin.flow.uptime_claims import Claims

By = Literal["city", "district", "operator", "station", "cell", "charger", "connector"]
Kept = Literal["city", "district", "operator", "station", "cell"]
Moment = Annotated[int | None, Query(ge=0, lt=1 << 52, description="UTC ms")]
Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Hours = Annotated[str, Query(pattern=r"^\d{1,2}-\d{1,2}$", description="0-2: from 0 to 2 o'clock; 22-2: over midnight")]
Zone = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", description="IANA zone")]
Month = Annotated[str, Query(pattern=r"^\d{4}-\d{2}$")]
Key = Annotated[str | None, Query(max_length=200)]


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/occupancy", tags=["occupancy"])
    occupancy = Occupancy(platform)
    claims = Claims(occupancy)
    reader = Depends(allowed(platform, Right.READ_OCCUPANCY))

    def seen(party: Party) -> Any:
        return occupancy.mask(tenant_of(party), party.districts if party.role in REGULATOR else ())

    def window(start: int | None, end: int | None, date: str | None, hours: str, zone: str | None) -> views.Window:
        try:
            return views.window_of(start, end, date, hours, zone or platform.settings.zone)
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    @routes.get("/now")
    def now(
        party: Party = reader,
        after: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
        limit: Annotated[int, Query(ge=1, le=views.MAX_STATES)] = views.MAX_STATES,
    ) -> dict[str, Any]:
        """The state of every connector now, in columns: since when, when last heard, and both as ages in ms.

        `next` is the number to go on after, null at the end.
        """
        return views.states(occupancy, seen(party), after, limit)

    @routes.get("/picture")
    def picture(
        party: Party = reader,
        by: By = "district",
        start: Annotated[Moment, Query(alias="from")] = None,
        end: Annotated[Moment, Query(alias="to")] = None,
        date: Day = None,
        hours: Hours = "0-24",
        zone: Zone = None,
    ) -> dict[str, Any]:
        """The three-colour picture of a window: `from` and `to`, or `date` with `hours`; the last hour where neither is
        given."""
        try:
            return views.picture(occupancy, by, window(start, end, date, hours, zone), seen(party))
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    @routes.get("/heatmap")
    def heat_map(
        party: Party = reader,
        by: Kept = "city",
        key: Key = None,
        month: Month = "",
        zone: Zone = None,
    ) -> dict[str, Any]:
        """A month by weekday (Monday is 0) and hour of day of a zone."""
        try:
            return views.heat_map(occupancy, by, key, month, zone or platform.settings.zone, seen(party))
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    @routes.get("/change")
    def change(
        party: Party = reader, by: Kept = "district", month: Month = "", other: Month = "", zone: Zone = None
    ) -> dict[str, Any]:
        """How each group changed from one month (`month`) to another (`other`)."""
        try:
            return views.change(occupancy, by, month, other, zone or platform.settings.zone, seen(party))
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    @routes.get("/connectors/{connector_id:path}/history")
    def history(
        connector_id: str,
        party: Party = reader,
        start: Annotated[Moment, Query(alias="from")] = None,
        end: Annotated[Moment, Query(alias="to")] = None,
    ) -> dict[str, Any]:
        """What one connector was doing, interval by interval, each with the message that says so; uptime by both
        formulas."""
        found = views.history(occupancy, connector_id, window(start, end, None, "0-24", None), seen(party))
        if found is None:
            raise HTTPException(404, f"no connector {connector_id[:64]} of yours")
        return found

    @routes.get("/uptime")
    def uptime(party: Party = reader, by: By = "operator", month: Month = "", zone: Zone = None) -> dict[str, Any]:
        """Uptime in a month by SI 2023/1168 and by 23 CFR 680.116, group by group; the latter also without the outages
        that were accepted as excluded."""
        try:
            return claims.uptime(by, month, zone or platform.settings.zone, seen(party))
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    return routes
