"""The mapping file of a table (TOML): which column is which field, in what unit, zone and date form.

docs/formats/tables.md describes every key. An unknown key is refused: a mapping that is half understood is a wrong
mapping.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path

from anxin.domain.errors import FormatError, InputError, PolicyError
from anxin.formats.local_time import zone_of
from anxin.formats.mapping_entry import MappingEntry

#: A mapping is written by hand; a larger file is something else.
MAX_MAPPING_BYTES = 1024 * 1024

DATE_ORDERS = ("iso", "day_month_exchanged_when_ambiguous")
ENERGY_UNITS = ("Wh", "kWh", "MWh", "mWh")
RATIO_UNITS = ("ratio", "percent", "ppm")
MONEY_UNITS = ("unit", "cent", "e4")

ORDER_FIELDS = {
    "order_id": "text",
    "operator_id": "text",
    "connector_id": "text",
    "transaction_id": "text",
    "meter_id": "text",
    "currency": "text",
    "tariff_id": "text",
    "start": "time",
    "end": "time",
    "received": "time",
    "energy": "energy",
    "meter_begin": "energy",
    "meter_end": "energy",
    "requested_energy": "energy",
    "amount": "money",
    "energy_amount": "money",
    "service_amount": "money",
    "loss_ratio": "ratio",
}
RECORD_FIELDS = {
    "record_id": "text",
    "transaction_id": "text",
    "meter_id": "text",
    "gateway_id": "text",
    "connector_id": "text",
    "user_ref": "text",
    "firmware": "text",
    "begin": "time",
    "end": "time",
    "received": "time",
    "begin_register": "energy",
    "end_register": "energy",
    "energy": "energy",
}
FIELDS = {"orders": ORDER_FIELDS, "records": RECORD_FIELDS}
CONNECTOR_FIELDS = {
    "charger_id": "text",
    "station_id": "text",
    "operator_id": "text",
    "rated_power_w": "integer",
    "current_type": "text",
}
#: Mapping field kind -> suffix of the domain's field name.
SUFFIX = {"time": "_utc_ms", "energy": "_milli_wh", "money": "_e4", "ratio": "_ppm"}
_UNITS = {"energy": ENERGY_UNITS, "money": MONEY_UNITS, "ratio": RATIO_UNITS}
_TIME_FORMS = ("iso", "utc_s", "utc_ms")


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How one field comes from a row. Exactly one of `columns`, `template`, `constant` says where from.

    kind     `text`, `time`, `energy`, `money`, `ratio`, `integer` or `boolean`
    columns  joined by one blank (a date and a time of day); a null in any of them makes the field null
    template text with {column name}, {file} (the file's name without directory and endings) and {row}
    regex    its first group (or whole match) is kept; no match refuses the row
    values   from the text as read to the text meant; a text that is not listed refuses the row, unless `fallback`
    needed   the columns that the rule reads
    unit     of the number; form: `iso`, `utc_s`, `utc_ms` or a strptime format
    """

    name: str
    kind: str
    columns: tuple[str, ...] = ()
    template: str | None = None
    constant: str | None = None
    strip_prefix: str | None = None
    prefix: str | None = None
    regex: re.Pattern[str] | None = None
    values: AnyMapping[str, str] | None = None
    fallback: str | None = None
    unit: str | None = None
    form: str = "iso"

    needed: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        named = re.findall(r"\{([^{}]+)\}", self.template or "")
        columns = dict.fromkeys(name for name in named if name not in ("file", "row"))
        object.__setattr__(self, "needed", (*self.columns, *columns))


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Only rows whose `column` holds one of `allowed` are taken; the others are passed over without a reject."""

    column: str
    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping file, checked. `fields` are by name; `connector` is empty where the table makes no register."""

    name: str
    kind: str
    fields: AnyMapping[str, FieldRule]
    connector: AnyMapping[str, FieldRule] = field(default_factory=dict)
    filters: tuple[RowFilter, ...] = ()
    nulls: frozenset[str] = frozenset({""})
    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str | None = None
    sheet: str | None = None
    header_row: int = 1
    zone: str | None = None
    date_order: str = "iso"

    @property
    def needed(self) -> set[str]:
        """Every column that must stand in the table's head."""
        rules = [*self.fields.values(), *self.connector.values()]
        return {column for rule in rules for column in rule.needed} | {f.column for f in self.filters}


def load_mapping(path: Path) -> Mapping:
    """Return the mapping in the file at `path`. Raises InputError if unreadable, PolicyError naming file and entry."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"mapping file {path}: {error.strerror or error}") from None
    return parse_mapping(data, path.name)


def parse_mapping(data: bytes, name: str) -> Mapping:
    """Return a mapping from TOML bytes. Raises PolicyError naming file and entry."""
    if len(data) > MAX_MAPPING_BYTES:
        raise PolicyError(f"{name}: a mapping file has at most {MAX_MAPPING_BYTES} bytes")
    try:
        document = tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PolicyError(f"{name}: {error}") from None
    top = MappingEntry(name, "", document)
    kind = top.choice("kind", tuple(FIELDS))
    if kind is None:
        raise PolicyError(f'{name}: kind is missing, it must be "orders" or "records"')
    top.take("title", str)
    file, time = top.table("file"), top.table("time")
    fields = _rules(top.table("fields"), FIELDS[kind])
    key = "order_id" if kind == "orders" else "record_id"
    if key not in fields:
        raise PolicyError(f"{name}: fields.{key} is missing")
    connector = top.table("connector")
    connector_rules = _rules(connector, CONNECTOR_FIELDS)
    if connector_rules and (set(connector_rules) != set(CONNECTOR_FIELDS) or "connector_id" not in fields):
        raise PolicyError(f"{name}: connector needs {', '.join(CONNECTOR_FIELDS)}, and fields needs connector_id")
    mapping = Mapping(
        name=name,
        kind=kind,
        fields=fields,
        connector=connector_rules,
        filters=tuple(_filter(entry) for entry in top.tables("filter")),
        nulls=frozenset({"", *file.texts("null")}),
        delimiter=file.character("delimiter"),
        encoding=file.take("encoding", str) or "utf-8",
        decimal=file.choice("decimal", (".", ",")) or ".",
        thousands=file.character("thousands"),
        sheet=file.take("sheet", str),
        header_row=file.positive("header_row") or 1,
        zone=_zone(time),
        date_order=time.choice("date_order", DATE_ORDERS) or "iso",
    )
    for entry in (file, time, top):
        entry.done()
    _check_encoding(mapping)
    return mapping


def canonical_mapping(columns: list[str]) -> Mapping | None:
    """Return the mapping of a table whose columns bear the domain's own field names, None for any other table."""
    kind = "orders" if "order_id" in columns else "records" if "record_id" in columns else None
    if kind is None:
        return None
    units = {"energy": "mWh", "money": "e4", "ratio": "ppm"}
    fields = {}
    for name, value_kind in FIELDS[kind].items():
        column = name + SUFFIX.get(value_kind, "")
        if column in columns:
            fields[name] = FieldRule(name, value_kind, (column,), unit=units.get(value_kind), form="utc_ms")
    return Mapping("canonical columns", kind, fields)


def _rules(entry: MappingEntry, kinds: AnyMapping[str, str]) -> dict[str, FieldRule]:
    return {name: _rule(entry.table(name), name, kinds) for name in entry.names(kinds)}


def _rule(entry: MappingEntry, name: str, kinds: AnyMapping[str, str]) -> FieldRule:
    kind = kinds[name]
    column, columns = entry.take("column", str), entry.texts("columns")
    template, constant = entry.take("template", str), entry.scalar("constant")
    if sum(bool(source) for source in (column, columns, template, constant)) != 1:
        entry.fail("needs exactly one of column, columns, template, constant")
    unit = entry.choice("unit", _UNITS.get(kind, ()))
    form = entry.take("format", str)
    if form is not None and (kind != "time" or ("%" not in form and form not in _TIME_FORMS)):
        entry.fail(f"format is for times: one of {', '.join(_TIME_FORMS)} or a strptime format")
    if kind in _UNITS and unit is None:
        entry.fail(f"needs a unit, one of {', '.join(_UNITS[kind])}")
    rule = FieldRule(
        name=name,
        kind=kind,
        columns=(column,) if column else columns,
        template=template,
        constant=constant,
        strip_prefix=entry.take("strip_prefix", str),
        prefix=entry.take("prefix", str),
        regex=entry.pattern("regex"),
        values=entry.text_table("map"),
        fallback=entry.scalar("otherwise"),
        unit=unit,
        form=form or "iso",
    )
    entry.done()
    return rule


def _filter(entry: MappingEntry) -> RowFilter:
    column, equals, one_of = entry.take("column", str), entry.scalar("equals"), entry.texts("in")
    if column is None or (equals is None) == (not one_of):
        entry.fail("needs column and one of equals, in")
    entry.done()
    return RowFilter(str(column), frozenset(one_of or (str(equals),)))


def _zone(entry: MappingEntry) -> str | None:
    zone = entry.take("zone", str)
    if zone is not None:
        try:
            zone_of(zone)
        except FormatError as error:
            entry.fail(f"zone: {error}")
    return zone


def _check_encoding(mapping: Mapping) -> None:
    try:
        "".encode(mapping.encoding)
    except (LookupError, ValueError):
        raise PolicyError(f"{mapping.name}: file.encoding: unknown encoding {mapping.encoding!r}") from None
