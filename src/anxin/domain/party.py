"""Who may speak to the platform, as the doors know him."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a party is. Rights follow from it (faces/rights.py)."""

    OPERATOR = "operator"
    INSPECTOR = "inspector"
    METER = "meter"
    CHARGER = "charger"
    BENCH = "bench"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Party:
    """One party. `operator_id` is its tenant: for an operator itself, for a charger or bench whose it is, else None."""

    party_id: str
    role: Role
    name: str
    operator_id: str | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential of a party, opened. `secret` is the opened value, `lookup` what finds it (see store/parties).

    kind            tcec102 | bearer | content_key | basic | ocpi | tcec102_client
    public          what is no secret: suite and meter of a content key, url of a client, ...
    """

    credential_id: str
    party_id: str
    kind: str
    lookup: str | None
    public: dict[str, str]
    secret: bytes | None
    valid_from_utc_ms: int
    valid_to_utc_ms: int | None = None
    revoked_utc_ms: int | None = None

    def valid_at(self, utc_ms: int) -> bool:
        """Return whether the credential may be used at a moment."""
        ends = [t for t in (self.valid_to_utc_ms, self.revoked_utc_ms) if t is not None]
        return self.valid_from_utc_ms <= utc_ms and all(utc_ms < t for t in ends)
