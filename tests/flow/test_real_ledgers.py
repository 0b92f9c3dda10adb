"""The public ledgers through the whole audit: what must come out, as the examples of the Makefile run them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from anxin.domain.quantities import utc_ms
from anxin.flow.audit import AuditRequest, run_audit
from tests.vectors.shared import SHARED

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATA = SHARED / "data"
LATER = utc_ms(datetime(2021, 12, 31, tzinfo=UTC))

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the public ledgers are not here (set SHARED to their folder)"
)


def audited(out: Path, orders: str, mapping: str, **more: Any) -> dict[str, Any]:
    request = AuditRequest(
        orders=tuple(sorted(DATA.glob(orders))),
        records=more.pop("records", ()),
        out=out,
        mappings=(EXAMPLES / mapping, *more.pop("mappings", ())),
        as_of_utc_ms=LATER,
        **more,
    )
    return run_audit(request).summary


def test_norway_meets_its_crosswalk_pair_by_pair(tmp_path: Path) -> None:
    summary = audited(
        tmp_path,
        "norway_trondheim_2021/dataset1*.csv",
        "norway/mapping-orders.toml",
        records=(DATA / "norway_12_sites_2024" / "dataset1_charging_reports.csv",),
        mappings=(EXAMPLES / "norway/mapping-records.toml",),
        policy=EXAMPLES / "norway/policy.toml",
    )
    assert summary["sessions"] == {"agree": 6706, "disagree": 0, "order_only": 172, "record_only": 0, "pending": 0}
    with (DATA / "norway_trondheim_2021" / "crosswalk_to_norway2024.csv").open(newline="", encoding="utf-8") as file:
        truth = {
            (row["trondheim2021_session"], row["norway2024_session"])
            for row in csv.DictReader(file)
            if row["norway2024_session"]
        }
    table = pq.read_table(tmp_path / "verdicts.parquet", columns=["order_id", "record_id"]).to_pylist()
    matched = {(row["order_id"], row["record_id"]) for row in table if row["record_id"] is not None}
    assert len(matched) == 6706
    assert matched == truth


def test_perth_says_its_dates_first_and_shows_its_defects(tmp_path: Path) -> None:
    as_written = audited(tmp_path / "a", "perth_kinross/perth_*.csv", "perth/mapping-as-written.toml")
    assert as_written["notices_by_rule"] == {"table.date_order": 11_595}
    repaired = audited(tmp_path / "b", "perth_kinross/perth_*.csv", "perth/mapping-repaired.toml")
    assert repaired["notices_by_rule"] == {"table.date_order_repaired": 11_595}
    causes = repaired["findings_by_cause"]
    assert causes["R13.overlap"] == 64
    assert causes["R14.negative_energy"] == 7
    assert causes["R14.zero_energy"] == 1_605
    assert causes["R15.end_before_start"] == 6
    assert causes["R10.power_impossible"] == 10
    assert repaired["sessions"]["order_only"] == 66_664


def test_acn_imports_whole_and_counts_what_exceeds_the_request(tmp_path: Path) -> None:
    summary = audited(tmp_path, "acn_data/*.csv.gz", "acn/mapping-orders.toml")
    assert summary["sessions"]["order_only"] == 27_407
    assert summary["rejects"] == 0
    assert summary["findings_by_cause"]["R27.above_request"] == 1_254
