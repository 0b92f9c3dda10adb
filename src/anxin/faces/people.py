"""People over HTTP: an administrator looks after all but himself, a manager after his operator's engineers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.party import Party, Role
from anxin.domain.person import MAX_DISTRICT_CHARS, MAX_DISTRICTS, MAX_NAME_CHARS, Person
from anxin.faces.rights import Right, allowed
from anxin.flow import people
from anxin.flow.people import HandedOver
from anxin.flow.platform import Platform

_NO_STORE = {"Cache-Control": "no-store"}
_Role = Literal["inspector", "supervisor", "admin", "auditor", "engineer", "manager"]
_Districts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_DISTRICT_CHARS)]], Field(max_length=MAX_DISTRICTS)
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NewPerson(_Body):
    """Whom to enter. A manager's engineers get his operator, whatever is left out."""

    login: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(max_length=MAX_NAME_CHARS)]
    role: _Role
    operator_id: Annotated[str, Field(max_length=100)] | None = None
    districts: _Districts = []


class Change(_Body):
    """What to change; what is left out stays."""

    role: _Role | None = None
    districts: _Districts | None = None
    suspended: bool | None = None


def router(platform: Platform) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/people", tags=["people"])
    manager = Depends(allowed(platform, Right.MANAGE_PEOPLE))

    @routes.get("")
    def listed(party: Party = manager) -> list[dict[str, Any]]:
        """Everybody whom the caller looks after."""
        return [document(person) for person in people.listed(platform.database, party)]

    @routes.post("", status_code=201)
    def add(body: NewPerson, party: Party = manager) -> JSONResponse:
        """Enter a person. His first password is in the answer, this once; he changes it at his first login."""
        operator = body.operator_id or (party.operator_id if party.role is Role.MANAGER else None)
        made = people.add(
            platform.database, platform.vault, party, body.login, body.name, Role(body.role), operator,
            tuple(body.districts),
        )  # fmt: skip
        return _once(made, 201)

    @routes.patch("/{party_id}")
    def change(party_id: str, body: Change, party: Party = manager) -> dict[str, Any]:
        """Another role, other districts, suspended or admitted again. His sessions end."""
        role, districts = body.role and Role(body.role), None if body.districts is None else tuple(body.districts)
        return document(people.change(platform.database, party, party_id, role, districts, body.suspended))

    @routes.post("/{party_id}/password")
    def reset_password(party_id: str, party: Party = manager) -> JSONResponse:
        """A new first password, shown this once."""
        return _once(people.reset_password(platform.database, party, party_id), 200)

    @routes.delete("/{party_id}/totp")
    def reset_totp(party_id: str, party: Party = manager) -> dict[str, Any]:
        """Take a second factor that was lost; he sets up another at his next login."""
        return document(people.reset_totp(platform.database, party, party_id))

    @routes.delete("/{party_id}", status_code=204)
    def remove(party_id: str, party: Party = manager) -> Response:
        """Remove a person; his id stays for his deeds, his name and login do not."""
        people.remove(platform.database, party, party_id)
        return Response(status_code=204)

    return routes


def document(person: Person) -> dict[str, Any]:
    """Return a person as who looks after him sees him."""
    party = person.party
    return {
        "party_id": party.party_id, "login": person.login, "name": party.name, "role": party.role.value,
        "operator_id": party.operator_id, "districts": list(party.districts), "suspended": party.suspended,
        "second_factor": person.totp_confirmed, "must_change": person.must_change,
        "created_utc_ms": person.created_utc_ms, "last_login_utc_ms": person.last_login_utc_ms,
    }  # fmt: skip


def _once(made: HandedOver, status: int) -> JSONResponse:
    return JSONResponse(document(made.person) | {"password": made.password}, status, _NO_STORE)
