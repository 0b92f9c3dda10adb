"""One CDR as its operator may send it: at the door, and as the correction of a refused one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anxin.domain.errors import FormatError
from anxin.formats import ocpi
from anxin.formats import ocpi_objects as objects
from anxin.formats.ocpi_signed import MAX_FIELD_CHARS


def checked_cdr(payload: bytes, speaks_for: Callable[[str, str], bool]) -> str:
    """Return what names a CDR among its operator's: country, party and id. Raises FormatError naming rule and field.

    `speaks_for` tells whether the sender may send what belongs to a country and party.
    """
    cdr = objects.read_object(payload, MAX_FIELD_CHARS)
    if "data" in cdr:
        raise FormatError("ocpi.shape", "the body is no CDR")
    country, party = objects.id_field(cdr, "country_code", 2), objects.id_field(cdr, "party_id", 3)
    cdr_id = objects.id_field(cdr, "id", objects.MAX_CDR_ID_CHARS)
    require_party(speaks_for, country, party)
    objects.time_field(cdr)
    if cdr.get("credit") is True:
        objects.id_field(cdr, "credit_reference_id", objects.MAX_CDR_ID_CHARS)
    batch = ocpi.decode(payload, "cdr")
    if batch.rejects:
        reject = batch.rejects[0]
        raise FormatError(reject.rule, reject.message, reject.field)
    return cdr_name(country, party, cdr_id)


def cdr_name(country_code: str, party_id: str, cdr_id: str) -> str:
    """Return what names a CDR among an operator's. OCPI ids do not tell case."""
    return f"{country_code}/{party_id}/{cdr_id}".upper()


def require_party(speaks_for: Callable[[str, str], bool], country_code: str, party_id: str) -> None:
    """Raise FormatError where the sender has no such role: another's party and one that nobody has are the same."""
    if not speaks_for(country_code, party_id):
        raise FormatError("ocpi.party", "country_code and party_id are none of your roles", "party_id")


def listed(public: dict[str, Any], name: str) -> frozenset[str]:
    """Return a list that a credential's public part holds as text, in capitals."""
    return frozenset(filter(None, str(public.get(name, "")).upper().split(",")))
