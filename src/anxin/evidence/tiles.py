"""Tiles on disk (C2SP tlog-tiles): 256 hashes a tile, static files that anyone may fetch and keep.

    tile/<level>/<N>[.p/<width>]   hashes of subtrees of 256^level entries
    tile/entries/<N>[.p/<width>]   the entries themselves, each with its length in two bytes before it

Every file is written whole, synced, and renamed to its place; a full tile never changes. What is on disk beyond the
checkpoint is nobody's yet: a crash leaves tiles that the next publication writes again, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from collections.abc import Sequence
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
        """Write the tiles that new entries complete or begin, durable on return. Raises OSError, EvidenceError."""
        number, present = divmod(self.size, WIDTH)
        if present:
            begun = b"".join(leaf_hash(e) for e in unpack_entries(self._read("entries", number, present)))
            if begun != self._read(0, number, present):
                raise EvidenceError(f"the entries of tile {number} are not those of its hashes")
        files = self._tiles_of("entries", self.size, [struct.pack(">H", len(e)) + e for e in entries])
        hashes = [leaf_hash(e) for e in entries]
        size, level = self.size, 0
        while hashes:
            tiles = self._tiles_of(level, size, hashes)
            files += tiles
            size, level = size // WIDTH, level + 1
            hashes = [_fold(data) for _, data in tiles if len(data) == WIDTH * HASH_BYTES]
        write_files(files)
        self.size += len(entries)

    def prune(self, old: int) -> None:
        """Remove the partial tiles of tiles that became full since `old` entries (C2SP tlog-tiles allows it)."""
        shift = 0
        while self.size >> shift:
            levels: list[int | str] = [shift // LEVEL_BITS, "entries"] if shift == 0 else [shift // LEVEL_BITS]
            for number in range((old >> shift) // WIDTH, (self.size >> shift) // WIDTH):
                for level in levels:
                    shutil.rmtree(self.folder / f"{tile_name(level, number)}.p", ignore_errors=True)
            shift += LEVEL_BITS

    def sweep(self) -> None:
        """Remove what a process that died left behind: drafts, and partial tiles beside full ones."""
        for folder, folders, files in os.walk(self.folder):
            for name in files:
                if name.startswith(".") and name.endswith(".new"):
                    with contextlib.suppress(OSError):
                        (Path(folder) / name).unlink()
            for name in folders:
                # A full tile that no checkpoint covers yet may be replaced by another: its partial tiles stay.
                if name.endswith(".p") and name[:-2] in files and self._covers(Path(folder) / name[:-2]):
                    shutil.rmtree(Path(folder) / name, ignore_errors=True)

    def _covers(self, tile: Path) -> bool:
        level, *groups = tile.relative_to(self.folder / "tile").parts
        number = int("".join(g.removeprefix("x") for g in groups))
        shift = 0 if level == "entries" else LEVEL_BITS * int(level)
        return (number + 1) * WIDTH <= self.size >> shift

    def _tiles_of(self, level: int | str, size: int, items: list[bytes]) -> list[tuple[Path, bytes]]:
        """Return the files that items complete or begin, behind the `size` items that the level has."""
        number, present = divmod(size, WIDTH)
        head = self._read(level, number, present) if present else b""
        at, files = 0, []
        while at < len(items):
            more = items[at : at + WIDTH - present]
            files.append((self.folder / tile_name(level, number, present + len(more)), head + b"".join(more)))
            at += len(more)
            number, present, head = number + 1, 0, b""
        return files

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
            # A partial tile may go at any moment, once the full one is there.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if width < 1:
                    break
                data = (self.folder / name).read_bytes()
                if level == "entries":
                    return b"".join(struct.pack(">H", len(e)) + e for e in unpack_entries(data)[:width])
                return data[: width * HASH_BYTES]
        raise EvidenceError(f"tile {tile_name(level, number, max(width, 1))} is missing")


def _fold(tile: bytes) -> bytes:
    """Return the root of a full tile's hashes."""
    hashes = [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]
    while len(hashes) > 1:
        hashes = [node_hash(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


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
    write_files([(path, data)])


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files so that each is there whole or not at all, and all are durable on return. Raises OSError.

    If the process dies inside, some are in place and some are not; drafts that are left are swept at the next start.
    A sync that fails is never tried again on the same draft: the kernel may have dropped what it could not write.
    """
    renames, folders = [], set()
    for path, data in files:
        _make_folder(path.parent)
        draft = path.with_name(f".{path.name}.{os.getpid()}.new")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        renames.append((draft, path))
        folders.add(path.parent)
    for draft, path in renames:
        draft.replace(path)
    for folder in sorted(folders):
        _sync_folder(folder)


def _make_folder(folder: Path) -> None:
    """Make a folder that survives a power failure: its entry in the folder above is synced."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
