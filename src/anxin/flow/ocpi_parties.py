"""Operators as OCPI parties: the invitation (CREDENTIALS_TOKEN_A), the handshake, rotation, and the end.

    invited      an administrator made token A (flow/enrol.py): versions and credentials alone, until used or ended
    registered   token A is dead; token C is the operator's, token B (his, sealed here) is ours
    revoked      by the operator's DELETE, or by an administrator

Only hashes of A and C are kept. Which parties (country and party id) an operator may speak for are those of his own
credentials: within what the administrator named for him, and none that another registered operator speaks for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import json
import secrets
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import FormatError
from anxin.domain.party import Credential, Party
from anxin.flow import ocpi_client
from anxin.flow.intake import now_utc_ms
from anxin.flow.ocpi_cdrs import listed
from anxin.flow.platform import Directory, Platform
from anxin.flow.rates import known
from anxin.formats import ocpi_objects as objects
from anxin.store import parties as store

KIND = "ocpi"
VERSIONS = ("2.2.1", "2.3.0")
#: Roles of one platform: a white-label platform serves some dozens of operators.
MAX_ROLES = 500
MAX_TOKEN_CHARS = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `registered` is false for one who holds token A alone; `raw` where the token came without Base64."""

    party: Party
    credential: Credential
    raw: bool

    @property
    def registered(self) -> bool:
        """Whether the handshake was done."""
        return self.credential.public.get("state") == "registered"

    def speaks_for(self, country_code: str, party_id: str) -> bool:
        """Return whether objects of this party may be pushed with this token."""
        return self.registered and f"{country_code}*{party_id}".upper() in listed(self.credential.public, "parties")


def caller_of(directory: Directory, authorization: str) -> Caller | None:
    """Return who calls by the Authorization header, None for a stranger, a dead token or a suspended operator."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "token" or not value or len(value) > 4 * MAX_TOKEN_CHARS:
        return None
    for token, raw in ((_base64(value.strip()), False), (value.strip(), True)):
        credential = directory.by_lookup.get((KIND, store.token_lookup(token))) if token else None
        if credential is None or not credential.valid_at(now_utc_ms()):
            continue
        party = directory.parties.get(credential.party_id)
        if party is not None and not party.suspended:
            known(party.party_id)
            return Caller(party, credential, raw)
    return None


def speaks_for(directory: Directory, operator_id: str, country_code: str, party_id: str) -> bool:
    """Return whether a registered operator speaks for a party."""
    wanted = f"{country_code}*{party_id}".upper()
    return any(wanted in listed(c.public, "parties") for c in _living(directory, operator_id))


def token_of(authorization: str, caller: Caller) -> str:
    """Return the credentials token that a known caller came with."""
    value = authorization.partition(" ")[2].strip()
    return value if caller.raw else _base64(value) or ""


async def register(platform: Platform, caller: Caller, body: dict[str, Any], version: str) -> str:
    """Take an operator's credentials, look at his platform, and return his new token C; the one he came with is dead.

    Raises FormatError (`ocpi.*`: his credentials are wrong), UnusableError (his platform is).
    """
    token = objects.id_field(body, "token", MAX_TOKEN_CHARS)
    if " " in token:
        raise FormatError("ocpi.token", "a credentials token holds no blank", "token")
    url = objects.text_field(body, "url", ocpi_client.MAX_URL_CHARS)
    parties = _parties(body)
    old = caller.credential
    allowed = listed(old.public, "allowed")
    if (allowed and not parties <= allowed) or parties & _taken(platform.directory, caller.party.party_id):
        # The same words for a party that another operator has and for one that the administrator did not name.
        raise FormatError("ocpi.party", "a party of these roles is not admitted for you", "roles")
    endpoints = await ocpi_client.endpoints_of(
        platform.settings, url, token, version, frozenset(host.lower() for host in listed(old.public, "hosts"))
    )
    new_token = secrets.token_urlsafe(32)
    lookup = store.token_lookup(new_token)
    public = {
        "state": "registered",
        "hosts": old.public.get("hosts", ""),
        "allowed": old.public.get("allowed", ""),
        "parties": ",".join(sorted(parties)),
        "version": version,
        "url": url,
        "endpoints": json.dumps([dataclasses.asdict(e) for e in endpoints]),
    }
    now = now_utc_ms()
    new = Credential(f"ocpi/c/{lookup[:24]}", caller.party.party_id, KIND, lookup, public, token.encode(), now)
    dead = [dataclasses.replace(c, revoked_utc_ms=now) for c in _living(platform.directory, caller.party.party_id)]
    await asyncio.to_thread(store.put_credentials, platform.database, [new, *dead], platform.vault.seal)
    await asyncio.to_thread(platform.refresh)
    return new_token


def unregister(platform: Platform, caller: Caller) -> None:
    """End an operator's registration: every OCPI token of his is dead."""
    now = now_utc_ms()
    dead = [dataclasses.replace(c, revoked_utc_ms=now) for c in _living(platform.directory, caller.party.party_id)]
    store.put_credentials(platform.database, dead, platform.vault.seal)
    platform.refresh()


def own_credentials(platform: Platform, token: str, versions_url: str) -> dict[str, Any]:
    """Return our credentials as OCPI writes them. A regulator's role is OTHER: pushes to all eMSPs reach it too."""
    settings = platform.settings
    role = {
        "role": "OTHER",
        "party_id": settings.ocpi_party_id,
        "country_code": settings.ocpi_country_code,
        "business_details": {"name": settings.ocpi_name},
    }
    return {"token": token, "url": versions_url, "roles": [role]}


def _parties(body: dict[str, Any]) -> frozenset[str]:
    """The parties of the roles in which charge points are operated (CPO), else of all roles."""
    roles = objects.objects_field(body, "roles", MAX_ROLES)
    if not roles:
        raise FormatError("ocpi.missing", "roles is missing", "roles")
    found = []
    for role in roles:
        country = objects.id_field(role, "country_code", 2)
        party = objects.id_field(role, "party_id", 3)
        if not (country + party).isalnum():
            raise FormatError("ocpi.party", "country_code and party_id are letters and digits", "roles")
        found.append((objects.text_field(role, "role", 10), f"{country}*{party}".upper()))
    operated = frozenset(party for role, party in found if role == "CPO")
    if not operated:
        raise FormatError("ocpi.role", "none of these roles is CPO", "roles")
    return operated


def _taken(directory: Directory, but: str) -> frozenset[str]:
    others = {c.party_id for c in directory.by_lookup.values() if c.kind == KIND} - {but}
    living = (c for party_id in others for c in _living(directory, party_id))
    return frozenset().union(*(listed(c.public, "parties") for c in living))


def _living(directory: Directory, party_id: str) -> list[Credential]:
    now = now_utc_ms()
    return [c for c in directory.credentials_of.get((party_id, KIND), ()) if c.valid_at(now)]


def _base64(text: str) -> str | None:
    """The token inside Base64, as OCPI demands since 2.2-d2; the specification's own example ends it with a newline."""
    try:
        return base64.b64decode(text, validate=True).decode().strip()
    except (binascii.Error, ValueError):
        return None
