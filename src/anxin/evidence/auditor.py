"""The log, derived again from stored bytes by code that shares nothing with its writer.

1  the checkpoint: form, origin, signature
2  tile after tile of entries; the root by a stack of subtrees as they complete (RFC 6962, 2.1)
3  every hash tile as it completes, each hash computed anew
4  every message row: payload -> digest -> statement -> entry -> its place in the log
5  every erasure has its deed in the log, and every deed was done

One tile of each level is held at a time, and two bits a message: a log of any size fits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: Faults listed one by one; more are only counted.
MAX_FAULTS = 1_000
#: The kind of a message that says that another was erased.
ERASURE = "deed.erasure"
#: Gives a file of the log by its name below the log's folder or address. Raises OSError.
Read = Callable[[str], bytes]


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


def folder_of(folder: Path) -> Read:
    """Return how the files of a log in a folder are read."""
    return lambda name: (folder / name).read_bytes()


def audit_log(
    read: Read,
    vkey: str,
    rows: Iterable[Row] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Return what is wrong with a published log and the rows behind it (None: only the log is looked at).

    Nothing is raised for what is found. `progress(done, total)` is told the entries done.
    """
    audit = Audit()
    try:
        size, root = open_signed(read("checkpoint"), vkey)
    except (OSError, ValueError) as error:
        audit.fault(f"checkpoint: {error}")
        return audit
    audit.size = size
    tree, messages = _Tree(audit, read, size), _Messages(audit, () if rows is None else rows)
    for number in range((size + 255) // 256):
        width = min(256, size - number * 256)
        entries: list[bytes] | None = None
        try:
            entries = list(_entries(tile(read, "entries", number, width), width))
            leaves = [hashlib.sha256(b"\0" + e).digest() for e in entries]
        except (OSError, ValueError) as error:
            audit.fault(f"entries tile {number}: {error}")
            # The tree goes on from the hashes, so that what else is wrong is found as well.
            try:
                leaves = _hashes(tile(read, "0", number, width), width)
            except (OSError, ValueError) as missing:
                audit.fault(f"tile 0/{number}: {missing}; nothing behind it can be derived")
                return audit
        tree.add(leaves)
        messages.up_to(number * 256, number * 256 + width, entries)
        progress(number * 256 + width, size)
    if tree.finish() != root:
        audit.fault("the root of the entries is not the checkpoint's")
    messages.finish(size if rows is not None else 0)
    return audit


class _Tree:
    """Hashes by level, compared with the published tiles as they fill; and the root, by a stack of subtrees."""

    def __init__(self, audit: Audit, read: Read, size: int) -> None:
        self.audit, self.read, self.size = audit, read, size
        self.levels: list[tuple[int, list[bytes]]] = []
        self.stack: list[tuple[int, bytes]] = []

    def add(self, leaves: list[bytes]) -> None:
        """Add the leaf hashes of the next tile."""
        if len(leaves) == 256:
            self._push(8, self._fill(0, leaves))
        else:
            self._fill(0, leaves)
            for leaf in leaves:
                self._push(0, leaf)

    def finish(self) -> bytes:
        """Compare what has not filled a tile; return the root."""
        for level, (number, hashes) in enumerate(self.levels):
            if hashes:
                self._compare(level, number, hashes)
        return _root_of_stack(self.stack)

    def _fill(self, level: int, hashes: list[bytes]) -> bytes:
        """Put hashes at a level; return the subtree's hash where that filled a tile."""
        if level == len(self.levels):
            self.levels.append((0, []))
        number, present = self.levels[level]
        present += hashes
        if len(present) < 256:
            return b""
        self._compare(level, number, present)
        whole = _root_of(present)
        self.levels[level] = (number + 1, [])
        self._fill(level + 1, [whole])
        return whole

    def _push(self, height: int, top: bytes) -> None:
        while self.stack and self.stack[-1][0] == height:
            top = hashlib.sha256(b"\1" + self.stack.pop()[1] + top).digest()
            height += 1
        self.stack.append((height, top))

    def _compare(self, level: int, number: int, hashes: list[bytes]) -> None:
        mine = b"".join(hashes)
        try:
            theirs = tile(self.read, str(level), number, len(hashes))
        except OSError as error:
            self.audit.fault(f"tile {level}/{number}: {error}")
            return
        if mine == theirs:
            return
        for place in range(len(hashes)):
            if theirs[place * 32 : place * 32 + 32] != hashes[place]:
                entry = (number * 256 + place) << (8 * level)
                self.audit.fault(f"tile {level}/{number}: hash {place} (entry {entry})")
        if len(theirs) != len(mine):
            self.audit.fault(f"tile {level}/{number}: {len(theirs)} bytes, not {len(mine)}")


class _Messages:
    """Message rows beside the log, in step with its tiles."""

    def __init__(self, audit: Audit, rows: Iterable[Row]) -> None:
        self.audit = audit
        self.rows = iter(rows)
        self.next: Row | None = next(self.rows, None)
        self.expected = 0
        self.erased, self.deeds = bytearray(), bytearray()

    def up_to(self, first: int, last: int, entries: list[bytes] | None) -> None:
        """Check the rows below `last`; those from `first` on against their entries (None: these cannot be read)."""
        while self.next is not None and self.next.index < last:
            row = self.next
            at = row.index - first
            self._check(row, entries[at] if entries is not None and at >= 0 else None)
            self.next = next(self.rows, None)

    def finish(self, size: int) -> None:
        """Check what is not published yet, what is missing at the end, and erasures against deeds."""
        self.up_to(0, 1 << 63, None)
        if self.expected < size:
            self.audit.fault(f"message {self.expected}: missing, and all after it: the log has {size}")
        for index in _set_bits(self.erased):
            if not _bit(self.deeds, index):
                self.audit.fault(f"message {index}: erased, and no deed in the log says so")
        for index in _set_bits(self.deeds):
            if not _bit(self.erased, index):
                self.audit.fault(f"message {index}: a deed says that it was erased, and it is here")

    def _check(self, row: Row, entry: bytes | None) -> None:
        audit = self.audit
        audit.rows += 1
        if row.index != self.expected:
            audit.fault(f"message {self.expected}: missing, the next is {row.index}")
        self.expected = row.index + 1
        if entry is not None and not hmac.compare_digest(entry, row.entry):
            audit.fault(f"message {row.index}: its entry is not the one in the log")
        if row.salt is None or row.payload is None:
            audit.erased += 1
            _set(self.erased, row.index)
            if row.salt is not None or row.payload is not None or row.envelope is not None:
                audit.fault(f"message {row.index}: erased, but not wholly")
            return
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
        elif row.kind == ERASURE:
            self._deed(row.index, row.payload)

    def _deed(self, index: int, payload: bytes) -> None:
        try:
            erased = json.loads(payload)["index"]
            if not isinstance(erased, int) or not 0 <= erased < index:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            self.audit.fault(f"message {index}: a deed of erasure that names no earlier message")
            return
        _set(self.deeds, erased)


def _set(bits: bytearray, index: int) -> None:
    bits.extend(bytes(max(0, index // 8 + 1 - len(bits))))
    bits[index // 8] |= 1 << index % 8


def _bit(bits: bytearray, index: int) -> bool:
    return index // 8 < len(bits) and bool(bits[index // 8] >> index % 8 & 1)


def _set_bits(bits: bytearray) -> Iterator[int]:
    for at, byte in enumerate(bits):
        if byte:
            yield from (at * 8 + place for place in range(8) if byte >> place & 1)


def _root_of(hashes: list[bytes]) -> bytes:
    """The root over a full tile, pair by pair."""
    while len(hashes) > 1:
        hashes = [hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    return hashes[0]


def _root_of_stack(stack: list[tuple[int, bytes]]) -> bytes:
    """The root over complete subtrees of falling height, from the right."""
    if not stack:
        return hashlib.sha256().digest()
    top = stack[-1][1]
    for _, left in stack[-2::-1]:
        top = hashlib.sha256(b"\1" + left + top).digest()
    return top


def open_signed(data: bytes, vkey: str) -> tuple[int, bytes]:
    """Return size and root of a checkpoint that this key signed. Raises ValueError."""
    name, _, rest = vkey.strip().partition("+")
    stated, _, body = rest.partition("+")
    key = base64.b64decode(body)
    if hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] != stated or key[:1] != b"\1":
        raise ValueError("the verifier key contradicts itself")
    text, blank, lines = data.decode().partition("\n\n")
    origin, size, root, *more = [*text.split("\n"), "", ""]
    if not blank or origin != name or not size.isdecimal() or more != ["", ""]:
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


def tile(read: Read, level: str, number: int, width: int) -> bytes:
    """Return a tile's bytes as published: the partial one where it is still there, else the full one cut to its width.
    Raises OSError."""
    groups, rest = f"{number % 1000:03d}", number // 1000
    while rest:
        groups, rest = f"x{rest % 1000:03d}/{groups}", rest // 1000
    name = f"tile/{level}/{groups}"
    if width == 256:
        return read(name)
    try:
        return read(f"{name}.p/{width}")
    except OSError:
        data = read(name)
        return data if level == "entries" else data[: width * 32]


def _hashes(data: bytes, width: int) -> list[bytes]:
    if len(data) != width * 32:
        raise ValueError(f"{len(data)} bytes, not {width * 32}")
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def _entries(data: bytes, width: int) -> Iterator[bytes]:
    at = 0
    for _ in range(width):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if len(entry) != length or length != 32:
            raise ValueError("an entry breaks off, or is not 32 bytes long")
        yield entry
        at += 2 + length
    # A full tile read for a partial one holds the entries that came later.
    if at != len(data) and (width == 256 or len(data) != 256 * 34):
        raise ValueError("bytes behind the last entry")
