"""The head of an OCMF payload: who, where, which page, which user, which loss (OCMF 1.4.1, tables 1 to 6)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from anxin.domain.source import Deviation
from anxin.formats.ocmf_deviations import deviation
from anxin.formats.strict_json import Number

#: Published versions: drafts 0.1 to 0.4, then 1.0 to 1.4 ("Versioning of the Document", revision overview).
VERSIONS = frozenset({"0.1", "0.2", "0.3", "0.4", "1.0", "1.1", "1.2", "1.3", "1.4"})
#: The largest page number kept; 64-bit counters end there, and so do the tables.
MAX_PAGE = 2**63 - 1

_TEXT_KEYS = ("FV", "GI", "GS", "GV", "MV", "MM", "MS", "MF", "IT", "ID", "TT", "CF", "CT", "CI", "VI", "VV")
_OTHER_KEYS = frozenset({"PG", "IS", "IL", "IF", "LC", "RD"})
_KNOWN_KEYS = frozenset(_TEXT_KEYS) | _OTHER_KEYS
_EXTENSIONS = frozenset("UVWXYZ")
_LENGTHS = {"TT": 250, "CF": 25}
_LEVELS = frozenset(  # table 11
    {"NONE", "HEARSAY", "TRUSTED", "VERIFIED", "CERTIFIED", "SECURE", "MISMATCH", "INVALID", "OUTDATED", "UNKNOWN"}
)
_FLAGS = {  # tables 13 to 16
    "RFID": frozenset({"NONE", "PLAIN", "RELATED", "PSK"}),
    "OCPP": frozenset({"NONE", "RS", "AUTH", "RS_TLS", "AUTH_TLS", "CACHE", "WHITELIST", "CERTIFIED"}),
    "ISO15118": frozenset({"NONE", "PNC"}),
    "PLMN": frozenset({"NONE", "RING", "SMS"}),
}
_TYPES = frozenset(  # table 17
    {"NONE", "DENIED", "UNDEFINED", "ISO14443", "ISO15693", "EMAID", "EVCCID", "EVCOID", "ISO7812", "CARD_TXN_NR"}
    | {"CENTRAL", "CENTRAL_1", "CENTRAL_2", "LOCAL", "LOCAL_1", "LOCAL_2", "PHONE_NUMBER", "KEY_CODE"}
)
_ID_SHAPES = {
    "ISO14443": re.compile(r"(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14})"),
    "ISO15693": re.compile(r"[0-9A-Fa-f]{16}"),
    "EMAID": re.compile(r".{14,15}"),
    "PHONE_NUMBER": re.compile(r"\+[0-9]+"),
}
_PLACE_TYPES = frozenset({"EVSEID", "CBIDC"})
_PAGE = re.compile(r"([A-Za-z])([0-9]{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Head:
    """The head's fields. `texts` holds non-empty texts by their OCMF key."""

    version: str | None
    texts: dict[str, str]
    user_assigned: bool | None
    user_level: str | None
    user_flags: tuple[str, ...]

    def text(self, name: str, older_name: str | None = None) -> str | None:
        """Return the field, or the one that had its meaning before 1.0, or None."""
        return self.texts.get(name) or (self.texts.get(older_name) if older_name is not None else None)


def pseudonym(identification: str | None) -> str | None:
    """Return a stand-in for a user's id: the first 16 bytes, in hex, of its SHA-256; None where there is no id.

    It lets two records of one user be compared without spreading the id. It is no anonymity: short ids can be
    enumerated, so it is treated as personal data all the same.
    """
    return hashlib.sha256(identification.encode()).hexdigest()[:32] if identification else None


def read_head(payload: dict[str, object], deviations: list[Deviation]) -> Head:
    """Return the head of a payload; what departs from tables 1 to 6 goes to `deviations`."""
    texts = {name: text for name in _TEXT_KEYS if (text := _text(payload, name, deviations))}
    for name in payload:
        if name not in _KNOWN_KEYS and name[:1] not in _EXTENSIONS:
            deviations.append(deviation("ocmf.key_unknown", f"{name[:20]!a} is not defined", name[:20]))
    version = texts.get("FV")
    if version is None:
        deviations.append(deviation("ocmf.fv_missing", "no format version", "FV"))
    elif version not in VERSIONS:
        deviations.append(deviation("ocmf.fv_unknown", f"format version {version[:20]!a}", "FV"))
    if "MS" not in texts:
        kind = "ocmf.ms_missing" if "GS" in texts else "ocmf.serial_missing"
        deviations.append(
            deviation(kind, "no meter serial" + ("" if "GS" in texts else " and no gateway serial"), "MS")
        )
    for name, limit in _LENGTHS.items():
        if len(texts.get(name, "")) > limit:
            deviations.append(deviation("ocmf.text_length", f"{name} has more than {limit} characters", name))
    place_type = texts.get("CT")
    if place_type is not None and place_type not in _PLACE_TYPES:
        deviations.append(deviation("ocmf.ct_unknown", f"CT is {place_type[:20]!a}", "CT"))
    _check_loss(payload.get("LC"), deviations)
    assigned, level = _assignment(payload, version, deviations)
    return Head(version, texts, assigned, level, _flags(payload.get("IF"), deviations))


def read_page(stated: object, deviations: list[Deviation]) -> tuple[str | None, int | None]:
    """Return pagination context (`T`, `F`, or the letter seen) and number, or None where it cannot be read."""
    if stated is None:
        deviations.append(deviation("ocmf.pg_missing", "no pagination", "PG"))
        return None, None
    match = _PAGE.fullmatch(stated) if isinstance(stated, str) else None
    if match is None or int(match[2]) > MAX_PAGE:
        deviations.append(deviation("ocmf.pg_shape", f"PG is {_shown(stated)}", "PG"))
        return None, None
    context, digits = match[1], match[2]
    if context not in ("T", "F") or (digits[0] == "0" and digits != "0"):
        deviations.append(deviation("ocmf.pg_shape", f"PG is {_shown(stated)}", "PG"))
    return context, int(digits)


def check_user(payload: dict[str, object], head: Head, context: str | None, deviations: list[Deviation]) -> None:
    """Add the departures of the user assignment, which belongs to every record with transaction reference (table 4)."""
    kind, identification = head.text("IT"), head.text("ID")
    if context == "T" and "IS" not in payload:
        deviations.append(deviation("ocmf.is_missing", "no IS in a transaction", "IS"))
    if kind is None and context == "T":
        deviations.append(deviation("ocmf.it_unknown", "no IT in a transaction", "IT"))
    if kind is None:
        return
    if kind not in _TYPES:
        deviations.append(deviation("ocmf.it_unknown", f"IT is {kind[:20]!a}", "IT"))
    shape = _ID_SHAPES.get(kind)
    if identification and shape and not shape.fullmatch(identification):
        # The id itself is personal data and stays out of every message.
        deviations.append(deviation("ocmf.id_shape", f"an ID of {len(identification)} characters for {kind}", "ID"))


def _text(payload: dict[str, object], name: str, deviations: list[Deviation]) -> str | None:
    value = payload.get(name)
    if value is None or isinstance(value, str):
        return value
    deviations.append(deviation("ocmf.field_type", f"{name} is no text", name))
    if isinstance(value, Number):
        return value.text
    return None


def _assignment(
    payload: dict[str, object], version: str | None, deviations: list[Deviation]
) -> tuple[bool | None, str | None]:
    """Return IS and IL. Before 1.0 there was no IL, and IS held the level as text."""
    status, level = payload.get("IS"), payload.get("IL")
    assigned: bool | None = None
    if isinstance(status, bool):
        assigned = status
    elif isinstance(status, str):
        if not (version or "").startswith("0."):
            deviations.append(deviation("ocmf.is_type", f"IS is {status[:20]!a}", "IS"))
        level = level if level is not None else status
    elif status is not None:
        deviations.append(deviation("ocmf.is_type", "IS is neither true nor false", "IS"))
    if level is None or level == "":
        return assigned, None
    if not isinstance(level, str) or level not in _LEVELS:
        deviations.append(deviation("ocmf.il_unknown", f"IL is {_shown(level)}", "IL"))
        return assigned, level[:40] if isinstance(level, str) else None
    return assigned, level


def _flags(stated: object, deviations: list[Deviation]) -> tuple[str, ...]:
    if stated is None:
        return ()
    if not isinstance(stated, list) or not all(isinstance(flag, str) for flag in stated):
        deviations.append(deviation("ocmf.field_type", "IF is no array of texts", "IF"))
        return ()
    groups: set[str] = set()
    for flag in stated:
        group, _, value = flag.partition("_")
        if value not in _FLAGS.get(group, frozenset()) or group in groups:
            deviations.append(deviation("ocmf.if_unknown", f"IF holds {flag[:30]!a}", "IF"))
        groups.add(group)
    return tuple(flag[:40] for flag in stated[:16])


def _check_loss(stated: object, deviations: list[Deviation]) -> None:
    if stated is None:
        return
    if not isinstance(stated, dict):
        deviations.append(deviation("ocmf.lc_shape", "LC is no object", "LC"))
        return
    if not isinstance(stated.get("LR"), Number) or stated.get("LU") not in ("mOhm", "uOhm"):
        deviations.append(deviation("ocmf.lc_shape", "LC needs LR as number and LU as mOhm or uOhm", "LC"))
    name = stated.get("LN")
    if isinstance(name, str) and len(name) > 20:
        deviations.append(deviation("ocmf.text_length", "LN has more than 20 characters", "LC.LN"))


def _shown(value: object) -> str:
    return f"{value[:20]!a}" if isinstance(value, str) else "no text"
