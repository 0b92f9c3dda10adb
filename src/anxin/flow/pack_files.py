"""The container of an evidence pack: named files in one ZIP that has exactly one form (docs/formats/evidence-pack.md).

Everything is stored and nothing compressed, names are sorted, times and attributes are fixed: the same files are the
same bytes, and a reader can refuse whatever is not in this form.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import IO, Any

from anxin.evidence.note import Signer

SUMS, SEAL = "SHA256SUMS", "SHA256SUMS.sig"
MANIFEST, SUMMARY = "manifest.json", "summary.pdf"
#: The first moment that a ZIP can state.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def sums_of(files: Mapping[str, bytes], number: str, origin: str) -> bytes:
    """Return SHA256SUMS: a line of comment that says what it is for, then what `sha256sum -c` reads."""
    lines = [f"# anxin-evidence-pack/v1 {number} {origin}\n"]
    lines += [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def sealed(files: dict[str, bytes], number: str, signer: Signer) -> None:
    """Add SHA256SUMS over all files, and the log key's Ed25519 signature over it."""
    files[SUMS] = sums_of(files, number, signer.name)
    files[SEAL] = signer.sign(files[SUMS])


def write_zip(files: Mapping[str, bytes], out: IO[bytes]) -> None:
    """Write the files into a ZIP in its one form."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _NO_TIME)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, files[name])


def json_bytes(value: Any) -> bytes:
    """Return JSON as it stands in a pack: UTF-8, indented by one, keys in the order in which they are given."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def file_lines(files: Mapping[str, bytes], without: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the manifest's lines: name, size in bytes, SHA-256 of each file."""
    left = set(without)
    return [
        {"name": n, "size": len(files[n]), "sha256": hashlib.sha256(files[n]).hexdigest()}
        for n in sorted(files)
        if n not in left
    ]
