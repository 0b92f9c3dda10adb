"""Files that operators upload: previewed without a trace, or kept as one message and judged row by row.

    1  the file is read in a process of its own, within limits; a few at a time
    2  preview: what would be read, and every row that would be refused; nothing is kept
    3  upload: the whole file is kept as one message, its receipt is the answer; the good rows are judged
    4  each refused row becomes an entry of the failed-write ledger, where it can be put right

If the process dies between 3 and 4, the operator has no answer and sends the file again: the receipt is the first one,
and the rows that the ledger lacks are entered then.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import BusyError, FormatError
from anxin.domain.message import Accepted, Message, Refused
from anxin.domain.quantities import iso_of, kwh_text, money_text
from anxin.domain.register import Register
from anxin.domain.source import Reject
from anxin.flow.child import in_child
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Directory, Platform
from anxin.flow.refusal_words import sentences
from anxin.flow.upload_reading import Envelope, Reading, first_reading, refused_rows
from anxin.formats.upload_guard import UploadLimits
from anxin.store import ledger

#: Rows of a preview that are shown as they would be read.
MAX_FIRST_ROWS = 20
#: Refused rows that an answer lists; all are counted.
MAX_LISTED_REJECTS = 200
#: Refused rows of one file that the failed-write ledger takes; a file with more has a wrong mapping.
MAX_LEDGER_ROWS = 1_000
#: Bytes of a file of no use that the failed-write ledger keeps: enough to see what it was.
MAX_HEAD_BYTES = 65_536
#: Bytes of one row that is put right, with the head of its table.
MAX_ROW_BYTES = 1_048_576
#: Uploads that wait or are read at one time.
MAX_WAITING = 8
#: What the ledger calls a whole file that was of no use.
DOOR = "upload"
_COUNTED = re.compile(r" \(in (\d+) rows, first here\)$")  # written by formats/deviation_log.py
_WITHOUT = frozenset({"source_file", "source_row", "content_digest", "time_quantum_ms", "energy_quantum_milli_wh"})


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an upload: its receipt, and the numbers of its refused rows in the failed-write ledger."""

    accepted: Accepted
    document: dict[str, Any]
    ledger_numbers: dict[int, int]


class Uploads:
    """The upload desk of one process."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        settings = platform.settings
        self.limits = UploadLimits(
            settings.upload_max_bytes, settings.upload_max_unpacked_bytes, settings.upload_max_rows
        )
        self._desks = asyncio.Semaphore(settings.upload_readers)
        self._waiting = 0

    async def preview(self, sender: str, name: str, data: bytes, mapping: bytes | None) -> dict[str, Any]:
        """Return what would be read of a file. Raises FormatError where it is of no use, BusyError."""
        reading, _ = await self._read(sender, name, data, mapping)
        return preview_document(reading)

    async def keep(self, sender: str, name: str, data: bytes, mapping: bytes | None) -> Kept:
        """Keep a file and enter its refused rows into the ledger. Raises FormatError (nothing kept), BusyError."""
        try:
            reading, rows = await self._read(sender, name, data, mapping)
            if not (reading.batch.orders or reading.batch.operator_totals or reading.batch.sessions):
                first = next((f": row {r.source.row}, {r.message}" for r in reading.rejects), "")
                raise FormatError("upload.nothing", f"none of {reading.rows} rows can be taken{first}"[:500])
        except FormatError as error:
            head = data[:MAX_HEAD_BYTES]
            refused = Refused(DOOR, sender, upload_id(data, mapping), error.rule, str(error), head, error.field)
            await self._enter([refused])
            raise
        number = upload_id(data, mapping)
        message = Message(reading.kind, sender, number, data, reading.envelope.to_bytes())
        accepted = await self.platform.intake.accept(message)
        by_row = {r.source.row: r for r in reversed(reading.rejects)}
        refusals = [_refusal(reading, sender, number, by_row[row], *rows[row]) for row in sorted(rows)]
        numbers = await self._enter(refusals)
        entered = dict(zip(sorted(rows), numbers, strict=True))
        return Kept(accepted, preview_document(reading, entered), entered)

    async def _enter(self, refusals: list[Refused]) -> list[int]:
        platform = self.platform
        return await asyncio.to_thread(
            ledger.refuse_each, platform.database, refusals, now_utc_ms(), platform.settings.refused_kept
        )

    async def _read(
        self, sender: str, name: str, data: bytes, mapping: bytes | None
    ) -> tuple[Reading, dict[int, tuple[bytes, Envelope]]]:
        if self._waiting >= MAX_WAITING:
            raise BusyError(f"{self._waiting} uploads wait to be read")
        self._waiting += 1
        try:
            async with self._desks:
                directory = _needed(self.platform.directory)
                zone, limits = self.platform.settings.zone, self.limits
                return await asyncio.to_thread(in_child, _work, name, data, mapping, sender, directory, zone, limits)
        finally:
            self._waiting -= 1


def _needed(directory: Directory) -> Directory:
    """The register's part of a directory: no secret crosses to the process that reads a file from outside."""
    return Directory(register=Register(meters=directory.register.meters), connectors=directory.connectors)


def _work(name: str, data: bytes, mapping: bytes | None, *more: Any) -> Any:
    """In the child: the reading, and its refused rows as payloads of their own."""
    reading = first_reading(name, data, mapping, *more)
    rows = sorted({reject.source.row for reject in reading.rejects})[:MAX_LEDGER_ROWS]
    found = refused_rows(data, reading, rows)
    return reading, found


def upload_id(data: bytes, mapping: bytes | None) -> str:
    """Return what names an upload: the file's digest, and the mapping's, because another mapping says other things."""
    how = "names" if mapping is None else hashlib.sha256(mapping).hexdigest()[:16]
    return f"{hashlib.sha256(data).hexdigest()[:32]}/{how}"


def _refusal(reading: Reading, sender: str, number: str, reject: Reject, row: bytes, how: Envelope) -> Refused:
    name = f"{number}#{reject.source.row}"
    detail = f"{reading.envelope.name}, row {reject.source.row}: {reject.message}"
    return Refused(reading.kind.value, sender, name, reject.rule, detail, row, reject.field, how.to_bytes())


def corrected_row(platform: Platform, refused: Refused, payload: bytes) -> Message:
    """Return the message of a row that was put right. Raises FormatError where it is wrong still."""
    how = Envelope.from_bytes(refused.envelope or b"{}")
    if len(payload) > MAX_ROW_BYTES or payload.startswith((b"PK", b"PAR1", b"\x1f\x8b")):
        raise FormatError("upload.another_kind", f"one row as text is wanted, of at most {MAX_ROW_BYTES} bytes")
    mapping = None if how.mapping is None else how.mapping.encode()
    reading = first_reading(
        how.name, payload, mapping, refused.sender, platform.directory, platform.settings.zone,
        UploadLimits(MAX_ROW_BYTES, MAX_ROW_BYTES, MAX_ROW_BYTES), row_alone=how.dialect,
    )  # fmt: skip
    if reading.rejects:
        first = reading.rejects[0]
        raise FormatError(first.rule, first.message, first.field)
    if reading.kind.value != refused.door:
        raise FormatError("upload.another_kind", f"a {reading.kind.value} where a {refused.door} was refused")
    if not (reading.batch.orders or reading.batch.operator_totals or reading.batch.sessions):
        raise FormatError("upload.nothing", "no row")
    name = refused.message_id or upload_id(payload, mapping)
    return Message(reading.kind, refused.sender, name, payload, reading.envelope.to_bytes())


def preview_document(reading: Reading, entered: dict[int, int] | None = None) -> dict[str, Any]:
    """Return what a file says as JSON values. `entered` are the refused rows' numbers in the failed-write ledger."""
    batch = reading.batch
    deviations: Counter[str] = Counter()
    for _, deviation in batch.deviations:
        counted = _COUNTED.search(deviation.detail)
        deviations[deviation.kind] += int(counted[1]) if counted else 1
    values = [*batch.orders, *batch.sessions, *batch.operator_totals]
    mapped = {} if reading.mapping is None else {
        column: rule.name for rule in reading.mapping.fields.values() for column in rule.needed
    }  # fmt: skip
    return {
        "dialect": reading.envelope.dialect.value,
        "kind": reading.kind.value,
        "rows": reading.rows,
        "orders": len(batch.orders),
        "records": len(batch.sessions) + len(batch.signed_records),
        "totals": len(batch.operator_totals),
        "first": [_shown(value) for value in values[:MAX_FIRST_ROWS]],
        "rejected": len(reading.envelope.excluded),
        "rejected_by_rule": dict(sorted(Counter(r.rule for r in reading.rejects).items())),
        "rejects": [_told(r, entered or {}) for r in reading.rejects[:MAX_LISTED_REJECTS]],
        "deviations": dict(sorted(deviations.items())),
        "notices": [{"rule": n.rule, "count": n.count, "zh": n.zh, "en": n.en} for n in batch.notices],
        "columns": {
            "mapped": {column: mapped[column] for column in reading.columns if column in mapped},
            "unmapped": [column for column in reading.columns if column not in mapped],
        },
    }


def _told(reject: Reject, entered: dict[int, int]) -> dict[str, Any]:
    zh, en = sentences(reject.rule, reject.message, reject.field)
    told = {
        "file": reject.source.file, "row": reject.source.row, "field": reject.field, "rule": reject.rule,
        "zh": zh, "en": en,
    }  # fmt: skip
    return told | ({"refused_id": entered[reject.source.row]} if reject.source.row in entered else {})


def _shown(value: Any) -> dict[str, Any]:
    """A row as it was read: exact text, in the units that people use."""
    shown: dict[str, Any] = {"row": value.source_row}
    for item in dataclasses.fields(value):
        found = getattr(value, item.name)
        if found is None or item.name in _WITHOUT:
            continue
        if item.name.endswith("_utc_ms"):
            shown[item.name.removesuffix("_utc_ms")] = iso_of(found)
        elif item.name.endswith("_milli_wh"):
            shown[f"{item.name.removesuffix('_milli_wh')}_kwh"] = kwh_text(found)
        elif item.name.endswith("_e4"):
            shown[item.name.removesuffix("_e4")] = money_text(found)
        else:
            shown[item.name] = found
    return shown
