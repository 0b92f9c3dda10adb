"""From files to facts: read, decode, judge signatures, join records to sessions; in chunks, on all cores.

1  a file's dialect is told by its content
2  files of lines are cut into chunks; every other file is one chunk
3  each chunk is decoded, its signatures judged and its complete records made sessions, in a worker process
4  begin and end records that stand apart are joined at the end, by transaction id, else in file order
What is refused is a row of the rejects; nothing else is lost for it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import multiprocessing
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anxin.domain.batch import Batch, JudgedRecord, Side
from anxin.domain.errors import FormatError, InputError, PolicyError
from anxin.domain.source import Notice, Reject, Source
from anxin.flow.facts_of_records import SessionFacts, sessions_of, side_of
from anxin.formats import meter_envelope, ocpi, safe_xml, sniff, tables, tcec102
from anxin.formats.meter_envelope import ContentKey
from anxin.formats.signed_records import signed_record, split_records
from anxin.formats.sniff import Dialect
from anxin.formats.table_mapping import Mapping
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.reconcile.facts import table_of
from anxin.reconcile.policy import Policy
from anxin.trust.keyring import KeyRing
from anxin.trust.verify import judge_signed

#: Bytes of lines that one worker takes at a time: some thousand records, so that progress is seen and memory bounded.
CHUNK_BYTES = 2 * 1024 * 1024
#: Largest file that is decoded as a whole (XML, JSON documents, XLSX, CSV). Larger ones are given as lines or Parquet.
MAX_WHOLE_BYTES = 1024 * 1024 * 1024
#: Below this size of all inputs together, starting worker processes costs more than it gives.
POOL_FROM_BYTES = 8 * 1024 * 1024
LINES = {Dialect.OCMF, Dialect.ENVELOPE}
#: Rejects kept with their reasons; more are only counted. A file that is wrong in every row is wrong once.
MAX_REJECTS = 200_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Known:
    """What decoding and judging need besides the bytes."""

    policy: Policy
    ring: KeyRing = field(default_factory=KeyRing)
    content_keys: tuple[ContentKey, ...] = ()
    secrets: tuple[OperatorSecrets, ...] = ()
    mappings: dict[str, Mapping] = field(default_factory=dict)
    zone: str = "Asia/Shanghai"


@dataclass(slots=True)
class InputFile:
    """One input file: what it was, and what came of it."""

    path: str
    sha256: str
    dialect: str
    rows: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Imported:
    """Facts of all files: Arrow tables by name, canonical Parquet files by name, and all that must be said of them."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    parquet: dict[str, list[Path]] = field(default_factory=dict)
    files: list[InputFile] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rejected: int = 0
    notices: list[Notice] = field(default_factory=list)
    deviations: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    def refuse(self, rejects: Iterable[Reject]) -> None:
        """Add rejects, keeping the first MAX_REJECTS."""
        for reject in rejects:
            self.rejected += 1
            if len(self.rejects) < MAX_REJECTS:
                self.rejects.append(reject)


@dataclass(frozen=True, slots=True)
class _Chunk:
    file: str
    dialect: Dialect
    kind: str
    data: bytes
    first_row: int


@dataclass(slots=True)
class _Yield:
    """What a worker sends back: Arrow tables instead of objects, so that it crosses processes cheaply."""

    tables: dict[str, pa.Table]
    rows: int
    rejects: list[Reject]
    notices: list[Notice]
    deviations: Counter[str]
    answers: Counter[str]
    apart: list[JudgedRecord]


def import_files(
    orders: Iterable[Path], records: Iterable[Path], known: Known, progress: Progress = lambda done, total: None
) -> Imported:
    """Return the facts of all files. A file that cannot be used at all is a reject of row 0 and a notice.

    `progress` is told the bytes done and the bytes in all.
    """
    wanted = [(p, "orders") for p in orders] + [(p, "records") for p in records]
    total = sum(p.stat().st_size for p, _ in wanted if p.is_file())
    imported, apart, done = Imported(), list[JudgedRecord](), 0
    with _workers(known, total) as submit:
        for path, kind in wanted:
            try:
                file = InputFile(str(path), "", "")
                for part, size in _yields(path, kind, file, imported, submit):
                    apart += part.apart
                    _take(imported, file, part)
                    done += size
                    progress(done, total)
                imported.files.append(file)
            except (InputError, FormatError, PolicyError) as error:
                rule = error.rule if isinstance(error, FormatError) else "file.unreadable"
                imported.refuse([Reject(Source(str(path), 0), rule, str(error))])
                imported.files.append(InputFile(str(path), file.sha256, file.dialect or "unreadable", 0, 1))
                imported.notices.append(
                    Notice(
                        str(path), rule, 1,
                        f"文件无法读取，其中内容未参与审核：{error}",
                        f"The file could not be read and took no part in the audit: {error}",
                    )
                )  # fmt: skip
    # Begin and end records that stand apart, over all files.
    rest = sessions_of(apart, known.policy)
    for name, table in _session_tables(rest).items():
        imported.tables.setdefault(name, []).append(table)
    return imported


def _take(imported: Imported, file: InputFile, part: _Yield) -> None:
    for name, table in part.tables.items():
        if table.num_rows:
            imported.tables.setdefault(name, []).append(table)
    file.rows += part.rows
    file.rejected += len(part.rejects)
    imported.refuse(part.rejects)
    imported.notices += part.notices
    imported.deviations += part.deviations
    imported.answers += part.answers


def _yields(
    path: Path, kind: str, file: InputFile, imported: Imported, submit: Callable[[_Chunk], Future[_Yield]]
) -> Iterator[tuple[_Yield, int]]:
    """Decode one file chunk by chunk, a few chunks ahead of what is taken, in the file's order."""
    with _opened(path) as raw:
        head = raw.read(sniff.HEAD_BYTES)
        dialect = sniff.sniff(head, str(path))
        file.dialect = dialect.value
        raw.seek(0)
        canonical = _canonical(path, kind) if dialect is Dialect.PARQUET else None
        if canonical is not None:
            file.sha256 = _sha256(raw)
            file.rows = pq.read_metadata(path).num_rows
            imported.parquet.setdefault(canonical, []).append(path)
            return
        digest = hashlib.sha256()
        ahead: list[tuple[Future[_Yield], int]] = []
        for chunk, size in _chunks(raw, path, dialect, kind, digest):
            ahead.append((submit(chunk), size))
            if len(ahead) > 2 * (os.cpu_count() or 1):
                future, length = ahead.pop(0)
                yield future.result(), length
        file.sha256 = digest.hexdigest()
        for future, length in ahead:
            yield future.result(), length


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; a file is wanted")
        with path.open("rb") as raw:
            yield raw
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _chunks(raw: Any, path: Path, dialect: Dialect, kind: str, digest: Any) -> Iterator[tuple[_Chunk, int]]:
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
        yield _Chunk(str(path), dialect, kind, data, 1), size
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
        yield _Chunk(str(path), dialect, kind, piece, row), len(piece)
        row += piece.count(b"\n")
    if carried:
        yield _Chunk(str(path), dialect, kind, carried, row), len(carried)


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


def _canonical(path: Path, kind: str) -> str | None:
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


def _sha256(raw: Any) -> str:
    return hashlib.file_digest(raw, "sha256").hexdigest()


# ---- in the worker ----

_KNOWN: Known | None = None


def _begin(known: Known) -> None:
    global _KNOWN  # noqa: PLW0603 - one value per worker process, set once when it starts
    _KNOWN = known


def _work(chunk: _Chunk) -> _Yield:
    assert _KNOWN is not None
    return decode_chunk(chunk, _KNOWN)


@contextmanager
def _workers(known: Known, total: int) -> Iterator[Callable[[_Chunk], Future[_Yield]]]:
    cores = os.cpu_count() or 1
    if total < POOL_FROM_BYTES or cores == 1:

        def here(chunk: _Chunk) -> Future[_Yield]:
            future: Future[_Yield] = Future()
            try:
                future.set_result(decode_chunk(chunk, known))
            except (InputError, FormatError, PolicyError) as error:
                future.set_exception(error)
            return future

        yield here
        return
    # Spawned, not forked: libraries of this process hold threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_begin, initargs=(known,)) as pool:
        yield lambda chunk: pool.submit(_work, chunk)


def decode_chunk(chunk: _Chunk, known: Known) -> _Yield:
    """Return the facts of one chunk. Raises FormatError or InputError where the whole chunk is of no use."""
    batch = _decode(chunk, known)
    judged = [JudgedRecord(signed, judge_signed(signed, known.ring)) for signed in batch.signed_records]
    whole: list[JudgedRecord] = []
    apart: list[JudgedRecord] = []
    for record in judged:
        (whole if side_of(record) is Side.WHOLE else apart).append(record)
    facts = sessions_of(whole, known.policy)
    deviations = Counter(d.kind for _, d in batch.deviations)
    for record in judged:
        if record.signed.record is not None:
            deviations.update(d.kind for d in record.signed.record.deviations)
        deviations.update(d.kind for d in record.judgement.deviations)
    found = _session_tables(facts)
    for name, values in (
        ("orders", batch.orders),
        ("order_periods", batch.order_periods),
        ("operator_totals", batch.operator_totals),
        ("connectors", batch.connectors),
    ):
        if values:
            found[name] = table_of(name, values)
    if batch.sessions:
        unsigned = table_of("records", batch.sessions)
        found["records"] = pa.concat_tables([found["records"], unsigned]) if "records" in found else unsigned
    rows = len(batch.orders) + len(batch.operator_totals) + len(judged) + len(batch.sessions) + len(batch.rejects)
    answers = Counter(record.judgement.answer.value for record in judged)
    answers.update("unsigned" for _ in batch.sessions)
    return _Yield(found, rows, batch.rejects, batch.notices, deviations, answers, apart)


def _session_tables(facts: SessionFacts) -> dict[str, pa.Table]:
    found = {}
    for name, values in (
        ("records", facts.sessions),
        ("record_periods", facts.periods),
        ("record_findings", facts.findings),
    ):
        if values:
            found[name] = table_of(name, values)
    return found


def _decode(chunk: _Chunk, known: Known) -> Batch:
    data, file = chunk.data, chunk.file
    match chunk.dialect:
        case Dialect.OCMF:
            records = [signed_record(raw, Source(file, chunk.first_row + row - 1)) for row, raw in split_records(data)]
            batch = Batch(signed_records=records)
        case Dialect.ENVELOPE:
            batch = _envelopes(chunk, known)
        case Dialect.ENVELOPE_BINARY:
            batch = Batch(signed_records=[meter_envelope.decode_binary(data, Source(file, 1), known.content_keys)])
        case Dialect.SAFE_XML:
            batch = safe_xml.decode(data, file)
        case Dialect.TCEC102 | Dialect.TCEC102_ENVELOPE:
            batch = tcec102.decode(data, file, first_row=chunk.first_row, zone=known.zone, secrets=known.secrets)
        case Dialect.OCPI:
            batch = ocpi.decode(data, file)
        case _:
            batch = tables.decode_table(data, file, known.mappings.get(chunk.kind))
    return batch


def _envelopes(chunk: _Chunk, known: Known) -> Batch:
    batch = Batch()
    for offset, line in enumerate(chunk.data.split(b"\n")):
        if not line.strip():
            continue
        source = Source(chunk.file, chunk.first_row + offset)
        try:
            batch.signed_records.append(meter_envelope.decode_line(line, source, known.content_keys))
        except FormatError as error:
            batch.rejects.append(Reject(source, error.rule, str(error), error.field))
    return batch
