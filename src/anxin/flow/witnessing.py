"""A witness's folder: its name, its key, its state. It shares nothing with the platform and needs no database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anxin.domain.errors import InputError
from anxin.evidence.note import COSIGNATURE, Signer, is_key_name, parse_vkey
from anxin.evidence.tiles import write_file
from anxin.evidence.witness import Witness
from anxin.trust.vault import load_or_make_key


def witness_signer(folder: Path, name: str | None) -> Signer:
    """Return the signer of a witness; name and key are made the first time. Raises InputError."""
    path = folder / "name"
    try:
        kept = path.read_text("utf-8").strip() if path.is_file() else None
        if kept is None:
            if name is None or not is_key_name(name):
                raise InputError("a new witness needs --name: a URL without scheme, without spaces and plus")
            write_file(path, f"{name}\n".encode())
            kept = name
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if name not in (None, kept):
        raise InputError(f"this witness is {kept}; another name needs another folder and another key")
    return Signer(kept, load_or_make_key(folder / "witness.key"), COSIGNATURE)


def open_witness(folder: Path, name: str | None, vkeys: Sequence[str]) -> Witness:
    """Return the witness of a folder for the logs of these verifier keys. Raises InputError, EvidenceError."""
    logs = [parse_vkey(vkey) for vkey in vkeys]
    if any(log.kind == COSIGNATURE for log in logs):
        raise InputError("--log wants a log's key, not a witness's")
    return Witness(folder / "logs", witness_signer(folder, name), logs)
