"""The columns hold what the wire says, field by field."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from anxin.city.build import build
from anxin.city.options import CityOptions, Kind, MessRates
from anxin.city.write_columns import COLUMN_FILES, write_columns
from tests.unit.city_files import CityFiles, make, read

#: Kinds that columns show as the wire does; a splice stands in columns as one joined session.
KINDS = tuple(kind for kind in Kind if kind not in (Kind.SPLICE, Kind.REPLAY))
OPTIONS = CityOptions(
    seed=9,
    chargers=40,
    days=14,
    cheats=dict.fromkeys(KINDS, 1),
    rates=MessRates(again_ppm=20_000, power_failure_ppm=20_000, lost_record_ppm=5_000),
)
#: What only a file can say, or what columns replace by something shorter (docs/formats/city.md).
APART = {"source_file", "source_row", "content_digest", "record_id", "user_ref", "reason"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[CityFiles, Path]:
    directory = tmp_path_factory.mktemp("both")
    make(directory / "wire", OPTIONS)
    make(directory / "columns", OPTIONS, "columns")
    assert (directory / "wire" / "register.json").read_bytes() == (directory / "columns" / "register.json").read_bytes()
    assert (directory / "wire" / "truth.jsonl").read_bytes() == (directory / "columns" / "truth.jsonl").read_bytes()
    return read(directory / "wire"), directory / "columns"


def rows(path: Path, apart: set[str]) -> list[tuple[Any, ...]]:
    """Distinct rows of a Parquet file, without some columns, in order."""
    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in apart]
    return sorted(set(zip(*(table[name].to_pylist() for name in names), strict=True)), key=str)


def values(items: list[Any], apart: set[str]) -> list[tuple[Any, ...]]:
    """The same of domain values."""
    names = [f.name for f in dataclasses.fields(items[0]) if f.name not in apart]
    return sorted({tuple(getattr(item, name) for name in names) for item in items}, key=str)


def test_orders_periods_and_totals_are_the_same(both: tuple[CityFiles, Path]) -> None:
    files, columns = both
    assert len(files.orders) > 1_000
    assert rows(columns / "orders.parquet", APART) == values(files.orders, APART)
    assert rows(columns / "order_periods.parquet", APART) == values(files.order_periods, APART)
    assert rows(columns / "operator_totals.parquet", APART) == values(files.totals, APART)


def test_records_are_the_same_as_when_judged(both: tuple[CityFiles, Path]) -> None:
    files, columns = both
    assert rows(columns / "records.parquet", APART) == values(files.sessions, APART)
    assert rows(columns / "record_periods.parquet", APART) == values(files.record_periods, APART)


def test_what_is_sent_again_stands_twice(both: tuple[CityFiles, Path]) -> None:
    files, columns = both
    table = pq.read_table(columns / "orders.parquet")
    assert table.num_rows == len(files.orders)
    keys = list(zip(table["order_id"].to_pylist(), table["content_digest"].to_pylist(), strict=True))
    assert len(set(keys)) == len(files.order_lines) == len({key[0] for key in keys})
    records = pq.read_table(columns / "records.parquet")
    assert records.num_rows == len(files.signed)
    assert len(set(records["record_id"].to_pylist())) == len(files.record_lines)
    assert records["source_row"].to_pylist() == list(range(1, records.num_rows + 1))


def test_files_have_the_fields_of_the_domain(both: tuple[CityFiles, Path]) -> None:
    for name, shape in COLUMN_FILES.items():
        schema = pq.read_schema(both[1] / f"{name}.parquet")
        assert schema.names == [f.name for f in dataclasses.fields(shape)]


def test_spans_change_nothing(tmp_path: Path) -> None:
    """A city too large for the memory is written in spans of connectors: the rows are the same."""
    options = dataclasses.replace(OPTIONS, cheats=dict.fromkeys(Kind, 1), chargers=60)
    for name, sessions in (("one", 10**9), ("many", 150)):
        (tmp_path / name).mkdir()
        write_columns(build(options), tmp_path / name, lambda done, total: None, sessions)
    for name in COLUMN_FILES:
        apart = {"source_row"}
        one, many = (rows(tmp_path / where / f"{name}.parquet", apart) for where in ("one", "many"))
        assert one == many, name
    assert (tmp_path / "one" / "truth.jsonl").read_bytes() == (tmp_path / "many" / "truth.jsonl").read_bytes()
