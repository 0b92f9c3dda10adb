"""After the kills: is all there that anyone has a receipt for, once, with its bytes, and one history of the log?"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anxin.evidence.auditor import Row, audit_log, folder_of
from anxin.evidence.note import parse_note, parse_vkey
from anxin.store import messages
from anxin.store.database import Database
from anxin.store.embedded import running_url
from anxin.store.log_rows import message_rows
from tests.fault.load import Identity, Ledger

#: Publication takes a second; after a kill its process has to come back first.
PUBLISHED_S = 120


@dataclass
class Outcome:
    """What an audit found; all but the first three are faults."""

    receipts: int = 0
    messages: int = 0
    checkpoints: int = 0
    lost: int = 0
    altered: int = 0
    duplicated: int = 0
    unknown: int = 0
    changed_receipts: int = 0
    log_faults: int = 0
    forked_checkpoints: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """The sum of all that is wrong."""
        return (
            self.lost + self.altered + self.duplicated + self.unknown + self.changed_receipts + self.log_faults
            + self.forked_checkpoints
        )  # fmt: skip


class Checkpoints:
    """Every checkpoint that was seen, as signed notes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkpoint"
        self.notes: dict[bytes, None] = {}

    def look(self) -> int:
        """Keep the present one; return its size."""
        try:
            note = self.path.read_bytes()
        except OSError:
            return 0
        self.notes[note] = None
        return int(note.split(b"\n")[1])


class _Roots:
    """Roots of a growing log by RFC 6962, 2.1: equal subtrees merge as they complete."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[tuple[int, bytes]] = []

    def add(self, entry: bytes) -> None:
        height, top = 0, hashlib.sha256(b"\0" + entry).digest()
        while self._stack and self._stack[-1][0] == height:
            top = hashlib.sha256(b"\1" + self._stack.pop()[1] + top).digest()
            height += 1
        self._stack.append((height, top))
        self.size += 1

    def root(self) -> bytes:
        if not self._stack:
            return hashlib.sha256().digest()
        top = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            top = hashlib.sha256(b"\1" + left + top).digest()
        return top


def audit(data: Path, vkey: str, ledger: Ledger, checkpoints: Checkpoints) -> Outcome:
    """Audit while nothing is sent. The platform runs; what it has taken is published first."""
    found = Outcome(receipts=len(ledger.receipts), changed_receipts=ledger.changed, examples=ledger.complaints[:5])
    url = running_url(data / "postgres")
    assert url is not None
    with Database(url, max_connections=2) as database:
        if not _is_published(database, checkpoints):
            found.log_faults += 1
            found.examples.append(f"not all was published within {PUBLISHED_S} s")
        wanted, found.forked_checkpoints = _signed_roots(checkpoints, vkey)
        found.checkpoints = len(checkpoints.notes)
        seen: dict[Identity, int] = {}
        roots = _Roots()

        def rows() -> Iterator[Row]:
            for columns in message_rows(database):
                row = Row(*columns)
                _compare(row, ledger, seen, found)
                roots.add(row.entry)
                if roots.size in wanted and wanted[roots.size] != roots.root():
                    found.forked_checkpoints += 1
                    found.examples.append(f"the checkpoint of size {roots.size} has another root than the entries")
                yield row

        every = rows()
        report = audit_log(folder_of(data / "log"), vkey, every)
        deque(every, maxlen=0)  # rows that the log does not know are looked at too
    found.log_faults += report.fault_count
    found.examples += report.faults[:5]
    found.forked_checkpoints += sum(size > roots.size for size in wanted)
    missing = [i for i in ledger.receipts if i not in seen]
    found.lost = len(missing)
    found.examples += [f"lost: {i}, receipt {ledger.receipts[i].index}" for i in missing[:5]]
    return found


def _compare(row: Row, ledger: Ledger, seen: dict[Identity, int], found: Outcome) -> None:
    identity = (row.kind, row.sender, row.message_id)
    found.messages += 1
    if identity in seen:
        found.duplicated += 1
        found.examples.append(f"twice: {identity}, {seen[identity]} and {row.index}")
        return
    seen[identity] = row.index
    kept = ledger.receipts.get(identity)
    if kept is None:
        found.unknown += 1  # every sender goes on until it has its receipt
        found.examples.append(f"nobody has a receipt for {identity}")
    elif row.payload is None or (row.index, hashlib.sha256(row.payload).digest()) != (kept.index, kept.payload_sha256):
        found.altered += 1
        found.examples.append(f"not what the receipt says: {identity}")


def _signed_roots(checkpoints: Checkpoints, vkey: str) -> tuple[dict[int, bytes], int]:
    """Return the root that each checkpoint signs, by size, and how many are unsigned or contradict another."""
    roots: dict[int, bytes] = {}
    wrong = 0
    verifier = parse_vkey(vkey)
    for data in checkpoints.notes:
        note = parse_note(data)
        size, root = int(note.text.split("\n")[1]), base64.b64decode(note.text.split("\n")[2])
        wrong += not note.signed_by(verifier) or roots.setdefault(size, root) != root
    return {size: root for size, root in roots.items() if size}, wrong


def _is_published(database: Database, checkpoints: Checkpoints) -> bool:
    """Wait until the log has all that is kept; return whether it came to that."""
    size = messages.size(database)
    end = time.monotonic() + PUBLISHED_S
    while checkpoints.look() < size:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
