"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature), with Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from anxin.domain.errors import EvidenceError

ED25519, COSIGNATURE = 0x01, 0x04
HASH_BYTES = 32
#: Sixteen signatures must be accepted (C2SP signed-note), each up to 5 kB where it is post-quantum: 107 kB in Base64.
MAX_NOTE_BYTES = 128 * 1024
#: Characters of a tree's size: 64 bits have at most 20 digits, and 63 hashes prove any of them.
MAX_SIZE_CHARS = 19
_LINE = "\u2014 "


def _strict(text: str) -> bytes:
    """Base64 with one text for each value: a turned bit among the unused ones must not pass for the same note."""
    value = base64.b64decode(text, validate=True)
    if base64.b64encode(value).decode() != text:
        raise ValueError("stray bits")
    return value


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """Return the four bytes that name a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def is_key_name(name: str) -> bool:
    """Return whether this can be a key's name: not empty, without spaces of any kind, controls and plus."""
    return bool(name) and not any(c.isspace() or c == "+" or ord(c) < 0x20 for c in name)


@lru_cache(maxsize=16)
def _private_key(seed: bytes) -> Ed25519PrivateKey:
    """The key of a seed, made once: a door signs thousands of receipts a second."""
    return Ed25519PrivateKey.from_private_bytes(seed)


@dataclass(frozen=True, slots=True)
class Signer:
    """A note's signer: a name and an Ed25519 seed of 32 bytes."""

    name: str
    seed: bytes
    kind: int = ED25519

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return _private_key(self.seed).public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        """The verifier key as text: name+hash+key."""
        key = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{key_id(self.name, self.kind, self.public_key).hex()}+{key}"

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature over bytes."""
        return _private_key(self.seed).sign(message)

    def line(self, text: str, at_s: int | None = None) -> str:
        """Return the signature line over a note's text; a cosignature states its time in seconds."""
        if self.kind == COSIGNATURE:
            if at_s is None:
                raise EvidenceError("a cosignature states its time")
            signature = struct.pack(">Q", at_s) + self.sign(f"cosignature/v1\ntime {at_s}\n{text}".encode())
        else:
            signature = self.sign(text.encode())
        body = base64.b64encode(key_id(self.name, self.kind, self.public_key) + signature).decode()
        return f"{_LINE}{self.name} {body}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that a note may be signed with."""

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name it in a signature line."""
        return key_id(self.name, self.kind, self.public_key)

    def holds(self, text: str, signature: bytes) -> bool:
        """Return whether this key signed the text."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            if len(signature) < 8:
                return False
            (at_s,) = struct.unpack(">Q", signature[:8])
            if not 0 < at_s < 1 << 63:
                return False
            message, signature = f"cosignature/v1\ntime {at_s}\n{text}".encode(), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_vkey(vkey: str) -> Verifier:
    """Return the verifier of a vkey. Raises EvidenceError where it is none, or its hash is not its own."""
    parts = vkey.strip().split("+", 2)
    try:
        name, stated, body = parts
        key = _strict(body)
    except (ValueError, binascii.Error):
        raise EvidenceError("not a verifier key: name+hash+key") from None
    if not is_key_name(name) or not key or key[0] not in (ED25519, COSIGNATURE) or len(key) != HASH_BYTES + 1:
        raise EvidenceError("a verifier key of another kind than Ed25519")
    verifier = Verifier(name, key[0], key[1:])
    if verifier.key_id.hex() != stated:
        raise EvidenceError("a verifier key whose hash is not its own")
    return verifier


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart: its text (with the last line feed) and its signatures as (name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def signed_by(self, verifier: Verifier) -> bool:
        """Return whether signatures of this key are there and all hold; those of other keys are ignored.

        One that bears the key's name and id and does not hold makes the note malformed (C2SP signed-note).
        """
        own = self.of(verifier)
        return bool(own) and all(verifier.holds(self.text, signature) for signature in own)

    def of(self, verifier: Verifier) -> list[bytes]:
        """Return the signatures that bear this key's name and id, whether they hold or not."""
        return [value for name, ident, value in self.signatures if (name, ident) == (verifier.name, verifier.key_id)]

    def cosigned_at_s(self, witness: Verifier) -> int | None:
        """Return the time that a witness's cosignature states, in POSIX seconds; None where none is there and holds."""
        if witness.kind != COSIGNATURE or not self.signed_by(witness):
            return None
        return max(int.from_bytes(signature[:8], "big") for signature in self.of(witness))


def parse_note(data: bytes) -> Note:
    """Return a signed note. Raises EvidenceError where it is malformed."""
    if len(data) > MAX_NOTE_BYTES:
        raise EvidenceError("a note is too long")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise EvidenceError("a note is not UTF-8") from None
    if any(ord(c) < 0x20 and c != "\n" for c in whole):
        raise EvidenceError("a note holds a control character")
    cut = whole.rfind("\n\n")
    if cut < 0 or not whole.endswith("\n"):
        raise EvidenceError("a note has text, a blank line and signatures")
    text, lines = whole[: cut + 1], whole[cut + 2 : -1].split("\n")
    signatures = []
    for line in lines:
        name, _, body = line.removeprefix(_LINE).partition(" ")
        try:
            value = _strict(body)
        except (ValueError, binascii.Error):
            value = b""
        if not line.startswith(_LINE) or not is_key_name(name) or len(value) < 5:
            raise EvidenceError("a signature line is malformed")
        signatures.append((name, value[:4], value[4:]))
    if not signatures:
        raise EvidenceError("a note without a signature")
    return Note(text, tuple(signatures))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says at one moment: its origin, its size, its root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text. Raises EvidenceError where it is none."""
    lines = text.removesuffix("\n").split("\n")
    try:
        origin, size, root = lines[0], lines[1], _strict(lines[2])
    except (IndexError, ValueError, binascii.Error):
        raise EvidenceError("not a checkpoint: origin, size and root") from None
    plain = size.isascii() and size.isdecimal() and (size == "0" or not size.startswith("0"))
    if not plain or len(size) > MAX_SIZE_CHARS or len(root) != HASH_BYTES or not all(lines) or text[-1:] != "\n":
        raise EvidenceError("not a checkpoint: origin, size and root")
    return Checkpoint(origin, int(size), root)


def open_checkpoint(data: bytes, verifier: Verifier, origin: str | None = None) -> Checkpoint:
    """Return a checkpoint that this key signed. Raises EvidenceError where it did not, or the origin is another."""
    note = parse_note(data)
    if not note.signed_by(verifier):
        raise EvidenceError("the checkpoint is not signed by the log's key")
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != (origin or verifier.name):
        raise EvidenceError(f"the checkpoint is of another log: {checkpoint.origin}")
    return checkpoint
