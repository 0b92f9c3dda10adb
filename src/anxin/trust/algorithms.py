"""Named signature algorithms and curves: every signature says how it was made, and nothing is assumed.

Sources: OCMF 1.4.1 table 22 (names), SEC 2 (secp curves), RFC 5639 (Brainpool), GB/T 32918.5-2017 (SM2 curve and
the default signer id), RFC 8032 (Ed25519).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: GB/T 32918.2-2016 leaves the signer's id to the parties; GM/T 0009-2012 section 10 fixes this default.
SM2_SIGNER_ID = b"1234567812345678"

ED25519 = "ed25519"
SM2_CURVE = "sm2p256v1"


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve: its `name`, OID as DER content bytes, field size in bytes, and the order of its base point."""

    name: str
    oid: bytes
    field_bytes: int
    order: int


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a signature was made: `family` ecdsa, sm2 or eddsa; `hash_name` as hashlib names it."""

    id: str
    family: str
    curve: str
    hash_name: str


def _curve(name: str, oid: str, field_bytes: int, order: str) -> Curve:
    return Curve(name, bytes.fromhex(oid), field_bytes, int(order.replace(" ", ""), 16))


CURVES = {
    curve.name: curve
    for curve in (
        _curve("secp192r1", "2A8648CE3D030101", 24, "FFFFFFFFFFFFFFFFFFFFFFFF 99DEF836146BC9B1B4D22831"),
        _curve("secp192k1", "2B8104001F", 24, "FFFFFFFFFFFFFFFFFFFFFFFE 26F2FC170F69466A74DEFD8D"),
        _curve("secp256k1", "2B8104000A", 32, "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE BAAEDCE6AF48A03BBFD25E8CD0364141"),
        _curve(
            "secp256r1", "2A8648CE3D030107", 32, "FFFFFFFF00000000FFFFFFFFFFFFFFFF BCE6FAADA7179E84F3B9CAC2FC632551"
        ),
        _curve(
            "brainpool256r1",
            "2B2403030208010107",
            32,
            "A9FB57DBA1EEA9BC3E660A909D838D71 8C397AA3B561A6F7901E0E82974856A7",
        ),
        _curve(
            "secp384r1",
            "2B81040022",
            48,
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        ),
        _curve(
            "brainpool384r1",
            "2B240303020801010B",
            48,
            "8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B3 1F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565",
        ),
        _curve(SM2_CURVE, "2A811CCF5501822D", 32, "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF 7203DF6B21C6052B53BBF40939D54123"),
    )
}
CURVES_BY_OID = {curve.oid: curve for curve in CURVES.values()}
#: DER content bytes of id-ecPublicKey (RFC 5480) and of Ed25519 (RFC 8410).
OID_EC_PUBLIC_KEY = bytes.fromhex("2A8648CE3D0201")
OID_ED25519 = bytes.fromhex("2B6570")

SM2_SM3 = Algorithm("SM2-sm2p256v1-SM3", "sm2", SM2_CURVE, "sm3")
ED25519_ALGORITHM = Algorithm("Ed25519", "eddsa", ED25519, "none")

#: The algorithm of a key where the record names none that fits: its curve with SHA-256 (SM2: with SM3).
ALGORITHM_OF_CURVE = {
    **{name: Algorithm(f"ECDSA-{name}-SHA256", "ecdsa", name, "sha256") for name in CURVES if name != SM2_CURVE},
    SM2_CURVE: SM2_SM3,
    ED25519: ED25519_ALGORITHM,
}
_BY_ID = {algorithm.id.lower(): algorithm for algorithm in ALGORITHM_OF_CURVE.values()}
_ALIASES = {
    "sm2-sm3": SM2_SM3,
    "sm2": SM2_SM3,
    "eddsa-ed25519": ED25519_ALGORITHM,
    "ecdsa-p256-sha256": ALGORITHM_OF_CURVE["secp256r1"],
    "ecdsa-p384-sha256": ALGORITHM_OF_CURVE["secp384r1"],
}
_CURVE_SPELLINGS = {
    "brainpoolp256r1": "brainpool256r1",
    "brainpoolp384r1": "brainpool384r1",
    "prime256v1": "secp256r1",
    "prime192v1": "secp192r1",
}
_ECDSA = re.compile(r"ecdsa-([a-z0-9]+)-sha-?(256|384|512)", re.ASCII)


def algorithm_of(text: str) -> Algorithm | None:
    """Return the algorithm that `text` names, in any spelling known, or None where it is unknown."""
    name = text.strip().lower()
    known = _BY_ID.get(name) or _ALIASES.get(name)
    if known is not None:
        return known
    match = _ECDSA.fullmatch(name)
    if match is None:
        return None
    curve = _CURVE_SPELLINGS.get(match[1], match[1])
    if curve not in CURVES or curve == SM2_CURVE:
        return None
    return Algorithm(f"ECDSA-{curve}-SHA{match[2]}", "ecdsa", curve, f"sha{match[2]}")
