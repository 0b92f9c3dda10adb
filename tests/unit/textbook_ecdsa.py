"""ECDSA and SM2 as the textbooks give them, in plain integers: a second opinion that shares no code with the product.

Sources: SEC 1 v2 section 4.1, SEC 2 (secp curves), RFC 5639 (Brainpool), GB/T 32918.2-2016 and 32918.5-2017 (SM2).
Slow and not constant-time: for tests only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

Point = tuple[int, int] | None


@dataclass(frozen=True)
class Domain:
    """y2 = x3 + a x + b over the field of p elements; base point g of order n."""

    p: int
    a: int
    b: int
    g: tuple[int, int]
    n: int

    def add(self, left: Point, right: Point) -> Point:
        if left is None or right is None:
            return left or right
        (x1, y1), (x2, y2) = left, right
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        if left == right:
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x3 = (slope * slope - x1 - x2) % self.p
        return x3, (slope * (x1 - x3) - y1) % self.p

    def times(self, k: int, point: Point) -> Point:
        result: Point = None
        while k:
            if k & 1:
                result = self.add(result, point)
            point = self.add(point, point)
            k >>= 1
        return result


def _hex(text: str) -> int:
    return int(text.replace(" ", ""), 16)


_P192 = 2**192 - 2**64 - 1
_P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P384 = 2**384 - 2**128 - 2**96 + 2**32 - 1
_K192 = 2**192 - 2**32 - 4553
_K256 = 2**256 - 2**32 - 977
_SM2 = _hex("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF")

DOMAINS = {
    "secp192r1": Domain(
        _P192,
        _P192 - 3,
        _hex("64210519E59C80E70FA7E9AB72243049FEB8DEECC146B9B1"),
        (
            _hex("188DA80EB03090F67CBF20EB43A18800F4FF0AFD82FF1012"),
            _hex("07192B95FFC8DA78631011ED6B24CDD573F977A11E794811"),
        ),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831"),
    ),
    "secp192k1": Domain(
        _K192,
        0,
        3,
        (
            _hex("DB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D"),
            _hex("9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D"),
        ),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D"),
    ),
    "secp256k1": Domain(
        _K256,
        0,
        7,
        (
            _hex("79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798"),
            _hex("483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8"),
        ),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141"),
    ),
    "secp256r1": Domain(
        _P256,
        _P256 - 3,
        _hex("5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B"),
        (
            _hex("6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"),
            _hex("4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"),
        ),
        _hex("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"),
    ),
    "brainpool256r1": Domain(
        _hex("A9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377"),
        _hex("7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9"),
        _hex("26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6"),
        (
            _hex("8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262"),
            _hex("547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997"),
        ),
        _hex("A9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7"),
    ),
    "secp384r1": Domain(
        _P384,
        _P384 - 3,
        _hex("B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF"),
        (
            _hex("AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7"),
            _hex("3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F"),
        ),
        _hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973"),
    ),
    "brainpool384r1": Domain(
        _hex("8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B412B1DA197FB71123ACD3A729901D1A71874700133107EC53"),
        _hex("7BC382C63D8C150C3C72080ACE05AFA0C2BEA28E4FB22787139165EFBA91F90F8AA5814A503AD4EB04A8C7DD22CE2826"),
        _hex("04A8C7DD22CE28268B39B55416F0447C2FB77DE107DCD2A62E880EA53EEB62D57CB4390295DBC9943AB78696FA504C11"),
        (
            _hex("1D1C64F068CF45FFA2A63A81B7C13F6B8847A3E77EF14FE3DB7FCAFE0CBD10E8E826E03436D646AAEF87B2E247D4AF1E"),
            _hex("8ABE1D7520F9C2A45CB1EB8E95CFD55262B70B29FEEC5864E19C054FF99129280E4646217791811142820341263C5315"),
        ),
        _hex("8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565"),
    ),
    "sm2p256v1": Domain(
        _SM2,
        _SM2 - 3,
        _hex("28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93"),
        (
            _hex("32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"),
            _hex("BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"),
        ),
        _hex("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123"),
    ),
}


def public_point(curve: str, d: int) -> tuple[int, int]:
    """Return d times the base point."""
    point = DOMAINS[curve].times(d, DOMAINS[curve].g)
    assert point is not None
    return point


def sign(curve: str, d: int, k: int, message: bytes) -> tuple[int, int]:
    """Return r and s with SHA-256 and the nonce k (SEC 1 section 4.1.3)."""
    domain = DOMAINS[curve]
    e = _digest(message, domain.n)
    point = domain.times(k, domain.g)
    assert point is not None
    r = point[0] % domain.n
    return r, pow(k, -1, domain.n) * (e + r * d) % domain.n


def verify(curve: str, public: tuple[int, int], message: bytes, r: int, s: int) -> bool:
    """Return whether (r, s) signs `message` with SHA-256 (SEC 1 section 4.1.4)."""
    domain = DOMAINS[curve]
    if not (1 <= r < domain.n and 1 <= s < domain.n):
        return False
    w = pow(s, -1, domain.n)
    e = _digest(message, domain.n)
    point = domain.add(domain.times(e * w % domain.n, domain.g), domain.times(r * w % domain.n, public))
    return point is not None and point[0] % domain.n == r


def sm2_verify(public: tuple[int, int], message: bytes, r: int, s: int, identity: bytes = b"1234567812345678") -> bool:
    """Return whether (r, s) signs `message` with SM3 (GB/T 32918.2 section 7.1)."""
    domain = DOMAINS["sm2p256v1"]
    numbers = (domain.a, domain.b, *domain.g, *public)
    z = _sm3((len(identity) * 8).to_bytes(2, "big") + identity + b"".join(v.to_bytes(32, "big") for v in numbers))
    e = int.from_bytes(_sm3(z + message), "big")
    t = (r + s) % domain.n
    if not (1 <= r < domain.n and 1 <= s < domain.n) or t == 0:
        return False
    point = domain.add(domain.times(s, domain.g), domain.times(t, public))
    return point is not None and (e + point[0]) % domain.n == r


def _digest(message: bytes, n: int) -> int:
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    return digest >> max(0, 256 - n.bit_length())


def _sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()
