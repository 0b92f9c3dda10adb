"""People who log in with a name of their own: what is kept of them, and what their session may do next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from anxin.domain.errors import FormatError
from anxin.domain.party import OF_OPERATOR, PEOPLE, REGULATOR, Party, Role

#: A login is what a person types: it is compared folded, so that two people never differ by case alone.
LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")
MAX_NAME_CHARS, MAX_DISTRICTS, MAX_DISTRICT_CHARS = 100, 64, 100


class Side(StrEnum):
    """Which app a request came to. The regulator's people log in inside alone, an operator's outside alone."""

    OUTER = "outer"
    REGULATOR = "regulator"


class Stage(StrEnum):
    """What a session may do next. Until it is open it gives nothing but the way there."""

    CODE = "code"  # the password held; a code of the second factor is due
    PASSWORD = "password"  # a password that somebody else has seen has to be changed
    ENROL = "enrol"  # a second factor has to be set up
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Person:
    """A party that logs in.

    totp_sealed       secret of the second factor, sealed; None: none
    totp_confirmed    whether a code of it was seen; until then it asks nothing of him
    totp_step         time step (RFC 6238) of the last code accepted: an older one is refused
    must_change       whether somebody else has seen the password
    """

    party: Party
    login: str
    password_hash: str
    must_change: bool
    created_utc_ms: int
    totp_sealed: bytes | None = None
    totp_confirmed: bool = False
    totp_step: int = 0
    last_login_utc_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it stands, with its person as he stands now. `second_factor`: whether it has shown one."""

    person: Person
    side: Side
    second_factor: bool
    created_utc_ms: int
    seen_utc_ms: int

    def stage(self, factor_due: bool) -> Stage:
        """Return what it may do next; `factor_due`: whether a person of this role needs a second factor."""
        if self.person.totp_confirmed and not self.second_factor:
            return Stage.CODE
        if self.person.must_change:
            return Stage.PASSWORD
        return Stage.ENROL if factor_due and not self.second_factor else Stage.OPEN


def side_of(role: Role) -> Side:
    """Return the app where a person of this role logs in."""
    return Side.REGULATOR if role in REGULATOR else Side.OUTER


def checked_login(text: str) -> str:
    """Return a login as it is kept. Raises FormatError."""
    login = text.strip().casefold()
    if not LOGIN.fullmatch(login):
        raise FormatError("person.login", "a login has 2 to 64 of a-z 0-9 . _ @ + -", "login")
    return login


def checked_party(party_id: str, role: Role, name: str, operator_id: str | None, districts: tuple[str, ...]) -> Party:
    """Return a person as party. Raises FormatError where role, tenant, districts or name do not go together."""
    if role not in PEOPLE:
        raise FormatError("person.role", f"{role.value} is no role of a person", "role")
    if (role in OF_OPERATOR) != (operator_id is not None):
        raise FormatError("person.operator", "an engineer or manager has an operator, nobody else has", "operator_id")
    _require_text("name", name, MAX_NAME_CHARS)
    if operator_id is not None:
        _require_text("operator", operator_id, MAX_NAME_CHARS)
    if len(districts) > MAX_DISTRICTS or (districts and role not in REGULATOR):
        detail = f"districts bound the regulator's people; at most {MAX_DISTRICTS}"
        raise FormatError("person.districts", detail, "districts")
    for district in districts:
        _require_text("districts", district, MAX_DISTRICT_CHARS)
    return Party(party_id, role, name, operator_id, False, tuple(dict.fromkeys(districts)))


def _require_text(field: str, text: str, most: int) -> None:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise FormatError(f"person.{field}", f"1 to {most} printable characters are needed", field)
