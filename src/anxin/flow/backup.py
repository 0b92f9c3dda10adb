"""Backup of a platform that may run meanwhile: a folder that a restore (flow/restoring.py) makes the platform from.

1  the published log: its checkpoint, then the tiles that this checkpoint covers
2  keys and all other files of the data folder
3  the database, at one moment, later than the log's: what the log names is in it
4  the manifest: every file with size and SHA-256, what the backup holds, the software and settings it was made under
5  the folder gets its name: a backup that has its name is whole

MUST      read the log before the database: a database older than the log beside it is refused by the publisher
MUST NOT  write a secret in the clear, unless asked to: the backup holds the master key
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

from anxin import __version__
from anxin.domain.errors import InputError, StoreError
from anxin.evidence.note import open_checkpoint, parse_vkey
from anxin.evidence.tiles import WIDTH, tile_name
from anxin.flow.intake import now_utc_ms
from anxin.flow.publishing import log_folder, log_signer
from anxin.flow.rekey import master_key_file
from anxin.settings import Settings
from anxin.store import dumping
from anxin.store.database import Database
from anxin.trust.chest import SALT_BYTES, KeyOf, Sink, keys_of_passphrase

FORMAT = "anxin-backup-1"
MANIFEST = "manifest.json"
LOG, FILES, DATABASE = "log.tar", "files.tar", "database.dump"
#: Of the data folder, these are no files to copy: the database is dumped, the log is read by itself.
_APART = frozenset({"postgres", "log"})
#: Settings that a restored platform has to run under; the others are matters of the machine.
_NAMED = ("log_origin", "zone", "policy_file", "judge_window_days", "token_valid_s")


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: entries of the log, messages, bytes on disk, and how long it took."""

    log_size: int
    messages: int
    size_bytes: int
    seconds: float


def make_backup(settings: Settings, database: Database, out: Path, passphrase: bytes | None) -> Backup:
    """Write a backup into a new folder. Raises InputError (files), StoreError (database), EvidenceError (log)."""
    started = time.monotonic()
    if out.exists():
        raise InputError(f"{out} is there already: a backup goes into a new folder")
    draft = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    backup_id, salt = secrets.token_hex(16), secrets.token_bytes(SALT_BYTES)
    key_of = None if passphrase is None else keys_of_passphrase(passphrase, salt, backup_id)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        keys_before = _keys(settings)
        # 1 the published log.
        log_size, log_files = _log(settings)
        entries = [_write(draft, LOG, key_of, _tarred(log_files))]
        # 2 keys and all other files of the data folder.
        entries.append(_write(draft, FILES, key_of, _tarred(_other_files(settings.data_dir))))
        # 3 the database, at one moment.
        with dumping.snapshot(database) as (name, holds):
            entries.append(_write(draft, DATABASE, key_of, dumping.dump(database.url, name)))
        if _keys(settings) != keys_before:
            raise InputError("the master key was exchanged meanwhile: make the backup again")
        if holds["messages"] < log_size:
            raise StoreError(f"the database has {holds['messages']} messages, the log was published with {log_size}")
        # 4 the manifest.
        manifest = {
            "format": FORMAT, "backup_id": backup_id, "made_utc_ms": now_utc_ms(),
            "software": __version__, "sealed": passphrase is not None, "salt": salt.hex(),
            "log_size": log_size, **holds, "files": entries,
            "settings": {n: str(getattr(settings, n)) for n in _NAMED if n in {f.name for f in fields(Settings)}},
        }  # fmt: skip
        with (draft / MANIFEST).open("w", encoding="utf-8") as file:
            json.dump(manifest, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        # 5 the folder gets its name.
        draft.rename(out)
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    size = sum(int(e["size"]) for e in entries)
    return Backup(log_size, int(holds["messages"]), size, time.monotonic() - started)


def _write(folder: Path, name: str, key_of: KeyOf | None, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Write one file, sealed where there is a key; return its line of the manifest."""
    handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        sink = Sink(file, None if key_of is None else key_of(name))
        for piece in pieces:
            sink.write(piece)
        sink.finish()
        file.flush()
        os.fsync(file.fileno())
    return {"name": name, "size": sink.size, "sha256": sink.sha256}


class _Pieces:
    """What tarfile writes into; it is taken out piece by piece."""

    def __init__(self) -> None:
        self.held: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.held.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        held, self.held = self.held, []
        return held


def _tarred(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    pieces = _Pieces()
    with tarfile.open(fileobj=pieces, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, BytesIO(data))
            yield from pieces.taken()
    yield from pieces.taken()


def _log(settings: Settings) -> tuple[int, Iterator[tuple[str, bytes]]]:
    """Size of the published log, and its files. What a checkpoint covers never changes: the log may grow meanwhile."""
    folder = log_folder(settings)
    path = folder / "checkpoint"
    if not path.is_file():
        return 0, iter(())
    signed = path.read_bytes()
    size = open_checkpoint(signed, parse_vkey(log_signer(settings).vkey)).size

    def files() -> Iterator[tuple[str, bytes]]:
        yield "checkpoint", signed
        for name in tile_names(size):
            yield name, (folder / name).read_bytes()
        for other in sorted(folder.iterdir()):
            if other.is_file() and other.name != "checkpoint" and not other.name.startswith("."):
                yield other.name, other.read_bytes()

    return size, files()


def tile_names(size: int) -> Iterator[str]:
    """Yield the names of all tiles that a checkpoint of this size covers."""
    for level in ("entries", *range(8)):
        count = size if level == "entries" else size >> (8 * int(level))
        for number in range(count // WIDTH):
            yield tile_name(level, number)
        if count % WIDTH:
            yield tile_name(level, count // WIDTH, count % WIDTH)


def _other_files(data_dir: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(data_dir.rglob("*")):
        relative = path.relative_to(data_dir)
        if relative.parts[0] not in _APART and path.is_file() and not path.is_symlink():
            yield relative.as_posix(), path.read_bytes()


def _keys(settings: Settings) -> list[tuple[str, bytes]]:
    path = master_key_file(settings)
    return [(p.name, p.read_bytes()) for p in sorted(path.parent.glob(f"{path.name}*"))]
