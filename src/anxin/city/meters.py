"""The meters' secrets: a signing key and an upload key for each, all derived from the city's seed.

Half of the meters sign with ECDSA on P-256, half with SM2; half of each encrypt with AES-256-GCM, half with SM4-GCM.
These keys protect nothing: whoever knows the seed knows them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from anxin.city import sm2

P256_ALGORITHM = "ECDSA-secp256r1-SHA256"
SM2_ALGORITHM = "SM2-sm2p256v1-SM3"
#: Order of P-256 (SEC 2 version 2.0, 2.4.2).
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class MeterSecret:
    """What one meter holds. `public_key` is SPKI in hex; `sign` returns a DER signature, the same for the same bytes;
    `upload_key` is 32 bytes, of which SM4 takes the first 16."""

    meter_id: str
    algorithm: str
    public_key: str
    sign: Callable[[bytes], bytes]
    upload_key: bytes
    sm4: bool


def algorithm_of(meter: int) -> str:
    """Return the signature algorithm of the meter of this number."""
    return SM2_ALGORITHM if meter % 2 else P256_ALGORITHM


def make_secret(seed: int, meter: int, meter_id: str) -> MeterSecret:
    """Return the secrets of one meter of one city."""
    scalar = int.from_bytes(hashlib.sha512(f"anxin city/{seed}/sign/{meter_id}".encode()).digest(), "big")
    upload = hashlib.sha256(f"anxin city/{seed}/upload/{meter_id}".encode()).digest()
    sm4 = meter // 2 % 2 == 1
    if meter % 2:
        key = sm2.SigningKey(scalar % (sm2.N - 2) + 1)
        return MeterSecret(meter_id, SM2_ALGORITHM, key.spki.hex(), key.sign, upload, sm4)
    private = ec.derive_private_key(scalar % (P256_ORDER - 1) + 1, ec.SECP256R1())
    how = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return MeterSecret(meter_id, P256_ALGORITHM, spki.hex(), lambda data: private.sign(data, how), upload, sm4)
