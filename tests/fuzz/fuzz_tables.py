"""Fuzz the table decoder (CSV, XLSX, Parquet, .gz) under several mappings, and the mapping file itself."""

from __future__ import annotations

import gzip
import io

import atheris
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

with atheris.instrument_imports(include=["anxin"]):
    from tests.fuzz.formats_harness import run

    from anxin.formats.table_mapping import parse_mapping
    from anxin.formats.tables import decode_table

COMMA = b"""
kind = "orders"
[file]
delimiter = ";"
decimal = ","
thousands = "."
null = ["NA"]
[time]
zone = "Europe/Oslo"
date_order = "day_month_exchanged_when_ambiguous"
[[filter]]
column = "place"
in = ["A", "B"]
[fields]
order_id = { template = "{file}:{id}" }
connector_id = { column = "place", strip_prefix = "P_", map = { A = 1 }, otherwise = "?" }
start = { columns = ["day", "hour"], format = "%d.%m.%Y %H:%M" }
end = { column = "end" }
energy = { column = "kWh", unit = "kWh" }
amount = { column = "price", unit = "cent" }
loss_ratio = { column = "loss", unit = "percent" }
[connector]
charger_id = { column = "place" }
station_id = { constant = "S" }
operator_id = { constant = "O" }
rated_power_w = { column = "loss" }
current_type = { constant = "AC" }
"""
RECORDS = b"""
kind = "records"
[fields]
record_id = { column = "id", regex = "([0-9]+)" }
begin = { column = "day", format = "utc_s" }
end_register = { column = "kWh", unit = "Wh" }
begin_register = { column = "loss", unit = "MWh" }
"""
HEAD = ["id", "place", "day", "hour", "end", "kWh", "price", "loss"]
ROW = ["1", "A", "21.12.2018", "10:20", "2018-12-21T10:20", "1.000,3 Wh", "450", "2,5"]
MAPPINGS = [parse_mapping(COMMA, "comma"), parse_mapping(RECORDS, "records"), None]


def target(data: bytes) -> None:
    choice, rest = data[:1], data[1:]
    if choice == b"\x03":
        parse_mapping(rest, "fuzz")
    elif choice:
        decode_table(rest, "dir/fuzz.csv", MAPPINGS[choice[0] % 3])


def seeds() -> list[bytes]:
    csv = (";".join(HEAD) + "\n" + ";".join(ROW) + "\n").encode()
    canonical = b"order_id,start_utc_ms,energy_milli_wh\n1,1545384000000,5\n"
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(HEAD)
    book.active.append(ROW)
    sheet, parquet = io.BytesIO(), io.BytesIO()
    book.save(sheet)
    table = pa.table({name: [value] for name, value in zip(HEAD, ROW, strict=True)})
    pq.write_table(table, parquet, compression="none")
    bodies = [csv, gzip.compress(csv), sheet.getvalue(), parquet.getvalue()]
    found = [bytes([choice]) + body for choice in (0, 1) for body in bodies]
    return [*found, b"\x02" + canonical, b"\x03" + COMMA, b"\x03" + RECORDS]


if __name__ == "__main__":
    run(target, seeds(), [*HEAD, "order_id", "record_id", "kWh", "date_order"])
