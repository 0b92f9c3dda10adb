"""The facts that judgement rests on: one table per kind of domain value, with one column per field.

The schema of each table *is* the dataclass of domain/ (one place for a field's name, meaning and unit); orders and
records carry a number besides (`order_no`, `record_no`): their place in the input, on which all ordering rests.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from anxin.domain.connector_status import StatusSpan
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.register import (
    Connector,
    Meter,
    MeterKey,
    Operator,
    Register,
    Seal,
    Station,
    Tariff,
    TariffPeriod,
    Verification,
)
from anxin.reconcile.rule import RawFinding

#: Table name -> the value that one row of it is.
VALUES: dict[str, type] = {
    "orders": Order,
    "order_periods": OrderPeriod,
    "operator_totals": OperatorTotal,
    "records": MeterSession,
    "record_periods": RecordPeriod,
    "record_findings": RawFinding,
    "statuses": StatusSpan,
    "operators": Operator,
    "stations": Station,
    "connectors": Connector,
    "meters": Meter,
    "keys": MeterKey,
    "verifications": Verification,
    "seals": Seal,
    "tariffs": Tariff,
    "tariff_periods": TariffPeriod,
}
#: The column that numbers the rows of the two streams.
NUMBERS = {"orders": "order_no", "records": "record_no"}

_ARROW: dict[Any, Any] = {int: pa.int64(), str: pa.string(), bool: pa.bool_()}


def schema_of(value_type: type) -> pa.Schema:
    """Return the Arrow schema of a domain dataclass: int -> int64, str -> string, bool -> bool, None allowed."""
    hints = typing.get_type_hints(value_type)
    columns = []
    for item in fields(value_type):
        hint: Any = hints[item.name]
        if isinstance(hint, types.UnionType):
            hint = next(a for a in typing.get_args(hint) if a is not type(None))
        columns.append(pa.field(item.name, _ARROW[hint]))
    return pa.schema(columns)


def table_schema(name: str) -> pa.Schema:
    """Return the Arrow schema of a facts table, with its number column where it has one."""
    schema = schema_of(VALUES[name])
    number = NUMBERS.get(name)
    return schema if number is None else schema.append(pa.field(number, pa.int64()))


def table_of(name: str, values: Iterable[Any], first_no: int = 0) -> pa.Table:
    """Return domain values as an Arrow table of kind `name`, numbered from `first_no` where the kind is numbered."""
    value_type = VALUES[name]
    schema = schema_of(value_type)
    rows = values if isinstance(values, Sequence) else list(values)
    columns = [pa.array([getattr(v, f.name) for v in rows], f.type) for f in schema]
    table = pa.table(columns, schema=schema)
    number = NUMBERS.get(name)
    if number is None:
        return table
    return table.append_column(number, pa.array(range(first_no, first_no + len(rows)), pa.int64()))


def register_tables(register: Register) -> dict[str, pa.Table]:
    """Return the register as facts tables; tables without a row are left out, so that rules that need them see it."""
    names = ("operators", "stations", "connectors", "meters", "keys", "verifications", "seals", "tariffs")
    found = {name: table_of(name, getattr(register, name)) for name in (*names, "tariff_periods")}
    return {name: table for name, table in found.items() if table.num_rows}


@dataclass(frozen=True, slots=True)
class Facts:
    """Ibis tables of all facts on one engine. Absent kinds are empty tables; `present` names those that are not.

    `as_of_utc_ms` is the reference moment of the audit: lateness is counted up to it. Judgement reads no clock. It is
    a number, or an expression that gives one where the same judgement is to be run at many moments (prepared.py).
    """

    tables: dict[str, Any]
    present: frozenset[str]
    as_of_utc_ms: Any

    def __getattr__(self, name: str) -> Any:
        try:
            return self.tables[name]
        except KeyError:
            raise AttributeError(name) from None
