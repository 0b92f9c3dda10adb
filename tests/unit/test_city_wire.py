"""An honest city's files, read by others' means: standard arithmetic, `cryptography`, the openssl command."""

from __future__ import annotations

import base64
import filecmp
import json
import shutil
import subprocess
from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from anxin.city.options import CityOptions, Kind, MessRates
from anxin.domain.batch import SignedRecord
from anxin.domain.meter_record import MeterRecord
from tests.unit.city_files import CityFiles, make, read

HOUR_MS = 3_600_000
VERIFY_SM2 = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -digest sm3 -pkeyopt distid:1234567812345678"
OPTIONS = CityOptions(
    seed=7,
    chargers=24,
    days=9,
    districts=("萧山", "余杭"),
    rates=MessRates(again_ppm=30_000, power_failure_ppm=30_000, lost_record_ppm=20_000, late_ppm=60_000),
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("honest")
    make(directory, OPTIONS)
    return directory


@pytest.fixture(scope="module")
def files(out: Path) -> CityFiles:
    return read(out)


def record_of(signed: SignedRecord) -> MeterRecord:
    assert signed.record is not None, (signed.cannot_open, signed.malformed_detail)
    return signed.record


def order_objects(out: Path) -> list[dict[str, object]]:
    lines = [line for path in (out / "orders").iterdir() for line in path.read_text("utf-8").splitlines()]
    return [json.loads(line, parse_float=Decimal) for line in lines]


def test_every_line_is_read_without_a_deviation(files: CityFiles) -> None:
    assert len(files.orders) > 500
    assert [d for signed in files.signed for d in record_of(signed).deviations] == []
    assert {s.answer for s in files.sessions} == {"authentic"}
    assert {record_of(s).algorithm for s in files.signed} == {"ECDSA-secp256r1-SHA256", "SM2-sm2p256v1-SM3"}


def test_amounts_follow_from_the_published_tariff(out: Path, files: CityFiles) -> None:
    """Recomputed from the order's text and the register alone, with decimals."""
    tariff = {t.operator_id: t.tariff_id for t in files.register.tariffs}
    cent = Decimal("0.01")
    for order in order_objects(out):
        total = Decimal(0)
        for detail in order["ChargeDetails"]:  # type: ignore[attr-defined]  # plain JSON
            hours, minutes, _ = detail["DetailStartTime"][11:].split(":")
            minute = int(hours) * 60 + int(minutes)
            (period,) = [
                p
                for p in files.register.tariff_periods
                if p.tariff_id == tariff[str(order["StartChargeSeq"])[:9]] and p.minute_from <= minute < p.minute_to
            ]
            prices = Decimal(period.energy_price_e4) / 10_000, Decimal(period.service_price_e4) / 10_000
            money = [(detail["DetailPower"] * price).quantize(cent, ROUND_HALF_UP) for price in prices]
            assert [detail["DetailElecMoney"], detail["DetailSeviceMoney"]] == money
            total += sum(money)
        assert order["TotalMoney"] == total
        assert order["TotalPower"] == sum(d["DetailPower"] for d in order["ChargeDetails"])  # type: ignore[attr-defined]


def test_p256_records_verify_with_another_library(files: CityFiles) -> None:
    keys = {k.meter_id: k for k in files.register.keys}
    checked = 0
    for signed in files.signed:
        record = record_of(signed)
        if record.algorithm == "ECDSA-secp256r1-SHA256":
            public = serialization.load_der_public_key(bytes.fromhex(keys[str(record.meter_serial)].public_key))
            assert isinstance(public, ec.EllipticCurvePublicKey)
            public.verify(record.signature, record.signed_bytes, ec.ECDSA(hashes.SHA256()))
            checked += 1
    assert checked > 100


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_sm2_records_verify_with_the_openssl_command(files: CityFiles, tmp_path: Path) -> None:
    keys = {k.meter_id: k for k in files.register.keys}
    of_meters = {s.meter_serial: s for s in map(record_of, files.signed) if s.algorithm == "SM2-sm2p256v1-SM3"}
    chosen = list(of_meters.values())[:12]
    assert len(chosen) > 3
    for record in chosen:
        text = base64.b64encode(bytes.fromhex(keys[str(record.meter_serial)].public_key)).decode()
        (tmp_path / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
        (tmp_path / "signature").write_bytes(record.signature)
        for message, fits in ((record.signed_bytes, True), (record.signed_bytes + b" ", False)):
            (tmp_path / "message").write_bytes(message)
            done = subprocess.run(
                [*VERIFY_SM2.split(), "-in", "message", "-sigfile", "signature"], cwd=tmp_path, check=False,
                capture_output=True,
            )  # fmt: skip
            assert (done.returncode == 0) is fits, done


def test_clocks_are_within_three_minutes_and_minutes_within_a_minute(files: CityFiles) -> None:
    latest_first = sorted(files.sessions, key=lambda s: -(s.begin_utc_ms or 0))
    sessions = {s.transaction_id: s for s in latest_first}  # of two parts, the first one
    seen = Counter[str]()
    for order in files.orders:
        session = sessions.get(order.transaction_id)
        if session is None or order.start_utc_ms is None or session.begin_utc_ms is None:
            continue
        off = abs(order.start_utc_ms - session.begin_utc_ms)
        assert off <= 180_000 + (order.time_quantum_ms if order.time_quantum_ms > 1_000 else 0)
        seen["far" if off > 60_000 else "near"] += 1
    assert seen["far"] > 10
    assert seen["near"] > 100


def test_what_is_sent_again_is_the_same_bytes(files: CityFiles) -> None:
    for lines, values in ((files.order_lines, files.orders), (files.record_lines, files.signed)):
        again = [line for line, count in lines.items() if count > 1]
        assert len(again) > 5
        assert max(lines.values()) == 2
        assert len(values) == len(lines) + len(again)
    by_id = defaultdict(set)
    for order in files.orders:
        by_id[order.order_id].add(order.content_digest)
    assert all(len(digests) == 1 for digests in by_id.values())


def test_lost_records_leave_a_gap_in_the_pages_and_nothing_else(out: Path, files: CityFiles) -> None:
    lost = json.loads((out / "honest.json").read_text("utf-8"))["lost_records"]
    assert len(lost) > 2
    assert set(lost) <= {o.order_id for o in files.orders}
    assert not set(lost) & {s.transaction_id for s in files.sessions}
    pages: dict[str | None, set[int]] = defaultdict(set)
    for signed in files.signed:
        record = record_of(signed)
        pages[record.meter_serial].add(record.page_number or 0)
    missing = sum(max(p) - min(p) + 1 - len(p) for p in pages.values())
    assert missing >= len(lost)
    counters = [(s.meter_id, s.envelope_counter) for s in files.signed]
    assert len(set(counters)) == len(files.record_lines), "an upload counter is never used twice for other bytes"


def test_orders_split_at_midnight_meet_one_record(files: CityFiles) -> None:
    sessions = {s.transaction_id for s in files.sessions}
    second = [o for o in files.orders if o.transaction_id not in sessions and _wall_clock_is_midnight(o.start_utc_ms)]
    met = 0
    for order in second:
        (first,) = {o.order_id for o in files.orders if o.connector_id == order.connector_id
                    and o.end_utc_ms == order.start_utc_ms}  # fmt: skip
        metered = sum(s.energy_milli_wh or 0 for s in files.sessions if s.transaction_id == first)
        if first not in sessions:
            continue  # this one's record is among the lost ones
        met += 1
        before = next(o for o in files.orders if o.order_id == first)
        assert metered == (before.energy_milli_wh or 0) + (order.energy_milli_wh or 0)
    assert met


def _wall_clock_is_midnight(moment_utc_ms: int | None) -> bool:
    return ((moment_utc_ms or 0) + 8 * HOUR_MS) % (24 * HOUR_MS) == 0


def test_a_power_failure_makes_two_records_of_one_order(files: CityFiles) -> None:
    parts = defaultdict(list)
    for session in files.sessions:
        parts[session.transaction_id].append(session)
    orders = {o.order_id: o for o in files.orders}
    pairs = [sorted(p, key=lambda s: s.begin_utc_ms or 0) for p in parts.values() if len(p) == 2]
    assert pairs
    for first, second in pairs:
        assert first.end_register_milli_wh == second.begin_register_milli_wh
        assert (first.end_utc_ms or 0) < (second.begin_utc_ms or 0)
        order = orders[str(first.transaction_id)]
        total = (first.energy_milli_wh or 0) + (second.energy_milli_wh or 0)
        if order.energy_quantum_milli_wh == 1_000 and order.operator_id != "MA33CT004":
            assert order.energy_milli_wh == total


def test_operators_totals_add_up(files: CityFiles) -> None:
    orders = {o.order_id: o for o in files.orders}.values()
    assert len(files.totals) > 20
    for total in files.totals:
        inside = [
            o
            for o in orders
            if o.operator_id == total.operator_id and total.start_utc_ms <= (o.start_utc_ms or 0) <= total.end_utc_ms
        ]
        sums = len(inside), sum(o.energy_milli_wh or 0 for o in inside), sum(o.amount_e4 or 0 for o in inside)
        assert sums == (total.order_count, total.energy_milli_wh, total.amount_e4)
    assert sum(t.order_count for t in files.totals) == len(orders)


def test_every_operator_has_its_own_habits(files: CityFiles) -> None:
    steps = {(o.operator_id, o.energy_quantum_milli_wh, o.time_quantum_ms) for o in files.orders}
    assert ("MA33CT002", 10_000, 1_000) in steps
    assert ("MA33CT003", 1_000, 60_000) in steps
    assert {o.loss_ratio_ppm for o in files.orders} == {None, 0}
    assert any(o.meter_begin_milli_wh is None for o in files.orders)
    for order in files.orders:
        if order.meter_begin_milli_wh is not None and order.meter_end_milli_wh is not None:
            assert order.meter_end_milli_wh - order.meter_begin_milli_wh == order.energy_milli_wh


@pytest.mark.parametrize("form", ["wire", "columns"])
def test_same_seed_same_bytes_whatever_the_workers(form: str, tmp_path: Path) -> None:
    options = CityOptions(seed=11, chargers=30, days=12, cheats=dict.fromkeys(Kind, 1))
    for city, workers in (("a", 1), ("b", 1), ("c", 2)):
        make(tmp_path / city, options, form, workers)
    make(tmp_path / "d", CityOptions(seed=12, chargers=30, days=12, cheats=dict.fromkeys(Kind, 1)), form)
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(names) > 7
    for name in names:
        for other in ("b", "c"):
            assert filecmp.cmp(tmp_path / "a" / name, tmp_path / other / name, shallow=False), name
    assert not filecmp.cmp(tmp_path / "a" / "truth.jsonl", tmp_path / "d" / "truth.jsonl", shallow=False)
