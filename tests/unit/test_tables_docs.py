"""Every rule, deviation and key of the formats stands on its page in docs/formats."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from anxin.domain.register import Connector, Meter, MeterKey, Operator, Seal, Station, Verification
from anxin.formats.meter_envelope import SUITE_NAMES
from anxin.formats.table_mapping import DATE_ORDERS, FIELDS, load_mapping, parse_mapping
from anxin.formats.tcec102_fields import CHECK_FIELDS, DETAIL_FIELDS, ORDER_FIELDS
from tests.vectors.shared import ROOT

SOURCES, PAGES = ROOT / "src" / "anxin" / "formats", ROOT / "docs" / "formats"
PREFIXES = {
    "tcec102": ("tcec102",),
    "ocpi": ("ocpi",),
    "tables": ("table",),
}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def rules(prefixes: tuple[str, ...]) -> set[str]:
    text = "".join(path.read_text("utf-8") for path in sorted(SOURCES.glob("*.py")))
    return {match for prefix in prefixes for match in re.findall(rf'"({prefix}\.[a-z0-9_]+)"', text)}


@pytest.mark.parametrize("name", ["tcec102", "ocpi", "tables"])
def test_every_rule_and_deviation_stands_on_its_page(name: str) -> None:
    found = rules(PREFIXES[name])
    assert len(found) > 10
    assert sorted(rule for rule in found if f"`{rule}`" not in page(name)) == []


@pytest.mark.parametrize("name", ["tcec102", "ocpi", "tables"])
def test_a_page_names_no_rule_that_does_not_exist(name: str) -> None:
    known = rules(("tcec102", "ocpi", "table", "time", "number", "text", "json", "encoding", "unit"))
    # What a door checks besides the bytes has rules of the same families.
    for path in sorted([*(SOURCES.parent / "flow").glob("*.py"), *(SOURCES.parent / "faces").glob("*.py")]):
        known |= set(re.findall(r'"((?:tcec102|ocpi|table)\.[a-z0-9_]+)"', path.read_text("utf-8")))
    known |= {"time.local_fold", "time.local_gap"} | set(
        re.findall(r'"((?:number|unit|time)\.[a-z_]+)"', (ROOT / "src/anxin/domain/quantities.py").read_text("utf-8"))
    )
    named = re.findall(r"`((?:tcec102|ocpi|table|time|number|text|json|encoding|unit)\.[a-z0-9_]+)`", page(name))
    assert sorted(set(named) - known) == []


def test_the_table_page_names_every_field_and_date_order() -> None:
    for kind in FIELDS.values():
        assert [name for name in kind if f"`{name}`" not in page("tables")] == []
    assert all(f'"{order}"' in page("tables") for order in DATE_ORDERS)


def test_the_mapping_on_the_page_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page("tables"), re.DOTALL)
    mapping = parse_mapping(example.encode(), "tables.md")
    assert (mapping.kind, mapping.encoding, len(mapping.filters), len(mapping.fields)) == ("orders", "gbk", 1, 4)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*/mapping-*.toml")), ids=lambda path: path.stem)
def test_every_mapping_of_the_examples_is_one(path: Path) -> None:
    assert load_mapping(path).fields


def test_the_register_page_names_every_field_of_every_list() -> None:
    for kind in (Operator, Station, Connector, Meter, MeterKey, Verification, Seal):
        names = [item.name.removesuffix("_utc_ms") for item in fields(kind)]
        assert [name for name in names if f"`{name}`" not in page("register")] == []
    assert all(f"`{suite}`" in page("register") for suite in SUITE_NAMES)


def test_the_order_page_names_every_field_that_is_read() -> None:
    read = {"StartChargeSeq", "ConnectorID", "StartTime", "EndTime", "TotalPower", "ChargeDetails", "MeterNumStart",
            "MeterNumEnd", "MeterID", "LossRatio", "OriginalPower", "TariffID", "UploadTime"}  # fmt: skip
    assert read <= ORDER_FIELDS | DETAIL_FIELDS | CHECK_FIELDS
    assert [name for name in sorted(read) if name not in page("tcec102")] == []
