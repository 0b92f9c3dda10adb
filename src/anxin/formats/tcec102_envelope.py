"""The transport envelope of T/CEC 102.4: AES-128-CBC over the JSON, HMAC-MD5 over the envelope's fields.

Request  {"OperatorID", "Data", "TimeStamp", "Seq", "Sig"}: Sig over OperatorID + Data + TimeStamp + Seq.
Response {"Ret", "Msg", "Data", "Sig"}:                     Sig over Ret + Msg + Data.
Data is Base64 of AES-128-CBC with PKCS#7 padding, key DataSecret and IV DataSecretIV; Sig is upper-case hex.

HMAC-MD5 under a shared secret keeps strangers out; it does not prove who of the two sides wrote a message.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from anxin.domain.errors import FormatError
from anxin.domain.source import Deviation
from anxin.formats import json_document

#: A day's orders of a large operator in one message stay below this; larger bodies are refused before any work.
MAX_ENVELOPE_BYTES = 64 * 1024 * 1024
AES_BLOCK = 16
STAMP_DIGITS, SEQ_DIGITS = 14, 4
CLAUSE_ENVELOPE = "T/CEC 102.4-2016"


@dataclass(frozen=True, slots=True)
class OperatorSecrets:
    """The four values that platform and operator share (T/CEC 102.4 clause 7); both AES values have 16 bytes."""

    operator_id: str
    data_secret: bytes
    data_secret_iv: bytes
    sig_secret: bytes

    def __post_init__(self) -> None:
        if len(self.data_secret) != AES_BLOCK or len(self.data_secret_iv) != AES_BLOCK or not self.sig_secret:
            raise FormatError("tcec102.secrets", "DataSecret and DataSecretIV need 16 bytes, SigSecret at least one")


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened envelope: who sent it, when (as written), and the plain JSON."""

    operator_id: str | None
    time_stamp: str | None
    plain: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """An envelope whose signature holds under `secrets`; `data` is still encrypted. A response has `ret` and `msg`."""

    operator_id: str | None
    time_stamp: str | None
    seq: str | None
    data: str
    secrets: OperatorSecrets
    ret: str | None = None
    msg: str | None = None


def is_envelope(value: object) -> bool:
    """Return whether a decoded JSON value has the shape of an encrypted request or response."""
    return isinstance(value, dict) and isinstance(value.get("Data"), str) and "Sig" in value


def open_envelope(data: bytes, secrets: Iterable[OperatorSecrets]) -> bytes:
    """Return the plain JSON of an envelope. Raises FormatError, see `open_parsed`."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise FormatError("tcec102.size", f"an envelope has more than {MAX_ENVELOPE_BYTES} bytes")
    return open_parsed(json_document.loads(data), secrets).plain


def open_parsed(value: object, secrets: Iterable[OperatorSecrets]) -> Opened:
    """Return what an envelope holds, checking in the order shape, operator, signature, decryption.

    Raises FormatError `tcec102.envelope`, `tcec102.operator_unknown`, `tcec102.signature` or `tcec102.cipher`.
    """
    signed = authenticate(value, secrets)
    return Opened(signed.operator_id, signed.time_stamp, decrypt(signed.data, signed.secrets))


def authenticate(value: object, secrets: Iterable[OperatorSecrets]) -> Signed:
    """Return an envelope whose signature holds, nothing decrypted yet.

    Raises FormatError `tcec102.envelope`, `tcec102.operator_unknown` or `tcec102.signature`.
    """
    if not isinstance(value, dict) or not is_envelope(value):
        raise FormatError("tcec102.envelope", "not an envelope: needs Data and Sig as text")
    data, signature = value["Data"], value["Sig"]
    known = list(secrets)
    operator_id = stamp = seq = ret = msg = None
    if "OperatorID" in value:
        operator_id = _text(value, "OperatorID")
        candidates = [s for s in known if s.operator_id == operator_id]
        if not candidates:
            raise FormatError("tcec102.operator_unknown", f"no secrets for operator {operator_id[:40]!r}", "OperatorID")
        stamp, seq = _text(value, "TimeStamp"), _text(value, "Seq")
        signed = operator_id + data + stamp + seq
    elif "Ret" in value:
        candidates = known
        ret, msg = _text(value, "Ret"), _text(value, "Msg")
        signed = ret + msg + data
        if not candidates:
            raise FormatError("tcec102.operator_unknown", "no secrets given to open a response", "Ret")
    else:
        raise FormatError("tcec102.envelope", "not an envelope: neither OperatorID nor Ret")
    for secret in candidates:
        if _signature_holds(signed, signature, secret):
            return Signed(operator_id, stamp, seq, data, secret, ret, msg)
    raise FormatError("tcec102.signature", "the signature (HMAC-MD5) does not fit the envelope", "Sig")


def oddities(value: dict[str, object]) -> list[Deviation]:
    """Return what is odd about a request's envelope, and read all the same."""
    found = []
    stamp, seq, signature = (str(value.get(name, "")) for name in ("TimeStamp", "Seq", "Sig"))
    if "OperatorID" in value and len(stamp) != STAMP_DIGITS:
        detail = f"{stamp[:20]!r} has not {STAMP_DIGITS} digits"
        found.append(Deviation("tcec102.time_stamp", CLAUSE_ENVELOPE, detail, "TimeStamp"))
    if "OperatorID" in value and len(seq) != SEQ_DIGITS:
        found.append(Deviation("tcec102.seq", CLAUSE_ENVELOPE, f"{seq[:20]!r} has not {SEQ_DIGITS} digits", "Seq"))
    if signature != signature.upper():
        found.append(Deviation("tcec102.signature_case", CLAUSE_ENVELOPE, "Sig is not upper-case hex", "Sig"))
    return found


def seal_envelope(plain: bytes, secrets: OperatorSecrets, time_stamp: str, seq: str = "0001") -> bytes:
    """Return a request envelope around `plain` as JSON bytes. `time_stamp` is yyyyMMddHHmmss, `seq` four digits."""
    data = encrypt(plain, secrets)
    signature = sign(secrets.operator_id + data + time_stamp + seq, secrets)
    fields = {"OperatorID": secrets.operator_id, "Data": data, "TimeStamp": time_stamp, "Seq": seq, "Sig": signature}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def encrypt(plain: bytes, secrets: OperatorSecrets) -> str:
    """Return `Data` for a plain JSON text."""
    padder = padding.PKCS7(AES_BLOCK * 8).padder()
    cipher = Cipher(algorithms.AES(secrets.data_secret), modes.CBC(secrets.data_secret_iv)).encryptor()
    return base64.b64encode(cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()).decode()


def sign(signed: str, secrets: OperatorSecrets) -> str:
    """Return `Sig`: upper-case hex of HMAC-MD5 under SigSecret."""
    # T/CEC 102.4 prescribes MD5 inside HMAC; there is no choice on this wire.
    return hmac.new(secrets.sig_secret, signed.encode(), "md5").hexdigest().upper()


def _signature_holds(signed: str, signature: object, secrets: OperatorSecrets) -> bool:
    if not isinstance(signature, str) or not signature.isascii():
        return False
    try:
        return hmac.compare_digest(sign(signed, secrets), signature.upper())
    except UnicodeEncodeError:  # lone surrogates in an escaped JSON text have no UTF-8 bytes
        return False


def decrypt(data: str, secrets: OperatorSecrets) -> bytes:
    """Return the plain JSON of `Data`. Raises FormatError `tcec102.cipher`."""
    try:
        cipher_text = base64.b64decode(data, validate=True)
        if not cipher_text or len(cipher_text) % AES_BLOCK:
            raise FormatError("tcec102.cipher", "Data is no whole number of AES blocks", "Data")
        cipher = Cipher(algorithms.AES(secrets.data_secret), modes.CBC(secrets.data_secret_iv)).decryptor()
        unpadder = padding.PKCS7(AES_BLOCK * 8).unpadder()
        return unpadder.update(cipher.update(cipher_text) + cipher.finalize()) + unpadder.finalize()
    except (binascii.Error, ValueError):
        raise FormatError("tcec102.cipher", "Data cannot be decrypted with the operator's DataSecret", "Data") from None


def _text(value: dict[str, object], name: str) -> str:
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)  # Ret is a number on the wire and is signed as its decimal text
    if not isinstance(found, str):
        raise FormatError("tcec102.envelope", f"the envelope lacks {name}", name)
    return found
