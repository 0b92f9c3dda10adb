"""Tiles on disk (C2SP tlog-tiles): 256 hashes a tile, static files that anyone may fetch and keep.

    tile/<level>/<N>[.p/<width>]   hashes of subtrees of 256^level entries
    tile/entries/<N>[.p/<width>]   the entries themselves, each with its length in two bytes before it

Every file is written whole, synced, and renamed to its place; a full tile never changes. What is on disk beyond the
checkpoint is nobody's yet: a crash leaves tiles that the next publication writes again, byte for byte.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from anxin.domain.errors import EvidenceError
from anxin.evidence.tree import leaf_hash, node_hash

WIDTH = 256
LEVEL_BITS = 8
HASH_BYTES = 32


def tile_name(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return the path of a tile below the log's folder."""
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03d}")
    name = f"tile/{level}/{'/'.join(parts)}"
    return name if width == WIDTH else f"{name}.p/{width}"


class Tiles:
    """The tiles of one log in a folder, up to `size` entries."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self._cache: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree, as `tree.Node`. Raises EvidenceError where a tile is missing."""
        tile_level, rest = divmod(level, LEVEL_BITS)
        first = index << rest
        tile = self._tile(tile_level, first // WIDTH)
        start = first % WIDTH
        hashes = [tile[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(start, start + (1 << rest))]
        if any(len(h) != HASH_BYTES for h in hashes):
            raise EvidenceError(f"tile {tile_name(tile_level, first // WIDTH)} is too short")
        while len(hashes) > 1:
            hashes = [node_hash(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
        return hashes[0]

    def entry(self, index: int) -> bytes:
        """Return one entry."""
        number, place = divmod(index, WIDTH)
        found = unpack_entries(self._read("entries", number))
        if place >= len(found):
            raise EvidenceError(f"entry {index} is not in its tile")
        return found[place]

    def append(self, entries: list[bytes]) -> None:
        """Write the tiles that new entries complete or begin."""
        self._write_level("entries", self.size, [struct.pack(">H", len(e)) + e for e in entries])
        hashes = [leaf_hash(e) for e in entries]
        size, level = self.size, 0
        while hashes:
            self._write_level(level, size, hashes)
            whole = (size + len(hashes)) // WIDTH
            done = size // WIDTH
            hashes = [self._fold(level, number) for number in range(done, whole)]
            size, level = done, level + 1
        self.size += len(entries)

    def _fold(self, level: int, number: int) -> bytes:
        tile = self._read(level, number, WIDTH)
        hashes = [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]
        while len(hashes) > 1:
            hashes = [node_hash(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
        return hashes[0]

    def _write_level(self, level: int | str, size: int, items: list[bytes]) -> None:
        number, present = divmod(size, WIDTH)
        head = self._read(level, number, present) if present else b""
        at = 0
        while at < len(items):
            more = items[at : at + WIDTH - present]
            data = head + b"".join(more)
            write_file(self.folder / tile_name(level, number, present + len(more)), data)
            at += len(more)
            number, present, head = number + 1, 0, b""

    def _tile(self, level: int, number: int) -> bytes:
        found = self._cache.get((level, number))
        if found is None:
            found = self._read(level, number)
            if len(found) == WIDTH * HASH_BYTES and len(self._cache) < WIDTH:
                self._cache[level, number] = found
        return found

    def _read(self, level: int | str, number: int, width: int | None = None) -> bytes:
        if width is None:
            below = self.size >> (LEVEL_BITS * level if isinstance(level, int) else 0)
            width = min(WIDTH, below - number * WIDTH)
        for name in (tile_name(level, number, width), tile_name(level, number)):
            path = self.folder / name
            if width > 0 and path.is_file():
                data = path.read_bytes()
                if level == "entries":
                    return b"".join(struct.pack(">H", len(e)) + e for e in unpack_entries(data)[:width])
                return data[: width * HASH_BYTES]
        raise EvidenceError(f"tile {tile_name(level, number, max(width, 1))} is missing")


def unpack_entries(data: bytes) -> list[bytes]:
    """Return the entries of an entries tile. Raises EvidenceError where it breaks off."""
    found, at = [], 0
    while at < len(data):
        if at + 2 > len(data):
            raise EvidenceError("an entries tile breaks off")
        (length,) = struct.unpack_from(">H", data, at)
        if at + 2 + length > len(data):
            raise EvidenceError("an entries tile breaks off")
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
