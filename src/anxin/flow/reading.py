"""Input files as chunks: opened, told apart by content, cut at line ends, unpacked, digested."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anxin.domain.errors import InputError
from anxin.formats import tcec102
from anxin.formats.sniff import Dialect

#: Bytes of lines that one worker takes at a time: some thousand records, so that progress is seen and memory bounded.
CHUNK_BYTES = 2 * 1024 * 1024
#: Largest file that is decoded as a whole (XML, JSON documents, XLSX, CSV). Larger ones are given as lines or Parquet.
MAX_WHOLE_BYTES = 1024 * 1024 * 1024
LINES = {Dialect.OCMF, Dialect.ENVELOPE}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file that can be decoded by itself; `first_row` numbers its first line, `kind` is the option."""

    file: str
    dialect: Dialect
    kind: str
    data: bytes
    first_row: int


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; a file is wanted")
        with path.open("rb") as raw:
            yield raw
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def chunks(raw: Any, path: Path, dialect: Dialect, kind: str, digest: Any) -> Iterator[tuple[Chunk, int]]:
    """Cut a file of lines at line ends; every other file is one chunk."""
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    first = raw.peek(1 << 16)[: 1 << 16] if hasattr(raw, "peek") else b""
    lines = dialect in LINES or (dialect is Dialect.TCEC102 and not packed and tcec102.looks_like_lines(first))
    if not lines or packed:
        data = raw.read(MAX_WHOLE_BYTES + 1)
        if len(data) > MAX_WHOLE_BYTES:
            raise InputError(f"{path}: more than {MAX_WHOLE_BYTES} bytes; give it as lines or as Parquet")
        digest.update(data)
        size = len(data)
        if packed and dialect is not Dialect.CSV:
            data = _gunzip(data, path)
        yield Chunk(str(path), dialect, kind, data, 1), size
        return
    carried, row = b"", 1
    # A record of OCMF may be spread over lines: its file is cut only where a record begins.
    mark = b"\nOCMF|" if dialect is Dialect.OCMF else b"\n"
    while block := raw.read(CHUNK_BYTES):
        digest.update(block)
        data = carried + block
        cut = data.rfind(mark)
        if cut < 0:
            carried = data
            if len(carried) > 64 * CHUNK_BYTES:
                raise InputError(f"{path}: row {row}: a line of more than {64 * CHUNK_BYTES} bytes")
            continue
        piece, carried = data[: cut + 1], data[cut + 1 :]
        yield Chunk(str(path), dialect, kind, piece, row), len(piece)
        row += piece.count(b"\n")
    if carried:
        yield Chunk(str(path), dialect, kind, carried, row), len(carried)


def _gunzip(data: bytes, path: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(MAX_WHOLE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: a broken .gz file ({error})") from None
    if len(plain) > MAX_WHOLE_BYTES:
        raise InputError(f"{path}: unpacks to more than {MAX_WHOLE_BYTES} bytes")
    return plain


#: Columns by which a canonical Parquet file is known, and the option under which it is given.
_CANONICAL = (
    ("order_periods", {"order_id", "period_no"}, "orders"),
    ("record_periods", {"record_id", "period_no"}, "records"),
    ("operator_totals", {"operator_id", "check_id"}, "orders"),
    ("orders", {"order_id"}, "orders"),
    ("records", {"record_id"}, "records"),
)


def canonical_table(path: Path, kind: str) -> str | None:
    """The facts table that a Parquet file holds in its canonical columns; None where it needs a mapping."""
    try:
        columns = set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error})") from None
    for name, marks, given_as in _CANONICAL:
        if marks <= columns:
            if given_as != kind:
                raise InputError(f"{path}: holds {name}, but was given as {kind}")
            return name
    return None


def sha256_of(raw: Any) -> str:
    return hashlib.file_digest(raw, "sha256").hexdigest()
