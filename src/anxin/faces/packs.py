"""The evidence pack of an alarm, as one file, on the regulator's app."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from anxin.domain.party import Party
from anxin.faces.attachments import saved_as
from anxin.faces.rights import Right, allowed
from anxin.flow.alarm_pack import AlarmPacks
from anxin.flow.alarm_rules import AlarmRules
from anxin.flow.platform import Platform


def router(platform: Platform, rules: AlarmRules) -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix="/api/alarms", tags=["alarms"])
    reader = Depends(allowed(platform, Right.EXPORT_PACK))
    desk = AlarmPacks(platform, rules)

    @routes.get("/{alarm_id}/pack", response_class=Response)
    def pack(alarm_id: int, party: Party = reader) -> Response:
        """One ZIP that stands alone (docs/formats/evidence-pack.md). Having it is a reading, entered in the log."""
        name, data = desk.zip_of(party, alarm_id)
        return Response(data, media_type="application/zip", headers=saved_as(name))

    return routes
