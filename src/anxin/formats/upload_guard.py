"""What an upload may ask of this machine: sizes and rows, looked at before anything is unpacked or read in full.

An XLSX is a ZIP whose stated sizes may be untrue and whose cells may name a far corner of an empty sheet; a Parquet
file may let a million rows point at one huge text; a mapping may bring an expression that never ends. Each is refused
here, because the readers behind take what they are given.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import FormatError
from anxin.formats.table_mapping import Mapping

#: Cells of an XLSX from its first corner to the farthest one that is named: the reader keeps room for each.
MAX_CELLS = 8_000_000
#: Members of an XLSX: a workbook has some dozens.
MAX_MEMBERS = 1_000
#: Bytes of one text in a Parquet file's dictionary: rows only point at it, and each row would get a copy.
MAX_DICTIONARY_TEXT_BYTES = 4_096
#: Characters of a template of an uploaded mapping: it is filled in for every row.
MAX_TEMPLATE_CHARS = 255
#: Encodings of tables that are met; some others of Python's take quadratic time.
ENCODINGS = frozenset({
    "utf-8", "utf8", "utf-8-sig", "gbk", "gb18030", "gb2312", "big5", "latin-1", "iso-8859-1", "cp1252", "utf-16",
})  # fmt: skip
_CELL = re.compile(rb"\br\s*=\s*[\"'](?:([A-Za-z]{1,3}))?([0-9]{1,9})[\"']")
_BLOCK = 1 << 20
_OVERLAP = 64


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bytes as sent, bytes once unpacked, and rows of one upload."""

    max_bytes: int
    max_unpacked_bytes: int
    max_rows: int


def guarded(data: bytes, limits: UploadLimits) -> bytes:
    """Return an upload without its .gz, once it is known to stay within the limits.

    Raises FormatError `upload.size`, `upload.unpacked`, `upload.rows`, `table.gzip`, `table.xlsx`, `table.parquet`.
    """
    if len(data) > limits.max_bytes:
        raise FormatError("upload.size", f"a file of {len(data)} bytes; at most {limits.max_bytes}")
    plain = _gunzipped(data, limits) if data.startswith(b"\x1f\x8b") else data
    if plain.startswith(b"PK\x03\x04"):
        _guard_xlsx(plain, limits)
    elif plain.startswith(b"PAR1"):
        _guard_parquet(plain, limits)
    elif plain.count(b"\n") > limits.max_rows + 1:
        raise FormatError("upload.rows", f"more than {limits.max_rows} rows")
    return plain


def guard_mapping(mapping: Mapping) -> None:
    """Raise FormatError `upload.mapping` where a mapping that came from outside asks for what takes for ever."""
    for rule in (*mapping.fields.values(), *mapping.connector.values()):
        if rule.regex is not None:
            detail = "regex is not taken at the platform; strip_prefix, prefix, map and template are"
            raise FormatError("upload.mapping", detail, rule.name)
        if len(rule.template or "") > MAX_TEMPLATE_CHARS:
            raise FormatError("upload.mapping", f"a template of more than {MAX_TEMPLATE_CHARS} characters", rule.name)
    if mapping.encoding.lower().replace("_", "-") not in ENCODINGS:
        raise FormatError("upload.mapping", f"the encoding is none of {', '.join(sorted(ENCODINGS))}", "encoding")


def _gunzipped(data: bytes, limits: UploadLimits) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(data, limits.max_unpacked_bytes + 1)
    except zlib.error as error:
        raise FormatError("table.gzip", f"the .gz file is broken: {error}") from None
    if len(plain) > limits.max_unpacked_bytes:
        raise FormatError("upload.unpacked", f"unpacks to more than {limits.max_unpacked_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise FormatError("table.gzip", "the .gz file is cut off, or has several parts")
    return plain


def _guard_xlsx(data: bytes, limits: UploadLimits) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            if len(members) > MAX_MEMBERS or "xl/workbook.xml" not in names or "content.xml" in names:
                raise FormatError("table.xlsx", "the ZIP file is no XLSX workbook")
            stated = sum(member.file_size for member in members)
            if stated > limits.max_unpacked_bytes:
                raise FormatError("upload.unpacked", f"would unpack to {stated} bytes")
            left = limits.max_unpacked_bytes
            for member in members:
                left -= _guard_member(data, member, left, limits)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise FormatError("table.xlsx", f"not a whole XLSX file: {error}") from None


def _guard_member(data: bytes, member: zipfile.ZipInfo, left: int, limits: UploadLimits) -> int:
    """Return the bytes that one member really has, whatever it states; look at the cells that it names."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise FormatError("table.xlsx", "a member is encrypted or packed in an unusual way")
    # The local header has lengths of its own: name and extra field.
    name, extra = (data[member.header_offset + n : member.header_offset + n + 2] for n in (26, 28))
    start = member.header_offset + 30 + int.from_bytes(name, "little") + int.from_bytes(extra, "little")
    packed = data[start : start + member.compress_size]
    size, tail = 0, b""
    far_column = far_row = 0
    unpacker = zlib.decompressobj(-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
    while packed:
        if unpacker is None:
            block, packed = packed[:_BLOCK], packed[_BLOCK:]
        else:
            block = unpacker.decompress(packed, _BLOCK)
            packed = unpacker.unconsumed_tail
            if not block and (unpacker.eof or not packed):
                break
        size += len(block)
        if size > left:
            raise FormatError("upload.unpacked", f"unpacks to more than {limits.max_unpacked_bytes} bytes")
        if b"\0" in block and member.filename.endswith(".xml"):
            raise FormatError("table.xlsx", "a sheet that is not UTF-8")
        for column, row in _CELL.findall(tail + block):
            far_column, far_row = max(far_column, _column(column)), max(far_row, int(row))
        tail = block[-_OVERLAP:]
    if far_row > limits.max_rows + 1:
        raise FormatError("upload.rows", f"row {far_row}; at most {limits.max_rows}")
    if far_row * far_column > MAX_CELLS:
        raise FormatError("upload.rows", f"a sheet of {far_row} rows and {far_column} columns")
    return size


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _guard_parquet(data: bytes, limits: UploadLimits) -> None:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        stated = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
        if file.metadata.num_rows > limits.max_rows:
            raise FormatError("upload.rows", f"{file.metadata.num_rows} rows; at most {limits.max_rows}")
        if not 0 <= stated <= limits.max_unpacked_bytes:
            raise FormatError("upload.unpacked", f"would unpack to {stated} bytes")
        kinds = pyarrow.types
        texts = [f.name for f in file.schema_arrow if not (kinds.is_primitive(f.type) or kinds.is_decimal(f.type))]
        nested = [f.name for f in file.schema_arrow if pyarrow.types.is_nested(f.type)]
        if nested:
            raise FormatError("table.parquet", "a column that holds lists or records", nested[0][:60])
        pointing = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=texts)
        for batch in pointing.iter_batches(batch_size=4_096, columns=texts):
            for column in batch.columns:
                held = column.dictionary if isinstance(column, pyarrow.DictionaryArray) else column
                if len(held) and _longest(held) > MAX_DICTIONARY_TEXT_BYTES:
                    raise FormatError("table.parquet", f"a text of more than {MAX_DICTIONARY_TEXT_BYTES} bytes")
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError, MemoryError) as error:
        raise FormatError("table.parquet", f"the Parquet file cannot be read: {error}"[:300]) from None


def _longest(texts: Any) -> int:
    import pyarrow.compute

    if pyarrow.types.is_null(texts.type):
        return 0
    longest = pyarrow.compute.max(pyarrow.compute.binary_length(texts)).as_py()
    return int(longest or 0)
