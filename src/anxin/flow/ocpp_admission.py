"""Which charger is this, and may it speak? HTTP Basic as in OCPP security profiles 1 and 2.

Security whitepaper for OCPP 1.6 edition 3, and OCPP 2.0.1 part 2 A00: the user name is the charger's identity, the
password 16 to 40 characters (1.6 calls it AuthorizationKey, its hex text or the bytes that this stands for).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from anxin.domain.party import Credential, Role
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Directory

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Admission:
    """A charger that showed this credential."""

    charger_id: str
    credential_id: str

    def holds(self, directory: Directory) -> bool:
        """Return whether the charger may still speak: registered, not suspended, its credential not revoked."""
        return any(c.credential_id == self.credential_id for c in _valid(directory, self.charger_id))


def admit(directory: Directory, charger_id: str, authorization: str) -> Admission | None:
    """Return the admission of a charger that showed a valid password, None for anyone else.

    The answer does not tell an unknown charger from a wrong password, nor from one that is suspended.
    """
    user, password = _basic(authorization)
    found = None
    for credential in _valid(directory, charger_id):
        if matches(password, credential.secret or b"") and found is None:
            found = credential
    if found is None or not hmac.compare_digest(user, charger_id.encode("utf-8", "replace")):
        return None
    return Admission(charger_id, found.credential_id)


def secret_of(password: str) -> bytes:
    """Return what is kept of a password, sealed: the SHA-256 of its text, and of the bytes where the text is hex.

    Passwords are made by the platform from 16 random bytes (flow/enrol.py); no slow hash is due.
    """
    return hashlib.sha256(password.encode()).digest() + hashlib.sha256(_unhexed(password)).digest()


def matches(password: bytes, secret: bytes) -> bool:
    """Return whether a password is that of a secret, in either of its two forms. Takes the same time either way."""
    shown = hashlib.sha256(password).digest()
    text, raw = secret[:DIGEST_BYTES], secret[DIGEST_BYTES:]
    return hmac.compare_digest(shown, text) | hmac.compare_digest(shown, raw)


def _unhexed(password: str) -> bytes:
    try:
        return bytes.fromhex(password)
    except ValueError:
        return password.encode()


def _valid(directory: Directory, charger_id: str) -> list[Credential]:
    party = directory.parties.get(charger_id)
    if party is None or party.suspended or party.role is not Role.CHARGER:
        return []
    if charger_id not in directory.connectors_of_charger:
        return []
    now = now_utc_ms()
    return [c for c in directory.credentials_of.get((charger_id, "basic"), ()) if c.valid_at(now)]


def _basic(authorization: str) -> tuple[bytes, bytes]:
    """Return user and password of a header, empty where it is no Basic one. A password may hold any bytes."""
    kind, _, text = authorization.partition(" ")
    if kind.lower() != "basic":
        return b"", b""
    try:
        user, _, password = base64.b64decode(text.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b"", b""
    return user, password
