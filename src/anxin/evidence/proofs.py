"""Proofs over a published log (C2SP tlog-proof; RFC 6962, 2.1.1 and 2.1.2), made from its tiles."""

from __future__ import annotations

import base64
import binascii
import threading
from dataclasses import dataclass
from pathlib import Path

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import HASH_BYTES, MAX_NOTE_BYTES, Checkpoint, Verifier, open_checkpoint
from anxin.evidence.tiles import Tiles
from anxin.evidence.tree import consistency_proof, inclusion_proof

#: Hashes of an audit path: a tree of 2^63 entries is that high.
MAX_PATH = 63
#: A proof: its head, its path, and a checkpoint; `extra` must fit beside them.
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 16 * 1024
PROOF_HEAD = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class _View:
    """A checkpoint as a file had it, and the tiles below it."""

    state: tuple[int, int, int]
    signed: bytes
    checkpoint: Checkpoint
    tiles: Tiles


@dataclass(frozen=True, slots=True)
class Proof:
    """A tlog-proof taken apart: the entry's index, its audit path, and the signed checkpoint, verbatim."""

    index: int
    path: list[bytes]
    signed: bytes


def parse_proof(data: bytes) -> Proof:
    """Return a tlog-proof taken apart. Raises EvidenceError where it is malformed. `extra` is read over: nobody vouches
    for it."""
    if len(data) > MAX_PROOF_BYTES:
        raise EvidenceError("a proof is too long")
    head, blank, signed = data.partition(b"\n\n")
    try:
        first, *rest = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise EvidenceError("a proof's head is ASCII") from None
    if first != PROOF_HEAD or not blank:
        raise EvidenceError(f"a proof begins with {PROOF_HEAD}")
    if rest and rest[0].startswith("extra "):
        _base64(rest.pop(0).removeprefix("extra "))
    word, _, index = rest[0].partition(" ") if rest else ("", "", "")
    if word != "index" or not index.isdecimal() or len(index) > 19 or (index != "0" and index.startswith("0")):
        raise EvidenceError("a proof names its entry: index NUMBER")
    path = [_base64(line) for line in rest[1:]]
    if len(path) > MAX_PATH or any(len(h) != HASH_BYTES for h in path):
        raise EvidenceError(f"a proof has at most {MAX_PATH} hashes of {HASH_BYTES} bytes")
    return Proof(int(index), path, signed)


def _base64(text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceError("a line of a proof is not Base64") from None
    if base64.b64encode(value).decode() != text:
        raise EvidenceError("a line of a proof has stray bits")
    return value


class Proofs:
    """Makes proofs. Checkpoint and full tiles are read once and kept until the checkpoint's file is another."""

    def __init__(self, folder: Path, verifier: Verifier) -> None:
        self.folder = folder
        self.verifier = verifier
        self._views: dict[str, _View] = {}
        self._lock = threading.Lock()

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint, None where none is published. Raises EvidenceError."""
        view = self._view("checkpoint")
        return None if view is None else view.checkpoint

    def inclusion(self, index: int) -> tuple[str, bool] | None:
        """Return the tlog-proof of an entry, and whether it is under a witnessed checkpoint; None where the entry is
        not published. The newest witnessed checkpoint is preferred where it covers the entry. Raises EvidenceError."""
        for name in ("witnessed", "checkpoint"):
            view = self._view(name)
            if view is not None and 0 <= index < view.checkpoint.size:
                path = inclusion_proof(index, view.checkpoint.size, view.tiles.node)
                return f"{PROOF_HEAD}\nindex {index}\n{lines(path)}\n{view.signed.decode()}", name == "witnessed"
        return None

    def consistency(self, old: int, size: int) -> str | None:
        """Return the consistency proof between two sizes, a hash a line; None where they are not published."""
        view = self._view("checkpoint")
        if view is None or not 0 <= old <= size <= view.checkpoint.size:
            return None
        return lines(consistency_proof(old, size, view.tiles.node))

    def _view(self, name: str) -> _View | None:
        path = self.folder / name
        try:
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            with self._lock:
                view = self._views.get(name)
                if view is None or view.state != state:
                    signed = path.read_bytes()
                    checkpoint = open_checkpoint(signed, self.verifier)
                    view = _View(state, signed, checkpoint, Tiles(self.folder, checkpoint.size))
                    self._views[name] = view
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvidenceError(f"the log cannot be read: {error.strerror}") from None
        return view


def lines(hashes: list[bytes]) -> str:
    """Return hashes as text: Base64, one a line."""
    return "".join(f"{base64.b64encode(h).decode()}\n" for h in hashes)
