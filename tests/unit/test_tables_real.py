"""Public ledgers of real charging sessions, with their known defects and a known crosswalk (not committed)."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from anxin.domain.batch import Batch
from anxin.formats.table_mapping import load_mapping
from anxin.formats.tables import decode_table
from tests.vectors.shared import ROOT, SHARED

DATA = SHARED / "data"
MINUTE_MS = 60_000
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the public ledgers are not here (set SHARED to their folder)"
)


@cache
def imported(pattern: str, mapping: str) -> Batch:
    """All files of a pattern through one mapping of the examples."""
    rules, batch = load_mapping(ROOT / "examples" / mapping), Batch()
    for path in sorted(DATA.glob(pattern)):
        batch.extend(decode_table(path.read_bytes(), path.name, rules))
    return batch


def norway() -> tuple[Batch, Batch]:
    orders = imported("norway_trondheim_2021/dataset1*.csv", "norway/mapping-orders.toml")
    return orders, imported("norway_12_sites_2024/dataset1*.csv", "norway/mapping-records.toml")


def test_both_norwegian_ledgers_import_whole() -> None:
    orders, records = norway()
    assert (len(orders.orders), len(records.sessions)) == (6_878, 6_706)
    assert orders.rejects == records.rejects == []
    assert orders.notices == records.notices == []
    assert sum(order.end_utc_ms is None for order in orders.orders) == 34
    assert {session.answer for session in records.sessions} == {"cannot_judge"}


def test_the_norwegian_crosswalk_joins_equal_places_minutes_and_energies() -> None:
    orders, records = norway()
    by_order = {order.order_id: order for order in orders.orders}
    by_record = {session.record_id: session for session in records.sessions}
    path = Path(DATA, "norway_trondheim_2021", "crosswalk_to_norway2024.csv")
    pairs = [
        (by_order[row["trondheim2021_session"]], by_record[row["norway2024_session"]])
        for row in csv.DictReader(path.read_text("utf-8-sig").splitlines())
        if row["trondheim2021_session"] and row["norway2024_session"]
    ]
    assert len(pairs) == 6_706
    for order, session in pairs:
        assert order.connector_id == session.connector_id
        assert order.energy_milli_wh == session.energy_milli_wh
        assert order.start_utc_ms is not None
        assert session.begin_utc_ms is not None
        assert order.start_utc_ms == session.begin_utc_ms // MINUTE_MS * MINUTE_MS
    ends = [(o.end_utc_ms, s.end_utc_ms) for o, s in pairs if o.end_utc_ms is not None and s.end_utc_ms is not None]
    assert len(ends) == 6_679
    assert all(end == exact // MINUTE_MS * MINUTE_MS for end, exact in ends)


def test_perth_says_its_exchanged_dates_before_anything_else() -> None:
    as_written = imported("perth_kinross/*.csv", "perth/mapping-as-written.toml")
    assert {notice.rule for notice in as_written.notices} == {"table.date_order"}
    assert [notice.count for notice in as_written.notices] == [2_337, 3_584, 5_674]
    assert sum(notice.count for notice in as_written.notices) == 11_595
    assert len(as_written.orders) == 66_664


def test_perth_repaired_has_its_known_defects_and_no_others() -> None:
    batch = imported("perth_kinross/*.csv", "perth/mapping-repaired.toml")
    assert (len(batch.orders), batch.rejects) == (66_664, [])
    assert [(n.rule, n.count) for n in batch.notices] == [
        ("table.date_order_repaired", count) for count in (2_337, 3_584, 5_674)
    ]
    assert len({order.order_id for order in batch.orders}) == 66_664
    assert sum(order.end_utc_ms is None and order.energy_milli_wh is None for order in batch.orders) == 185
    whole = [order for order in batch.orders if order.end_utc_ms is not None and order.energy_milli_wh is not None]
    assert len(whole) == 66_664 - 185
    energies = [order.energy_milli_wh for order in whole if order.energy_milli_wh is not None]
    assert (sum(energy < 0 for energy in energies), min(energies)) == (7, -1_394_711_000)
    assert sum(energy == 0 for energy in energies) == 1_605
    assert sum(order.end_utc_ms < order.start_utc_ms for order in whole) == 6  # type: ignore[operator]  # whole
    twins = Counter((order.connector_id, order.start_utc_ms, order.energy_milli_wh) for order in batch.orders)
    assert sum(count - 1 for count in twins.values()) == 30


def test_perth_has_64_overlaps_on_one_connector() -> None:
    """An overlap: an order begins at or after the start of another one of its connector and strictly before its end."""
    spans: dict[str | None, list[tuple[int, int]]] = defaultdict(list)
    for order in imported("perth_kinross/*.csv", "perth/mapping-repaired.toml").orders:
        if order.start_utc_ms is not None and order.end_utc_ms is not None:
            spans[order.connector_id].append((order.start_utc_ms, -order.end_utc_ms))
    overlaps = 0
    for listed in spans.values():
        busy_until = 0
        for start, negative_end in sorted(listed):
            overlaps += start < busy_until
            busy_until = max(busy_until, -negative_end)
    assert overlaps == 64


def test_perth_gives_every_connector_one_rated_power() -> None:
    batch = imported("perth_kinross/*.csv", "perth/mapping-repaired.toml")
    rated = {connector.connector_id: connector.rated_power_w for connector in batch.connectors}
    assert set(rated) == {order.connector_id for order in batch.orders}
    assert Counter(rated.values()).keys() == {7_000, 22_000, 50_000}
    assert all(rated[connector.connector_id] == connector.rated_power_w for connector in batch.connectors)
    lasting = [o for o in batch.orders if o.end_utc_ms and o.start_utc_ms and o.end_utc_ms - o.start_utc_ms >= 600_000]
    mean_w = [o.energy_milli_wh * 3_600 // (o.end_utc_ms - o.start_utc_ms) for o in lasting if o.energy_milli_wh]  # type: ignore[operator]  # filtered
    assert max(mean_w) == 74_440


def test_acn_imports_whole_and_counts_deliveries_above_the_request() -> None:
    batch = imported("acn_data/*.csv.gz", "acn/mapping-orders.toml")
    assert (len(batch.orders), batch.rejects, batch.notices) == (27_407, [], [])
    above = [
        order
        for order in batch.orders
        if order.energy_milli_wh is not None
        and order.requested_energy_milli_wh is not None
        and order.energy_milli_wh > order.requested_energy_milli_wh + 50_000
    ]
    assert len(above) == 1_254
    assert {order.operator_id for order in batch.orders} == {"caltech", "jpl"}
