"""SM2 signatures (GB/T 32918.2-2016) with SM3, with a nonce derived from key and message.

Only the city signs; the platform verifies with a library. libcrypto signs SM2 with a random nonce, so that the same
seed would not give the same city; therefore this small signer over one fixed base point. It is not constant in time
and MUST NOT sign for a real meter.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

# GB/T 32918.5-2017, the recommended curve (GM/T 0003.5).
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
#: The signer's identity where nobody agreed on another (GM/T 0009-2012 clause 10).
DEFAULT_ID = b"1234567812345678"
#: SubjectPublicKeyInfo of an uncompressed point: id-ecPublicKey, curve 1.2.156.10197.1.301.
SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")

Affine = tuple[int, int]
Jacobian = tuple[int, int, int]


def _add(first: Jacobian, second: Affine) -> Jacobian:
    """first + second, mixed coordinates (EFD madd-2004-hmv). The two never have the same x here: see `multiply`."""
    x1, y1, z1 = first
    zz = z1 * z1 % P
    h = (second[0] * zz - x1) % P
    r = (second[1] * zz * z1 - y1) % P
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - y1 * hhh) % P, z1 * h % P


def _affine(point: Jacobian) -> Affine:
    inverse = pow(point[2], -1, P)
    square = inverse * inverse % P
    return point[0] * square % P, point[1] * square * inverse % P


def _double(point: Affine) -> Affine:
    slope = (3 * point[0] * point[0] + A) * pow(2 * point[1], -1, P) % P
    x = (slope * slope - 2 * point[0]) % P
    return x, (slope * (point[0] - x) - point[1]) % P


@cache
def _table() -> tuple[tuple[Affine, ...], ...]:
    """Multiples 1 to 255 of 2^(8i) G for the 32 bytes of a scalar; built once, about a fifth of a second."""
    rows = []
    base: Affine = (GX, GY)
    for _ in range(32):
        row = [base, _double(base)]
        while len(row) < 256:
            row.append(_affine(_add((*row[-1], 1), base)))
        rows.append(tuple(row[:255]))
        base = row[255]
    return tuple(rows)


def multiply(scalar: int) -> Affine:
    """Return scalar x G for 0 < scalar < n.

    One addition for each byte of the scalar. The sum so far is v G with v < 2^(8i), what is added is j 2^(8i) G:
    the two are never equal or opposite, so that the incomplete addition formula holds.
    """
    table = _table()
    total: Jacobian | None = None
    for row, byte in zip(table, scalar.to_bytes(32, "little"), strict=True):
        if byte:
            point = row[byte - 1]
            total = (*point, 1) if total is None else _add(total, point)
    if total is None:
        raise ValueError("a scalar must not be zero")
    return _affine(total)


class SigningKey:
    """A private key with what signing needs over and over: its Z value and (1 + d)^-1."""

    __slots__ = ("_factor", "_secret", "_z", "spki")

    def __init__(self, secret: int) -> None:
        x, y = multiply(secret)
        self._secret = secret
        self._factor = pow(1 + secret, -1, N)
        self.spki = SPKI_PREFIX + b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
        parts = b"".join(v.to_bytes(32, "big") for v in (A, B, GX, GY, x, y))
        identity = (8 * len(DEFAULT_ID)).to_bytes(2, "big") + DEFAULT_ID
        self._z = hashlib.new("sm3", identity + parts).digest()

    def sign(self, message: bytes) -> bytes:
        """Return the DER signature (r, s) over SM3(Z || message).

        The nonce is HMAC-SHA-512(d, e || attempt) modulo n - 1, plus 1: a function of key and message as in
        RFC 6979, with 512 bits so that the reduction leaves no measurable bias.
        """
        digest = hashlib.new("sm3", self._z + message).digest()
        e = int.from_bytes(digest, "big")
        key = self._secret.to_bytes(32, "big")
        for attempt in range(256):
            stretched = hmac.digest(key, digest + bytes([attempt]), "sha512")
            k = int.from_bytes(stretched, "big") % (N - 1) + 1
            r = (e + multiply(k)[0]) % N
            if r == 0 or r + k == N:
                continue
            s = self._factor * (k - r * self._secret) % N
            if s:
                return encode_dss_signature(r, s)
        raise ArithmeticError("256 nonces in a row gave no signature")
