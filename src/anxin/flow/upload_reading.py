"""What an uploaded file says: a table or JSON lines, read the same when it is previewed, kept, judged and replayed.

The envelope of a kept upload says how it was read and which of its rows were refused when it came. Those rows stay
refused in every replay, whatever the register says by then; each can be put right from the failed-write ledger.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from anxin.domain.batch import Batch
from anxin.domain.errors import AnxinError, FormatError, PolicyError
from anxin.domain.message import Kind
from anxin.domain.order import Order, OrderPeriod
from anxin.domain.source import Reject, Source
from anxin.flow.platform import Directory
from anxin.formats import ocpi, tables, tcec102
from anxin.formats.digest import with_digest
from anxin.formats.sniff import HEAD_BYTES, Dialect, sniff
from anxin.formats.table_mapping import Mapping, canonical_mapping, parse_mapping
from anxin.formats.table_rows import open_table
from anxin.formats.table_values import as_text
from anxin.formats.upload_guard import UploadLimits, guard_mapping, guarded

#: Bytes of the mapping of an upload: it is kept with each of its refused rows.
MAX_UPLOAD_MAPPING_BYTES = 65_536
_TABLES = frozenset({Dialect.CSV, Dialect.XLSX, Dialect.PARQUET})
_LINES = frozenset({Dialect.TCEC102, Dialect.OCPI})


@dataclass(frozen=True, slots=True)
class Envelope:
    """How an upload is read. `excluded` are the rows that were refused when it came; `row_alone` marks a refused row
    that was put right: a CSV of the head and that row."""

    name: str
    dialect: Dialect
    mapping: str | None = None
    excluded: tuple[int, ...] = ()
    row_alone: bool = False

    def to_bytes(self) -> bytes:
        """Return the envelope as it is kept: JSON, its keys in order."""
        document = {
            "dialect": self.dialect.value,
            "excluded_rows": list(self.excluded),
            "mapping": self.mapping,
            "name": self.name,
            "row_alone": self.row_alone,
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Envelope:
        """Return the envelope of a kept upload."""
        said: dict[str, Any] = json.loads(data)
        excluded = tuple(said["excluded_rows"])
        return Envelope(said["name"], Dialect(said["dialect"]), said["mapping"], excluded, said["row_alone"])


@dataclass(slots=True)
class Reading:
    """What a file says. `batch` holds the good rows alone; `rows` counts all; `columns` are a table's own."""

    kind: Kind
    envelope: Envelope
    batch: Batch
    rejects: list[Reject]
    rows: int
    columns: tuple[str, ...] = ()
    mapping: Mapping | None = None


def first_reading(
    name: str,
    data: bytes,
    mapping: bytes | None,
    sender: str,
    directory: Directory,
    zone: str,
    limits: UploadLimits,
    row_alone: Dialect | None = None,
) -> Reading:
    """Return what a file says that comes in, with its rows refused that are wrong or another's.

    `row_alone` is the dialect of a row that is put right, None for a file, which says its dialect itself.
    Raises FormatError where the file as a whole is of no use, or asks for more than the limits.
    """
    plain = guarded(data, limits)
    if mapping is not None and len(mapping) > MAX_UPLOAD_MAPPING_BYTES:
        raise FormatError("upload.mapping", f"a mapping of more than {MAX_UPLOAD_MAPPING_BYTES} bytes")
    try:
        dialect = row_alone or sniff(plain[:HEAD_BYTES], name)
    except AnxinError as error:
        raise FormatError("upload.dialect", str(error)) from None
    try:
        text = None if mapping is None else mapping.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError("upload.mapping", "the mapping is not UTF-8") from None
    reading = _read(plain, Envelope(name, dialect, text, row_alone=row_alone is not None), sender, zone)
    foreign = list(_foreign(reading.batch, sender, directory))
    reading.rejects += foreign
    reading.rejects.sort(key=lambda reject: reject.source.row)
    excluded = tuple(sorted({reject.source.row for reject in reading.rejects}))
    reading.envelope = replace(reading.envelope, excluded=excluded)
    reading.batch = _without(reading.batch, frozenset(excluded))
    return reading


def kept_reading(payload: bytes, envelope: bytes, source: str, sender: str, zone: str) -> Batch:
    """Return what a kept upload says, its places named by `source`. Raises FormatError, PolicyError."""
    how = Envelope.from_bytes(envelope)
    # The message was within the limits when it was kept; what unpacks has been unpacked before.
    plain = tables.unpacked(payload)
    batch = _without(_read(plain, how, sender, zone).batch, frozenset(how.excluded))
    batch.rejects = [r for r in batch.rejects if r.source.row not in how.excluded]
    batch.orders = [replace(o, source_file=source) for o in batch.orders]
    batch.sessions = [replace(s, source_file=source) for s in batch.sessions]
    batch.operator_totals = [replace(t, source_file=source) for t in batch.operator_totals]
    batch.signed_records = [replace(r, source=Source(source, r.source.row)) for r in batch.signed_records]
    return batch


def _read(plain: bytes, envelope: Envelope, sender: str, zone: str) -> Reading:
    if envelope.dialect in _TABLES:
        reading = _table(plain, envelope)
    elif envelope.dialect in _LINES:
        if not all(line.lstrip()[:1] in (b"{", b"") for line in plain.removeprefix(b"\xef\xbb\xbf").split(b"\n")):
            raise FormatError("upload.lines", "JSON of one object a line is wanted")
        reading = _lines(plain, envelope, zone)
    else:
        detail = f"a file of {envelope.dialect.value} is not uploaded: a meter hands in its records itself"
        raise FormatError("upload.dialect", detail)
    reading.batch.rejects, reading.rejects = [], reading.batch.rejects
    _as_sender(reading, sender)
    return reading


def _table(plain: bytes, envelope: Envelope) -> Reading:
    try:
        mapping = None if envelope.mapping is None else parse_mapping(envelope.mapping.encode(), "mapping")
    except PolicyError as error:
        raise FormatError("upload.mapping", str(error)) from None
    if mapping is not None:
        guard_mapping(mapping)
        if envelope.row_alone:
            mapping = replace(mapping, encoding="utf-8", delimiter=",", header_row=1)
    columns = open_table(plain, mapping).columns
    batch = tables.decode_table(plain, envelope.name, mapping)
    used = mapping or canonical_mapping(columns)
    orders = used is None or used.kind == "orders"
    kind = Kind.TABLE_ORDERS if orders else Kind.TABLE_RECORDS
    rows = len(batch.orders) + len(batch.sessions) + len(batch.rejects)
    return Reading(kind, envelope, batch, [], rows, tuple(columns), used)


def _lines(plain: bytes, envelope: Envelope, zone: str) -> Reading:
    # From the second row on a decoder takes lines and nothing else; its numbers are brought back by one.
    if envelope.dialect is Dialect.OCPI:
        batch = ocpi.decode(plain, envelope.name, first_row=2)
    else:
        batch = tcec102.decode(plain, envelope.name, first_row=2, zone=zone)
    batch.orders = [replace(o, source_row=o.source_row - 1) for o in batch.orders]
    batch.operator_totals = [replace(t, source_row=t.source_row - 1) for t in batch.operator_totals]
    batch.rejects = [replace(r, source=_earlier(r.source)) for r in batch.rejects]
    batch.deviations = [(_earlier(s), d) for s, d in batch.deviations]
    batch.signed_records = [replace(r, source=_earlier(r.source)) for r in batch.signed_records]
    rows = len({o.source_row for o in batch.orders} | {r.source.row for r in batch.rejects})
    rows += len(batch.operator_totals)
    return Reading(Kind.TABLE_ORDERS, envelope, batch, [], rows)


def _earlier(source: Source) -> Source:
    return Source(source.file, source.row - 1)


def _as_sender(reading: Reading, sender: str) -> None:
    """Orders that name no operator are the sender's; a CDR names a party of its own."""
    batch, named = reading.batch, reading.envelope.dialect is not Dialect.OCPI
    periods: dict[tuple[str, str], list[OrderPeriod]] = {}
    for period in batch.order_periods:
        periods.setdefault((period.order_id, period.content_digest), []).append(period)
    orders: list[Order] = []
    all_periods: list[OrderPeriod] = []
    for read in batch.orders:
        own = periods.get((read.order_id, read.content_digest), [])
        named_by_row = named and read.operator_id
        order, own = (read, own) if named_by_row else with_digest(replace(read, operator_id=sender), own)
        orders.append(order)
        all_periods += own
    batch.orders, batch.order_periods = orders, all_periods


def _foreign(batch: Batch, sender: str, directory: Directory) -> Iterable[Reject]:
    """Rows that speak of what is another's. Whose it is stands nowhere in the answer."""
    for order in batch.orders:
        place = Source(order.source_file, order.source_row)
        if order.operator_id != sender:
            yield Reject(place, "admission.tenant", "the order is another operator's", "operator_id")
        elif directory.operator_of_connector(order.connector_id or "") not in (None, sender):
            yield Reject(place, "admission.tenant", "the connector is another operator's", "connector_id")
    for total in batch.operator_totals:
        if total.operator_id != sender:
            place = Source(total.source_file, total.source_row)
            yield Reject(place, "admission.tenant", "the totals are another operator's", "operator_id")
    owners = {m.meter_id: directory.operator_of_connector(m.connector_id) for m in directory.register.meters}
    for session in batch.sessions:
        place = Source(session.source_file, session.source_row)
        if directory.operator_of_connector(session.connector_id or "") not in (None, sender):
            yield Reject(place, "admission.tenant", "the connector is another operator's", "connector_id")
        elif owners.get(session.meter_id or "") not in (None, sender):
            yield Reject(place, "admission.tenant", "the meter is another operator's", "meter_id")


def _without(batch: Batch, excluded: frozenset[int]) -> Batch:
    """The batch without some rows, and without what belongs to them."""
    if not excluded:
        return batch
    batch.orders = [o for o in batch.orders if o.source_row not in excluded]
    kept = {(o.order_id, o.content_digest) for o in batch.orders}
    batch.order_periods = [p for p in batch.order_periods if (p.order_id, p.content_digest) in kept]
    batch.operator_totals = [t for t in batch.operator_totals if t.source_row not in excluded]
    batch.sessions = [s for s in batch.sessions if s.source_row not in excluded]
    batch.signed_records = [r for r in batch.signed_records if r.source.row not in excluded]
    return batch


def refused_rows(data: bytes, reading: Reading, rows: Iterable[int]) -> dict[int, tuple[bytes, Envelope]]:
    """Return refused rows by their number, each as a payload of its own that can be put right, with its envelope."""
    wanted, envelope, mapping = set(rows), reading.envelope, reading.mapping
    plain = tables.unpacked(data)
    if envelope.dialect not in _TABLES:
        lines = plain.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        alone = Envelope(envelope.name, envelope.dialect, row_alone=True)
        return {row: (lines[row - 1], alone) for row in wanted if 0 < row <= len(lines)}
    alone = Envelope(envelope.name, Dialect.CSV, envelope.mapping, row_alone=True)
    # A template may use the row's number: then the row stands where it stood.
    rules = () if mapping is None else (*mapping.fields.values(), *mapping.connector.values())
    numbered = any("{row}" in (rule.template or "") for rule in rules)
    found = {}
    for number, cells in open_table(plain, reading.mapping).rows:
        if number in wanted:
            texts = [] if isinstance(cells, FormatError) else [as_text(cell) for cell in cells]
            found[number] = (_csv_of(reading.columns, texts, number - 2 if numbered else 0), alone)
    return found


def _csv_of(columns: Iterable[str], cells: list[str], blank_lines: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    text.write("\n" * max(blank_lines, 0))
    writer.writerow(cells)
    return text.getvalue().encode("utf-8")
