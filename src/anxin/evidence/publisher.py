"""The log's one writer: new entries become tiles, then a checkpoint is signed over them.

MUST      write tiles before the checkpoint that covers them
MUST NOT  sign a checkpoint that does not begin with the one on disk: a database that is older than the published log
          (a backup restored) stops here, and the log stays as it is

    checkpoint   the newest, with the cosignatures that came in for it so far
    witnessed    the newest that a quorum of witnesses cosigned
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import Checkpoint, Signer, open_checkpoint, parse_vkey
from anxin.evidence.tiles import WIDTH, Tiles, write_file
from anxin.evidence.tree import root

#: Entries brought into the log in one go.
BATCH = 64 * WIDTH
Entries = Callable[[int, int], list[bytes]]


class LogPublisher:
    """Publishes one log into a folder. `signer.name` is the log's origin."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder = folder
        self.signer = signer
        self._lock = threading.Lock()  # cosignatures come from other threads
        self.checkpoint, self.signed = self._on_disk()
        self.tiles = Tiles(folder, self.checkpoint.size)
        if root(self.checkpoint.size, self.tiles.node) != self.checkpoint.root:
            raise EvidenceError("the log's tiles are not those of its checkpoint")
        self.tiles.sweep()

    def publish(self, entries: Entries, size: int) -> Checkpoint:
        """Bring entries up to `size` into the log; return the checkpoint. Raises EvidenceError, see above; OSError."""
        old = self.checkpoint
        if size < old.size:
            raise EvidenceError(f"the database has {size} entries, the log was published with {old.size}")
        if old.size and entries(old.size - 1, 1) != [self.tiles.entry(old.size - 1)]:
            raise EvidenceError(f"entry {old.size - 1} of the database is not the published one")
        if size == old.size and self.signed:
            return old
        while self.tiles.size < size:
            wanted = min(BATCH, size - self.tiles.size)
            more = entries(self.tiles.size, wanted)
            if len(more) != wanted:
                raise EvidenceError(f"the database lacks an entry from {self.tiles.size} on")
            # If the process dies here, tiles are on disk that no checkpoint covers: they are written again.
            self.tiles.append(more)
        self.tiles = Tiles(self.folder, size)
        # Hashes of what was published are read from the tiles that were published: the new root builds on them.
        if root(old.size, self.tiles.node) != old.root:
            raise EvidenceError("the tiles no longer hold what was published")
        new = Checkpoint(self.signer.name, size, root(size, self.tiles.node))
        signed = f"{new.text}\n{self.signer.line(new.text)}".encode()
        with self._lock:
            write_file(self.folder / "checkpoint", signed)
            self.checkpoint, self.signed = new, signed
        self.tiles.prune(old.size)
        return new

    def add_cosignatures(self, checkpoint: Checkpoint, signed: bytes, lines: Sequence[str], quorum: bool) -> None:
        """Publish cosignatures on a checkpoint that was signed before: on the newest where it still is that one, and
        as the newest witnessed one where there is a quorum. Raises OSError."""
        cosigned = signed + "".join(lines).encode()
        with self._lock:
            if checkpoint == self.checkpoint:
                write_file(self.folder / "checkpoint", cosigned)
            if quorum:
                write_file(self.folder / "witnessed", cosigned)

    def _on_disk(self) -> tuple[Checkpoint, bytes]:
        path = self.folder / "checkpoint"
        if not path.is_file():
            return Checkpoint(self.signer.name, 0, root(0, lambda level, index: b"")), b""
        found = open_checkpoint(path.read_bytes(), parse_vkey(self.signer.vkey))
        return found, f"{found.text}\n{self.signer.line(found.text)}".encode()
