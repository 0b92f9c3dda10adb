"""How a rule's expression becomes raw findings: one fixed set of columns, whatever the rule looked at."""

from __future__ import annotations

from typing import Any

import ibis

#: Columns of every table of raw findings. Numbers name rows of the ground; ids are looked up once, at the end.
RAW_COLUMNS: dict[str, str] = {
    "rule": "string",
    "cause": "string",
    "quantity": "string",
    "expected": "int64",
    "found": "int64",
    "tolerance": "int64",
    "expected_text": "string",
    "found_text": "string",
    "detail": "string",
    "session_no": "int64",
    "order_no": "int64",
    "other_order_no": "int64",
    "record_no": "int64",
    "other_record_no": "int64",
    "connector_id": "string",
    "meter_id": "string",
    "operator_id": "string",
    "at_utc_ms": "int64",
}


def raised(table: Any, rule: str, cause: str, *, quantity: str = "text", **columns: Any) -> Any:
    """Return every row of `table` as a raw finding of `rule` and `cause`.

    `columns` maps names of RAW_COLUMNS to an expression over `table`, a column's name, or None. What is not named is
    null, but for connector_id, meter_id and operator_id, which are taken from `table` where it has them.
    """
    unknown = set(columns) - set(RAW_COLUMNS)
    if unknown:
        raise TypeError(f"no column of a finding: {sorted(unknown)}")
    for name in ("connector_id", "meter_id", "operator_id"):
        if name not in columns and name in table.columns:
            columns[name] = table[name]
    columns |= {"rule": ibis.literal(rule), "cause": ibis.literal(cause), "quantity": ibis.literal(quantity)}
    picked = {}
    for name, kind in RAW_COLUMNS.items():
        value = columns.get(name)
        if value is None:
            picked[name] = ibis.null(kind)
        else:
            picked[name] = (table[value] if isinstance(value, str) else value).cast(kind)
    return table.select(**picked)
