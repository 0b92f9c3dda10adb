"""Files sealed with a passphrase: a backup holds the master key, and leaves the machine.

    key of the passphrase   scrypt, N = 2^17, r = 8, p = 1, salt of 16 bytes
    key of a file           HKDF-SHA-256 of it, info = the backup's id "/" the file's name
    the file                blocks of 1 MiB, each AES-256-GCM with its 16-byte tag; nonce = number of the block in 11
                            bytes, then 1 for the last block and 0 for every other (STREAM, Hoang et al. 2015)

A block that is altered, moved, missing or from another file or backup does not open, and neither does a file cut short.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from anxin.domain.errors import InputError

BLOCK_BYTES = 1024 * 1024
TAG_BYTES, SALT_BYTES = 16, 16
KeyOf = Callable[[str], bytes]


def keys_of_passphrase(passphrase: bytes, salt: bytes, backup_id: str) -> KeyOf:
    """Return what gives the key of each file of one backup."""
    root = Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(passphrase)
    return lambda name: HKDF(SHA256(), 32, None, f"{backup_id}/{name}".encode()).derive(root)


class Sink:
    """Writes a file, sealed where there is a key; `size` and `sha256` are those of the file as it is written."""

    def __init__(self, file: BinaryIO, key: bytes | None) -> None:
        self._file = file
        self._cipher = None if key is None else AESGCM(key)
        self._waiting = bytearray()
        self._number = 0
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written, in hex."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Take bytes; return their number."""
        self._waiting += data
        while len(self._waiting) > BLOCK_BYTES:  # the last block is known at the end alone, so one is held back
            self._block(bytes(self._waiting[:BLOCK_BYTES]), last=False)
            del self._waiting[:BLOCK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last block."""
        self._block(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _block(self, data: bytes, last: bool) -> None:
        stored = data if self._cipher is None else self._cipher.encrypt(_nonce(self._number, last), data, None)
        self._number += 1
        self._file.write(stored)
        self._hash.update(stored)
        self.size += len(stored)


class Spring:
    """Reads what a sink wrote. Raises InputError where it does not open."""

    def __init__(self, file: BinaryIO, key: bytes | None, name: str) -> None:
        self._file = file
        self._cipher = None if key is None else AESGCM(key)
        self._name = name
        self._number = 0
        self._ahead = self._stored()
        self._ready = b""
        self._done = False

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        while len(self._ready) < size and not self._done:
            block, self._ahead = self._ahead, self._stored()
            self._done = not self._ahead
            self._ready += self._opened(block, last=self._done)
        found, self._ready = self._ready[:size], self._ready[size:]
        return found

    def _stored(self) -> bytes:
        return self._file.read(BLOCK_BYTES + (0 if self._cipher is None else TAG_BYTES))

    def _opened(self, block: bytes, last: bool) -> bytes:
        if self._cipher is None:
            return block
        try:
            opened = self._cipher.decrypt(_nonce(self._number, last), block, None)
        except (InvalidTag, ValueError):
            raise InputError(f"{self._name} does not open: another passphrase, or altered or cut short") from None
        self._number += 1
        return opened


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
