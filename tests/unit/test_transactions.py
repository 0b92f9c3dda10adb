"""Records to transactions, transactions to sessions: who belongs together, and what the bill may rest on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.batch import JudgedRecord
from anxin.domain.billable import register_of
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.source import Source
from anxin.formats.signed_records import signed_record
from anxin.formats.transactions import join, record_id_of, session_of
from anxin.trust.verify import judge_signed
from tests.scenarios.record_notation import parse, signing_key


def judged(text: str, transaction_id: str | None = None) -> list[JudgedRecord]:
    """Return the judged records of a scenario."""
    records = []
    for row, (raw, key, _) in enumerate(parse(text).records, start=1):
        signed = signed_record(raw, Source("test", row), transaction_id=transaction_id)
        records.append(JudgedRecord(signed, judge_signed(signed, key)))
    return records


def sessions(text: str, transaction_id: str | None = None) -> list[MeterSession]:
    return [session_of(transaction)[0] for transaction in join(judged(text, transaction_id))]


def energies(text: str) -> list[int | None]:
    return [session.energy_milli_wh for session in sessions(text)]


def test_a_complete_record_is_its_own_session_and_keeps_its_digest() -> None:
    (session,) = sessions("record PG=T7 CT=EVSEID CI=E-1 B=100.0@10:00 E=120.5@10:30")
    (record,) = judged("record PG=T7 CT=EVSEID CI=E-1 B=100.0@10:00 E=120.5@10:30")
    assert record.signed.record is not None
    assert session.record_id == record.signed.record.payload_digest
    assert (session.meter_id, session.gateway_id, session.connector_id) == ("MS-1", "GS-1", "E-1")
    assert (session.energy_milli_wh, session.energy_quantum_milli_wh, session.closed) == (20_500_000, 100_000, True)
    assert (session.page_context, session.page_first, session.page_last) == ("T", 7, 7)
    assert (session.clock, session.answer, session.local_date) == ("S", "authentic", "2026-05-01")


def test_begin_and_end_make_one_identity_of_both() -> None:
    pair = judged("record PG=T1 B=1.0@10:00\nrecord PG=T2 E=2.5@10:30")
    (session,) = [session_of(t)[0] for t in join(pair)]
    digests = [r.signed.record.payload_digest for r in pair if r.signed.record is not None]
    assert session.record_id == record_id_of(digests)
    assert (session.page_first, session.page_last, session.energy_milli_wh) == (1, 2, 1_500_000)


def test_the_gateway_stands_in_for_a_meter_without_serial() -> None:
    (session,) = sessions("record MS=- B=1.0@10:00 E=2.0@10:30")
    assert session.meter_id == "GS-1"


def test_weakest_clock_and_weakest_answer_decide() -> None:
    (session,) = sessions("record PG=T1 B=1.0@10:00\nrecord PG=T2 CK=I E=2.0@10:30 signature=forged")
    assert (session.clock, session.answer, session.reason) == ("I", "forged", "signature_mismatch")


def test_a_forged_copy_does_not_unmake_the_statement() -> None:
    (good,) = judged("record B=1.0@10:00 E=2.0@10:30")
    assert good.signed.record is not None
    same = signed_record(good.signed.raw, Source("test", 2))
    other = replace(same, record=replace(good.signed.record, signature=signing_key().sign(b"other")))
    copy = JudgedRecord(other, judge_signed(other, signing_key().public_key))
    assert copy.judgement.answer.value == "forged"
    (transaction,) = join([copy, good])
    assert session_of(transaction)[0].answer == "authentic"
    assert transaction.answer.value == "forged"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("record B=1.0@10:00 C=1.2@10:05 EF=E E=2.0@10:30 EF=", None),
        ("record B=1.0@10:00 C=1.2@10:05 EF=t E=2.0@10:30 EF=", 1_000_000),
        ("record B=1.0@10:00 X=1.2@10:05 E=2.0@10:30", None),
        ("record B=1.0@10:00 X=1.2@10:05 EF=t E=2.0@10:30 EF=", 1_000_000),
        ("record B=1.0@10:00 E=2.0@10:30 ST=M", None),
        ("record B=1.0@10:00", None),
        ("record B=1.0@10:00 E=2000@10:30 RU=Wh", 1_000_000),
        ("record B=1.0@10:00 P=2.0@10:30", 1_000_000),
        ("record B=1.0@10:00 RI=1-0:1.8.0 E=2.0@10:30 RI=1-0:98.8.0", None),
    ],
)
def test_energy_is_given_only_where_it_may_be_billed(text: str, expected: int | None) -> None:
    assert energies(text) == [expected]


def test_the_compensated_import_register_is_billed_and_export_never() -> None:
    text = """
        record B=1.0@10:00 RI=1-0:2.8.0 B=5.0@10:00 RI=1-0:1.8.0 B=4.0@10:00 RI=1-0:98.8.0
    """
    begin = text.strip()
    whole = begin + " E=9.0@10:30 RI=1-0:2.8.0 E=7.0@10:30 RI=1-0:1.8.0 E=5.5@10:30 RI=1-0:98.8.0"
    assert energies(whole) == [1_500_000]


def test_energy_per_tariff_period_adds_up() -> None:
    (transaction,) = join(judged("record B=1.0@10:00 T=1.25@10:10 T=2.0@10:20 E=2.5@10:30"))
    session, periods = session_of(transaction)
    start = session.begin_utc_ms
    assert start is not None
    assert periods == [
        RecordPeriod(session.record_id, 1, start, start + 600_000, 250_000),
        RecordPeriod(session.record_id, 2, start + 600_000, start + 1_200_000, 750_000),
        RecordPeriod(session.record_id, 3, start + 1_200_000, start + 1_800_000, 500_000),
    ]
    assert sum(p.energy_milli_wh for p in periods) == session.energy_milli_wh


def test_a_session_without_tariff_change_has_no_periods() -> None:
    (transaction,) = join(judged("record B=1.0@10:00 C=1.5@10:10 E=2.5@10:30"))
    assert session_of(transaction)[1] == []


def test_readings_on_the_way_belong_to_the_open_transaction() -> None:
    (transaction,) = join(judged("record PG=T1 B=1.0@10:00\nrecord PG=T2 C=1.5@10:10\nrecord PG=T3 E=2.0@10:30"))
    assert len(transaction.records) == 3


def test_fiscal_readings_stand_alone() -> None:
    (record,) = judged("record PG=F1 B=1.0@10:00")
    assert record.signed.record is not None
    fiscal = replace(record.signed.record.readings[0], context=None)
    signed = replace(record.signed, record=replace(record.signed.record, readings=(fiscal,)))
    begin = judged("record PG=T1 B=1.0@10:00")
    assert len(join([*begin, JudgedRecord(signed, record.judgement)])) == 2


def test_two_sessions_of_one_transaction_after_a_power_failure() -> None:
    text = "record PG=T1 B=1.0@10:00\nrecord PG=T2 P=1.5@10:10\nrecord PG=T3 B=1.5@10:20\nrecord PG=T4 E=2.0@10:30"
    found = sessions(text, "TX-1")
    assert [(s.transaction_id, s.energy_milli_wh) for s in found] == [("TX-1", 500_000), ("TX-1", 500_000)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), meters=st.integers(2, 5))
def test_interleaved_meters_are_never_mixed(seed: int, meters: int) -> None:
    lines = {
        f"M{n}": [f"record MS=M{n} PG=T{p} {'B' if p % 2 else 'E'}={n}{p}.0@10:{p:02d}" for p in range(1, 5)]
        for n in range(1, meters + 1)
    }
    chance, mixed = random.Random(seed), []
    while any(lines.values()):
        name = chance.choice([n for n, left in lines.items() if left])
        mixed.append(lines[name].pop(0))
    transactions = join(judged("\n".join(mixed)))
    assert len(transactions) == 2 * meters
    for transaction in transactions:
        assert len({record.meter_serial for record, _ in transaction.judged}) == 1
        assert session_of(transaction)[0].closed


@pytest.mark.parametrize(
    ("code", "register"),
    [
        ("1-b:1.8.0", "1.8.0"),
        ("1-0:1.8.0*255", "1.8.0"),
        ("01-00:01.08.00.FF", "1.8.0"),
        ("01-00:B3.08.00*FF", "b3.8.0"),
        ("1.8.0", "1.8.0"),
        ("1-b", "1-b"),
        (None, ""),
    ],
)
def test_one_register_in_many_spellings(code: str | None, register: str) -> None:
    assert register_of(code) == register
