"""Who said this? One record and the keys that are known, to one of four answers with exactly one reason.

    authentic      the named key signed exactly these bytes
    forged         key and signature are readable, and the signature is not this key's over these bytes
    malformed      the record or its signature departs from the format so far that a strict reader has nothing to
                   verify; `if_read_so` says what a tolerant reader would answer
    cannot_judge   no key, an unreadable key, an algorithm or curve that is not known here

MUST NOT   answer `forged` where only the form is wrong, nor `authentic` where only a tolerant reader would
MUST NOT   raise, on any record and any key text
"""

from __future__ import annotations

from dataclasses import replace

from anxin.domain.batch import SignedRecord
from anxin.domain.errors import KeyTextError
from anxin.domain.meter_record import Answer, Judgement, MeterRecord
from anxin.domain.source import Deviation
from anxin.trust.algorithms import ALGORITHM_OF_CURVE, CURVES, ED25519, SM2_CURVE, Algorithm, algorithm_of
from anxin.trust.der import DerError, encode_signature, read_signature
from anxin.trust.keyring import KeyRing
from anxin.trust.keys import PublicKey, deviation, read_key

#: kind -> (clause, what is read and how): departures that only verifying brings to light
CLAUSES = {
    "signature.der_unpadded": ("X.690 section 8.3", "an integer with its top bit set and no 00 before it"),
    "signature.der_not_strict": ("X.690 section 10", "DER with long lengths, padding or bytes left over"),
    "signature.raw": ("OCMF 1.4.1, Table 8, SM", "bare r and s side by side instead of DER"),
    "signature.hash_differs": ("OCMF 1.4.1, Table 22", "signed over SHA-256 where SA names another hash"),
    "signature.curve_differs": ("OCMF 1.4.1, Table 22", "SA, or its default, names another curve than the key's"),
}
_KEY_REASONS = {
    "key.not_on_curve": "key_not_on_curve",
    "key.unknown_kind": "key_unsupported",
    "key.unavailable": "sm2_unavailable",
}


def judge(record: MeterRecord, keys: KeyRing | str | None, key_text: str | None = None) -> Judgement:
    """Return the answer on one record.

    `keys` is a ring, or the text of the one key to use (given by whoever asks), or None. `key_text` came along with
    the record; it is used only where the ring has no entry for the record's meter, and said so in a deviation.
    """
    # 1. the keys to try, likeliest first
    if isinstance(keys, str):
        return _with_key(record, keys, None, registered=False)
    registered = keys.keys_of(record) if keys is not None else ()
    if not registered:
        return _with_companion(record, key_text)
    # 2. the first key that fits decides; else the likeliest one's answer stands
    first: Judgement | None = None
    for key in registered:
        answer = _with_key(record, key.public_key, key.key_id, registered=True)
        if answer.answer is Answer.AUTHENTIC or answer.if_read_so is Answer.AUTHENTIC:
            return answer
        first = first or answer
    return first if first is not None else _no_key()


def judge_signed(signed: SignedRecord, keys: KeyRing | str | None) -> Judgement:
    """Return the answer on a signed record as a container held it, also where it could not be opened or decoded."""
    if signed.cannot_open is not None:
        return Judgement(Answer.CANNOT_JUDGE, "cannot_open", signed.cannot_open)
    if signed.record is None:
        rule = (signed.malformed_rule or "undecodable").replace(".", "_")
        return Judgement(Answer.MALFORMED, rule, signed.malformed_detail or "the record cannot be decoded")
    return judge(signed.record, keys, signed.key_text)


def _with_companion(record: MeterRecord, key_text: str | None) -> Judgement:
    if not key_text or not key_text.strip():
        return _no_key()
    answer = _with_key(record, key_text, None, registered=False)
    found = deviation("key.came_with_record", "no register vouches for this key")
    return replace(answer, deviations=(*answer.deviations, found))


def _no_key() -> Judgement:
    return Judgement(Answer.CANNOT_JUDGE, "no_key", "no public key is known for this record")


def _with_key(record: MeterRecord, text: str, key_id: str | None, *, registered: bool) -> Judgement:
    if not text.strip():
        return _no_key()
    named = algorithm_of(record.algorithm)
    if named is None:
        detail = f"the signature algorithm {record.algorithm[:60]!a} is not known here"
        return Judgement(Answer.CANNOT_JUDGE, "algorithm_unknown", detail, key_id)
    try:
        key = read_key(text, named.curve)
    except KeyTextError as error:
        return Judgement(Answer.CANNOT_JUDGE, _KEY_REASONS.get(error.rule, "key_unreadable"), str(error), key_id)
    return _decide(record, key, named, key_id, registered)


def _decide(record: MeterRecord, key: PublicKey, named: Algorithm, key_id: str | None, registered: bool) -> Judgement:
    # A record may name one curve and its key lie on another: the key says what can be verified at all.
    fits = named.curve == key.curve
    algorithm = named if fits else ALGORITHM_OF_CURVE[key.curve]
    oddities = key.deviations if fits else (*key.deviations, _curve_differs(named, key))
    # 1. strict reading, as named: nearly every record ends here
    if key.verifies(record.signature, record.signed_bytes, algorithm.hash_name):
        bare = next((d for d in oddities if d.kind == "key.bare_coordinates"), None)
        if bare is not None:
            return _only_if_read_so("key_bare_coordinates", bare, key_id, oddities)
        detail = f"signed with {algorithm.id} by this key over exactly these bytes"
        return Judgement(Answer.AUTHENTIC, "signature_matches", detail, key_id, None, oddities)
    # 2. tolerant readings, only to tell a wrong form from a wrong signature
    if key.curve != ED25519:
        tolerant = _tolerant(record, key, algorithm, key_id, oddities)
        if tolerant is not None:
            return tolerant
    # 3. the key is no key for this signature: only a register's word makes that a forgery
    if not fits and not registered:
        detail = f"the record names {named.id}, the key lies on {key.curve}, and nothing verifies"
        return Judgement(Answer.CANNOT_JUDGE, "key_algorithm_mismatch", detail, key_id, None, oddities)
    detail = "the signature is readable and is not this key's over these bytes"
    return Judgement(Answer.FORGED, "signature_mismatch", detail, key_id, None, oddities)


def _tolerant(
    record: MeterRecord, key: PublicKey, algorithm: Algorithm, key_id: str | None, oddities: tuple[Deviation, ...]
) -> Judgement | None:
    """Return `malformed` where only a tolerant reading verifies or none can be made, else None."""
    signature, kind = record.signature, None
    try:
        pair = read_signature(signature)
        if not pair.strict:
            signature = encode_signature(pair.r, pair.s)
            kind = "signature.der_unpadded" if pair.defect == "unpadded" else "signature.der_not_strict"
    except DerError as error:
        size = (CURVES[key.curve].order.bit_length() + 7) // 8
        if len(signature) != 2 * size:
            detail = f"the signature's {len(signature)} bytes are no DER signature: {error}"
            return Judgement(Answer.MALFORMED, "signature_undecodable", detail, key_id, None, oddities)
        signature, kind = _encoded(signature, size), "signature.raw"
    if kind is not None and key.verifies(signature, record.signed_bytes, algorithm.hash_name):
        return _only_if_read_so(kind.replace(".", "_"), _odd(kind, CLAUSES[kind][1]), key_id, oddities)
    if algorithm.hash_name in ("sha384", "sha512") and key.verifies(signature, record.signed_bytes, "sha256"):
        found = _odd("signature.hash_differs", f"SA names {algorithm.hash_name}, the signature is over sha256")
        return _only_if_read_so("sa_hash_mismatch", found, key_id, oddities)
    return None


def _encoded(raw: bytes, size: int) -> bytes:
    return encode_signature(int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big"))


def _only_if_read_so(reason: str, found: Deviation, key_id: str | None, oddities: tuple[Deviation, ...]) -> Judgement:
    others = tuple(d for d in oddities if d.kind != found.kind)
    detail = f"authentic only for a tolerant reader: {found.detail}"
    return Judgement(Answer.MALFORMED, reason, detail, key_id, Answer.AUTHENTIC, (*others, found))


def _odd(kind: str, detail: str) -> Deviation:
    return Deviation(kind, CLAUSES[kind][0], detail, "SD")


def _curve_differs(named: Algorithm, key: PublicKey) -> Deviation:
    curve = "SM2" if key.curve == SM2_CURVE else key.curve
    return Deviation(
        "signature.curve_differs", CLAUSES["signature.curve_differs"][0], f"{named.id}, key on {curve}", "SA"
    )
