"""Who may speak to the platform, as the doors know him."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a party is. Rights follow from it (faces/rights.py).

    Machines: an operator's platform, a meter, a charger, a bench. People of the regulator: an inspector handles cases,
    a supervisor decides with him, an administrator looks after people and keys, an auditor reads and changes nothing.
    People of an operator: an engineer looks after uploads, a manager answers for the operator.
    """

    OPERATOR = "operator"
    METER = "meter"
    CHARGER = "charger"
    BENCH = "bench"
    INSPECTOR = "inspector"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    AUDITOR = "auditor"
    ENGINEER = "engineer"
    MANAGER = "manager"


#: Roles of the regulator, which see what is inside; all others are outside and bound to their tenant.
REGULATOR = frozenset({Role.INSPECTOR, Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR})
#: Roles that exist outside: drivers have no account, and nobody of the regulator is known there.
OUTSIDE = frozenset(Role) - REGULATOR
#: Roles that act for an operator: its platform and its people.
OF_OPERATOR = frozenset({Role.OPERATOR, Role.ENGINEER, Role.MANAGER})
#: Roles that a person has, who logs in with a name of his own.
PEOPLE = REGULATOR | {Role.ENGINEER, Role.MANAGER}


@dataclass(frozen=True, slots=True)
class Party:
    """One party. `operator_id` is its tenant: for an operator itself, for a charger or bench whose it is, for a person
    of an operator whom he works for, else None. `districts` bounds what a person of the regulator sees; empty: all."""

    party_id: str
    role: Role
    name: str
    operator_id: str | None = None
    suspended: bool = False
    districts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a party may see: the rows of one operator (or of one sender), or of some districts, or all.

    What is in no district, or in several, is seen by those alone who see all of them.
    """

    operator_id: str | None = None
    districts: tuple[str, ...] = ()

    def sees(self, operator_id: str | None, district: str | None) -> bool:
        """Return whether a thing of an operator in a district is seen."""
        if self.operator_id is not None:
            return operator_id == self.operator_id
        return not self.districts or district in self.districts


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential of a party, opened. `secret` is the opened value, `lookup` what finds it (see store/parties).

    kind            tcec102 | bearer | content_key | basic | ocpi | tcec102_client
    public          what is no secret: suite and meter of a content key, url of a client, `scopes` of a bearer token
                    (the rights that it is bound to), ...
    """

    credential_id: str
    party_id: str
    kind: str
    lookup: str | None
    public: dict[str, Any]
    secret: bytes | None
    valid_from_utc_ms: int
    valid_to_utc_ms: int | None = None
    revoked_utc_ms: int | None = None

    def valid_at(self, utc_ms: int) -> bool:
        """Return whether the credential may be used at a moment."""
        ends = [t for t in (self.valid_to_utc_ms, self.revoked_utc_ms) if t is not None]
        return self.valid_from_utc_ms <= utc_ms and all(utc_ms < t for t in ends)
