"""Secrets at rest: AES-256-GCM under a master key that stands outside the database.

Whoever has the database alone reads no secret; whoever has the master key file and the database reads all of them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anxin.domain.errors import InputError

KEY_BYTES, NONCE_BYTES = 32, 12


class Vault:
    """Seals and opens secrets. `context` (the credential's id) is authenticated: a sealed value cannot be moved.

    A vault that stands on a file follows it: while the master key is exchanged (flow/rekey.py) a running process seals
    under the key that is in force, and opens what is sealed under that one, the next, or the last.
    """

    def __init__(self, master_key: bytes, path: Path | None = None) -> None:
        self._path = path
        self._seen = None if path is None else _stamp(path)
        self._ciphers = [_cipher(master_key)]

    @classmethod
    def at(cls, path: Path) -> Vault:
        """Return the vault of a master key file, made where there is none. Raises InputError."""
        return cls(load_or_make_key(path), path)

    def seal(self, secret: bytes, context: str) -> bytes:
        """Return the sealed form: nonce, ciphertext and tag."""
        if self._path is not None and _stamp(self._path) != self._seen:
            self._follow(self._path)
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Return the secret. Raises InputError where the master key is another one or the value was altered."""
        found = self._opened(sealed, context)
        if found is None and self._path is not None:
            self._follow(self._path)
            found = self._opened(sealed, context)
        if found is None:
            raise InputError(f"the secret of {context} does not open: another master key, or altered")
        return found

    def _opened(self, sealed: bytes, context: str) -> bytes | None:
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
            except (InvalidTag, ValueError):
                continue
        return None

    def _follow(self, path: Path) -> None:
        seen = _stamp(path)
        found = []
        for file in (path, next_key(path), old_key(path)):
            with contextlib.suppress(OSError, InputError):  # a key that goes or comes at this moment
                found.append(_cipher(file.read_bytes()))
        if found:
            self._ciphers, self._seen = found, seen


def next_key(path: Path) -> Path:
    """Return where the key stands that will be the master key."""
    return path.with_name(f"{path.name}.next")


def old_key(path: Path) -> Path:
    """Return where the key stands that was the master key, for as long as something may be sealed under it."""
    return path.with_name(f"{path.name}.old")


def _cipher(master_key: bytes) -> AESGCM:
    if len(master_key) != KEY_BYTES:
        raise InputError(f"the master key needs {KEY_BYTES} bytes")
    return AESGCM(master_key)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def load_or_make_key(path: Path, length: int = KEY_BYTES) -> bytes:
    """Return the key in a file; make it, readable by its owner alone, where there is none. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.is_file():
            with contextlib.suppress(FileExistsError):  # another process has made it meanwhile: its key counts
                write_key(path, secrets.token_bytes(length))
        key = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(key) != length:
        raise InputError(f"{path}: a key of {length} bytes is needed, this has {len(key)}")
    return key


def write_key(path: Path, key: bytes) -> None:
    """Write a key file that is there whole or not at all, readable by its owner alone. Raises OSError where one is."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were written into a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
