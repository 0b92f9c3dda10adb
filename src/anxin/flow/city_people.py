"""People of a virtual city: one of each role, entered ready to log in."""

from __future__ import annotations

from anxin.domain.party import Role
from anxin.flow import people
from anxin.store.database import Database
from anxin.trust import totp
from anxin.trust.vault import Vault

#: Login, name and role; the last two work for the first operator.
_PEOPLE = (
    ("inspector", "周明", Role.INSPECTOR),
    ("supervisor", "吴静", Role.SUPERVISOR),
    ("admin", "郑强", Role.ADMIN),
    ("auditor", "冯岚", Role.AUDITOR),
    ("engineer", "陈立", Role.ENGINEER),
    ("manager", "沈芳", Role.MANAGER),
)


def enter_people(database: Database, vault: Vault, operator_id: str) -> dict[str, dict[str, str]]:
    """Enter them; return, by login, what each needs to log in, for a file that its owner alone can read."""
    handed = {}
    for login, name, role in _PEOPLE:
        of = operator_id if role in (Role.ENGINEER, Role.MANAGER) else None
        made = people.add(database, vault, None, login, name, role, of, ready=True)
        secret = made.totp_secret or ""
        handed[login] = {
            "party_id": made.person.party.party_id, "password": made.password, "totp_secret": secret,
            "otpauth": totp.enrolment_uri(secret, login),
        }  # fmt: skip
    return handed
