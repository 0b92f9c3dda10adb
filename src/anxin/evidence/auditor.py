"""The log, derived again from stored bytes by code that shares nothing with its writer.

1  the checkpoint: form, origin, signature
2  every entries tile; the root over all entries, by a stack of subtrees as they complete (RFC 6962, 2.1)
3  every hash tile, each hash computed anew
4  every message row: payload -> digest -> statement -> entry -> its place in the log
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: Faults listed one by one; more are only counted.
MAX_FAULTS = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """A message as the database has it. Payload and salt are None once erased."""

    index: int
    kind: str
    sender: str
    message_id: str
    received_utc_ms: int
    payload_sha256: bytes
    envelope_sha256: bytes | None
    salt: bytes | None
    entry: bytes
    payload: bytes | None
    envelope: bytes | None


@dataclass(slots=True)
class Audit:
    """What an audit saw: `size` entries in the log, `rows` looked at, `erased` among them, and all faults."""

    size: int = 0
    rows: int = 0
    erased: int = 0
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Note a fault."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(text)


def audit_log(folder: Path, vkey: str, rows: Iterable[Row] = ()) -> Audit:
    """Return what is wrong with a published log and the rows behind it; nothing is raised for what is found."""
    audit = Audit()
    try:
        size, root = _checkpoint((folder / "checkpoint").read_bytes(), vkey)
    except (OSError, ValueError) as error:
        audit.fault(f"checkpoint: {error}")
        return audit
    audit.size = size
    entries: list[bytes] = []
    for number in range((size + 255) // 256):
        width = min(256, size - number * 256)
        try:
            entries += _entries(_file(folder, "entries", number, width), width)
        except (OSError, ValueError) as error:
            audit.fault(f"entries tile {number}: {error}")
            return audit
    levels: list[list[bytes]] = [[hashlib.sha256(b"\0" + e).digest() for e in entries]]
    if _root_of(levels[0]) != root:
        audit.fault("the root of the entries is not the checkpoint's")
    while len(levels[-1]) >= 256:
        last = levels[-1]
        levels.append([_root_of(last[i : i + 256]) for i in range(0, len(last) // 256 * 256, 256)])
    for level, hashes in enumerate(levels):
        for number in range((len(hashes) + 255) // 256):
            mine = b"".join(hashes[number * 256 : number * 256 + 256])
            try:
                theirs = _file(folder, str(level), number, len(mine) // 32)
            except OSError as error:
                audit.fault(f"tile {level}/{number}: {error}")
                continue
            for place in range(len(mine) // 32):
                if theirs[place * 32 : place * 32 + 32] != mine[place * 32 : place * 32 + 32]:
                    audit.fault(f"tile {level}/{number}: hash {place} (entry {(number * 256 + place) << (8 * level)})")
            if len(theirs) != len(mine):
                audit.fault(f"tile {level}/{number}: {len(theirs)} bytes, not {len(mine)}")
    _audit_rows(audit, rows, entries)
    return audit


def _audit_rows(audit: Audit, rows: Iterable[Row], entries: list[bytes]) -> None:
    expected = 0
    for row in rows:
        audit.rows += 1
        if row.index != expected:
            audit.fault(f"message {expected}: missing, the next is {row.index}")
        expected = row.index + 1
        if row.index < len(entries) and not hmac.compare_digest(entries[row.index], row.entry):
            audit.fault(f"message {row.index}: its entry is not the one in the log")
        if row.salt is None or row.payload is None:
            audit.erased += 1
            continue
        digest = hashlib.sha256(row.payload).digest()
        around = None if row.envelope is None else hashlib.sha256(row.envelope).digest()
        if digest != row.payload_sha256:
            audit.fault(f"message {row.index}: the payload is not the one that was received")
        if around != row.envelope_sha256:
            audit.fault(f"message {row.index}: the envelope is not the one that was received")
        said = (
            f"anxin-evidence/v1\n{row.kind}\n{row.sender}\n{row.message_id}\n{row.received_utc_ms}\n"
            f"{row.payload_sha256.hex()}\n{'-' if row.envelope_sha256 is None else row.envelope_sha256.hex()}\n"
        )
        if hmac.new(row.salt, said.encode(), hashlib.sha256).digest() != row.entry:
            audit.fault(f"message {row.index}: what stands in its row is not what the log committed to")
    if audit.rows and expected < len(entries):
        audit.fault(f"message {expected}: missing, and all after it: the log has {len(entries)}")


def _root_of(hashes: list[bytes]) -> bytes:
    """The root over leaf hashes, by merging equal subtrees as they complete, then the rest from the right."""
    stack: list[tuple[int, bytes]] = []
    for leaf in hashes:
        height, top = 0, leaf
        while stack and stack[-1][0] == height:
            top = hashlib.sha256(b"\1" + stack.pop()[1] + top).digest()
            height += 1
        stack.append((height, top))
    if not stack:
        return hashlib.sha256().digest()
    top = stack.pop()[1]
    while stack:
        top = hashlib.sha256(b"\1" + stack.pop()[1] + top).digest()
    return top


def _checkpoint(data: bytes, vkey: str) -> tuple[int, bytes]:
    name, _, rest = vkey.strip().partition("+")
    stated, _, body = rest.partition("+")
    key = base64.b64decode(body)
    if hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] != stated or key[:1] != b"\1":
        raise ValueError("the verifier key contradicts itself")
    text, blank, lines = data.decode().partition("\n\n")
    origin, size, root = text.split("\n")
    if not blank or origin != name or not size.isdecimal():
        raise ValueError("not a checkpoint of this log")
    if not lines.endswith("\n"):
        raise ValueError("the signatures break off")
    for line in lines[:-1].split("\n"):
        dash, _, tail = line.partition(" ")
        signer, _, encoded = tail.partition(" ")
        raw = base64.b64decode(encoded, validate=True)
        if dash == "\u2014" and signer == name and raw[:4].hex() == stated:
            if base64.b64encode(raw).decode() != encoded:
                raise ValueError("the signature's text has stray bits")
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], f"{text}\n".encode())
            except InvalidSignature:
                break
            return int(size), base64.b64decode(root, validate=True)
    raise ValueError("the log's signature does not hold")


def _file(folder: Path, level: str, number: int, width: int) -> bytes:
    groups = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        groups = f"x{number % 1000:03d}/{groups}"
    path = folder / "tile" / level / groups
    partial = path.with_name(f"{path.name}.p") / str(width)
    return partial.read_bytes() if width < 256 and partial.is_file() else path.read_bytes()


def _entries(data: bytes, width: int) -> Iterator[bytes]:
    at = 0
    for _ in range(width):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if len(entry) != length or length != 32:
            raise ValueError("an entry breaks off, or is not 32 bytes long")
        yield entry
        at += 2 + length
    if at != len(data) and width < 256:
        raise ValueError("bytes behind the last entry")
