"""Secrets at rest: AES-256-GCM under a master key that stands outside the database.

Whoever has the database alone reads no secret; whoever has the master key file and the database reads all of them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anxin.domain.errors import InputError

KEY_BYTES, NONCE_BYTES = 32, 12


class Vault:
    """Seals and opens secrets. `context` (the credential's id) is authenticated: a sealed value cannot be moved."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise InputError(f"the master key needs {KEY_BYTES} bytes")
        self._cipher = AESGCM(master_key)

    def seal(self, secret: bytes, context: str) -> bytes:
        """Return the sealed form: nonce, ciphertext and tag."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Return the secret. Raises InputError where the master key is another one or the value was altered."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            raise InputError(f"the secret of {context} does not open: another master key, or altered") from None


def load_or_make_key(path: Path, length: int = KEY_BYTES) -> bytes:
    """Return the key in a file; make it, readable by its owner alone, where there is none. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) != length:
                raise InputError(f"{path}: a key of {length} bytes is needed, this has {len(key)}") from None
            return key
        with os.fdopen(handle, "wb") as file:
            key = secrets.token_bytes(length)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    return key
