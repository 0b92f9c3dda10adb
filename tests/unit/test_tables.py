"""Tables: units, decimal commas, zones, date orders, and every way in which a table can be broken."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.batch import Batch
from anxin.domain.errors import FormatError, InputError, PolicyError
from anxin.formats.digest import order_digest
from anxin.formats.local_time import Doubt, LocalClock
from anxin.formats.table_dates import provably_exchanged
from anxin.formats.table_mapping import load_mapping, parse_mapping
from anxin.formats.tables import decode_table

PLAIN = """
kind = "orders"
[file]
delimiter = ";"
decimal = ","
null = ["NA"]
[time]
zone = "Europe/Oslo"
[fields]
order_id = { column = "id" }
connector_id = { column = "place", strip_prefix = "P_" }
start = { column = "from", format = "%d.%m.%Y %H:%M" }
end = { column = "to", format = "%d.%m.%Y %H:%M" }
energy = { column = "kWh", unit = "kWh" }
"""
HEAD = "id;place;from;to;kWh\n"


def read(rows: str, mapping: str = PLAIN, head: str = HEAD) -> Batch:
    return decode_table((head + rows).encode(), "dir/bills.csv", parse_mapping(mapping.encode(), "mapping.toml"))


def test_a_row_becomes_an_order() -> None:
    batch = read("1;P_A-1;21.12.2018 10:20;21.12.2018 10:23;0,3\n2;A-2;21.12.2018 11:33;NA;NA\n")
    first, second = batch.orders
    assert batch.rejects == []
    assert (first.order_id, first.connector_id, first.source_row) == ("1", "A-1", 2)
    assert first.start_utc_ms == 1545384000000  # 2018-12-21T09:20:00Z
    assert (first.energy_milli_wh, first.energy_quantum_milli_wh) == (300_000, 100_000)
    assert (first.time_quantum_ms, first.local_date) == (60_000, "2018-12-21")
    assert first.content_digest == order_digest(first)
    assert (second.end_utc_ms, second.energy_milli_wh) == (None, None)


def test_the_display_shows_as_many_digits_as_its_column_needs() -> None:
    rows = "".join(f"{n};A;21.12.2018 10:20;21.12.2018 10:23;{n},5{n % 10}\n" for n in range(1, 200))
    noise = "n;A;21.12.2018 10:20;21.12.2018 10:23;1,23456789\n"
    assert {order.energy_quantum_milli_wh for order in read(rows + noise).orders} == {10_000}


@pytest.mark.parametrize(
    ("row", "rule", "field"),
    [
        (";A;21.12.2018 10:20;NA;1", "table.missing", "order_id"),
        ("1;A;31.02.2018 10:20;NA;1", "time.syntax", "start"),
        ("1;A;2018-12-21 10:20;NA;1", "time.syntax", "start"),
        ("1;A;21.12.1969 10:20;NA;1", "time.range", None),
        ("1;A;21.12.2018 10:20;NA;1.5", "number.decimal_sign", "energy"),
        ("1;A;21.12.2018 10:20;NA;nan", "number.finite", "energy"),
        ("1;A;21.12.2018 10:20;NA;1,5,0", "number.syntax", "energy"),
        ("1;A;21.12.2018 10:20;NA;1e30", "number.range", "energy"),
        ("1;A;21.12.2018 10:20;NA;5 kVAh", "unit.energy", "energy"),
        ("1;A;21.12.2018 10:20;NA;" + "9" * 100, "number.length", "energy"),
        ("1;A;21.12.2018 10:20;NA;1;too many", "table.cells", None),
        ("1;A\x00B;21.12.2018 10:20;NA;1", "text.control", "connector_id"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_reject_and_the_rest_goes_on(row: str, rule: str, field: str) -> None:
    batch = read(f"{row}\n2;A;21.12.2018 10:20;NA;1\n")
    assert [order.order_id for order in batch.orders] == ["2"]
    assert [(r.source.row, r.source.file, r.rule, r.field) for r in batch.rejects] == [
        (2, "dir/bills.csv", rule, field)
    ]


def test_a_unit_in_the_cell_goes_before_the_mappings_and_is_reported() -> None:
    batch = read("1;A;21.12.2018 10:20;NA;1500 Wh\n2;A;21.12.2018 10:20;NA;1,5 kWh\n")
    assert [order.energy_milli_wh for order in batch.orders] == [1_500_000, 1_500_000]
    assert [(s.row, d.kind) for s, d in batch.deviations] == [(2, "table.unit_in_cell")]


def test_columns_without_a_name_are_no_fault() -> None:
    head = "id;place;;;from;to;kWh;;\n"
    batch = read("1;A;x;y;21.12.2018 10:20;NA;1;;\n2;A\n", head=head)
    assert [order.energy_milli_wh for order in batch.orders] == [1_000_000, None]
    assert decode_table(b"order_id,,,\n1\n2,,,,\n", "x.csv").rejects[0].rule == "table.cells"


def test_an_open_quote_is_said_and_not_read_as_one_huge_cell() -> None:
    batch = read('1;A;21.12.2018 10:20;NA;1\n2;"A;21.12.2018 10:20;NA;1\n3;A;21.12.2018 10:20;NA;1\n')
    assert [order.order_id for order in batch.orders] == ["1"]
    assert [(r.source.row, r.rule) for r in batch.rejects] == [(3, "table.csv")]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "table.empty"),
        (b" \n\n", "table.empty"),
        (b"id;place;from\n1;2;3\n", "table.columns"),
        (b"id;id;from;to;kWh;place\n", "table.columns"),
        ((HEAD + "1;充电桩;x;y;1\n").encode("gbk"), "encoding.utf8"),
        ((HEAD + "1;A;x;y;1\n").encode("utf-16"), "encoding.utf8"),
        (gzip.compress(HEAD.encode(), mtime=0)[:-9], "table.gzip"),
        (b"\x1f\x8b\x08 broken", "table.gzip"),
        (b"PK\x03\x04 no workbook", "table.xlsx"),
        (b"PAR1 no parquet PAR1", "table.parquet"),
    ],
)
def test_a_table_that_cannot_be_used_at_all_is_refused(data: bytes, rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        decode_table(data, "bills.csv", parse_mapping(PLAIN.encode(), "mapping.toml"))
    assert caught.value.rule == rule


def test_another_encoding_is_read_where_the_mapping_states_it() -> None:
    mapping = parse_mapping(PLAIN.replace("[time]", 'encoding = "gbk"\n[time]').encode(), "m.toml")
    data = (HEAD + "1;充电桩;21.12.2018 10:20;NA;1\n").encode("gbk")
    assert decode_table(data, "x.csv", mapping).orders[0].connector_id == "充电桩"
    with pytest.raises(FormatError, match="not gbk"):
        decode_table(HEAD.encode() + b"1;\xff\xff;", "x.csv", mapping)


def test_without_a_mapping_only_the_domains_own_names_are_understood() -> None:
    head = "order_id,connector_id,start_utc_ms,end_utc_ms,energy_milli_wh,amount_e4,loss_ratio_ppm\n"
    batch = decode_table((head + "1,C,1545384000000,1545384060000,300000,4500,0\n").encode(), "x.csv")
    (order,) = batch.orders
    assert (order.start_utc_ms, order.energy_milli_wh, order.amount_e4) == (1545384000000, 300_000, 4_500)
    assert order.loss_ratio_ppm == 0
    with pytest.raises(FormatError, match="mapping file is needed"):
        decode_table(b"id,kWh\n1,2\n", "x.csv")


def test_filters_values_templates_and_constants() -> None:
    mapping = """
kind = "records"
[[filter]]
column = "site"
in = ["A", "B"]
[time]
zone = "UTC"
[fields]
record_id = { template = "{file}/{no}@{row}" }
connector_id = { column = "plug", map = { left = 1, right = 2 }, prefix = "X-" }
meter_id = { constant = "M1" }
gateway_id = { column = "site", regex = "^(.)" }
begin = { columns = ["day", "hour"] }
begin_register = { column = "r0", unit = "Wh" }
end_register = { column = "r1", unit = "Wh" }
"""
    rows = "7,A,left,2026-01-01,08:00:05,100,350\n8,C,left,2026-01-01,08:00:05,1,2\n9,B,up,2026-01-01,08:00:05,1,2\n"
    batch = read(rows, mapping, "no,site,plug,day,hour,r0,r1\n")
    (session,) = batch.sessions
    assert (session.record_id, session.connector_id, session.meter_id) == ("bills/7@2", "X-1", "M1")
    assert (session.energy_milli_wh, session.closed, session.time_quantum_ms) == (250_000, False, 1000)
    assert (session.answer, session.reason) == ("cannot_judge", "unsigned")
    assert [(r.source.row, r.rule) for r in batch.rejects] == [(4, "table.map")]


def test_connectors_are_made_where_the_mapping_says_how() -> None:
    mapping = (
        PLAIN
        + """
[connector]
charger_id = { column = "place" }
station_id = { constant = "S" }
operator_id = { constant = "O" }
rated_power_w = { column = "kWh", map = { "1" = 7000, "2" = 22000 } }
current_type = { constant = "AC" }
"""
    )
    rows = "".join(f"{n};A;21.12.2018 10:20;NA;{kwh}\n" for n, kwh in enumerate([1, 2, 1]))
    batch = read(rows, mapping)
    assert [(c.connector_id, c.rated_power_w) for c in batch.connectors] == [("A", 22_000)]
    assert [(n.rule, n.count) for n in batch.notices] == [("table.rated_power", 1)]


# --- the clock of the site ---


def test_the_hour_that_occurs_twice_is_never_guessed_silently() -> None:
    batch = read("1;A;28.10.2018 02:30;28.10.2018 02:10;1\n2;A;25.03.2018 02:30;NA;1\n")
    first, second = batch.orders
    assert first.start_utc_ms == 1540686600000  # 00:30 UTC, first pass
    assert first.end_utc_ms == 1540689000000  # 01:10 UTC, second pass: the first lies before the begin
    assert second.start_utc_ms == 1521941400000  # 01:30 UTC, the offset before the change
    assert {(s.row, d.kind, d.field) for s, d in batch.deviations} == {
        (2, "time.local_fold", "start"),
        (2, "time.local_fold", "end"),
        (3, "time.local_gap", "start"),
    }


@given(st.datetimes(datetime(1973, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["Europe/London", "Asia/Shanghai"]))  # noqa: DTZ001 - wall clock
def test_a_wall_clock_time_without_doubt_comes_back(wall: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    at, doubt = LocalClock(zone).to_utc_ms(wall)
    back = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    if doubt is not Doubt.GAP:
        assert abs((back - wall).total_seconds()) < 0.002


def test_times_that_carry_their_offset_need_no_zone() -> None:
    mapping = 'kind = "orders"\n[fields]\norder_id = { column = "id" }\nstart = { column = "t" }\n'
    batch = read("1,2019-05-01 01:18:45-07:00\n2,2019-05-01 01:18:45\n", mapping, "id,t\n")
    far = 'kind = "orders"\n[time]\nzone = "Asia/Shanghai"\n' + mapping.removeprefix('kind = "orders"\n')
    assert [r.rule for r in read("1,9999-12-31 23:00:00-01:00\n", far, "id,t\n").rejects] == ["time.range"]
    assert [(o.start_utc_ms, o.local_date) for o in batch.orders] == [(1556698725000, "2019-05-01")]
    assert [r.rule for r in batch.rejects] == ["time.zone"]


# --- the date order ---

EXCHANGE = """
kind = "orders"
[time]
zone = "UTC"
date_order = "ORDER"
[fields]
order_id = { column = "id" }
start = { column = "t" }
"""


def exchanged(day: int, month: int) -> str:
    return f"2019-{day:02d}-{month:02d}" if day <= 12 else f"2019-{month:02d}-{day:02d}"


DAYS = [(day, month) for month in (4, 5, 6) for day in (1, 2, 9, 11, 12, 13, 20, 28)]


def test_exchanged_days_and_months_are_counted_and_said_before_anything_else() -> None:
    rows = "".join(f"{n},{exchanged(day, month)}\n" for n, (day, month) in enumerate(DAYS))
    as_written = read(rows, EXCHANGE.replace("ORDER", "iso"), "id,t\n")
    ((rule, count),) = [(n.rule, n.count) for n in as_written.notices]
    assert (rule, count) == ("table.date_order", 15)  # 3 months, each with days 1 2 9 11 12, none of them in 4 to 6
    assert "15" in as_written.notices[0].zh
    assert "Nothing was guessed" in as_written.notices[0].en
    assert len(as_written.orders) == len(DAYS)
    repaired = read(rows, EXCHANGE.replace("ORDER", "day_month_exchanged_when_ambiguous"), "id,t\n")
    assert [(n.rule, n.count) for n in repaired.notices] == [("table.date_order_repaired", 15)]
    assert [o.local_date for o in repaired.orders] == [f"2019-{month:02d}-{day:02d}" for day, month in DAYS]


def test_a_repair_that_the_file_does_not_need_is_said_too() -> None:
    rows = "".join(f"{n},2019-{month:02d}-{day:02d}\n" for n, (day, month) in enumerate(DAYS))
    assert read(rows, EXCHANGE.replace("ORDER", "iso"), "id,t\n").notices == []
    wrong = read(rows, EXCHANGE.replace("ORDER", "day_month_exchanged_when_ambiguous"), "id,t\n")
    assert "exchanges day and month" in wrong.notices[0].en


def test_the_twelfth_is_a_day_that_can_be_exchanged() -> None:
    december = [(2019, day, 12) if day <= 12 else (2019, 12, day) for day in range(1, 32)]
    assert provably_exchanged(december) == 11  # the 12th of December reads the same either way


def test_a_file_that_ends_in_the_first_days_of_a_month_proves_nothing() -> None:
    dates = [(2019, 1, day) for day in range(1, 32)] + [(2019, 2, 1)]
    assert provably_exchanged(dates) == 0


@given(st.lists(st.tuples(st.integers(2000, 2030), st.integers(1, 12), st.integers(1, 28)), max_size=30))
def test_dates_of_one_month_and_its_neighbour_never_prove_an_exchange(dates: list[tuple[int, int, int]]) -> None:
    assert provably_exchanged([(2019, 6, day) for _, _, day in dates]) == 0
    assert 0 <= provably_exchanged(dates) <= len(dates)


# --- XLSX and Parquet ---


def workbook(rows: Sequence[Sequence[object]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


TYPED = """
kind = "orders"
[time]
zone = "Europe/Oslo"
[fields]
order_id = { column = "id" }
start = { columns = ["day", "hour"] }
energy = { column = "kWh", unit = "kWh" }
amount = { column = "price", unit = "cent" }
"""


def test_a_workbook_and_a_parquet_file_say_the_same_as_their_cells() -> None:
    mapping = parse_mapping(TYPED.encode(), "m.toml")
    day = datetime(2018, 12, 21)  # noqa: DTZ001 - a spreadsheet's cell has no zone
    data = workbook([["id", "day", "hour", "kWh", "price"], [51519, day, time(10, 20), 18.27, 450]])
    (from_sheet,) = decode_table(data, "x.xlsx", mapping).orders
    table = pa.table({"id": [51519], "day": ["2018-12-21"], "hour": ["10:20"], "kWh": [18.27], "price": [Decimal(450)]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    (from_parquet,) = decode_table(sink.getvalue(), "x.parquet", mapping).orders
    assert (from_sheet.order_id, from_sheet.start_utc_ms) == ("51519", 1545384000000)
    assert (from_sheet.energy_milli_wh, from_sheet.amount_e4) == (18_270_000, 45_000)
    assert from_sheet.content_digest == from_parquet.content_digest


def test_nan_in_a_typed_cell_is_a_reject_unless_stated_as_null() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"order_id": ["1", "2"], "energy_milli_wh": [float("nan"), 5.0]}), sink)
    batch = decode_table(sink.getvalue(), "x.parquet")
    assert [(r.source.row, r.rule) for r in batch.rejects] == [(2, "number.finite")]
    assert [o.energy_milli_wh for o in batch.orders] == [5]


def test_a_truncated_parquet_or_workbook_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"order_id": [str(n) for n in range(1000)]}), sink)
    for whole in (sink.getvalue(), workbook([["order_id"], [1]])):
        with pytest.raises(FormatError):
            decode_table(whole[: len(whole) // 2], "x", None)


# --- the mapping file ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind", "sort"), "kind is missing"),
        (('"orders"', '"bills"'), "must be one of orders, records"),
        (("[time]", "[tine]"), "unknown key tine"),
        (("delimiter", "delimeter"), "file has an unknown key delimeter"),
        (('"Europe/Oslo"', '"Oslo"'), "not an IANA time zone"),
        (("order_id =", "order_nr ="), "unknown field order_nr"),
        (('unit = "kWh"', 'unit = "kW"'), "must be one of Wh, kWh, MWh, mWh"),
        ((', unit = "kWh"', ""), "needs a unit"),
        (('{ column = "id" }', '{ column = "id", constant = "x" }'), "exactly one of"),
        (('{ column = "id" }', "5"), "must be a table"),
        (('";"', '";;"'), "must be one character"),
        (('strip_prefix = "P_"', 'regex = "("'), "fields.connector_id.regex"),
        (('["NA"]', "[1]"), "must be a list of texts"),
        (("decimal = ", "encoding = 'klingon'\ndecimal = "), "unknown encoding"),
        (("kind = ", "kind = = "), "mapping.toml"),
    ],
)
def test_a_wrong_mapping_is_refused_by_file_and_entry(change: tuple[str, str], message: str) -> None:
    assert change[0] in PLAIN
    with pytest.raises(PolicyError, match=r"^mapping\.toml") as caught:
        parse_mapping(PLAIN.replace(change[0], change[1], 1).encode(), "mapping.toml")
    assert message in str(caught.value)


def test_an_absent_mapping_file_is_an_input_error(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(InputError):
        load_mapping(Path(str(tmp_path)) / "absent.toml")
    with pytest.raises(InputError):
        load_mapping(Path(str(tmp_path)))
