"""Canonical Parquet files: the facts' own columns, read by the engine as they are, and therefore checked before.

A column of another type than its field's refuses the file. A row without its id, or with a figure beyond any meter,
bill or calendar, refuses the row: such figures would overflow the sums of the rule book.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anxin.domain.errors import InputError
from anxin.domain.quantities import MAX_AMOUNT_E4, MAX_ENERGY_MILLI_WH
from anxin.domain.source import Reject, Source
from anxin.reconcile.facts import NUMBERS, table_schema

#: Columns of facts that a canonical file may leave out, and what they then are.
DEFAULTS: dict[str, Any] = {
    "time_quantum_ms": 1000,
    "energy_quantum_milli_wh": 1000,
    "clock": "-",
    "answer": "cannot_judge",
    "reason": "unsigned",
    "closed": True,
    "content_digest": "",
    "source_file": "",
    "source_row": 0,
}
#: 2200-01-01T00:00Z: domain/quantities accepts years up to 2199.
END_OF_TIME_UTC_MS = 7_258_118_400_000
#: A display whose last digit is a megawatt-hour, and times shown by the day, are no displays of a charger.
MAX_ENERGY_QUANTUM_MILLI_WH = 10**9
MAX_TIME_QUANTUM_MS = 86_400_000
#: A loss ratio beyond tenfold is no ratio (as in formats/tcec102_order).
MAX_RATIO_PPM = 10_000_000
#: What is merely counted or numbered: far more than any file holds, far less than 64 bits.
MAX_COUNT = 10**15
#: Rows checked at a time.
ROWS_AT_A_TIME = 1_000_000


#: The end of a column's name -> the least and the greatest value that it may hold, by its unit; first match.
_LIMITS = (
    ("energy_quantum_milli_wh", (1, MAX_ENERGY_QUANTUM_MILLI_WH)),
    ("time_quantum_ms", (1, MAX_TIME_QUANTUM_MS)),
    ("_utc_ms", (0, END_OF_TIME_UTC_MS)),
    ("_milli_wh", (-MAX_ENERGY_MILLI_WH, MAX_ENERGY_MILLI_WH)),
    ("_e4", (-MAX_AMOUNT_E4, MAX_AMOUNT_E4)),
    ("_ppm", (0, MAX_RATIO_PPM)),
    ("", (-MAX_COUNT, MAX_COUNT)),
)


def limits_of(column: str) -> tuple[int, int]:
    """Return the least and the greatest value that an integer column may hold."""
    return next(limits for end, limits in _LIMITS if column.endswith(end))


def check_canonical(path: Path, name: str) -> tuple[pa.Table | None, list[Reject]]:
    """Return (None, []) for a file whose every row may be judged as it is; else its good rows and the rejects.

    The statistics that a Parquet file carries settle a clean file without reading it. A file whose statistics lie
    fails later, as an EngineError. Raises InputError where a column has the wrong type, or the file no row at all.
    """
    schema = table_schema(name)
    try:
        file = pq.ParquetFile(path)
        _refuse_types(path, file.schema_arrow, schema)
        if file.metadata.num_rows == 0:
            raise InputError(f"{path}: the file is empty")
        given = [c for c in schema.names if c in file.schema_arrow.names and c not in NUMBERS.values()]
        doubtful = [c for c in given if not _settled(file.metadata, c, _needed(c, name), schema.field(c).type)]
        rejects = _rejects(file, path, name, schema, doubtful) if doubtful else []
        if not rejects:
            return None, []
        rows = pa.array(range(1, file.metadata.num_rows + 1), pa.int64())
        good = pc.invert(pc.is_in(rows, value_set=pa.array([r.source.row for r in rejects], pa.int64())))
        return _completed(file.read(given).filter(good), schema), rejects
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error})") from None


def _needed(column: str, name: str) -> bool:
    """Whether a row without this column is no row: the id that all findings rest on."""
    wanted = {"orders": "order_id", "order_periods": "order_id", "operator_totals": "operator_id"}
    return column == wanted.get(name, "record_id")


def _refuse_types(path: Path, given: pa.Schema, schema: pa.Schema) -> None:
    for field in given:
        if field.name not in schema.names or pa.types.is_null(field.type):
            continue
        kind, wanted = field.type, schema.field(field.name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        alike = (
            (pa.types.is_integer(wanted) and pa.types.is_integer(kind))
            or (pa.types.is_string(wanted) and (pa.types.is_string(kind) or pa.types.is_large_string(kind)))
            or (pa.types.is_boolean(wanted) and pa.types.is_boolean(kind))
        )
        if not alike:
            raise InputError(f"{path}: column {field.name} holds {field.type}; {wanted} is wanted")


def _settled(metadata: Any, column: str, needed: bool, kind: pa.DataType) -> bool:
    """Whether the file's own statistics show that every value of a column is in order."""
    if not needed and not pa.types.is_integer(kind):
        return True
    low, high = limits_of(column)
    for group in range(metadata.num_row_groups):
        chunks = (metadata.row_group(group).column(i) for i in range(metadata.num_columns))
        stated = next(c.statistics for c in chunks if c.path_in_schema == column)
        if stated is None or (needed and (not stated.has_null_count or stated.null_count)):
            return False
        empty = stated.has_null_count and stated.null_count == metadata.row_group(group).num_rows
        if pa.types.is_integer(kind) and not empty:
            if not stated.has_min_max or not isinstance(stated.min, int) or stated.min < low or stated.max > high:
                return False
        elif needed and (not stated.has_min_max or stated.min == ""):
            return False
    return True


def _rejects(file: Any, path: Path, name: str, schema: pa.Schema, doubtful: list[str]) -> list[Reject]:
    """One reject for each row that cannot be judged, for the first of its columns that says so."""
    found: dict[int, Reject] = {}
    first = 1
    for batch in file.iter_batches(ROWS_AT_A_TIME, columns=doubtful):
        for column in doubtful:
            wanted = schema.field(column).type
            values: Any = batch.column(column).cast(wanted)
            if pa.types.is_integer(wanted):
                low, high = limits_of(column)
                wrong: Any = pc.or_(pc.less(values, pa.scalar(low)), pc.greater(values, pa.scalar(high)))
                rule, message = "canonical.range", f"{column} is outside {low} to {high}"
            else:
                wrong = pc.equal(pc.fill_null(values, pa.scalar("")), pa.scalar(""))
                rule, message = "canonical.id_missing", f"no {column}"
            for place in pc.indices_nonzero(pc.fill_null(wrong, False)).to_pylist():
                row = first + place
                found.setdefault(row, Reject(Source(str(path), row), rule, message, column))
        first += batch.num_rows
    return [found[row] for row in sorted(found)]


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with every column of their facts, as the engine completes a file that it reads itself."""
    columns = []
    for field in schema:
        if field.name in table.column_names:
            values = table.column(field.name).cast(field.type)
            default = DEFAULTS.get(field.name)
            columns.append(values if default is None else pc.fill_null(values, pa.scalar(default, field.type)))
        else:
            default = DEFAULTS.get(field.name)
            columns.append(pa.array([default] * table.num_rows, field.type))
    return pa.table(columns, schema=schema)
