"""T/CEC 102 uploads: the standard's own shape, every wire variant met, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.batch import Batch
from anxin.domain.errors import AnxinError, FormatError
from anxin.formats import tcec102
from anxin.formats.digest import order_digest
from anxin.formats.tcec102_envelope import OperatorSecrets, seal_envelope

ORDER_ID = "MA01H3BQ1000000000000000001"
SECRETS = OperatorSecrets("MA01H3BQ1", b"0123456789abcdef", b"fedcba9876543210", b"a shared secret")


def an_order(**changes: object) -> dict[str, object]:
    order: dict[str, object] = {
        "StartChargeSeq": ORDER_ID,
        "ConnectorID": "20099_1",
        "StartTime": "2026-03-10 18:03:49",
        "EndTime": "2026-03-10 18:43:49",
        "TotalPower": 10.5,
        "TotalElecMoney": 5.25,
        "TotalSeviceMoney": 2.1,
        "TotalMoney": 7.35,
        "StopReason": 1,
        "SumPeriod": 1,
        "ChargeDetails": [
            {
                "DetailStartTime": "2026-03-10 18:03:49",
                "DetailEndTime": "2026-03-10 18:43:49",
                "ElecPrice": 0.5,
                "SevicePrice": 0.2,
                "DetailPower": 10.5,
                "DetailElecMoney": 5.25,
                "DetailSeviceMoney": 2.1,
            }
        ],
    }
    order.update(changes)
    return {name: value for name, value in order.items() if value is not ...}


def decode(value: object, **options: object) -> Batch:
    return tcec102.decode(json.dumps(value).encode(), "orders.json", **options)  # type: ignore[arg-type]


def kinds(batch: Batch) -> set[str]:
    return {deviation.kind for _, deviation in batch.deviations}


def test_an_order_of_the_standard_is_read_exactly() -> None:
    batch = decode(an_order())
    (order,), (period,) = batch.orders, batch.order_periods
    assert batch.rejects == []
    assert batch.deviations == []
    assert (order.order_id, order.transaction_id, order.operator_id) == (ORDER_ID, ORDER_ID, "MA01H3BQ1")
    assert order.start_utc_ms == 1773137029000  # 2026-03-10T10:03:49Z
    assert order.end_utc_ms == 1773137029000 + 40 * 60_000
    assert order.local_date == "2026-03-10"
    assert (order.energy_milli_wh, order.amount_e4) == (10_500_000, 73_500)
    assert (order.energy_amount_e4, order.service_amount_e4, order.currency) == (52_500, 21_000, "CNY")
    assert (period.energy_price_e4, period.service_price_e4, period.energy_milli_wh) == (5_000, 2_000, 10_500_000)
    assert period.content_digest == order.content_digest == order_digest(order, [period])


def test_energy_is_never_coarser_than_two_decimals_because_json_drops_zeros() -> None:
    assert decode(an_order(TotalPower=12)).orders[0].energy_quantum_milli_wh == 10_000
    assert decode(an_order(TotalPower=0.632)).orders[0].energy_quantum_milli_wh == 1_000


def test_times_on_whole_minutes_are_taken_as_minute_resolution() -> None:
    whole = an_order(StartTime="2026-03-10 18:03:00", EndTime="2026-03-10 18:43:00")
    assert decode(whole).orders[0].time_quantum_ms == 60_000
    assert decode(an_order(EndTime="2026-03-10 18:43:00")).orders[0].time_quantum_ms == 1_000


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"TotalSeviceMoney": ..., "TotalServiceMoney": 2.1}, "tcec102.spelling"),
        ({"TotalElecMoney": ..., "TotalElectMoney": 5.25}, "tcec102.spelling"),
        ({"SumPeriod": ..., "SubPeriod": 1}, "tcec102.spelling"),
        ({"ConnectorID": ..., "connectorID": "20099_1"}, "tcec102.spelling"),
        ({"TotalPower": ..., "TatalPower": 10.5}, "tcec102.spelling"),
        ({"StartTime": ..., "StatrTime": "2026-03-10 18:03:49"}, "tcec102.spelling"),
        ({"TotalPower": "10.5"}, "tcec102.number_as_text"),
        ({"StartTime": "2026-03-10T18:03:49"}, "tcec102.time_form"),
        ({"StartTime": "20260310180349"}, "tcec102.time_form"),
        ({"StartTime": "2026/03/10 18:03:49"}, "tcec102.time_form"),
        ({"StartTime": "2026-03-10T10:03:49Z"}, "tcec102.time_form"),
        ({"StartTime": 1773137029}, "tcec102.time_form"),
        ({"StartTime": 1773137029000}, "tcec102.time_form"),
        ({"StartTime": "1773137029"}, "tcec102.time_form"),
        ({"Invented": 1}, "tcec102.unknown_field"),
        ({"OperatorID": "123456789"}, "tcec102.operator_prefix"),
        ({"SumPeriod": 0}, "tcec102.sum_period"),
        ({"MeterNumStart": 0.0, "MeterNumEnd": 0.0}, "tcec102.registers_zero"),
        ({"LossRatio": 0.02, "OriginalPower": 10.0}, "tcec102.loss_ratio"),
    ],
)
def test_a_wire_variant_is_read_as_the_standard_and_reported(change: dict[str, object], kind: str) -> None:
    batch = decode(an_order(**change))
    assert batch.rejects == []
    assert kinds(batch) == {kind}
    assert batch.orders[0].start_utc_ms == 1773137029000
    assert batch.orders[0].energy_milli_wh == 10_500_000


@pytest.mark.parametrize("name", ["TotalMoney", "TotalSeviceMoney", "EndTime", "TotalPower", "ConnectorID"])
def test_a_missing_field_stays_none_and_is_reported(name: str) -> None:
    batch = decode(an_order(**{name: ...}))
    assert len(batch.orders) == 1
    assert [(d.kind, d.field) for _, d in batch.deviations] == [("tcec102.missing", name)]


def test_details_as_one_object_and_an_id_of_other_length_are_read() -> None:
    detail = an_order()["ChargeDetails"]
    assert isinstance(detail, list)
    assert kinds(decode(an_order(ChargeDetails=detail[0]))) == {"tcec102.details_object"}
    assert kinds(decode(an_order(StartChargeSeq="A1"))) == {"tcec102.sequence_length"}


def test_a_deviation_of_many_rows_is_said_once_with_its_count() -> None:
    batch = decode([an_order(TotalPower="10.5")] * 3)
    ((source, deviation),) = batch.deviations
    assert (source.row, deviation.detail) == (1, "TotalPower is a text (in 3 rows, first here)")


def test_each_row_with_another_form_of_time_counts() -> None:
    batch = decode([an_order(StartTime="2026/03/10 18:03:49")] * 3)
    assert [d.detail.endswith("(in 3 rows, first here)") for _, d in batch.deviations] == [True]


def test_the_optional_meter_fields_are_read() -> None:
    order = decode(
        an_order(
            MeterID="M7", MeterNumStart=100.25, MeterNumEnd=110.75, LossRatio=0.05, OriginalPower=10,
            TariffID="T1", UploadTime="2026-03-11 00:00:00",
        )
    ).orders[0]  # fmt: skip
    assert (order.meter_id, order.tariff_id) == ("M7", "T1")
    assert (order.meter_begin_milli_wh, order.meter_end_milli_wh) == (100_250_000, 110_750_000)
    assert order.loss_ratio_ppm == 50_000
    assert order.received_utc_ms == 1773158400000
    assert decode(an_order(OriginalPower=10)).orders[0].loss_ratio_ppm == 50_000


def test_when_it_was_uploaded_is_no_part_of_what_an_order_says() -> None:
    first = decode(an_order(UploadTime="2026-03-11 00:00:00")).orders[0]
    again = decode(an_order(UploadTime="2026-03-12 00:00:00", TotalPower="10.500")).orders[0]
    other = decode(an_order(TotalMoney=7.36)).orders[0]
    assert first.content_digest == again.content_digest != other.content_digest
    split = an_order()
    split["ChargeDetails"] = [{**split["ChargeDetails"][0], "ElecPrice": 0.51}]  # type: ignore[index]
    assert decode(split).orders[0].content_digest != first.content_digest


@pytest.mark.parametrize(
    "wrap",
    [
        lambda order: order,
        lambda order: [order],
        lambda order: {"ChargeOrderInfo": order},
        lambda order: {"OperatorID": "MA01H3BQ1", "Data": {"ChargeOrderInfo": [order]}, "Sig": "x"},
        lambda order: json.loads(seal_envelope(json.dumps(order).encode(), SECRETS, "20260311000000")),
        lambda order: [json.loads(seal_envelope(json.dumps([order]).encode(), SECRETS, "20260311000000"))],
    ],
)
def test_every_container_holds_the_same_order(wrap: object) -> None:
    batch = decode(wrap(an_order()), secrets=[SECRETS])  # type: ignore[operator]
    assert [order.content_digest for order in batch.orders] == [decode(an_order()).orders[0].content_digest]


def test_json_lines_keep_their_line_numbers_and_one_bad_line_is_one_reject() -> None:
    lines = [json.dumps(an_order()), "", "{broken", json.dumps(an_order(TotalPower="many")), json.dumps(an_order())]
    batch = tcec102.decode("\n".join(lines).encode(), "orders.jsonl", first_row=101)
    assert [order.source_row for order in batch.orders] == [101, 105]
    assert [(r.source.row, r.rule, r.field) for r in batch.rejects] == [
        (103, "json.syntax", None),
        (104, "number.syntax", "TotalPower"),
    ]


def test_a_last_line_broken_off_in_a_chunk_of_its_own_is_one_reject() -> None:
    batch = tcec102.decode(b'{"StartChargeSeq": "1', "orders.jsonl", first_row=9000)
    assert [(r.source.row, r.rule) for r in batch.rejects] == [(9000, "json.syntax")]
    assert len(tcec102.decode(json.dumps([an_order()]).encode(), "orders.jsonl", first_row=2).orders) == 1


def test_an_operators_total_is_read() -> None:
    check = {
        "CheckOrderSeq": "MA01H3BQ1000000000000000099",
        "StartTime": "2026-03-10 00:00:00",
        "EndTime": "2026-03-11 00:00:00",
        "OrderCount": 2,
        "TotalOrderPower": 21,
        "TotalOrderMoney": 14.7,
        "ChargeOrders": [{"StartChargeSeq": ORDER_ID, "TotalPower": 10.5, "TotalMoney": 7.35}],
    }
    batch = decode(check)
    (total,) = batch.operator_totals
    assert (total.operator_id, total.order_count) == ("MA01H3BQ1", 2)
    assert (total.energy_milli_wh, total.amount_e4) == (21_000_000, 147_000)
    assert kinds(batch) == {"tcec102.check_list_length"}


@pytest.mark.parametrize(
    ("change", "rule", "field"),
    [
        ({"StartChargeSeq": ...}, "tcec102.missing", "StartChargeSeq"),
        ({"StartTime": "2026-13-01 00:00:00"}, "time.syntax", "StartTime"),
        ({"StartTime": "1969-12-31 00:00:00"}, "time.range", None),
        ({"StartTime": "0001-01-01T00:00:00+14:00"}, "time.range", None),
        ({"StartTime": "9999-12-31T23:59:59-14:00"}, "time.range", None),
        ({"TotalPower": 1e20}, "number.range", "TotalPower"),
        ({"TotalPower": True}, "number.syntax", "TotalPower"),
        ({"TotalMoney": "NaN"}, "number.finite", "TotalMoney"),
        ({"ConnectorID": "a\u0000b"}, "text.control", "ConnectorID"),
        ({"ConnectorID": "\ud800"}, "text.control", "ConnectorID"),
        ({"ConnectorID": "x" * 300}, "text.length", "ConnectorID"),
        ({"ChargeDetails": "none"}, "tcec102.details", "ChargeDetails"),
        ({"ChargeDetails": [1]}, "tcec102.details", "ChargeDetails"),
        ({"LossRatio": 11}, "number.range", "LossRatio"),
        ({"TotalServiceMoney": 9}, "tcec102.field_twice", "TotalSeviceMoney"),
    ],
)
def test_a_bad_order_is_a_reject_that_names_its_field(change: dict[str, object], rule: str, field: str) -> None:
    batch = decode([an_order(**change), an_order()])
    assert len(batch.orders) == 1
    assert [(r.source.row, r.rule, r.field) for r in batch.rejects] == [(1, rule, field)]


def test_the_1970_of_an_unset_clock_is_read_so_that_a_rule_can_see_it() -> None:
    assert decode(an_order(StartTime="1970-01-01 08:00:00")).orders[0].start_utc_ms == 0


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "tcec102.empty"),
        (b"\xef\xbb\xbf  \n", "tcec102.empty"),
        (b'{"StartChargeSeq": "1", "StartChargeSeq": "2"}', "json.duplicate_key"),
        (b'{"TotalPower": NaN}', "json.not_finite"),
        (b'{"StartChargeSeq": ', "json.syntax"),
        (b"[" * 100 + b"]" * 100, "json.depth"),
        (b"[" * 100_000, "json.depth"),
        (b'{"TotalPower": 1' + b"0" * 5000 + b"}", "json.number"),
        (b'{"TotalPower": 1e99999999999999999999}', "json.number"),
        ('{"ConnectorID": "充电"}'.encode("gbk"), "encoding.utf8"),
        ('{"ConnectorID": "a"}'.encode("utf-16"), "encoding.utf8"),
    ],
)
def test_a_file_that_is_no_json_of_this_dialect_is_refused(data: bytes, rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        tcec102.decode(data, "orders.json")
    assert caught.value.rule == rule


def test_a_byte_order_mark_is_no_fault() -> None:
    assert len(tcec102.decode(b"\xef\xbb\xbf" + json.dumps(an_order()).encode(), "x").orders) == 1


def test_a_wrong_encoding_is_named() -> None:
    text = json.dumps(an_order(ConnectorID="充电桩一号"), ensure_ascii=False)
    with pytest.raises(FormatError, match="GBK"):
        tcec102.decode(text.encode("gbk"), "x")
    with pytest.raises(FormatError, match="UTF-16"):
        tcec102.decode(text.encode("utf-16"), "x")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(an_order())), JSON_VALUES))
def test_any_value_in_any_field_is_an_order_or_a_reject(changes: dict[str, object]) -> None:
    try:
        batch = decode({**an_order(), **changes})
    except AnxinError:
        return
    assert len(batch.orders) + len(batch.rejects) == 1
