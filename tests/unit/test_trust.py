"""Signatures: the product against textbook arithmetic, against every flipped bit, and against odd forms of keys."""

from __future__ import annotations

import base64
import contextlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.errors import KeyTextError
from anxin.domain.meter_record import Answer, Judgement
from anxin.domain.register import MeterKey
from anxin.domain.source import Source
from anxin.formats.ocmf import encode_frame
from anxin.formats.signed_records import signed_record
from anxin.trust import keys, libcrypto, verify
from anxin.trust.algorithms import ALGORITHM_OF_CURVE, CURVES, SM2_CURVE, algorithm_of
from anxin.trust.der import encode_signature, read_signature
from anxin.trust.keyring import KeyRing
from anxin.trust.signing import SigningKey, new_signing_key
from tests.unit import textbook_ecdsa as textbook

PAYLOAD = (
    b'{"FV":"1.0","GI":"G","GS":"GS-1","PG":"T1","MS":"MS-1","IS":false,"IT":"NONE","RD":[{"TM":'
    b'"2026-05-01T10:00:00,000+0200 S","TX":"B","RV":1.5,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}]}'
)
ECDSA_CURVES = [name for name in CURVES if name != SM2_CURVE]
ALL_CURVES = list(ALGORITHM_OF_CURVE)


def key_for(curve: str) -> SigningKey:
    return new_signing_key(ALGORITHM_OF_CURVE[curve].id, b"tests " + curve.encode())


@cache
def one_signature(curve: str) -> bytes:
    """Return the same signature each time, also for algorithms that draw a number for each."""
    return key_for(curve).sign(PAYLOAD)


def answer_on(
    signature: bytes, key: KeyRing | str | None, algorithm: str, payload: bytes = PAYLOAD, **section: str
) -> Judgement:
    raw = encode_frame(payload, {"SA": algorithm, "SD": signature.hex(), **section})
    return verify.judge_signed(signed_record(raw, Source("test", 1)), key)


@pytest.mark.parametrize("curve", ALL_CURVES)
def test_own_signature_is_authentic_and_over_other_bytes_forged(curve: str) -> None:
    key = key_for(curve)
    good = answer_on(key.sign(PAYLOAD), key.public_key, key.algorithm)
    assert (good.answer, good.reason, good.deviations) == (Answer.AUTHENTIC, "signature_matches", ())
    assert answer_on(key.sign(PAYLOAD + b" "), key.public_key, key.algorithm).answer is Answer.FORGED


@pytest.mark.parametrize("curve", ECDSA_CURVES)
@settings(max_examples=6, deadline=None)
@given(secret=st.integers(1, 2**180), nonce=st.integers(1, 2**180), wrong=st.integers(0, 2**64))
def test_agrees_with_textbook_ecdsa(curve: str, secret: int, nonce: int, wrong: int) -> None:
    order, size = CURVES[curve].order, CURVES[curve].field_bytes
    assert order == textbook.DOMAINS[curve].n
    x, y = textbook.public_point(curve, secret)
    spki = libcrypto.spki_of(curve, b"\4" + x.to_bytes(size, "big") + y.to_bytes(size, "big")).hex()
    r, s = textbook.sign(curve, secret, nonce, PAYLOAD)
    name = ALGORITHM_OF_CURVE[curve].id
    for pair in ((r, s), (r, order - s), (r, (s + wrong) % order), (s, r)):
        expected = textbook.verify(curve, (x, y), PAYLOAD, *pair)
        answer = answer_on(encode_signature(*pair), spki, name).answer
        assert answer is (Answer.AUTHENTIC if expected else Answer.FORGED)


@pytest.mark.parametrize("curve", ECDSA_CURVES)
def test_what_the_product_signs_the_textbook_verifies(curve: str) -> None:
    key, size = key_for(curve), CURVES[curve].field_bytes
    point = bytes.fromhex(key.public_key)[-2 * size :]
    public = int.from_bytes(point[:size], "big"), int.from_bytes(point[size:], "big")
    pair = read_signature(key.sign(PAYLOAD))
    assert textbook.verify(curve, public, PAYLOAD, pair.r, pair.s)
    assert not textbook.verify(curve, public, PAYLOAD + b" ", pair.r, pair.s)


def test_sm2_agrees_with_the_textbook_and_the_standard() -> None:
    """GB/T 32918.5-2017 Annex A, and a signature of our own against plain integers."""
    assert libcrypto.available() is None
    x = 0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020
    y = 0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13
    r = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    s = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
    key = libcrypto.LibcryptoPublicKey(SM2_CURVE, b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    for message in (b"message digest", b"message digesT"):
        assert key.verify(encode_signature(r, s), message, "sm3") == textbook.sm2_verify((x, y), message, r, s)
    assert textbook.sm2_verify((x, y), b"message digest", r, s)
    own = key_for(SM2_CURVE)
    point = bytes.fromhex(own.public_key)[-64:]
    pair = read_signature(own.sign(PAYLOAD))
    public = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    assert textbook.sm2_verify(public, PAYLOAD, pair.r, pair.s)


@pytest.mark.parametrize("curve", ALL_CURVES)
@settings(max_examples=25, deadline=None)
@given(bit=st.integers(0, len(PAYLOAD) * 8 - 1))
def test_no_flipped_bit_of_the_payload_stays_authentic(curve: str, bit: int) -> None:
    key = key_for(curve)
    altered = bytearray(PAYLOAD)
    altered[bit // 8] ^= 1 << bit % 8
    judgement = answer_on(key.sign(PAYLOAD), key.public_key, key.algorithm, bytes(altered))
    assert judgement.answer in (Answer.FORGED, Answer.MALFORMED)
    assert judgement.if_read_so is None


@pytest.mark.parametrize("curve", ALL_CURVES)
@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, 10_000))
def test_no_flipped_bit_of_the_signature_stays_authentic(curve: str, place: int) -> None:
    key = key_for(curve)
    signature = bytearray(one_signature(curve))
    bit = place % (len(signature) * 8)
    signature[bit // 8] ^= 1 << bit % 8
    judgement = answer_on(bytes(signature), key.public_key, key.algorithm)
    assert judgement.answer in (Answer.FORGED, Answer.MALFORMED)


def test_high_s_twin_is_the_same_statement() -> None:
    key = key_for("secp256r1")
    pair = read_signature(key.sign(PAYLOAD))
    twin = encode_signature(pair.r, CURVES["secp256r1"].order - pair.s)
    assert answer_on(twin, key.public_key, key.algorithm).answer is Answer.AUTHENTIC


def lenient_forms(curve: str) -> dict[str, bytes]:
    """Return one signature in forms that only a tolerant reader reads. The integers' top bits must be set for that."""
    key, size = key_for(curve), CURVES[curve].field_bytes
    order = CURVES[curve].order
    for number in range(500):
        pair = read_signature(key.sign(PAYLOAD + b" " * number))
        s = max(pair.s, order - pair.s)
        r_bytes, s_bytes = pair.r.to_bytes(size, "big"), s.to_bytes(size, "big")
        if r_bytes[0] & 0x80 and s_bytes[0] & 0x80:
            break
    strict = encode_signature(pair.r, s)
    return {
        "payload": PAYLOAD + b" " * number,
        "signature_raw": r_bytes + s_bytes,
        "signature_der_unpadded": bytes((0x30, 2 * size + 4, 2, size)) + r_bytes + bytes((2, size)) + s_bytes,
        "signature_der_not_strict": strict + b"\0",
    }


#: n - s is no signature of SM2, so its unpadded form cannot be made from any signature at will.
LENIENT = [("secp256r1", reason) for reason in ("signature_raw", "signature_der_unpadded", "signature_der_not_strict")]
LENIENT += [(SM2_CURVE, "signature_raw"), (SM2_CURVE, "signature_der_not_strict")]


@pytest.mark.parametrize(("curve", "reason"), LENIENT)
def test_wrong_form_is_malformed_never_forged(curve: str, reason: str) -> None:
    key = key_for(curve)
    if curve == SM2_CURVE:
        pair = read_signature(key.sign(PAYLOAD))
        raw = pair.r.to_bytes(32, "big") + pair.s.to_bytes(32, "big")
        forms = {"payload": PAYLOAD, "signature_raw": raw}
        forms["signature_der_not_strict"] = encode_signature(pair.r, pair.s) + b"\0"
    else:
        forms = lenient_forms(curve)
    judgement = answer_on(forms[reason], key.public_key, key.algorithm, forms["payload"])
    assert (judgement.answer, judgement.reason) == (Answer.MALFORMED, reason)
    assert judgement.if_read_so is Answer.AUTHENTIC
    assert reason.replace("signature_", "signature.") in {d.kind for d in judgement.deviations}
    forged = answer_on(forms[reason], key.public_key, key.algorithm, PAYLOAD + b"  \t")
    assert (forged.answer, forged.if_read_so) == (Answer.FORGED, None)


def test_undecodable_signature_is_malformed() -> None:
    key = key_for("secp256r1")
    judgement = answer_on(b"\x30\x06\x02\x01", key.public_key, key.algorithm)
    assert (judgement.answer, judgement.reason) == (Answer.MALFORMED, "signature_undecodable")


def test_other_hash_is_verified_as_claimed_and_never_guessed_in_silence() -> None:
    sha512 = new_signing_key("ECDSA-secp256r1-SHA512", b"x")
    honest = answer_on(sha512.sign(PAYLOAD), sha512.public_key, sha512.algorithm)
    assert honest.answer is Answer.AUTHENTIC
    sha256 = new_signing_key("ECDSA-secp256r1-SHA256", b"x")
    lie = answer_on(sha256.sign(PAYLOAD), sha256.public_key, sha512.algorithm)
    assert (lie.answer, lie.reason, lie.if_read_so) == (Answer.MALFORMED, "sa_hash_mismatch", Answer.AUTHENTIC)


def test_key_on_another_curve_decides_where_it_verifies() -> None:
    key = key_for("secp384r1")
    fits = answer_on(key.sign(PAYLOAD), key.public_key, "ECDSA-secp256r1-SHA256")
    assert fits.answer is Answer.AUTHENTIC
    assert [d.kind for d in fits.deviations] == ["signature.curve_differs"]
    unknown = answer_on(key.sign(PAYLOAD + b" "), key.public_key, "ECDSA-secp256r1-SHA256")
    assert (unknown.answer, unknown.reason) == (Answer.CANNOT_JUDGE, "key_algorithm_mismatch")
    vouched = answer_on(key.sign(PAYLOAD + b" "), ring(key), "ECDSA-secp256r1-SHA256")
    assert vouched.answer is Answer.FORGED


@pytest.mark.parametrize("algorithm", ["RSA-2048-SHA256", "ML-DSA-65", "ECDSA-secp521r1-SHA256", "ECDSA-"])
def test_unknown_algorithm_cannot_be_judged(algorithm: str) -> None:
    key = key_for("secp256r1")
    judgement = answer_on(key.sign(PAYLOAD), key.public_key, algorithm)
    assert (judgement.answer, judgement.reason) == (Answer.CANNOT_JUDGE, "algorithm_unknown")


def ring(*signers: SigningKey, meter: str = "MS-1", **validity: int) -> KeyRing:
    return KeyRing(
        tuple(
            MeterKey(f"K{n}", meter, s.algorithm, s.public_key, validity.get("start", 0), validity.get("end"))
            for n, s in enumerate(signers)
        )
    )


def test_register_comes_before_the_key_that_travels_along() -> None:
    mine, other = key_for("secp256r1"), new_signing_key("ECDSA-secp256r1-SHA256", b"thief")
    raw = encode_frame(PAYLOAD, {"SD": other.sign(PAYLOAD).hex()})
    signed = signed_record(raw, Source("test", 1), key_text=other.public_key)
    assert verify.judge_signed(signed, ring(mine)).answer is Answer.FORGED
    alone = verify.judge_signed(signed, ring(mine, meter="another meter"))
    assert alone.answer is Answer.AUTHENTIC
    assert [d.kind for d in alone.deviations] == ["key.came_with_record"]


def test_rotated_keys_are_all_tried_and_the_one_that_fits_is_named() -> None:
    old, new = key_for("secp256r1"), new_signing_key("ECDSA-secp256r1-SHA256", b"new")
    judgement = answer_on(new.sign(PAYLOAD), ring(old, new), new.algorithm)
    assert (judgement.answer, judgement.key_id) == (Answer.AUTHENTIC, "K1")
    expired = answer_on(old.sign(PAYLOAD), ring(old, end=1), old.algorithm)
    assert (expired.answer, expired.key_id) == (Answer.AUTHENTIC, "K0")  # that it is expired is rule R17's business


def test_gateway_signs_where_the_record_names_no_meter() -> None:
    key = key_for("secp256r1")
    payload = PAYLOAD.replace(b'"MS":"MS-1",', b"")
    assert answer_on(key.sign(payload), ring(key, meter="GS-1"), key.algorithm, payload).answer is Answer.AUTHENTIC


def spki(curve: str) -> bytes:
    return bytes.fromhex(key_for(curve).public_key)


KEY_TEXTS = {
    "hex": (spki("secp256r1").hex(), None),
    "upper-case hex": (spki("secp256r1").hex().upper(), None),
    "base64": (base64.b64encode(spki("secp256r1")).decode(), None),
    "PEM": (
        "-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(spki("secp256r1")).decode() + "-----END PUBLIC KEY-----\n",
        None,
    ),
    "hex in pairs": (spki("secp256r1").hex(" "), "key.spaces"),
    "bare point": (spki("secp256r1")[-65:].hex(), "key.bare_point"),
}


@pytest.mark.parametrize("form", KEY_TEXTS)
def test_key_text_in_many_forms(form: str) -> None:
    text, kind = KEY_TEXTS[form]
    key = key_for("secp256r1")
    judgement = answer_on(key.sign(PAYLOAD), text, key.algorithm)
    assert judgement.answer is Answer.AUTHENTIC
    assert [d.kind for d in judgement.deviations] == ([kind] if kind else [])


def test_bare_coordinates_are_for_tolerant_readers_only() -> None:
    key = key_for("secp256r1")
    bare = spki("secp256r1")[-64:].hex()
    judgement = answer_on(key.sign(PAYLOAD), bare, key.algorithm)
    assert (judgement.answer, judgement.reason) == (Answer.MALFORMED, "key_bare_coordinates")
    assert judgement.if_read_so is Answer.AUTHENTIC
    assert answer_on(key.sign(PAYLOAD + b" "), bare, key.algorithm).answer is Answer.FORGED


def test_compressed_and_bare_ed25519_keys_are_read() -> None:
    point = spki("secp256r1")[-64:]
    compressed = bytes((2 + (point[-1] & 1),)) + point[:32]
    kinds = {d.kind for d in keys.read_key(compressed.hex(), "secp256r1").deviations}
    assert kinds == {"key.bare_point", "key.compressed_point"}
    edwards = key_for("ed25519")
    judgement = answer_on(edwards.sign(PAYLOAD), spki("ed25519")[-32:].hex(), edwards.algorithm)
    assert (judgement.answer, judgement.deviations[0].kind) == (Answer.AUTHENTIC, "key.bare_ed25519")


def off_curve(curve: str) -> str:
    data = bytearray(spki(curve))
    data[-1] ^= 1
    return data.hex()


BAD_KEYS = {
    "": "no_key",
    "   ": "no_key",
    "not a key": "key_unreadable",
    "3059": "key_unreadable",
    "A" * 10_000: "key_unreadable",
    off_curve("secp256r1"): "key_not_on_curve",
    off_curve("secp192k1"): "key_not_on_curve",
    off_curve(SM2_CURVE): "key_not_on_curve",
    spki("secp256r1").hex().replace("2a8648ce3d030107", "2a8648ce3d030199"): "key_unsupported",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----": "key_unsupported",
}


@pytest.mark.parametrize("text", BAD_KEYS, ids=lambda t: BAD_KEYS[t] + str(len(t)))
def test_bad_key_cannot_judge(text: str) -> None:
    key = key_for("secp256r1")
    judgement = answer_on(key.sign(PAYLOAD), text, key.algorithm)
    assert (judgement.answer, judgement.reason) == (Answer.CANNOT_JUDGE, BAD_KEYS[text])


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200) | st.binary(max_size=120).map(bytes.hex), hint=st.sampled_from([None, *ALL_CURVES]))
def test_no_key_text_raises_anything_but_its_error(text: str, hint: str | None) -> None:
    with contextlib.suppress(KeyTextError):
        assert keys.read_key(text, hint).curve in ALL_CURVES


@settings(max_examples=300, deadline=None)
@given(signature=st.binary(min_size=1, max_size=120), curve=st.sampled_from(ALL_CURVES))
def test_no_signature_bytes_pass_or_raise(signature: bytes, curve: str) -> None:
    key = key_for(curve)
    assert answer_on(signature, key.public_key, key.algorithm).answer in (Answer.FORGED, Answer.MALFORMED)


def test_without_libcrypto_sm2_cannot_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_for(SM2_CURVE)
    signature = key.sign(PAYLOAD)
    monkeypatch.setattr(libcrypto, "available", lambda: "no libcrypto of OpenSSL 3 was found on this system")
    keys.read_key.cache_clear()
    judgement = answer_on(signature, key.public_key, key.algorithm)
    keys.read_key.cache_clear()
    assert (judgement.answer, judgement.reason) == (Answer.CANNOT_JUDGE, "sm2_unavailable")


def test_algorithm_names_in_their_spellings() -> None:
    for text in ("ECDSA-brainpoolP256r1-SHA256", "ecdsa-brainpool256r1-sha256", "ECDSA-brainpool256r1-SHA-256"):
        algorithm = algorithm_of(text)
        assert algorithm is not None
        assert algorithm.curve == "brainpool256r1"
    assert algorithm_of("SM2-SM3") == ALGORITHM_OF_CURVE[SM2_CURVE]


def test_trust_page_lists_every_deviation_and_reason() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "trust.md").read_text("utf-8")
    for kind in (*keys.CLAUSES, *verify.CLAUSES):
        assert f"`{kind}`" in page
    for reason in {*verify._KEY_REASONS.values(), "key_unreadable", "no_key", "algorithm_unknown", "sa_hash_mismatch"}:
        assert f"`{reason}`" in page
