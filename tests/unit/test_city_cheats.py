"""Each kind of cheat leaves in the files exactly the trace that its line of truth says."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from anxin.city.options import KINDS, CityOptions, Kind, MessRates, parse_cheats
from anxin.domain.errors import PolicyError
from anxin.domain.meter_record import MeterSession
from anxin.domain.order import Order
from anxin.domain.quantities import iso_of
from tests.unit.city_files import CityFiles, make, read

EACH = 4
WH = 1_000  # mWh
OPTIONS = CityOptions(
    seed=3, chargers=90, days=21, cheats=dict.fromkeys(KINDS, EACH), rates=MessRates(power_failure_ppm=20_000)
)


class Made:
    """A cheated city with its truth, and the same city without cheats."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "cheated"
        make(self.out, OPTIONS)
        self.files: CityFiles = read(self.out)
        lines = (self.out / "truth.jsonl").read_text("utf-8").splitlines()
        self.truth: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.orders: dict[str, Order] = {o.order_id: o for o in self.files.orders}
        self.sessions: dict[str, list[MeterSession]] = {}
        for session in self.files.sessions:
            self.sessions.setdefault(str(session.transaction_id), []).append(session)

    def of(self, kind: Kind) -> list[dict[str, Any]]:
        found = [t for t in self.truth if t["kind"] == kind]
        assert len(found) == EACH
        return found

    def pair(self, truth: dict[str, Any]) -> tuple[Order, MeterSession]:
        (session,) = self.sessions[truth["record_ids"][0]]
        return self.orders[truth["order_ids"][0]], session


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("city"))


def milli_wh(text: str) -> int:
    whole, part = text.split(".")
    return (int(whole) * 1_000 + int(part)) * WH


def billed_more(order: Order, session: MeterSession) -> int:
    return (order.energy_milli_wh or 0) - (session.energy_milli_wh or 0)


def tolerance(order: Order, session: MeterSession) -> int:
    return order.energy_quantum_milli_wh + session.energy_quantum_milli_wh


def test_every_kind_is_planted_and_names_what_exists(made: Made) -> None:
    assert Counter(t["kind"] for t in made.truth) == dict.fromkeys(KINDS, EACH)
    assert len({t["cheat_id"] for t in made.truth}) == len(made.truth)
    touched: Counter[str] = Counter()
    connectors = {c.connector_id: c.charger_id for c in made.files.register.connectors}
    meters = {m.meter_id for m in made.files.register.meters}
    for truth in made.truth:
        assert set(truth["order_ids"]) <= set(made.orders), truth
        assert set(truth["record_ids"]) <= {s.transaction_id for s in made.files.signed}, truth
        assert truth["order_ids"] or truth["record_ids"]
        assert connectors[truth["connector_id"]] == truth["charger_id"]
        assert truth["meter_id"] in meters
        assert truth["to"] is None or truth["from"] < truth["to"]
        touched.update({*truth["order_ids"], *truth["record_ids"]})
    assert set(touched.values()) == {1}, "at most one cheat a session"


@pytest.mark.parametrize("kind", [Kind.INFLATED_ENERGY, Kind.LOSS_RATIO])
def test_order_bills_more_than_its_record(made: Made, kind: Kind) -> None:
    for truth in made.of(kind):
        order, session = made.pair(truth)
        more = billed_more(order, session)
        assert more == milli_wh(truth["size"]["energy_kwh"])
        assert truth["contradicts_record"] is (more > tolerance(order, session))
        if kind is Kind.LOSS_RATIO:
            assert order.loss_ratio_ppm == truth["size"]["loss_ratio_ppm"]
            assert 20_000 <= truth["size"]["loss_ratio_ppm"] <= 100_000


def test_a_splice_ends_with_the_end_record_of_somebody_else(made: Made) -> None:
    for truth in made.of(Kind.SPLICE):
        order, next_order = (made.orders[i] for i in truth["order_ids"])
        mine, theirs = ([s for s in made.files.signed if s.transaction_id == i] for i in truth["record_ids"])
        begin, end = (s.record for s in mine)
        next_begin, next_end = (s.record for s in theirs)
        assert begin is not None
        assert end is not None
        assert next_begin is not None
        assert next_end is not None
        assert end.payload_digest == next_end.payload_digest
        assert [r.page_number for r in (next_begin, next_end)] == [(begin.page_number or 0) + n for n in (2, 3)]
        assert begin.user_ref != end.user_ref
        registers = [r.readings[0].register_milli_wh or 0 for r in (begin, next_begin, end)]
        assert abs((order.energy_milli_wh or 0) - (registers[2] - registers[0])) < order.energy_quantum_milli_wh
        taken = registers[1] - registers[0]
        assert (order.energy_milli_wh or 0) - taken == milli_wh(truth["size"]["energy_kwh"])
        assert truth["contradicts_record"]
        assert (next_order.start_utc_ms or 0) > (order.end_utc_ms or 0)


def test_inflated_amount_leaves_the_energy_alone(made: Made) -> None:
    for truth in made.of(Kind.INFLATED_AMOUNT):
        order, session = made.pair(truth)
        assert abs(billed_more(order, session)) <= tolerance(order, session)
        due = sum(
            (p.energy_milli_wh or 0) * (p.energy_price_e4 or 0) // 10**8 + (p.energy_milli_wh or 0)
            * (p.service_price_e4 or 0) // 10**8
            for p in {p.period_no: p for p in made.files.order_periods if p.order_id == order.order_id}.values()
        )  # fmt: skip
        extra_cents = (order.amount_e4 or 0) // 100 - due
        assert 0 <= extra_cents - round(float(truth["size"]["amount"]) * 100) <= 16, "floors of at most 16 figures"


def test_hidden_sessions_have_a_record_only_and_withheld_ones_an_order_only(made: Made) -> None:
    for truth in made.of(Kind.HIDDEN_SESSION):
        assert truth["order_ids"] == []
        (session,) = made.sessions[truth["record_ids"][0]]
        assert session.transaction_id not in made.orders
        assert session.energy_milli_wh == milli_wh(truth["size"]["energy_kwh"])
    for truth in made.of(Kind.WITHHELD_RECORD):
        assert truth["record_ids"] == []
        order = made.orders[truth["order_ids"][0]]
        before, after = (made.sessions[i] for i in truth["beside"])
        moved = (after[0].begin_register_milli_wh or 0) - (before[-1].end_register_milli_wh or 0)
        assert (order.energy_milli_wh or 0) - moved == milli_wh(truth["size"]["energy_kwh"])
        assert (after[0].page_first or 0) == (before[-1].page_last or 0) + 2


def test_replays_send_an_old_payload_under_a_new_transaction(made: Made) -> None:
    payloads: dict[str, set[str | None]] = {}
    for signed in made.files.signed:
        assert signed.record is not None
        payloads.setdefault(signed.record.payload_digest, set()).add(signed.transaction_id)
    twice = [ids for ids in payloads.values() if len(ids) > 1]
    assert len(twice) == 2 * EACH, "replays, and the end records of splices"
    for truth in made.of(Kind.REPLAY):
        ((digest, ids),) = [(d, i) for d, i in payloads.items() if len(i) > 1 and truth["record_ids"][0] in i]
        (source,) = ids - set(truth["record_ids"])
        assert source in truth["beside"]
        order, original = (
            made.orders[truth["order_ids"][0]],
            next(s for s in made.sessions[str(source)] if s.record_id == digest),
        )
        # The made-up order may run over midnight at an operator that splits there: then it is two.
        billed = sum(made.orders[part].energy_milli_wh or 0 for part in truth["order_ids"])
        assert abs(billed - (original.energy_milli_wh or 0)) <= len(truth["order_ids"]) * tolerance(order, original)
        assert (order.start_utc_ms or 0) > (original.end_utc_ms or 0)


def test_swapped_meters_are_registered_elsewhere(made: Made) -> None:
    places = {m.meter_id: m.connector_id for m in made.files.register.meters}
    for truth in made.of(Kind.SWAPPED_METER):
        order, session = made.pair(truth)
        assert session.meter_id == truth["meter_id"]
        assert session.connector_id == truth["connector_id"] == order.connector_id
        assert places[str(session.meter_id)] != session.connector_id
        assert session.answer == "authentic"
        assert billed_more(order, session) == 0


def test_a_rolled_back_register_begins_below_where_it_ended(made: Made) -> None:
    for truth in made.of(Kind.REGISTER_ROLLBACK):
        order, session = made.pair(truth)
        before = made.sessions[truth["beside"][0]][-1]
        back = (before.end_register_milli_wh or 0) - (session.begin_register_milli_wh or 0)
        assert back == milli_wh(truth["size"]["energy_kwh"])
        assert session.answer == "authentic"
        assert abs(billed_more(order, session)) <= tolerance(order, session)


def test_only_forged_records_are_forged(made: Made) -> None:
    forged = {s.transaction_id for s in made.files.sessions if s.answer != "authentic"}
    assert forged == {t["record_ids"][0] for t in made.of(Kind.FORGED_SIGNATURE)}
    for truth in made.of(Kind.FORGED_SIGNATURE):
        order, session = made.pair(truth)
        assert session.answer == "forged"
        assert billed_more(order, session) == 0
        after = made.sessions[truth["beside"][-1]][0]
        beyond = (session.end_register_milli_wh or 0) - (after.begin_register_milli_wh or 0)
        assert beyond == milli_wh(truth["size"]["energy_kwh"])


def test_seals_and_verifications_stand_in_the_register(made: Made) -> None:
    register = made.files.register
    broken = {s.charger_id: s for s in register.seals if s.broken_utc_ms is not None}
    assert set(broken) == {t["charger_id"] for t in made.of(Kind.BROKEN_SEAL)}
    ends = {v.charger_id: v.valid_to_utc_ms for v in register.verifications}
    last = max(o.end_utc_ms or 0 for o in made.files.orders)
    expired = {t["charger_id"] for t in made.of(Kind.EXPIRED_VERIFICATION)}
    assert {charger for charger, end in ends.items() if end < last} == expired
    charger_of = {c.connector_id: c.charger_id for c in register.connectors}
    for kind in (Kind.BROKEN_SEAL, Kind.EXPIRED_VERIFICATION):
        for truth in made.of(kind):
            charger = truth["charger_id"]
            begin = broken[charger].broken_utc_ms if kind is Kind.BROKEN_SEAL else ends[charger]
            end = (broken[charger].replaced_utc_ms if kind is Kind.BROKEN_SEAL else None) or 2**62
            during = {
                o.order_id
                for o in made.orders.values()
                if charger_of[str(o.connector_id)] == charger and (begin or 0) <= (o.start_utc_ms or 0) < end
            }
            assert during == set(truth["order_ids"])
            assert 1 <= truth["size"]["sessions"] <= 5
            assert (iso_of(begin) or "")[:10] <= truth["from"][:10]


def test_everything_but_the_cheats_is_honest(made: Made) -> None:
    """Sessions that no cheat names agree, and no register jumps but beside a cheat or a lost record."""
    lost = set(json.loads((made.out / "honest.json").read_text("utf-8"))["lost_records"])
    named = {i for t in made.truth for i in (*t["order_ids"], *t["record_ids"])}
    beside = {i for t in made.truth for i in t["beside"]} | named
    compared = 0
    for order in made.orders.values():
        metered = made.sessions.get(order.order_id)
        if metered is None or order.order_id in named or order.operator_id == "MA33CT004":
            continue
        total = sum(s.energy_milli_wh or 0 for s in metered)
        assert abs((order.energy_milli_wh or 0) - total) <= tolerance(order, metered[0])
        compared += 1
    assert compared > 1_000
    chains: dict[str, list[MeterSession]] = {}
    for session in made.files.sessions:
        if session.transaction_id not in named:
            chains.setdefault(str(session.meter_id), []).append(session)
    for chain in chains.values():
        chain.sort(key=lambda s: s.page_first or 0)
        for first, second in pairwise(chain):
            if (first.page_last or 0) + 1 == second.page_first:
                assert first.end_register_milli_wh == second.begin_register_milli_wh
            else:
                around = {first.transaction_id, second.transaction_id}
                assert around & beside or lost, (first, second)


def test_sizes_run_from_just_above_the_tolerance_to_large(tmp_path: Path) -> None:
    make(tmp_path / "c", CityOptions(seed=4, chargers=60, days=20, cheats={Kind.INFLATED_ENERGY: 24}))
    truths = [json.loads(line) for line in (tmp_path / "c" / "truth.jsonl").read_text("utf-8").splitlines()]
    sizes = sorted(milli_wh(t["size"]["energy_kwh"]) for t in truths)
    assert len(sizes) == 24
    assert sizes[0] <= 20 * WH
    assert sizes[-1] == 20_000 * WH
    assert all(t["contradicts_record"] for t in truths)


def test_a_city_too_small_for_its_cheats_says_so() -> None:
    with pytest.raises(PolicyError, match="too small for 50 cheats of kind"):
        make(Path("/nonexistent/never/written"), CityOptions(chargers=3, days=3, cheats={Kind.BROKEN_SEAL: 50}))


def test_cheats_are_parsed_by_kind() -> None:
    counts = parse_cheats(["replay=7", "splice=0"], 2)
    assert counts[Kind.REPLAY] == 7
    assert counts[Kind.SPLICE] == 0
    assert counts[Kind.INFLATED_ENERGY] == 2
    for wrong in ("bribery=1", "replay", "replay=-1", "replay=x"):
        with pytest.raises(PolicyError, match="KIND=COUNT"):
            parse_cheats([wrong], None)


def test_every_kind_and_every_rate_stands_in_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats" / "city.md").read_text("utf-8")
    for kind in KINDS:
        assert f"| `{kind}` |" in text
    for number in (20_000, 5_000, 2_000, 200, 300_000):
        assert f"| {number:,} |" in text
    assert MessRates() == MessRates(20_000, 72, 5_000, 2_000, 200, 300_000)
