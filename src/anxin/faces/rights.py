"""Who may call: a bearer token names a party; rights follow from its role, and its tenant bounds what it sees."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from fastapi import Header, HTTPException

from anxin.domain.party import OF_OPERATOR, REGULATOR, Party, Role
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


_OWN = frozenset({
    Right.READ_VERDICTS, Right.READ_FINDINGS, Right.READ_REFUSED, Right.READ_RECEIPTS, Right.READ_DEVIATIONS,
    Right.READ_DECLARATIONS, Right.READ_PULLS,
})  # fmt: skip
# Only who sent a message may send it again in other words: an inspector reads the ledger and changes nothing in it.
_SENDERS = frozenset({Right.CORRECT_REFUSED})
_INSPECTOR = frozenset(Right) - _SENDERS - {Right.SEND_BENCH_RESULT, Right.SEND_UPLOAD}
_OPERATOR = _OWN | _SENDERS | {Right.SEND_SEAL_EVENT, Right.SEND_UPLOAD}
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.INSPECTOR: _INSPECTOR,
    Role.SUPERVISOR: _INSPECTOR,
    Role.AUDITOR: _INSPECTOR - {Right.SEND_SEAL_EVENT},
    Role.ADMIN: frozenset(),
    Role.OPERATOR: _OPERATOR,
    Role.ENGINEER: _OPERATOR,
    Role.MANAGER: _OPERATOR,
    Role.METER: frozenset(),
    Role.CHARGER: frozenset(),
    Role.BENCH: _SENDERS | {Right.READ_REFUSED, Right.READ_RECEIPTS, Right.SEND_BENCH_RESULT, Right.SEND_SEAL_EVENT},
}


def allowed(platform: Platform, right: Right) -> Callable[[str], Party]:
    """Return a dependency that gives the calling party, or answers 401 to a stranger and 403 to one without right."""

    def party(authorization: str = Header(default="")) -> Party:
        kind, _, token = authorization.partition(" ")
        found = platform.directory.party_of_token(token) if kind.lower() == "bearer" and token else None
        if found is None:
            raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})
        known(found.party_id)
        if right not in RIGHTS[found.role]:
            raise HTTPException(403, f"{found.role.value} lacks {right.value}")
        return found

    return party


def tenant_of(party: Party) -> str | None:
    """Return the operator whose data a party sees: None for the regulator, who sees all."""
    if party.role in REGULATOR:
        return None
    if party.operator_id is None:
        raise HTTPException(403, "this party belongs to no operator")
    return party.operator_id


def sender_of(party: Party) -> str:
    """Return as whom a party sends: an operator's people as the operator, anyone else as itself."""
    return party.operator_id if party.role in OF_OPERATOR and party.operator_id else party.party_id


def sent_by(party: Party) -> str | None:
    """Return whose messages a party reads: None for the regulator, who reads all."""
    return None if party.role in REGULATOR else sender_of(party)
