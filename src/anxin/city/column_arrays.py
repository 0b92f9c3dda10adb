"""Arrow arrays made from whole numpy arrays, without a loop over rows, and Parquet files shaped by domain classes."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from anxin.city.arrays import Bools, Ints

# Types of columns are chosen at run time, which pyarrow's annotations cannot follow: its values are Any here.
pa: Any = pyarrow
pq: Any = pyarrow.parquet

Columns = dict[str, Any]


class ColumnFile:
    """One Parquet file with the fields of a domain class as its columns; what is not given is null."""

    def __init__(self, path: Path, shape: type) -> None:
        kinds = {int: pa.int64(), str: pa.string(), bool: pa.bool_()}
        hints = typing.get_type_hints(shape)
        self.names = [f.name for f in dataclasses.fields(shape)]
        self.types = [kinds[_bare(hints[name])] for name in self.names]
        self.defaults = {f.name: f.default for f in dataclasses.fields(shape) if f.default is not dataclasses.MISSING}
        self.schema = pa.schema(list(zip(self.names, self.types, strict=True)))
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd", compression_level=1)
        self.file, self.rows = path.name, 0

    def write(self, columns: Columns) -> None:
        """Append rows; `source_file` and `source_row` are this file's own."""
        count = len(next(iter(columns.values())))
        if "source_row" in self.names:
            columns["source_row"] = np.arange(self.rows + 1, self.rows + count + 1, dtype=np.int64)
            columns["source_file"] = constant(self.file, count)
        self.rows += count
        arrays = []
        for name, kind in zip(self.names, self.types, strict=True):
            value = columns.get(name)
            if value is None:
                default = self.defaults.get(name)
                value = pa.nulls(count, kind) if default is None else pa.repeat(pa.scalar(default, kind), count)
            array = pa.array(value) if isinstance(value, np.ndarray) else value
            arrays.append(array if array.type == kind else array.cast(kind))
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))

    def close(self) -> None:
        """Write the footer."""
        self.writer.close()


def _bare(hint: Any) -> type:
    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    found: type = arguments[0] if arguments else hint
    return found


def sent_rows(keep: Bools, again: Ints) -> Ints:
    """Return the rows that are sent, those that are sent again at the end."""
    result: Ints = np.concatenate([np.flatnonzero(keep), np.flatnonzero(keep & (again >= 0))])
    return result


def constant(text: str, count: int) -> Any:
    """Return `count` times the same text."""
    return pa.repeat(pa.scalar(text), count)


def lookup(texts: tuple[str, ...] | list[str], index: Ints) -> Any:
    """Return the texts at `index`, dictionary encoded."""
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(list(texts), pa.string()))


def null_where(values: Ints, absent: Bools) -> Any:
    """Return the values with nulls where `absent`."""
    return pa.array(values, mask=absent)


def fixed_text(matrix: npt.NDArray[np.uint8]) -> Any:
    """Return an array of strings of equal length from their bytes, without a loop over rows."""

    count, width = matrix.shape
    offsets = np.arange(count + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix))]
    return pa.LargeStringArray.from_buffers(count, buffers[1], buffers[2])


def write_digits(matrix: npt.NDArray[np.uint8], last: int, values: Ints, width: int) -> None:
    """Write numbers as decimal digits that end in column `last`."""
    rest = values
    for place in range(width):
        rest, digit = np.divmod(rest, 10)
        matrix[:, last - place] = (digit + ord("0")).astype(np.uint8)


def expand(first: Ints, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """Return for each piece of the given rows: place in `rows`, the piece, and its number in its row from 1."""
    count = (first[1:] - first[:-1])[rows]
    place = np.repeat(np.arange(len(rows), dtype=np.int64), count)
    step = np.arange(len(place), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    return place, first[rows][place] + step, step + 1
