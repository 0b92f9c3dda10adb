"""Where the rule book's expressions run. Today DuckDB in process; a second engine will stand beside it.

An engine loads Arrow tables and Parquet files, stages an expression as a table of its own (each stage is paid once
and read often), and writes Parquet in a stated order. Nothing else of an engine may be used by the rule book.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from anxin.domain.errors import EngineError


class Engine(Protocol):
    """What the rule book may ask of an engine."""

    def load_arrow(self, name: str, table: pa.Table) -> Any:
        """Return an Arrow table as an Ibis table."""

    def load_parquet(self, name: str, paths: Sequence[Path], number: str | None) -> Any:
        """Return Parquet files, in the order given, as an Ibis table; `number` names a column that counts rows."""

    def stage(self, name: str, expression: Any) -> Any:
        """Return `expression` computed once and kept under `name`."""

    def rows(self, expression: Any) -> pa.Table:
        """Return an expression's rows in memory. Only for what is small."""

    def shortcut(self, table: Any) -> bool:
        """Return whether what follows may be simplified because the one row of `table` says true. An engine may
        always answer no: what is left out then makes no difference but in time."""

    #: Rounds of a repeated step between two looks at whether it has settled.
    rounds_at_once: int

    def write_parquet(self, expression: Any, path: Path, order_by: Sequence[str]) -> int:
        """Write an expression to one Parquet file in the stated order; return the number of rows."""

    def close(self) -> None:
        """Give back memory and scratch files."""


_NAME = re.compile(r"[a-z][a-z0-9_]*")


class DuckDBEngine:
    """DuckDB in process, stages in memory; what exceeds `memory_limit` spills to `scratch`.

    Stages in a database file instead would cost three times as much (compression and a write-ahead log that nobody
    needs: a stage lives as long as its audit).
    """

    rounds_at_once = 1

    def __init__(
        self, scratch: Path, memory_limit: str = "8GB", threads: int | None = None, optimise: bool = True
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"memory_limit": memory_limit, "temp_directory": str(scratch / "spill")}
        if threads is not None:
            options["threads"] = threads
        with _declared("open"):
            self._con = ibis.duckdb.connect(":memory:", **options)
            if not optimise:
                # On some hundred rows a better plan takes longer to find than the written one to run.
                self._con.raw_sql("PRAGMA disable_optimizer")
        self._loaded: dict[str, tuple[pa.Schema, Any]] = {}
        self._prepared = 0

    def load_arrow(self, name: str, table: pa.Table) -> Any:
        # Straight to DuckDB: a table of the same columns needs no new look at its schema, which costs more than rows.
        # It is the same table as before, too: what was prepared on it need not be bound again.
        connection = self._con.con
        schema, handle = self._loaded.get(name, (None, None))
        again = schema is not None and schema.equals(table.schema)
        with _declared(name):
            connection.register("incoming", table)
            if again:
                connection.execute(f'DELETE FROM "{name}"')
                connection.execute(f'INSERT INTO "{name}" SELECT * FROM incoming')
            else:
                connection.execute(f'CREATE OR REPLACE TABLE "{_checked(name)}" AS SELECT * FROM incoming')
            connection.unregister("incoming")
            if not again:
                handle = self._con.table(name)
                self._loaded[name] = (table.schema, handle)
        return handle

    def forget_loaded(self) -> None:
        """Let every table be made anew when it is loaded next: rows that were deleted keep their room until then."""
        self._loaded.clear()

    def load_parquet(self, name: str, paths: Sequence[Path], number: str | None) -> Any:
        # Each file is numbered on from the rows of those before it: file_row_number keeps the file's own order
        # also when it is read by several threads.
        parts = []
        before = 0
        for path in paths:
            with _declared(name):
                part = self._con.read_parquet(str(path), file_row_number=number is not None)
            if number is not None:
                part = part.mutate(**{number: part.file_row_number + before}).drop("file_row_number")
            before += pq.read_metadata(path).num_rows
            parts.append(part)
        return parts[0] if len(parts) == 1 else ibis.union(*parts)

    def stage(self, name: str, expression: Any) -> Any:
        self.run(self.stage_sql(name, expression))
        return self._con.table(name)

    def stage_sql(self, name: str, expression: Any) -> str:
        """Return the statement that stages an expression: it may be run again when the tables hold other rows."""
        # One statement, where Ibis' own create_table makes a temporary table, fills it and renames it. DuckDB sums
        # integers to 128 bits; the cast back fails loudly where a sum does not fit, as it should.
        columns = ", ".join(
            f'CAST("{column}" AS BIGINT) AS "{column}"' if kind.is_int64() else f'"{column}"'
            for column, kind in expression.schema().items()
        )
        query = f"SELECT {columns} FROM ({self._con.compile(expression)})"
        return f'CREATE OR REPLACE TABLE "{_checked(name)}" AS {query}'

    def query_sql(self, expression: Any) -> str:
        """Return the query of an expression."""
        return str(self._con.compile(expression))

    def run(self, statement: str) -> None:
        """Run a statement that `stage_sql` made."""
        with _declared(statement[:60]):
            self._con.raw_sql(statement)

    def prepare(self, statement: str) -> tuple[str, str]:
        """Return what `run_again` takes: a statement of `stage_sql`, whose table is there, to be run without being read
        and bound again. That is six sevenths of its time on some rows."""
        head, query = statement.split(" AS ", 1)
        name = head.removeprefix("CREATE OR REPLACE TABLE ")
        self._prepared += 1
        with _declared(statement[:60]):
            self._con.con.execute(f"PREPARE stage_{self._prepared} AS INSERT INTO {name} {query}")
        return f"DELETE FROM {name}", f"EXECUTE stage_{self._prepared}"

    def run_again(self, prepared: tuple[str, str]) -> None:
        """Stage a prepared expression from the rows that its tables hold now."""
        with _declared(prepared[0]):
            for statement in prepared:
                self._con.con.execute(statement)

    def unprepare(self, prepared: tuple[str, str]) -> None:
        """Give back a prepared statement."""
        with _declared(prepared[0]):
            self._con.con.execute(f"DEALLOCATE {prepared[1].removeprefix('EXECUTE ')}")

    def ask(self, query: str) -> pa.Table:
        """Return the rows of a query that `query_sql` made."""
        with _declared(query[:60]):
            table: pa.Table = self._con.con.sql(query).to_arrow_table()
        return table

    def rows(self, expression: Any) -> pa.Table:
        with _declared("rows"):
            table: pa.Table = self._con.to_pyarrow(expression)
        return table

    def shortcut(self, table: Any) -> bool:
        return bool(self.rows(table)[0][0].as_py())

    def write_parquet(self, expression: Any, path: Path, order_by: Sequence[str]) -> int:
        with _declared(path.name):
            # Level 1 of zstd and the second page format: a tenth of the time of the defaults' last tenth of size.
            ordered = expression.order_by(list(order_by))
            self._con.to_parquet(ordered, str(path), compression="zstd", compression_level=1, parquet_version="v2")
        return int(pq.read_metadata(path).num_rows)

    def close(self) -> None:
        self._con.disconnect()


@contextmanager
def _declared(step: str) -> Iterator[None]:
    """What DuckDB raises as EngineError: out of memory, a full disk, a figure that no limit caught."""
    try:
        yield
    except duckdb.Error as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise EngineError(f"the engine failed at {step}: {reason}") from error


def open_engine(name: str, scratch: Path, memory_limit: str = "8GB") -> Engine:
    """Return the engine called `name`. Raises EngineError for a name that is not known."""
    if name == "duckdb":
        return DuckDBEngine(scratch, memory_limit)
    raise EngineError(f"unknown engine {name!r}: known is duckdb")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise EngineError(f"not a stage's name: {name!r}")
    return name
