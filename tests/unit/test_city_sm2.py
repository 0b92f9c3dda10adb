"""The city's SM2 signer against libcrypto (through the platform's verifier) and the standard's own numbers."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.city import sm2
from anxin.city.meters import P256_ALGORITHM, SM2_ALGORITHM, make_secret
from anxin.trust.keys import read_key

scalars = st.integers(1, sm2.N - 2)


def on_curve(point: sm2.Affine) -> bool:
    x, y = point
    return (y * y - (x * x * x + sm2.A * x + sm2.B)) % sm2.P == 0


def test_the_public_key_of_the_standards_example() -> None:
    """GB/T 32918.5-2017 annex A.2: private key and public key on the recommended curve."""
    secret = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
    assert sm2.multiply(secret) == (
        0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
        0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
    )


@settings(max_examples=30, deadline=None)
@given(first=st.integers(1, 2**200), second=st.integers(1, 2**200))
def test_multiplication_is_linear(first: int, second: int) -> None:
    """(a + b) G computed at once lies on the line through a G and b G, mirrored."""
    x1, y1 = sm2.multiply(first)
    x2, y2 = sm2.multiply(second)
    x3, y3 = sm2.multiply(first + second)
    assert all(on_curve(p) for p in ((x1, y1), (x2, y2), (x3, y3)))
    if x1 != x2:
        assert ((y2 - y1) * (x3 - x1) + (y3 + y1) * (x2 - x1)) % sm2.P == 0


def test_minus_one_is_the_mirror_of_one() -> None:
    assert sm2.multiply(sm2.N - 1) == (sm2.GX, sm2.P - sm2.GY)
    with pytest.raises(ValueError, match="zero"):
        sm2.multiply(0)


@settings(max_examples=40, deadline=None)
@given(secret=scalars, message=st.binary(max_size=300))
def test_libcrypto_accepts_every_signature_and_no_altered_message(secret: int, message: bytes) -> None:
    key = sm2.SigningKey(secret)
    signature = key.sign(message)
    public = read_key(key.spki.hex())
    assert public.verifies(signature, message, "sm3")
    assert not public.verifies(signature, message + b"\x00", "sm3")
    assert key.sign(message) == signature, "the same key and message give the same signature"
    r, s = decode_dss_signature(signature)
    assert 0 < r < sm2.N
    assert 0 < s < sm2.N


def test_nonces_differ_between_messages_and_keys() -> None:
    one, other = sm2.SigningKey(1234567), sm2.SigningKey(7654321)
    values = {decode_dss_signature(key.sign(m))[0] for key in (one, other) for m in (b"a", b"b", b"c")}
    assert len(values) == 6


def test_half_of_the_meters_sign_with_each_algorithm() -> None:
    secrets = [make_secret(1, number, f"3301{number:08d}") for number in range(16)]
    assert (
        sum(s.algorithm == SM2_ALGORITHM for s in secrets) == sum(s.algorithm == P256_ALGORITHM for s in secrets) == 8
    )
    assert len({(s.algorithm, s.sm4) for s in secrets}) == 4
    assert len({s.public_key for s in secrets} | {s.upload_key.hex() for s in secrets}) == 32
