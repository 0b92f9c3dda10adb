"""Keys that sign, for whoever makes records: the virtual city's meters and the tests. Never used to judge."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from anxin.domain.errors import KeyTextError
from anxin.trust.algorithms import CURVES, algorithm_of
from anxin.trust.keys import CURVE_CLASSES
from anxin.trust.libcrypto import LibcryptoSigningKey

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key: `algorithm` as a record's SA names it, `public_key` as SPKI in hex, `sign(bytes)` to DER."""

    algorithm: str
    public_key: str
    sign: Callable[[bytes], bytes]


def new_signing_key(algorithm: str, seed: bytes | None = None) -> SigningKey:
    """Return a new key for an algorithm of `trust.algorithms`. With a seed, always the same key.

    ECDSA (except secp192k1) and Ed25519 sign deterministically (RFC 6979, RFC 8032); SM2 and secp192k1 draw a new
    number for each signature, so the same payload gets other signature bytes each time.
    Raises KeyTextError where the algorithm is unknown; LibcryptoUnavailableError where this system lacks SM2.
    """
    named = algorithm_of(algorithm)
    if named is None:
        raise KeyTextError(f"no algorithm of this name: {algorithm[:60]!a}", "key.unknown_kind")
    material = seed if seed is not None else secrets.token_bytes(48)
    if named.family == "eddsa":
        return _ed25519(named.id, hashlib.sha256(b"anxin-ed25519" + material).digest())
    order = CURVES[named.curve].order
    scalar = int.from_bytes(hashlib.sha512(named.curve.encode() + material).digest(), "big") % (order - 2) + 1
    known = CURVE_CLASSES.get(named.curve)
    if known is None:
        key = LibcryptoSigningKey(named.curve, scalar)
        return SigningKey(named.id, key.public_spki().hex(), lambda data: key.sign(data, named.hash_name))
    private = ec.derive_private_key(scalar, known)
    how = ec.ECDSA(_HASHES[named.hash_name], deterministic_signing=True)
    return SigningKey(named.id, _spki_hex(private.public_key()), lambda data: private.sign(data, how))


def _ed25519(name: str, seed: bytes) -> SigningKey:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return SigningKey(name, _spki_hex(private.public_key()), private.sign)


def _spki_hex(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo).hex()
