"""The cheats that only many sessions show: each single session is within the tolerance of every rule."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from anxin.city.options import SLOW_KINDS, CityOptions, Kind, parse_cheats
from tests.unit.city_files import CityFiles, make, read

WH = 1_000
OPTIONS = CityOptions(seed=5, chargers=60, days=30, cheats=dict.fromkeys(SLOW_KINDS, 6))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> tuple[CityFiles, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("slow") / "city"
    make(out, OPTIONS)
    lines = (Path(out) / "truth.jsonl").read_text("utf-8").splitlines()
    return read(out), [json.loads(line) for line in lines]


def test_orders_lean_up_on_one_charger_each_and_never_beyond_both_last_digits(
    city: tuple[CityFiles, list[dict[str, Any]]],
) -> None:
    files, truths = city
    orders = {o.order_id: o for o in files.orders}
    records = {s.transaction_id: s for s in files.sessions}
    leaning = [t for t in truths if t["kind"] == Kind.LEAN_WITHIN_TOLERANCE]
    assert len({t["charger_id"] for t in truths}) == len(truths) == 12
    assert {t["size"]["each_wh"] for t in leaning} == {1, 2}
    for truth in leaning:
        assert len(truth["order_ids"]) == truth["size"]["sessions"] >= 20
        total = 0
        for name in truth["order_ids"]:
            order, record = orders[name], records[name]
            assert order.energy_milli_wh is not None
            assert record.energy_milli_wh is not None
            more = order.energy_milli_wh - record.energy_milli_wh
            assert 0 < more <= order.energy_quantum_milli_wh + record.energy_quantum_milli_wh
            total += more
        assert f"{total / WH / 1_000:.3f}" == truth["size"]["energy_kwh"]
        assert not truth["contradicts_record"]


def test_a_drained_register_advances_between_sessions_and_an_honest_one_does_not(
    city: tuple[CityFiles, list[dict[str, Any]]],
) -> None:
    files, truths = city
    drained = {t["meter_id"]: t for t in truths if t["kind"] == Kind.SLOW_REGISTER_DRAIN}
    honest = {m.meter_id for m in files.register.meters} - drained.keys()
    gaps: dict[str, list[int]] = {}
    by_meter: dict[str, list[Any]] = {}
    for session in {s.record_id: s for s in files.sessions}.values():
        by_meter.setdefault(str(session.meter_id), []).append(session)
    lost = 0
    for meter, sessions in by_meter.items():
        ordered = sorted(sessions, key=lambda s: s.page_first or 0)
        for before, after in pairwise(ordered):
            if after.page_first != before.page_last + 1:
                lost += 1
                continue
            gaps.setdefault(meter, []).append(after.begin_register_milli_wh - before.end_register_milli_wh)
    assert {g for meter in honest for g in gaps.get(meter, [])} == {0}
    for meter, truth in drained.items():
        each = truth["size"]["each_wh"] * WH
        assert set(gaps[meter]) <= {0, each}
        assert truth["size"]["sessions"] - lost <= sum(g == each for g in gaps[meter]) <= truth["size"]["sessions"]


def test_slow_kinds_are_planted_where_they_are_named_only() -> None:
    assert not set(SLOW_KINDS) & parse_cheats(None, 3).keys()
    named = parse_cheats(["lean_within_tolerance=2"], 3)
    assert named[Kind.LEAN_WITHIN_TOLERANCE] == 2
    assert CityOptions(cheats=named).as_json()["cheats"]["lean_within_tolerance"] == 2
    assert "slow_register_drain" not in CityOptions(cheats=named).as_json()["cheats"]
