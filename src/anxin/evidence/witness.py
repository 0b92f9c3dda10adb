"""A witness (C2SP tlog-witness): it cosigns a checkpoint only where that begins with the last one it cosigned.

    1  take the request apart                            400
    2  is the log known?                                 404
    3  do its signatures hold?                           403
    4  does the client know where we stand?              409, with our size
    5  does the proof lead from there to here?           422
    6  sign, persist with fsync, then answer             200

MUST NOT  answer 200 before the checkpoint is on disk, nor let two requests pass 4 with the same state: one lock a log

Whoever has the witness's key can cosign what he likes; he cannot make the log's signature. Whoever can set its folder
back to an older state makes it cosign a fork that begins there: a witness that was restored from a backup is none.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import (
    COSIGNATURE,
    HASH_BYTES,
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    Signer,
    Verifier,
    parse_checkpoint,
    parse_note,
    parse_vkey,
)
from anxin.evidence.tiles import write_file
from anxin.evidence.tree import EMPTY_ROOT, is_consistent

#: Consistency lines of a request (C2SP tlog-witness).
MAX_PROOF_LINES = 63
#: A request: the old size, the proof, and a checkpoint.
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 64 * 64
#: The same checkpoint asked for again so soon gets the same cosignature: nobody can make us sync for nothing.
SAME_ANSWER_S = 1
TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness says: an HTTP status, a body, its content type."""

    status: int
    body: str
    content_type: str = TEXT


@dataclass(frozen=True, slots=True)
class Request:
    """A request taken apart."""

    old: int
    proof: list[bytes]
    note: Note
    checkpoint: Checkpoint


@dataclass(slots=True)
class _Log:
    """One log: its keys, and the last checkpoint that was cosigned, as persisted."""

    path: Path
    verifiers: tuple[Verifier, ...]
    signer: Signer
    lock: threading.Lock = field(default_factory=threading.Lock)
    signed: bytes = b""
    latest: Checkpoint | None = None
    at_s: int = 0

    def load(self) -> None:
        """Take the state from disk. Raises EvidenceError where it is not what this witness once wrote."""
        self.signed, self.latest, self.at_s = b"", None, 0
        if not self.path.is_file():
            return
        data = self.path.read_bytes()
        note = parse_note(data)
        at_s = note.cosigned_at_s(parse_vkey(self.signer.vkey))
        if at_s is None:
            raise EvidenceError(f"{self.path}: not cosigned by this witness; it does not start on it")
        self.signed, self.latest, self.at_s = data, parse_checkpoint(note.text), at_s


class Witness:
    """A witness over one folder. It holds the folder's lock until `close`."""

    def __init__(self, folder: Path, signer: Signer, logs: Sequence[Verifier]) -> None:
        if signer.kind != COSIGNATURE:
            raise EvidenceError("a witness signs cosignatures")
        self.signer = signer
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_file)
            raise EvidenceError(f"another witness works on {folder}") from None
        self._logs: dict[str, _Log] = {}
        for origin in {v.name for v in logs}:
            keys = tuple(v for v in logs if v.name == origin)
            log = _Log(folder / origin_hash(origin) / "checkpoint", keys, signer)
            log.load()
            self._logs[origin] = log

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._lock_file)

    def latest(self, hashed_origin: str) -> bytes | None:
        """Return the last checkpoint that was cosigned for an origin, given as SHA-256 in hex; None for no such."""
        for origin, log in self._logs.items():
            if origin_hash(origin) == hashed_origin:
                return log.signed or None
        return None

    def add_checkpoint(self, body: bytes, now_s: int) -> Answer:
        """Return the answer to a request at a moment. Raises OSError where the checkpoint cannot be persisted."""
        try:
            request = parse_request(body)
        except EvidenceError as error:
            return Answer(400, f"{error}\n")
        log = self._logs.get(request.checkpoint.origin)
        if log is None:
            return Answer(404, "no log of this origin is known here\n")
        present = [v for v in log.verifiers if request.note.of(v)]
        if not present or not all(request.note.signed_by(v) for v in present):
            return Answer(403, "not signed by a key of this log\n")
        if request.old > request.checkpoint.size:
            return Answer(400, "the old size is beyond the checkpoint's\n")
        with log.lock:
            return self._follow(log, request, present, now_s)

    def _follow(self, log: _Log, request: Request, present: Sequence[Verifier], now_s: int) -> Answer:
        """Steps 4 to 6, under the log's lock."""
        new, size = request.checkpoint, log.latest.size if log.latest else 0
        if request.old != size:
            return Answer(409, f"{size}\n", SIZE)
        if new.size == 0 and new.root != EMPTY_ROOT:
            return Answer(422, "an empty tree has the root of the empty string\n")
        if request.old == 0 and request.proof:
            return Answer(422, "from nothing no proof is needed\n")
        before = log.latest.root if log.latest else EMPTY_ROOT
        if not is_consistent(request.old, before, new.size, new.root, request.proof):
            return Answer(422, "the checkpoint does not begin with what was cosigned\n")
        if (
            new == log.latest
            and now_s - log.at_s <= SAME_ANSWER_S
            and log.signed.startswith(request.note.text.encode())
        ):
            return Answer(200, log.signed.decode().rsplit("\n", 2)[1] + "\n")
        line = self.signer.line(request.note.text, now_s)
        logs_own = "".join(_line(request.note, v) for v in present)
        signed = f"{request.note.text}\n{logs_own}{line}".encode()
        try:
            # If the process dies here nobody has the cosignature; the folder holds the old state or the new one.
            write_file(log.path, signed)
        except OSError:
            # It may have landed all the same: what is on disk counts, so that we never fall behind it.
            log.load()
            raise
        log.signed, log.latest, log.at_s = signed, new, now_s
        return Answer(200, line)


def _line(note: Note, verifier: Verifier) -> str:
    body = base64.b64encode(verifier.key_id + note.of(verifier)[0]).decode()
    return f"\u2014 {verifier.name} {body}\n"


def origin_hash(origin: str) -> str:
    """Return how an origin is named in a witness's paths: SHA-256, lower-case hex."""
    return hashlib.sha256(origin.encode()).hexdigest()


def parse_request(body: bytes) -> Request:
    """Return a request taken apart. Raises EvidenceError where it is malformed."""
    head, blank, rest = body.partition(b"\n\n")
    lines = head.split(b"\n")
    word, _, size = lines[0].partition(b" ")
    plain = size.isdigit() and len(size) < 20 and (size == b"0" or not size.startswith(b"0"))
    if not blank or word != b"old" or not plain:
        raise EvidenceError("a request begins with: old SIZE")
    if len(lines) - 1 > MAX_PROOF_LINES:
        raise EvidenceError(f"a proof has at most {MAX_PROOF_LINES} lines")
    try:
        proof = [base64.b64decode(line, validate=True) for line in lines[1:]]
    except (binascii.Error, ValueError):
        raise EvidenceError("a line of the proof is not Base64") from None
    if any(len(h) != HASH_BYTES or base64.b64encode(h) != t for h, t in zip(proof, lines[1:], strict=True)):
        raise EvidenceError("a line of the proof is no hash")
    note = parse_note(rest)
    return Request(int(size), proof, note, parse_checkpoint(note.text))


def request_text(old: int, proof: Sequence[bytes], signed_checkpoint: bytes) -> bytes:
    """Return the body of a request."""
    lines = "".join(f"{base64.b64encode(h).decode()}\n" for h in proof)
    return f"old {old}\n{lines}\n".encode() + signed_checkpoint
