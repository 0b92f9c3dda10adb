"""AccessTokens of T/CEC 102: whom they are for and until when, under a key of this platform. Nothing is stored, so a
token holds across restarts; revoking the operator's secrets ends it, because it names the credential that bought it."""

from __future__ import annotations

import base64
import hashlib
import hmac

from anxin.flow.platform import Directory, TcecSecrets

TAG_BYTES = 24


def issue(key: bytes, secrets: TcecSecrets, until_s: int) -> str:
    """Return a token for the holder of these secrets, valid until a moment (seconds, UTC)."""
    said = f"{secrets.credential.party_id}|{secrets.credential.credential_id}|{until_s}".encode()
    return base64.urlsafe_b64encode(_tag(key, said) + said).decode()


def check(key: bytes, token: str, operator_id: str, directory: Directory, now_s: int) -> bool:
    """Return whether a token is this operator's, unexpired, and its credential still valid."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii"))
        party, credential, until = raw[TAG_BYTES:].decode().split("|")
        expiry = int(until)
    except ValueError:
        return False
    if not hmac.compare_digest(raw[:TAG_BYTES], _tag(key, raw[TAG_BYTES:])):
        return False
    valid = {s.credential.credential_id for s in directory.valid_tcec(operator_id)}
    return party == operator_id and credential in valid and now_s < expiry


def _tag(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, b"tcec102 token\n" + said, hashlib.sha256)[:TAG_BYTES]
