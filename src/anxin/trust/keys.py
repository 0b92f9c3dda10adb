"""Public keys: from the texts in which they travel to keys that verify, with what was odd about the text.

Keys come from registers, containers and people: SPKI in hex, base64 or PEM, bare curve points, even bare coordinates.
Loading a key costs as much as verifying once, so `read_key` keeps what it has read.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from anxin.domain.errors import KeyTextError
from anxin.domain.source import Deviation
from anxin.trust import libcrypto
from anxin.trust.algorithms import (
    CURVES,
    CURVES_BY_OID,
    ED25519,
    OID_EC_PUBLIC_KEY,
    OID_ED25519,
    Curve,
)
from anxin.trust.der import BIT_STRING, OID, SEQUENCE, DerError, read_element

#: Longest key text read. The longest of an accepted kind, a PEM of brainpool384r1 with comments, stays below 1 kB.
MAX_KEY_CHARS = 8_192
#: Keys kept loaded. A province has some hundred thousand meters; 65,536 keys are the meters of a busy hour.
KEY_CACHE = 65_536

#: kind -> (clause, what is read and how)
CLAUSES = {
    "key.spaces": ("OCMF 1.4.1, Table 23; RFC 5480", "white space inside the key's text"),
    "key.bare_point": ("RFC 5480 section 2", "a bare X9.62 point; the curve is the one that the signature names"),
    "key.bare_coordinates": ("RFC 5480 section 2", "bare X and Y without the byte that says so"),
    "key.bare_ed25519": ("RFC 8410 section 4", "a bare Ed25519 key of 32 bytes"),
    "key.compressed_point": ("RFC 5480 section 2.2", "a compressed point, which a reader need not support"),
    "key.came_with_record": (
        "OCMF 1.4.1, Relation of Serial Numbers, Charge Point and Public Key",
        "the key came with the record, not out of band: it proves that nothing was altered, not who signed",
    ),
}
CURVE_CLASSES: dict[str, ec.EllipticCurve] = {
    "secp192r1": ec.SECP192R1(),
    "secp256k1": ec.SECP256K1(),
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "brainpool256r1": ec.BrainpoolP256R1(),
    "brainpool384r1": ec.BrainpoolP384R1(),
}
_ECDSA = {
    "sha256": ec.ECDSA(hashes.SHA256()),
    "sha384": ec.ECDSA(hashes.SHA384()),
    "sha512": ec.ECDSA(hashes.SHA512()),
}
_HEX = re.compile(r"[0-9A-Fa-f]+")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*?)-----END \1-----", re.DOTALL)

Verifier = Callable[[bytes, bytes, str], bool]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that was read. `curve` names it; `verifies(signature, message, hash_name)` says whether it fits.

    `deviations` tell what was odd about its text.
    """

    curve: str
    verifies: Verifier
    deviations: tuple[Deviation, ...] = ()


def deviation(kind: str, detail: str) -> Deviation:
    """Return the deviation of one kind of CLAUSES."""
    return Deviation(kind, CLAUSES[kind][0], detail, "public_key")


@functools.lru_cache(maxsize=KEY_CACHE)
def read_key(text: str, curve_hint: str | None = None) -> PublicKey:
    """Return the key that `text` holds. `curve_hint` is the curve that the signature names, for bare points.

    Raises KeyTextError with rule `key.too_long`, `key.unreadable`, `key.unknown_kind`, `key.not_on_curve` or
    `key.unavailable` (this system has no implementation of the curve).
    """
    if len(text) > MAX_KEY_CHARS:
        raise KeyTextError(f"a key's text of more than {MAX_KEY_CHARS} characters", "key.too_long")
    data, found = _bytes_of(text)
    if data[:1] == b"\x30":
        curve_name, point = _from_spki(data)
    else:
        curve_name, point, kind = _from_bare(data, curve_hint)
        found.append(deviation(kind, CLAUSES[kind][1]))
    if curve_name == ED25519:
        return PublicKey(ED25519, _ed25519_verifier(point), tuple(found))
    if point[0] in (2, 3):
        found.append(deviation("key.compressed_point", "a compressed point"))
    return PublicKey(curve_name, _curve_verifier(CURVES[curve_name], point), tuple(found))


def _bytes_of(text: str) -> tuple[bytes, list[Deviation]]:
    """Return the key's bytes from PEM, hex or base64, white space tolerated."""
    stripped = text.strip()
    pem = _PEM.search(stripped)
    if pem is not None:
        if pem[1] != "PUBLIC KEY":
            raise KeyTextError(f"a PEM of {pem[1]}, not of a PUBLIC KEY", "key.unknown_kind")
        return _base64("".join(pem[2].split())), []
    bare = "".join(stripped.split())
    found = [deviation("key.spaces", "white space inside the key")] if bare != stripped else []
    if _HEX.fullmatch(bare) and len(bare) % 2 == 0:
        return bytes.fromhex(bare), found
    return _base64(bare), found


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyTextError("a key's text is neither hexadecimal nor base64", "key.unreadable") from None
    if not data:
        raise KeyTextError("a key's text is empty", "key.unreadable")
    return data


def _from_spki(data: bytes) -> tuple[str, bytes]:
    try:
        body, end = read_element(data, 0, SEQUENCE)
        algorithm, at = read_element(body, 0, SEQUENCE)
        bits, inner_end = read_element(body, at, BIT_STRING)
        kind, next_at = read_element(algorithm, 0, OID)
        if end != len(data) or inner_end != len(body) or len(bits) < 2 or bits[0] != 0:
            raise DerError("bytes left over, or no key bits")
        if kind == OID_ED25519:
            return ED25519, bits[1:]
        if kind != OID_EC_PUBLIC_KEY:
            raise KeyTextError("a public key of a kind that is not supported", "key.unknown_kind")
        curve_oid, _ = read_element(algorithm, next_at, OID)
    except DerError as error:
        raise KeyTextError(f"not a SubjectPublicKeyInfo: {error}", "key.unreadable") from None
    curve = CURVES_BY_OID.get(curve_oid)
    if curve is None:
        raise KeyTextError("a public key on a curve that is not supported", "key.unknown_kind")
    return curve.name, bits[1:]


def _from_bare(data: bytes, hint: str | None) -> tuple[str, bytes, str]:
    """Return curve name, X9.62 point (or Ed25519 key) and kind of deviation of bytes that are no SPKI."""
    if hint == ED25519 and len(data) == 32:
        return ED25519, data, "key.bare_ed25519"
    curve = CURVES.get(hint or "")
    if curve is None:
        raise KeyTextError("neither a SubjectPublicKeyInfo nor a point on a curve that is named", "key.unreadable")
    size = curve.field_bytes
    if (data[0] == 4 and len(data) == 1 + 2 * size) or (data[0] in (2, 3) and len(data) == 1 + size):
        return curve.name, data, "key.bare_point"
    if len(data) == 2 * size:
        return curve.name, b"\4" + data, "key.bare_coordinates"
    raise KeyTextError(f"{len(data)} bytes are no point on {curve.name}", "key.unreadable")


def _curve_verifier(curve: Curve, point: bytes) -> Verifier:
    sizes = {4: 1 + 2 * curve.field_bytes, 2: 1 + curve.field_bytes, 3: 1 + curve.field_bytes}
    if sizes.get(point[0]) != len(point):
        raise KeyTextError(f"{len(point)} bytes are no point on {curve.name}", "key.not_on_curve")
    known = CURVE_CLASSES.get(curve.name)
    if known is not None:
        try:
            return _cryptography_verifier(ec.EllipticCurvePublicKey.from_encoded_point(known, point))
        except ValueError:
            raise KeyTextError(f"the key's point does not lie on {curve.name}", "key.not_on_curve") from None
        except UnsupportedAlgorithm:
            pass  # a build of `cryptography` without this curve: the system's libcrypto may have it
    return _libcrypto_verifier(curve, point)


def _libcrypto_verifier(curve: Curve, point: bytes) -> Verifier:
    try:
        return libcrypto.LibcryptoPublicKey(curve.name, point).verify
    except libcrypto.LibcryptoUnavailableError as error:
        raise KeyTextError(str(error), "key.unavailable") from None
    except libcrypto.LibcryptoRefusedError:
        raise KeyTextError(f"the key's point does not lie on {curve.name}", "key.not_on_curve") from None


def _cryptography_verifier(key: ec.EllipticCurvePublicKey) -> Verifier:
    verify = key.verify

    def verifies(signature: bytes, message: bytes, hash_name: str) -> bool:
        try:
            verify(signature, message, _ECDSA[hash_name])
        except InvalidSignature:
            return False
        return True

    return verifies


def _ed25519_verifier(data: bytes) -> Verifier:
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(data)
    except ValueError:
        raise KeyTextError("not an Ed25519 public key", "key.not_on_curve") from None

    def verifies(signature: bytes, message: bytes, hash_name: str) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verifies
