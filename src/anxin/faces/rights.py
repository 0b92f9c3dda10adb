"""Who may call: a bearer token or a session names a party; rights follow from its role, and a token may be bound to
fewer. Each app knows the parties of its own side alone: to it another side's token is nobody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi import Header, HTTPException, Request

from anxin.domain.errors import AnxinError
from anxin.domain.party import OF_OPERATOR, REGULATOR, Party, Role, Sight
from anxin.flow import tenants
from anxin.flow.platform import Platform
from anxin.flow.rates import known


class Right(StrEnum):
    """What may be done: scope:resource:action."""

    READ_VERDICTS = "judge:verdicts:read"
    READ_FINDINGS = "judge:findings:read"
    READ_REFUSED = "intake:refused:read"
    CORRECT_REFUSED = "intake:refused:correct"
    SEND_BENCH_RESULT = "intake:bench_results:send"
    SEND_UPLOAD = "intake:uploads:send"
    SEND_SEAL_EVENT = "intake:seal_events:send"
    READ_RECEIPTS = "intake:receipts:read"
    READ_DEVIATIONS = "intake:deviations:read"
    READ_DECLARATIONS = "register:declarations:read"
    READ_PULLS = "intake:pulls:read"
    READ_OCCUPANCY = "occupancy:pictures:read"
    READ_SITING = "occupancy:siting:read"
    CLAIM_UPTIME = "occupancy:claims:file"
    DECIDE_UPTIME = "occupancy:claims:decide"
    READ_ALARMS = "cases:alarms:read"
    HANDLE_ALARMS = "cases:alarms:handle"
    DECIDE_ALARMS = "cases:alarms:decide"
    ANSWER_ALARMS = "cases:alarms:answer"
    COMMENT_ALARMS = "cases:alarms:comment"
    READ_EVENTS = "notices:events:read"
    READ_QUALITY = "surveillance:quality:read"
    READ_SURVEILLANCE = "surveillance:list:read"
    MANAGE_PEOPLE = "people:people:manage"
    MANAGE_WEBHOOKS = "notices:webhooks:manage"
    SUBSCRIBE_MAIL = "notices:mail:subscribe"
    EXPORT_PACK = "cases:packs:export"
    READ_COMPLAINTS = "cases:complaints:read"
    READ_COMPLAINT_CONTACT = "cases:complaints:read_contact"
    ERASE_COMPLAINT = "cases:complaints:erase"
    READ_CERTIFICATES = "verification:certificates:read"
    ISSUE_CERTIFICATE = "verification:certificates:issue"
    REVOKE_CERTIFICATE = "verification:certificates:revoke"


_OWN = frozenset({
    Right.READ_VERDICTS, Right.READ_FINDINGS, Right.READ_REFUSED, Right.READ_RECEIPTS, Right.READ_DEVIATIONS,
    Right.READ_DECLARATIONS, Right.READ_PULLS, Right.READ_ALARMS, Right.READ_EVENTS,
    Right.READ_QUALITY, Right.READ_OCCUPANCY,
})  # fmt: skip
# Only who sent a message may send it again in other words: an inspector reads the ledger and changes nothing in it.
_SENDERS = frozenset({Right.CORRECT_REFUSED})
_INSPECTOR = (
    frozenset(Right)
    - _SENDERS
    - {
        Right.SEND_BENCH_RESULT,
        Right.SEND_UPLOAD,
        Right.ANSWER_ALARMS,
        Right.MANAGE_PEOPLE,
        Right.MANAGE_WEBHOOKS,
        Right.CLAIM_UPTIME,
    }
)
# An auditor reads what officers do and does nothing himself.
_OFFICERS = frozenset({
    Right.SEND_SEAL_EVENT, Right.HANDLE_ALARMS, Right.DECIDE_ALARMS, Right.COMMENT_ALARMS,
    Right.READ_COMPLAINT_CONTACT, Right.ERASE_COMPLAINT, Right.DECIDE_UPTIME, Right.ISSUE_CERTIFICATE,
    Right.REVOKE_CERTIFICATE,
})  # fmt: skip
# Who answers for the operator: his manager, or his platform.
_ANSWERING = frozenset({Right.ANSWER_ALARMS, Right.COMMENT_ALARMS, Right.CLAIM_UPTIME})
_OPERATOR = _OWN | _SENDERS | {Right.SEND_SEAL_EVENT, Right.SEND_UPLOAD, Right.MANAGE_WEBHOOKS}
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.INSPECTOR: _INSPECTOR,
    Role.SUPERVISOR: _INSPECTOR | {Right.MANAGE_WEBHOOKS},
    Role.AUDITOR: _INSPECTOR - _OFFICERS,
    Role.ADMIN: frozenset({Right.MANAGE_PEOPLE, Right.MANAGE_WEBHOOKS, Right.SUBSCRIBE_MAIL}),
    Role.OPERATOR: _OPERATOR | _ANSWERING,
    Role.ENGINEER: _OPERATOR | {Right.SUBSCRIBE_MAIL},
    Role.MANAGER: _OPERATOR | _ANSWERING | {Right.MANAGE_PEOPLE, Right.SUBSCRIBE_MAIL},
    # Meters and chargers have doors of their own, where an envelope's key or a password says who they are.
    Role.METER: frozenset(),
    Role.CHARGER: frozenset(),
    Role.BENCH: _SENDERS | {Right.READ_REFUSED, Right.READ_RECEIPTS, Right.SEND_BENCH_RESULT, Right.SEND_SEAL_EVENT},
}


#: Gives the party of a request that bears no token, from its cookie; None: nobody is logged in. It checks what a cookie
#: needs and a token does not (a forged request), and raises HTTPException where that fails. Apps hold it as
#: `app.state.session`.
SessionParty = Callable[[Request], Party | None]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `scopes` are the rights that his token is bound to, None: all of his role."""

    party: Party
    scopes: frozenset[str] | None = None

    def may(self, right: Right) -> bool:
        """Return whether he may do something: his role has the right, and his token is not bound to others."""
        return right in RIGHTS[self.party.role] and (self.scopes is None or right in self.scopes)


def caller_of(platform: Platform, request: Request) -> Caller | None:
    """Return who calls, None for a stranger and for whom this app does not know."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if not kind:
        party = request.app.state.session(request)
        found = None if party is None else Caller(party)
    else:
        holder = platform.directory.holder_of_token(token) if kind.lower() == "bearer" and token else None
        found = None if holder is None else Caller(holder[0], _scopes(holder[1].public))
    return found if found is not None and found.party.role in request.app.state.roles else None


def _scopes(public: dict[str, Any]) -> frozenset[str] | None:
    # Anything but a list of words binds the token to nothing at all.
    said = public.get("scopes")
    if said is None:
        return None
    return frozenset(s for s in said if isinstance(s, str)) if isinstance(said, list) else frozenset()


def allowed(platform: Platform, right: Right) -> Callable[[Request, str], Party]:
    """Return a dependency that gives the calling party, or answers 401 to a stranger and 403 to one without right."""

    def party(request: Request, _: str = Header(default="", alias="authorization")) -> Party:
        caller = caller_of(platform, request)
        if caller is None:
            raise HTTPException(401, "a valid bearer token, or a session, is needed", {"WWW-Authenticate": "Bearer"})
        known(caller.party.party_id)
        if not caller.may(right):
            raise HTTPException(403, f"{caller.party.role.value} lacks {right.value}")
        if caller.party.role not in REGULATOR:
            tenants.bind(sender_of(caller.party))
        return caller.party

    party.__dict__["right"] = right  # read from the route table by the authorisation matrix
    return party


def still_allowed(platform: Platform, right: Right, request: Request) -> Callable[[], Party | None]:
    """Return what tells, as long as a request lasts, who its caller is now: None once he may no longer, or where it
    cannot be told. It may ask the database."""

    def party() -> Party | None:
        try:
            caller = caller_of(platform, request)
        except (HTTPException, AnxinError):
            return None
        return caller.party if caller is not None and caller.may(right) else None

    return party


def sight_of(party: Party) -> Sight:
    """Return what a party sees: an operator's own, a district's or all of the regulator. The one place that says so."""
    if party.role in REGULATOR:
        return Sight(None, party.districts)
    if party.operator_id is None:
        raise HTTPException(403, "this party belongs to no operator")
    return Sight(party.operator_id)


def tenant_of(party: Party) -> str | None:
    """Return the operator whose data a party sees, None for the regulator; its districts: see sight_of."""
    return sight_of(party).operator_id


def sender_of(party: Party) -> str:
    """Return as whom a party sends: an operator's people as the operator, anyone else as itself."""
    return party.operator_id if party.role in OF_OPERATOR and party.operator_id else party.party_id


def sent_by(party: Party) -> Sight:
    """Return whose messages a party reads: its own as who it sends, the regulator's people those of their districts."""
    return Sight(None, party.districts) if party.role in REGULATOR else Sight(sender_of(party))
