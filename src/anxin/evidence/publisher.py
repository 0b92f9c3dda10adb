"""The log's one writer: new entries become tiles, then a checkpoint is signed over them.

MUST      write tiles before the checkpoint that covers them
MUST NOT  sign a checkpoint that does not begin with the one on disk: a database that is older than the published log
          (a backup restored) stops here, and the log stays as it is
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import Checkpoint, Signer, open_checkpoint, parse_vkey
from anxin.evidence.tiles import WIDTH, Tiles, write_file
from anxin.evidence.tree import inclusion_proof, root

#: Entries brought into the log in one go.
BATCH = 64 * WIDTH
PROOF_HEAD = "c2sp.org/tlog-proof@v1"
Entries = Callable[[int, int], list[bytes]]


class LogPublisher:
    """Publishes one log into a folder. `signer.name` is the log's origin."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder = folder
        self.signer = signer
        self.checkpoint = self._on_disk()
        self.tiles = Tiles(folder, self.checkpoint.size)
        if root(self.checkpoint.size, self.tiles.node) != self.checkpoint.root:
            raise EvidenceError("the log's tiles are not those of its checkpoint")

    def publish(self, entries: Entries, size: int) -> Checkpoint:
        """Bring entries up to `size` into the log; return the checkpoint. Raises EvidenceError, see above."""
        old = self.checkpoint
        if size < old.size:
            raise EvidenceError(f"the database has {size} entries, the log was published with {old.size}")
        if old.size and entries(old.size - 1, 1) != [self.tiles.entry(old.size - 1)]:
            raise EvidenceError(f"entry {old.size - 1} of the database is not the published one")
        if size == old.size and (self.folder / "checkpoint").is_file():
            return old
        while self.tiles.size < size:
            more = entries(self.tiles.size, min(BATCH, size - self.tiles.size))
            if not more:
                raise EvidenceError(f"the database lacks entry {self.tiles.size}")
            self.tiles.append(more)
        self.tiles = Tiles(self.folder, size)
        # Hashes of what was published are read from the tiles that were published: the new root builds on them.
        new = Checkpoint(self.signer.name, size, root(size, self.tiles.node))
        write_file(self.folder / "checkpoint", f"{new.text}\n{self.signer.line(new.text)}".encode())
        self.checkpoint = new
        return new

    def _on_disk(self) -> Checkpoint:
        path = self.folder / "checkpoint"
        if not path.is_file():
            return Checkpoint(self.signer.name, 0, root(0, lambda level, index: b""))
        return open_checkpoint(path.read_bytes(), parse_vkey(self.signer.vkey))


def proof_text(folder: Path, index: int, signed_checkpoint: bytes, size: int) -> str:
    """Return the tlog-proof of one entry under a signed checkpoint: text that anyone can check without us."""
    import base64

    path = inclusion_proof(index, size, Tiles(folder, size).node)
    hashes = "".join(f"{base64.b64encode(h).decode()}\n" for h in path)
    return f"{PROOF_HEAD}\nindex {index}\n{hashes}\n{signed_checkpoint.decode()}"
