"""Tables of orders or of unsigned meter records: bytes + mapping -> domain values.

1. Open the table and check that the mapping's columns stand in its head.
2. Read row by row; a row that cannot be read is one reject, the rest goes on. Absent values stay None.
3. Look at the file as a whole: does its date order contradict itself, how many digits do its energies show?
4. Build orders or sessions, and connectors where the mapping makes a register.

A table carries no signature: its sessions are `cannot_judge`, reason `unsigned`.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import PurePath

from anxin.domain.batch import Batch
from anxin.domain.errors import FormatError
from anxin.domain.meter_record import Answer, MeterSession
from anxin.domain.order import Order
from anxin.domain.register import Connector
from anxin.domain.source import Deviation, Notice, Reject, Source
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.digest import with_digest
from anxin.formats.local_time import Doubt, LocalClock, zone_of
from anxin.formats.table_dates import date_order_notice, exchanged_back, provably_exchanged, repair_notice
from anxin.formats.table_mapping import SUFFIX, FieldRule, Mapping, canonical_mapping
from anxin.formats.table_rows import Cell, open_table
from anxin.formats.table_values import (
    Moment,
    as_text,
    energy_of,
    integer_of,
    money_of,
    ratio_of,
    shaped,
    time_of,
)

#: What a .gz may unpack to; a table beyond it is read by the engine from Parquet.
MAX_TABLE_BYTES = 2 * 1024**3
#: A digit that fewer than this share of a column's values need is noise of a calculation, not the display's.
RARE_DIGIT_SHARE_PPM = 10_000
MINUTE_MS, SECOND_MS = 60_000, 1_000
CLAUSE = "docs/formats/tables.md"


def decode_table(data: bytes, source_file: str, mapping: Mapping | None = None) -> Batch:
    """Return orders or sessions of a CSV, XLSX or Parquet table (or a .gz of one), with rejects and notices.

    Without a mapping the columns must bear the domain's field names. Raises FormatError where the whole table cannot
    be used, naming the columns that are missing.
    """
    table = open_table(unpacked(data), mapping)
    if mapping is None:
        mapping = canonical_mapping(table.columns)
        if mapping is None:
            raise FormatError("table.mapping", "columns of no known names: a mapping file is needed")
    missing = sorted(mapping.needed - set(table.columns))
    if missing:
        raise FormatError("table.columns", f"the table lacks the column(s) {', '.join(missing)}"[:500], missing[0])
    reader = _Reader(source_file, mapping, table.columns)
    for number, cells in table.rows:
        reader.row(number, cells)
    return reader.batch()


def unpacked(data: bytes) -> bytes:
    """Return the bytes inside a .gz, other bytes as they are. Raises FormatError `table.gzip`."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(MAX_TABLE_BYTES + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise FormatError("table.gzip", f"the .gz file is broken: {error}") from None
    if len(plain) > MAX_TABLE_BYTES:
        raise FormatError("table.gzip", f"the .gz file unpacks to more than {MAX_TABLE_BYTES} bytes")
    return plain


@dataclass(slots=True)
class _Row:
    """One row as read: texts, integers (times in ms, energies in mWh, ...) and what the file as a whole needs."""

    number: int
    texts: dict[str, str] = field(default_factory=dict)
    integers: dict[str, int] = field(default_factory=dict)
    energy_quantum: int | None = None
    coarse_times: bool = True
    local_day: date | None = None


class _Reader:
    def __init__(self, source_file: str, mapping: Mapping, columns: list[str]) -> None:
        self.file = source_file
        self.stem = _stem(source_file)
        self.mapping = mapping
        self.width = len(columns)
        index = {name: number for number, name in enumerate(columns)}
        self.fields = [(rule, [index[name] for name in rule.needed]) for rule in mapping.fields.values()]
        self.connector = [(rule, [index[name] for name in rule.needed]) for rule in mapping.connector.values()]
        self.connector_cells = sorted({number for _, needed in self.connector for number in needed})
        self.connector_seen: set[tuple[object, ...]] = set()
        self.filters = [(index[rule.column], rule.allowed) for rule in mapping.filters]
        self.clock = LocalClock(zone_of(mapping.zone)) if mapping.zone else None
        self.rows: list[_Row] = []
        self.rejects: list[Reject] = []
        self.log = DeviationLog()
        self.connectors: dict[str, Connector] = {}
        self.contradictions: set[str] = set()
        self.dates: list[tuple[int, int, int]] = []
        self.begin_name = "start" if mapping.kind == "orders" else "begin"
        self.key_name = "order_id" if mapping.kind == "orders" else "record_id"

    def row(self, number: int, cells: list[Cell] | FormatError) -> None:
        """Read one row; what is wrong with it becomes one reject."""
        try:
            if isinstance(cells, FormatError):
                raise cells
            if len(cells) < self.width:
                cells = cells + [None] * (self.width - len(cells))
            elif len(cells) > self.width:
                raise FormatError("table.cells", f"{len(cells)} cells in a table of {self.width} columns")
            if any(as_text(cells[at]) not in allowed for at, allowed in self.filters):
                return
            row = _Row(number)
            for rule, needed in self.fields:
                self._field(row, rule, self._values(rule, needed, cells, number))
            if self.key_name not in row.texts:
                raise FormatError("table.missing", f"a row without {self.key_name}", self.key_name)
            if self.connector:
                self._connector(row, cells)
            self.rows.append(row)
        except FormatError as error:
            self.rejects.append(Reject(Source(self.file, number), error.rule, str(error), error.field))

    def _field(self, row: _Row, rule: FieldRule, values: list[Cell] | None) -> None:
        if values is None:
            return
        if rule.kind == "text":
            text = shaped(rule, _joined(values))
            if text is not None:
                row.texts[rule.name] = text
        elif rule.kind == "time":
            self._time(row, rule, values)
        elif rule.kind == "energy":
            quantity = energy_of(values[0], rule, self.mapping)
            row.integers[rule.name] = quantity.milli_wh
            if rule.name == "energy":
                row.energy_quantum = quantity.quantum_milli_wh
            if quantity.stated_unit:
                detail = f"the cell states {quantity.stated_unit}, the mapping {rule.unit}: the cell's unit was taken"
                self._note(row, "table.unit_in_cell", detail, rule.name)
        else:
            read = money_of if rule.kind == "money" else ratio_of
            row.integers[rule.name] = read(values[0], rule, self.mapping)

    def _values(self, rule: FieldRule, needed: list[int], cells: list[Cell], number: int) -> list[Cell] | None:
        """Return the cells a rule reads, None where one of them is a null."""
        if rule.constant is not None:
            return [rule.constant]
        values = [cells[at] for at in needed]
        for value in values:
            if as_text(value) in self.mapping.nulls:
                return None
        if rule.template is None:
            return values
        text = rule.template
        for column, value in zip(rule.needed, values, strict=True):
            text = text.replace("{" + column + "}", as_text(value))
        return [text.replace("{file}", self.stem).replace("{row}", str(number))]

    def _time(self, row: _Row, rule: FieldRule, values: list[Cell]) -> None:
        moment = time_of(values, rule, self.mapping, self.clock)
        at = moment.utc_ms
        if moment.doubt is not None:
            at = self._doubtful(row, rule, moment, moment.doubt)
        row.integers[rule.name] = at
        if rule.name in (self.begin_name, "end"):
            row.coarse_times = row.coarse_times and moment.whole_minute
        if rule.name == self.begin_name:
            row.local_day = moment.local_day
            self.dates.append((moment.wall.year, moment.wall.month, moment.wall.day))

    def _doubtful(self, row: _Row, rule: FieldRule, moment: Moment, doubt: Doubt) -> int:
        """Take an hour that occurs twice as its first pass, unless an end would then lie before its begin."""
        at, wall = moment.utc_ms, moment.wall.isoformat(" ")
        begin = row.integers.get(self.begin_name)
        taken = "the first pass was taken"
        late_end = rule.name == "end" and begin is not None and at < begin
        if doubt is Doubt.FOLD and late_end and self.clock is not None:
            at, _ = self.clock.to_utc_ms(moment.wall, second_pass=True)
            taken = "the second pass was taken, the first lies before the begin"
        if doubt is Doubt.GAP:
            taken = "read with the offset before the change"
        self._note(row, f"time.local_{doubt.value}", f"{wall} in {self.mapping.zone}: {taken}", rule.name)
        return at

    def _connector(self, row: _Row, cells: list[Cell]) -> None:
        connector_id = row.texts.get("connector_id")
        seen = (connector_id, *(as_text(cells[at]) for at in self.connector_cells))
        if connector_id is None or seen in self.connector_seen:
            return
        texts = {}
        for rule, needed in self.connector:
            values = self._values(rule, needed, cells, row.number)
            text = None if values is None else shaped(rule, _joined(values))
            if text is None:
                return
            texts[rule.name] = text
        self.connector_seen.add(seen)
        connector = Connector(
            connector_id,
            texts["charger_id"],
            texts["station_id"],
            texts["operator_id"],
            integer_of(texts["rated_power_w"], "rated_power_w"),
            texts["current_type"],
        )
        known = self.connectors.setdefault(connector_id, connector)
        if known.rated_power_w != connector.rated_power_w:
            self.contradictions.add(connector_id)
            # The higher bound: a finding of impossible power must hold for either reading of the table.
            if connector.rated_power_w > known.rated_power_w:
                self.connectors[connector_id] = connector

    def _note(self, row: _Row, kind: str, detail: str, name: str) -> None:
        self.log.add(Source(self.file, row.number), Deviation(kind, CLAUSE, detail, name))

    def batch(self) -> Batch:
        """Return everything, once all rows were read."""
        batch = Batch(rejects=self.rejects, deviations=self.log.result(), connectors=list(self.connectors.values()))
        self._notices(batch)
        display_quantum = _display_quantum([row.energy_quantum for row in self.rows if row.energy_quantum])
        for row in self.rows:
            quantum = max(display_quantum, 1) if row.energy_quantum is None else display_quantum
            if self.mapping.kind == "orders":
                batch.orders.append(self._order(row, quantum))
            else:
                batch.sessions.append(self._session(row, quantum))
        return batch

    def _notices(self, batch: Batch) -> None:
        exchanged = provably_exchanged(self.dates)
        if exchanged:
            repaired = self.mapping.date_order != "iso"
            batch.notices.append(date_order_notice(self.file, exchanged, len(self.dates), repaired=repaired))
        if self.mapping.date_order != "iso":
            as_written = provably_exchanged(exchanged_back(date) for date in self.dates)
            if as_written:
                batch.notices.append(repair_notice(self.file, as_written, len(self.dates)))
        if self.contradictions:
            some = ", ".join(sorted(self.contradictions)[:5])
            batch.notices.append(
                Notice(
                    self.file,
                    "table.rated_power",
                    len(self.contradictions),
                    f"{self.file}：{len(self.contradictions)} 个充电接口的额定功率前后不一（{some}），取较大者。",
                    f"{self.file}: the rated power of {len(self.contradictions)} connectors contradicts itself "
                    f"({some}); the higher one was taken.",
                )
            )

    def _order(self, row: _Row, quantum: int) -> Order:
        order = Order(
            source_file=self.file,
            source_row=row.number,
            content_digest="",
            time_quantum_ms=MINUTE_MS if row.coarse_times else SECOND_MS,
            energy_quantum_milli_wh=quantum,
            local_date=row.local_day.isoformat() if row.local_day else None,
            **row.texts,  # type: ignore[arg-type]  # names and types come from table_mapping.ORDER_FIELDS
            **self._integers(row),  # type: ignore[arg-type]
        )
        return with_digest(order)[0]

    def _session(self, row: _Row, quantum: int) -> MeterSession:
        integers = self._integers(row)
        begin, end = integers.get("begin_register_milli_wh"), integers.get("end_register_milli_wh")
        if "energy_milli_wh" not in integers and begin is not None and end is not None:
            integers["energy_milli_wh"] = end - begin
        return MeterSession(
            source_file=self.file,
            source_row=row.number,
            time_quantum_ms=MINUTE_MS if row.coarse_times else SECOND_MS,
            energy_quantum_milli_wh=quantum,
            answer=Answer.CANNOT_JUDGE.value,
            reason="unsigned",
            closed="end_utc_ms" in integers,
            local_date=row.local_day.isoformat() if row.local_day else None,
            **row.texts,  # type: ignore[arg-type]  # names and types come from table_mapping.RECORD_FIELDS
            **integers,  # type: ignore[arg-type]
        )

    def _integers(self, row: _Row) -> dict[str, int]:
        return {name + SUFFIX[self.mapping.fields[name].kind]: value for name, value in row.integers.items()}


def _joined(values: list[Cell]) -> str:
    return as_text(values[0]) if len(values) == 1 else " ".join(as_text(value) for value in values)


def _stem(source_file: str) -> str:
    name = PurePath(source_file.replace("\\", "/")).name
    for _ in range(2):
        for ending in (".gz", ".csv", ".txt", ".xlsx", ".parquet"):
            name = name.removesuffix(ending)
    return name


def _display_quantum(quanta: list[int]) -> int:
    """Return the step of the display that wrote a column: the finest step which at least 1 % of its values need.

    Spreadsheets drop trailing zeros, so a single value says less about its display than the column does.
    """
    counts = Counter(quanta)
    needed, enough = 0, len(quanta) * RARE_DIGIT_SHARE_PPM
    for quantum in sorted(counts):
        needed += counts[quantum]
        if needed * 1_000_000 >= enough:
            return quantum
    return 1_000
