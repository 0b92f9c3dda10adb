"""The Merkle tree of RFC 6962 section 2.1: hashes, roots, and proofs over any reader of stored hashes.

A reader is `node(level, index)`: the hash of the complete subtree over entries index·2^level to (index+1)·2^level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from anxin.domain.errors import EvidenceError

EMPTY_ROOT = hashlib.sha256(b"").digest()
Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def range_hash(first: int, last: int, node: Node) -> bytes:
    """Return the hash of entries first <= i < last as RFC 6962 splits them; `first` begins a subtree of that size."""
    count = last - first
    if count < 1:
        raise EvidenceError("a tree of no entries has no subtree")
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, first >> level)
    middle = first + _largest_power_below(count)
    return node_hash(range_hash(first, middle, node), range_hash(middle, last, node))


def root(size: int, node: Node) -> bytes:
    """Return the root of the first `size` entries."""
    return EMPTY_ROOT if size == 0 else range_hash(0, size, node)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Return the audit path of entry `index` in the tree of `size` (RFC 6962, 2.1.1), leaf's sibling first."""
    if not 0 <= index < size:
        raise EvidenceError(f"entry {index} is not in a tree of {size}")
    path: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _largest_power_below(last - first)
        if index < middle:
            path.append(range_hash(middle, last, node))
            last = middle
        else:
            path.append(range_hash(first, middle, node))
            first = middle
    return path[::-1]


def consistency_proof(old: int, size: int, node: Node) -> list[bytes]:
    """Return the proof that the tree of `old` entries begins the tree of `size` (RFC 6962, 2.1.2)."""
    if not 0 <= old <= size:
        raise EvidenceError(f"a tree of {size} has no earlier size {old}")
    if old in (0, size):
        return []
    return _sub_proof(old, 0, size, node, True)


def _sub_proof(old: int, first: int, last: int, node: Node, whole: bool) -> list[bytes]:
    if old == last - first:
        return [] if whole else [range_hash(first, last, node)]
    middle = first + _largest_power_below(last - first)
    if old <= middle - first:
        return [*_sub_proof(old, first, middle, node, whole), range_hash(middle, last, node)]
    return [*_sub_proof(old - (middle - first), middle, last, node, False), range_hash(first, middle, node)]


def root_of_inclusion(entry: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that an audit path leads to (RFC 9162, 2.1.3.2). Raises EvidenceError for a wrong length."""
    if not 0 <= index < size:
        raise EvidenceError(f"entry {index} is not in a tree of {size}")
    number, last, found = index, size - 1, leaf_hash(entry)
    for sibling in path:
        if last == 0:
            raise EvidenceError("the path is too long")
        if number & 1 or number == last:
            found = node_hash(sibling, found)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        number >>= 1
        last >>= 1
    if last:
        raise EvidenceError("the path is too short")
    return found


def is_consistent(old: int, old_root: bytes, size: int, new_root: bytes, path: list[bytes]) -> bool:
    """Return whether a consistency proof holds (RFC 9162, 2.1.4.2)."""
    if old == size:
        return not path and old_root == new_root
    if old == 0:
        return not path
    if old > size or not path:
        return False
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    number, last = old - 1, size - 1
    while number & 1:
        number >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        number >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == new_root


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
