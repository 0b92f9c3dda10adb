"""Facts, register and policy on the engine: decoded tables and canonical Parquet files become one set of tables."""

from __future__ import annotations

from typing import Any

import ibis
import pyarrow as pa

from anxin.domain.register import Register
from anxin.flow.canonical import DEFAULTS
from anxin.flow.importing import Imported
from anxin.reconcile.engine import Engine
from anxin.reconcile.facts import NUMBERS, VALUES, Facts, register_tables, table_schema


def load_facts(imported: Imported, register: Register, as_of_utc_ms: int | None, engine: Engine) -> Facts:
    """Return all facts on the engine, with every column of their schemas, numbered in the order of the input."""
    tables: dict[str, Any] = {}
    present = set()
    arrow = register_tables(register)
    for name, parts in imported.tables.items():
        numbered = _numbered(name, pa.concat_tables([p.select(table_schema(name).names) for p in parts]))
        arrow[name] = pa.concat_tables([arrow[name], numbered]) if name in arrow else numbered
    if "connectors" in arrow:
        arrow["connectors"] = _one_each(arrow["connectors"])
    for name in VALUES:
        paths = imported.parquet.get(name)
        if name in arrow:
            tables[name] = engine.load_arrow(name, arrow[name])
        elif paths:
            tables[name] = _complete(name, engine.load_parquet(name, paths, NUMBERS.get(name)))
        else:
            tables[name] = engine.load_arrow(name, table_schema(name).empty_table())
        if name in arrow and paths:
            # Canonical files come after what was decoded, numbered on from it.
            more = _complete(name, engine.load_parquet(f"{name}_files", paths, NUMBERS.get(name)))
            number = NUMBERS.get(name)
            if number is not None:
                more = more.mutate(**{number: more[number] + arrow[name].num_rows})
            tables[name] = tables[name].union(more)
        if name in arrow or paths:
            present.add(name)
    as_of = _latest(tables, engine) if as_of_utc_ms is None else as_of_utc_ms
    return Facts(tables, frozenset(present), as_of)


def _one_each(connectors: pa.Table) -> pa.Table:
    """Each connector once: the register's entry, else the first that a table's rows make."""
    rows: dict[str, Any] = {}
    for row in connectors.to_pylist():
        rows.setdefault(row["connector_id"], row)
    return pa.Table.from_pylist(list(rows.values()), schema=connectors.schema)


def _numbered(name: str, table: pa.Table) -> pa.Table:
    number = NUMBERS.get(name)
    if number is None:
        return table
    position = table.schema.get_field_index(number)
    return table.set_column(position, pa.field(number, pa.int64()), pa.array(range(table.num_rows), pa.int64()))


def _complete(name: str, table: Any) -> Any:
    """A canonical file with the columns that it left out."""
    kinds = {pa.int64(): "int64", pa.string(): "string", pa.bool_(): "boolean"}
    columns = {}
    for column in table_schema(name):
        kind = kinds[column.type]
        if column.name in table.columns:
            value = table[column.name].cast(kind)
            default = DEFAULTS.get(column.name)
            columns[column.name] = value if default is None else ibis.coalesce(value, ibis.literal(default, kind))
        elif column.name in DEFAULTS:
            columns[column.name] = ibis.literal(DEFAULTS[column.name], kind)
        else:
            columns[column.name] = ibis.null(kind)
    return table.select(**columns)


def _latest(tables: dict[str, Any], engine: Engine) -> int:
    """The latest upload that the facts name; where none is named, the earlier of the two streams' last ends.

    The earlier one, so that a single clock in the future on one side does not make the other side overdue.
    """
    received, ended = [], []
    for name in ("orders", "records"):
        table = tables[name]
        row = engine.rows(table.agg(received=table.received_utc_ms.max(), ended=table.end_utc_ms.max()))
        received.append(row["received"][0].as_py())
        ended.append(row["ended"][0].as_py())
    uploads = [r for r in received if r is not None]
    if uploads:
        return int(max(uploads))
    ends = [e for e in ended if e is not None]
    return int(min(ends)) if ends else 0
