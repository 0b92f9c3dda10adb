"""Entries, trees over them, and checkpoints, for tests of the log."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from anxin.evidence.note import COSIGNATURE, Checkpoint, Signer
from anxin.evidence.tree import leaf_hash, node_hash, root

LOG = Signer("example.org/log", bytes(range(32)))
WITNESSES = [Signer(f"w{i}.example/w", bytes([i + 1]) * 32, COSIGNATURE) for i in range(3)]
ENTRIES = [hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(700)]
FORKED = [hashlib.sha256(b"fork" + i.to_bytes(4, "big")).digest() for i in range(700)]


def node_of(entries: list[bytes]) -> Callable[[int, int], bytes]:
    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(entries[index])
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def take(entries: list[bytes]) -> Callable[[int, int], list[bytes]]:
    return lambda first, count: entries[first : first + count]


def signed(entries: list[bytes], size: int, signer: Signer = LOG) -> bytes:
    """A checkpoint over the first entries, signed."""
    checkpoint = Checkpoint(signer.name, size, root(size, node_of(entries)))
    return f"{checkpoint.text}\n{signer.line(checkpoint.text)}".encode()
