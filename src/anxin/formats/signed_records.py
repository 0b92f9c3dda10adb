"""From bytes that hold OCMF records, one or many, to signed records with their place in the file."""

from __future__ import annotations

from collections.abc import Iterator

from anxin.domain.batch import Side, SignedRecord
from anxin.domain.errors import FormatError
from anxin.domain.source import Source
from anxin.formats import ocmf
from anxin.formats.strict_json import read_json

_PLACE_TYPES = ("EVSEID", "CBIDC")
#: Lines that one record may be spread over; table 7's longest record, pretty-printed, stays far below.
MAX_LINES_OF_RECORD = 20_000


def signed_record(
    raw: bytes,
    source: Source,
    *,
    transaction_id: str | None = None,
    side: Side = Side.UNSTATED,
    key_text: str | None = None,
) -> SignedRecord:
    """Return the signed record that OCMF bytes hold; one that cannot be decoded carries rule and reason instead."""
    record, rule, detail = None, None, None
    try:
        record = ocmf.decode(raw)
    except FormatError as error:
        rule, detail = error.rule, str(error)
    connector = record.place_id if record is not None and record.place_type in _PLACE_TYPES else None
    return SignedRecord(
        source, raw, record, rule, detail, transaction_id, side, key_text or None, connector_id=connector
    )


def split_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a text with their first line's number, from 1: one a line, or spread over several.

    A line that begins as a record does and is complete is one; else the lines up to the next such beginning belong
    to it (JSON allows line feeds between its parts). Any other line that is not blank is yielded by itself, so that
    nothing is passed over in silence.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    row = 0
    while row < len(lines):
        line = lines[row]
        if not line.strip():
            row += 1
            continue
        count = _spread(lines, row) if ocmf.looks_like_ocmf(line) and not _complete(line) else 1
        yield row + 1, b"\n".join(lines[row : row + count])
        row += count


def _spread(lines: list[bytes], row: int) -> int:
    """Return over how many lines the record that begins at `row` is spread: 1 where more lines do not complete it."""
    last = min(len(lines), row + MAX_LINES_OF_RECORD)
    following = row + 1
    while following < last and not ocmf.looks_like_ocmf(lines[following]):
        following += 1
    return following - row if _complete(b"\n".join(lines[row:following])) else 1


def _complete(line: bytes) -> bool:
    """Return whether the payload of a record ends inside `line`, with something of a signature behind it."""
    try:
        text = line.decode("utf-8").strip("\ufeff \t\r\n")
        _, end = read_json(text, len(ocmf.HEADER))
        _, end = read_json(text, text.index("|", end) + 1)
    except (UnicodeDecodeError, FormatError, ValueError):
        return False
    return True
