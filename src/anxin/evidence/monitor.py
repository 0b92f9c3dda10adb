"""A monitor: whoever remembers one checkpoint of a log sees whether the next one begins with it. Code of the auditor's
side; it shares nothing with the writer.

The old tree is a row of complete subtrees. Their hashes are taken from the published tiles and must give the old root;
the new root is then computed over the same hashes and those of what came since. What is new is not looked at entry by
entry: that is the audit's work.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from anxin.evidence.auditor import Read, open_signed, tile


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a log found: its signed checkpoint, its size, the size remembered, what is wrong (or nothing)."""

    signed: bytes
    size: int
    old: int | None
    fault: str | None = None


def look(read: Read, vkey: str, remembered: bytes | None) -> Seen:
    """Return what a log says now against the checkpoint remembered. Raises OSError where it cannot be read, ValueError
    where the remembered checkpoint is not one of this log."""
    old = None if remembered is None else open_signed(remembered, vkey)
    signed = read("checkpoint")
    known = None if old is None else old[0]
    try:
        size, root = open_signed(signed, vkey)
    except ValueError as error:
        return Seen(signed, 0, known, f"the checkpoint: {error}")
    old_size, old_root = old or (0, hashlib.sha256().digest())
    return Seen(signed, size, known, _fault(read, old_size, old_root, size, root))


def _fault(read: Read, old: int, old_root: bytes, size: int, root: bytes) -> str | None:
    """What is wrong with a signed tree against the one remembered, None for nothing. Raises OSError."""
    if size < old:
        return f"rolled back: {old} entries were signed, now {size}"
    if size == old and root != old_root:
        return f"forked: two roots are signed for {size} entries"
    try:
        subtrees = {span: _subtree(read, size, *span) for span in _complete(old)}
        if _joined(list(subtrees.values())) != old_root:
            return f"forked: the first {old} entries are not those that were signed"
        if (_over(read, size, 0, size, subtrees, old) if size else _joined([])) != root:
            return "the published tiles do not lead to the signed root"
    except ValueError as error:
        return str(error)
    return None


def _complete(size: int) -> list[tuple[int, int]]:
    """The complete subtrees that a tree consists of, from the left, as (first, last)."""
    found, first = [], 0
    for height in range(size.bit_length() - 1, -1, -1):
        if size >> height & 1:
            found.append((first, first + (1 << height)))
            first += 1 << height
    return found


def _joined(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256().digest()
    top = hashes[-1]
    for left in hashes[-2::-1]:
        top = hashlib.sha256(b"\1" + left + top).digest()
    return top


def _over(read: Read, size: int, first: int, last: int, known: dict[tuple[int, int], bytes], old: int) -> bytes:
    """The hash over entries first <= i < last (RFC 6962, 2.1). Inside the old tree only the known subtrees serve."""
    if (first, last) in known:
        return known[first, last]
    count = last - first
    if count & (count - 1) == 0 and first >= old:
        return _subtree(read, size, first, last)
    middle = first + (1 << (count - 1).bit_length() - 1)
    left = _over(read, size, first, middle, known, old)
    return hashlib.sha256(b"\1" + left + _over(read, size, middle, last, known, old)).digest()


def _subtree(read: Read, size: int, first: int, last: int) -> bytes:
    """The hash of a complete subtree, from the tile that holds its parts. Raises ValueError, OSError."""
    height = (last - first).bit_length() - 1
    level, rest = divmod(height, 8)
    number, place = divmod(first >> (8 * level), 256)
    width = min(256, (size >> (8 * level)) - number * 256)
    data = tile(read, str(level), number, width)
    hashes = [data[32 * i : 32 * i + 32] for i in range(place, place + (1 << rest))]
    if any(len(h) != 32 for h in hashes):
        raise ValueError(f"tile {level}/{number} is too short")
    while len(hashes) > 1:
        hashes = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]
