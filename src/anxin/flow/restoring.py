"""Restore of a backup on an empty machine, and the drill that shows that it can be done.

1  every file against the manifest: size and SHA-256
2  the target is empty: nothing is ever restored over something
3  log and files into a folder beside the target; a cut or altered file stops here
4  the database, in one transaction; migrations that it lacks
5  every secret opens; the whole log is audited against the restored rows
6  the folder gets its name
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError, StoreError
from anxin.evidence.auditor import Row, audit_log, folder_of
from anxin.flow.backup import DATABASE, FILES, FORMAT, LOG, MANIFEST, make_backup
from anxin.flow.platform import load_directory
from anxin.flow.publishing import log_folder, log_signer
from anxin.flow.rekey import master_key_file
from anxin.settings import Settings
from anxin.store import dumping
from anxin.store.database import Database, migrate
from anxin.store.embedded import attached_url
from anxin.store.log_rows import message_rows
from anxin.trust.chest import KeyOf, Spring, keys_of_passphrase
from anxin.trust.vault import Vault

#: Bytes of a manifest: it lists three files.
MAX_MANIFEST_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and `missing`: whatever is not there or not as it was, each in one sentence. `faults` counts
    what the audit of the log found wrong."""

    messages: int
    log_size: int
    faults: int
    missing: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill's outcome: `differences` is empty where the restored platform is the one that was backed up."""

    messages: int
    log_size: int
    verdicts: int
    size_bytes: int
    backup_s: float
    restore_s: float
    differences: list[str]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a backup's manifest. Raises InputError."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise InputError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes")
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT or {f["name"] for f in found["files"]} != {LOG, FILES, DATABASE}:
            raise InputError(f"{path}: not a manifest of {FORMAT}")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a manifest of {FORMAT}") from None
    manifest: dict[str, Any] = found
    return manifest


def restore_backup(settings: Settings, folder: Path, passphrase: bytes | None) -> Restored:
    """Restore a backup into the settings' data folder and database. Raises InputError, StoreError, EvidenceError."""
    started = time.monotonic()
    manifest = read_manifest(folder)
    key_of = _key_of(manifest, passphrase)
    # 1 every file against the manifest.
    _verify(folder, manifest)
    # 2 the target is empty.
    target = settings.data_dir
    _expect_empty(settings)
    draft = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    own = dataclasses.replace(settings, data_dir=draft)
    try:
        # 3 log and files into a folder beside the target.
        draft.mkdir(parents=True, mode=0o755)
        _unpack(folder / LOG, key_of, log_folder(own))
        _unpack(folder / FILES, key_of, draft)
        with attached_url(own) as url:
            # 4 the database.
            with (folder / DATABASE).open("rb") as file:
                dumping.restore(url, Spring(file, None if key_of is None else key_of(DATABASE), DATABASE))
            with Database(url, 2) as database:
                migrate(database)
                # 5 every secret opens; the whole log is audited.
                restored = _examined(own, database, manifest, started)
        # 6 the folder gets its name.
        if target.exists():
            target.rmdir()
        draft.rename(target)
    except OSError as error:
        raise InputError(f"{error.filename or target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return restored


def run_drill(settings: Settings, database: Database) -> Drill:
    """Back up the platform as it is, restore it elsewhere, and compare the two. Nothing of it is left behind."""
    passphrase = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory(prefix="anxin-drill-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the embedded server may run as another user; what is inside is closed
        made = make_backup(settings, database, folder / "backup", passphrase)
        elsewhere = dataclasses.replace(settings, data_dir=folder / "data", database_url="")
        restored = restore_backup(elsewhere, folder / "backup", passphrase)
        manifest = read_manifest(folder / "backup")
        differences = list(restored.missing)
        with attached_url(elsewhere) as url, Database(url, 2) as copy:
            theirs = dumping.fingerprint(copy, made.messages)
            ours = dumping.fingerprint(database, made.messages, tuple(theirs["last"]))
            differences += [f"{n} differ: {ours[n]} here, {theirs[n]} restored" for n in ours if ours[n] != theirs[n]]
            counts = dumping.recounted(copy)
            if counts != manifest["totals"]:
                differences.append(f"counts differ: {manifest['totals']} at the backup, {counts} restored")
    verdicts = sum(counts.get("verdicts", {}).values())
    return Drill(
        restored.messages, restored.log_size, verdicts, made.size_bytes, made.seconds, restored.seconds, differences
    )


def _key_of(manifest: dict[str, Any], passphrase: bytes | None) -> KeyOf | None:
    if not manifest["sealed"]:
        return None
    if passphrase is None:
        raise InputError("this backup is sealed: its passphrase is needed")
    return keys_of_passphrase(passphrase, bytes.fromhex(manifest["salt"]), manifest["backup_id"])


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    for line in manifest["files"]:
        path = folder / line["name"]
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        if path.stat().st_size != line["size"] or found != line["sha256"]:
            raise InputError(f"{path} is not the file of the manifest: altered, or cut short")


def _expect_empty(settings: Settings) -> None:
    target = settings.data_dir
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not an empty folder: nothing is restored over what is there")
    if settings.database_url and not dumping.is_empty(settings.database_url):
        raise StoreError("the database of ANXIN_DATABASE_URL is not empty: nothing is restored over what is there")


def _unpack(path: Path, key_of: KeyOf | None, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("rb") as file:
            spring = Spring(file, None if key_of is None else key_of(path.name), path.name)
            with tarfile.open(fileobj=spring, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    tar.extract(member, target, filter="data")
        for folder in {p.parent for p in target.rglob("master.key")}:
            folder.chmod(0o700)
    except tarfile.TarError as error:
        raise InputError(f"{path}: {error}") from None


def _examined(settings: Settings, database: Database, manifest: dict[str, Any], started: float) -> Restored:
    directory = load_directory(database, Vault.at(master_key_file(settings)).open)
    missing = []

    def rows() -> Iterator[Row]:
        for row in message_rows(database):
            yield Row(*row)

    faults, messages, log_size = 0, int(manifest["messages"]), int(manifest["log_size"])
    if log_size:
        audit = audit_log(folder_of(log_folder(settings)), log_signer(settings).vkey, rows())
        faults = audit.fault_count
        missing += [f"audit: {fault}" for fault in audit.faults[:20]]
        if audit.erased:
            missing.append(
                f"{audit.erased} messages were erased before the backup: their entries stand, not their bytes"
            )
        if audit.rows != messages:
            missing.append(f"{audit.rows} messages restored, {messages} backed up")
    for name, value in manifest["settings"].items():
        now = str(getattr(settings, name, ""))
        if now != value:
            missing.append(f"setting ANXIN_{name.upper()} was {value!r} and is {now!r} now")
    if not directory.parties:
        missing.append("no party: nobody can hand anything in")
    return Restored(messages, log_size, faults, missing, time.monotonic() - started)
