"""A meter's outbox: an append-only file of what has no receipt yet. What `put` returned from survives a crash.

    + AXE1...    a record to be sent, one line; synced before `put` returns
    - key        its receipt came; not synced: lost, the record is sent again and gets the same receipt

A last line without its end was never returned from `put` and is dropped. The file is written anew, without what has
gone, when it is opened and whenever more has gone than waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from anxin.domain.errors import BusyError, FormatError, InputError
from anxin.formats import meter_envelope

#: Records without a receipt that an outbox holds; beyond it the meter must not measure on unseen.
MAX_OUTBOX = 200_000
_LEAST_TO_COMPACT = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """One sealed record of the outbox. `key` names these very bytes."""

    meter_id: str
    message_id: str
    envelope: bytes

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the binary envelope: the receipt's `payload_sha256`."""
        return hashlib.sha256(self.envelope).digest()


def held(envelope: bytes) -> tuple[str, Held]:
    """Return the key of a sealed record and the record. Raises FormatError where it is no envelope."""
    parsed = meter_envelope.parse(envelope)
    one = Held(parsed.meter_id, f"{parsed.key_id}/{parsed.counter}", envelope)
    return one.sha256.hex(), one


class Outbox:
    """The outbox in one file; one process at a time. Safe to be used by several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._waiting: dict[str, Held] = {}
        self._gone = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._guard = path.with_suffix(".lock").open("wb")
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_file():
                self._read(path.read_bytes())
            self._file = self._written_anew()
        except BlockingIOError:
            raise InputError(f"{path}: another process works on this outbox") from None
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None

    def put(self, envelopes: Iterable[bytes]) -> list[str]:
        """Keep sealed records until their receipts come; return their keys. They are on disk when this returns.

        Raises FormatError where one is no envelope, BusyError where the outbox is full; nothing was put then.
        """
        new = dict(held(envelope) for envelope in envelopes)
        with self._lock:
            fresh = {key: one for key, one in new.items() if key not in self._waiting}
            if len(self._waiting) + len(fresh) > MAX_OUTBOX:
                raise BusyError(f"{len(self._waiting)} records wait for their receipts")
            self._file.write(b"".join(_put_line(one) for one in fresh.values()))
            _sync(self._file)
            self._waiting |= fresh
        return list(new)

    def forget(self, key: str) -> bool:
        """Drop a record whose receipt was verified; return whether it was there."""
        with self._lock:
            if self._waiting.pop(key, None) is None:
                return False
            self._file.write(f"- {key}\n".encode())
            self._file.flush()
            self._gone += 1
            if self._gone > max(_LEAST_TO_COMPACT, len(self._waiting)):
                self._file.close()
                self._file = self._written_anew()
            return True

    def get(self, key: str) -> Held | None:
        """Return a record that waits, None where it has gone."""
        with self._lock:
            return self._waiting.get(key)

    def keys(self) -> list[str]:
        """Return the keys of all that wait, oldest first."""
        with self._lock:
            return list(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def close(self) -> None:
        """Close the file and let another process have it."""
        with self._lock:
            self._file.close()
            self._guard.close()

    def _read(self, data: bytes) -> None:
        for line in data.split(b"\n")[:-1]:
            try:
                if line[:2] == b"+ ":
                    key, one = held(meter_envelope.from_line(line[2:]))
                    self._waiting[key] = one
                elif line[:2] == b"- ":
                    self._waiting.pop(line[2:].decode("ascii"), None)
                else:
                    raise InputError(f"{self.path}: not an outbox")
            except (FormatError, UnicodeDecodeError):
                raise InputError(f"{self.path}: a line that is none of an outbox") from None

    def _written_anew(self) -> BinaryIO:
        """Write the file without what has gone. A crash leaves the old file or the new one, never half of one."""
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(b"".join(_put_line(one) for one in self._waiting.values()))
            _sync(file)
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._gone = 0
        return self.path.open("ab")


def _put_line(one: Held) -> bytes:
    return b"+ " + meter_envelope.to_line(one.envelope) + b"\n"


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
