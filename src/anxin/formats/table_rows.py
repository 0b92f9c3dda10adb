"""Tables as rows of cells: CSV, XLSX and Parquet brought to one shape.

A cell is text (CSV), or what the file typed it as: whole number, Decimal, truth value, date or time. Floats become
Decimals through their shortest text, which is the number that the writer's own display showed.
Row numbers are those of a spreadsheet: the head is row 1, the first data row is row 2.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from anxin.domain.errors import FormatError
from anxin.formats.table_mapping import Mapping
from anxin.formats.text_encoding import decode_utf8

Cell = str | int | Decimal | bool | datetime | date | time | None

#: A table with more columns is no table of orders.
MAX_COLUMNS = 2_000
#: Ten years of a big city's orders; more than this is read through the engine, not cell by cell.
MAX_ROWS = 50_000_000
#: What an XLSX may unpack to: sheets of the largest allowed size (1,048,576 rows) stay below it.
MAX_UNPACKED_BYTES = 2 * 1024**3
#: An XLSX that unpacks to more than this many times its size was made to exhaust memory.
MAX_UNPACK_RATIO = 400
_BATCH_ROWS = 65_536
_SNIFFED_DELIMITERS = ",;\t|"


@dataclass(slots=True)
class Table:
    """The head and the rows; `rows` yields the row number and its cells, or the FormatError it broke with."""

    columns: list[str]
    rows: Iterator[tuple[int, list[Cell] | FormatError]]


def open_table(data: bytes, mapping: Mapping | None) -> Table:
    """Return the table in `data`, told by its first bytes. Raises FormatError `table.*` or `encoding.*`."""
    if not data.strip():
        raise FormatError("table.empty", "the file is empty")
    if data.startswith(b"PAR1"):
        return _parquet(data)
    if data.startswith(b"PK\x03\x04"):
        return _xlsx(data, mapping)
    return _csv(data, mapping)


def _csv(data: bytes, mapping: Mapping | None) -> Table:
    text = _text(data, mapping.encoding if mapping else "utf-8")
    header_row = mapping.header_row if mapping else 1
    delimiter = (mapping.delimiter if mapping else None) or _delimiter(text)
    # strict: a quote left open swallows the rest of the file; better to say so than to read one huge cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = _csv_rows(reader)
    for number, cells in rows:
        if isinstance(cells, FormatError):
            raise cells
        if number == header_row:
            return Table(_head([str(cell) for cell in cells]), rows)
    raise FormatError("table.head", f"the table has no head in row {header_row}")


def _csv_rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[Cell] | FormatError]]:
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, FormatError("table.csv", f"the row cannot be split into cells: {error}")
            continue
        if cells:
            yield number, [*cells]


def _text(data: bytes, encoding: str) -> str:
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig"):
        return decode_utf8(data)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeError, LookupError) as error:
        raise FormatError("encoding.stated", f"the file is not {encoding} as the mapping states: {error}") from None


def _delimiter(text: str) -> str:
    head = text[: text.find("\n")] if "\n" in text else text
    return max(_SNIFFED_DELIMITERS, key=head[:10_000].count)


def _head(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) > MAX_COLUMNS:
        raise FormatError("table.columns", f"more than {MAX_COLUMNS} columns")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise FormatError("table.columns", f"the column {twice[0][:60]!r} stands twice in the head", twice[0][:60])
    return names


def _xlsx(data: bytes, mapping: Mapping | None) -> Table:
    from python_calamine import CalamineWorkbook

    _refuse_bomb(data)
    header_row = mapping.header_row if mapping else 1
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        names = workbook.sheet_names
        if not names:
            raise FormatError("table.sheet", "the workbook has no sheet")
        name = mapping.sheet if mapping and mapping.sheet else names[0]
        if name not in names:
            raise FormatError("table.sheet", f"the workbook has no sheet {name!r}")
        cells = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except FormatError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the reader is a compiled library: a panic of it is no Exception
        raise FormatError("table.xlsx", f"the workbook cannot be read: {type(error).__name__}: {error}"[:300]) from None
    if len(cells) < header_row:
        raise FormatError("table.head", f"the table has no head in row {header_row}")
    head = _head([str(cell) for cell in cells[header_row - 1]])
    rows = ((n, [_cell(c) for c in row]) for n, row in enumerate(cells[header_row:], header_row + 1) if any(row))
    return Table(head, rows)


def _refuse_bomb(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise FormatError("table.xlsx", f"not a whole XLSX file: {error}") from None
    if unpacked > MAX_UNPACKED_BYTES or unpacked > MAX_UNPACK_RATIO * max(len(data), 1_000_000):
        raise FormatError("table.xlsx", f"the workbook would unpack to {unpacked} bytes")


def _parquet(data: bytes) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        if file.metadata.num_rows > MAX_ROWS:
            raise FormatError("table.rows", f"more than {MAX_ROWS} rows")
        head = _head(list(file.schema_arrow.names))
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise FormatError("table.parquet", f"the Parquet file cannot be read: {error}"[:300]) from None
    return Table(head, _parquet_rows(file, len(head)))


def _parquet_rows(file: object, width: int) -> Iterator[tuple[int, list[Cell] | FormatError]]:
    import pyarrow

    number = 1
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):  # type: ignore[attr-defined]  # pyarrow.ParquetFile
            columns = [batch.column(index).to_pylist() for index in range(width)]
            for cells in zip(*columns, strict=True):
                number += 1
                yield number, [_cell(cell) for cell in cells]
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        yield number + 1, FormatError("table.parquet", f"the Parquet file breaks off: {error}"[:300])


def _cell(value: object) -> Cell:
    if isinstance(value, float):
        return Decimal(repr(value))
    if value is None or isinstance(value, str | int | Decimal | datetime | date | time):
        return value
    return str(value)[:1000]
