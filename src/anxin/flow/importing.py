"""From files to facts: read, decode, judge signatures, join records to sessions; in chunks, on all cores.

1  a file's dialect is told by its content
2  files of lines are cut into chunks; every other file is one chunk
3  each chunk is decoded, its signatures judged and its complete records made sessions, in a worker process
4  begin and end records that stand apart are joined at the end, by transaction id, else in file order
What is refused is a row of the rejects; nothing else is lost for it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anxin.domain.batch import Batch, JudgedRecord, Side
from anxin.domain.errors import FormatError, InputError, PolicyError
from anxin.domain.source import Notice, Reject, Source
from anxin.flow.canonical import check_canonical
from anxin.flow.facts_of_records import SessionFacts, sessions_of, side_of
from anxin.flow.reading import Chunk, canonical_table, chunks, opened, sha256_of
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

#: Below this size of all inputs together, starting worker processes costs more than it gives.
POOL_FROM_BYTES = 8 * 1024 * 1024
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
    path: Path, kind: str, file: InputFile, imported: Imported, submit: Callable[[Chunk], Future[_Yield]]
) -> Iterator[tuple[_Yield, int]]:
    """Decode one file chunk by chunk, a few chunks ahead of what is taken, in the file's order."""
    with opened(path) as raw:
        head = raw.read(sniff.HEAD_BYTES)
        dialect = sniff.sniff(head, str(path))
        file.dialect = dialect.value
        raw.seek(0)
        canonical = canonical_table(path, kind) if dialect is Dialect.PARQUET else None
        if canonical is not None:
            file.sha256 = sha256_of(raw)
            file.rows = pq.read_metadata(path).num_rows
            good, rejects = check_canonical(path, canonical)
            if good is None:
                imported.parquet.setdefault(canonical, []).append(path)
                return
            file.rejected = len(rejects)
            imported.refuse(rejects)
            if good.num_rows:
                imported.tables.setdefault(canonical, []).append(good)
            return
        digest = hashlib.sha256()
        ahead: list[tuple[Future[_Yield], int]] = []
        for chunk, size in chunks(raw, path, dialect, kind, digest):
            ahead.append((submit(chunk), size))
            if len(ahead) > 2 * (os.cpu_count() or 1):
                future, length = ahead.pop(0)
                yield future.result(), length
        file.sha256 = digest.hexdigest()
        for future, length in ahead:
            yield future.result(), length


# ---- in the worker ----

_KNOWN: Known | None = None


def _begin(known: Known) -> None:
    global _KNOWN  # noqa: PLW0603 - one value per worker process, set once when it starts
    _KNOWN = known


def _work(chunk: Chunk) -> _Yield:
    assert _KNOWN is not None
    return decode_chunk(chunk, _KNOWN)


@contextmanager
def _workers(known: Known, total: int) -> Iterator[Callable[[Chunk], Future[_Yield]]]:
    cores = os.cpu_count() or 1
    if total < POOL_FROM_BYTES or cores == 1:

        def here(chunk: Chunk) -> Future[_Yield]:
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


def decode_chunk(chunk: Chunk, known: Known) -> _Yield:
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


def _decode(chunk: Chunk, known: Known) -> Batch:
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


def _envelopes(chunk: Chunk, known: Known) -> Batch:
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
