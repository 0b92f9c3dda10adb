"""OCPI CDRs of both versions, and the signed records in them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.batch import Batch, Side
from anxin.domain.errors import AnxinError, FormatError
from anxin.formats import ocpi

RECORD = b'OCMF|{"FV":"1.0","GS":"G1","PG":"T1","RD":[]}|{"SD":"3006020101020101"}'


def a_cdr(**changes: object) -> dict[str, object]:
    cdr: dict[str, object] = {
        "country_code": "NL",
        "party_id": "XYZ",
        "id": "cdr-1",
        "start_date_time": "2026-03-10T10:03:49Z",
        "end_date_time": "2026-03-10T10:43:49Z",
        "session_id": "s-1",
        "cdr_location": {"id": "L", "evse_uid": "77", "evse_id": "NL*XYZ*E7", "connector_id": "2"},
        "meter_id": "M7",
        "currency": "EUR",
        "tariffs": [{"id": "T1"}],
        "charging_periods": [
            {"start_date_time": "2026-03-10T10:03:49Z", "dimensions": [{"type": "ENERGY", "volume": 4}]},
            {"start_date_time": "2026-03-10T10:23:49Z", "dimensions": [{"type": "TIME", "volume": 1}]},
        ],
        "total_cost": {"excl_vat": 4.0, "incl_vat": 4.84},
        "total_energy": 10.5,
        "last_updated": "2026-03-10T11:00:00Z",
    }
    cdr.update(changes)
    return {name: value for name, value in cdr.items() if value is not ...}


def decode(value: object) -> Batch:
    return ocpi.decode(json.dumps(value).encode(), "cdrs.json")


def kinds(batch: Batch) -> set[str]:
    return {deviation.kind for _, deviation in batch.deviations}


def test_a_cdr_becomes_an_order_with_its_periods() -> None:
    batch = decode(a_cdr())
    (order,), (first, second) = batch.orders, batch.order_periods
    assert (batch.rejects, batch.deviations) == ([], [])
    assert (order.order_id, order.transaction_id, order.meter_id) == ("cdr-1", "s-1", "M7")
    assert (order.operator_id, order.connector_id) == ("NL*XYZ", "NL*XYZ*E7/2")
    assert (order.start_utc_ms, order.energy_milli_wh) == (1773137029000, 10_500_000)
    assert (order.amount_e4, order.currency, order.tariff_id) == (48_400, "EUR", "T1")
    assert first.end_utc_ms == second.start_utc_ms
    assert second.end_utc_ms == order.end_utc_ms
    assert (first.energy_milli_wh, second.energy_milli_wh) == (4_000_000, None)
    assert second.content_digest == order.content_digest


@pytest.mark.parametrize(
    ("price", "amount", "kind"),
    [
        ({"excl_vat": 4.0, "incl_vat": 4.84}, 48_400, None),
        ({"before_taxes": 4.0, "taxes": [{"name": "VAT", "amount": 0.84}]}, 48_400, None),
        ({"before_taxes": 4.0}, 40_000, None),
        ({"excl_vat": 4.0}, 40_000, "ocpi.price_net"),
        (4.84, 48_400, "ocpi.price_number"),
    ],
)
def test_the_amount_is_what_the_driver_pays_in_either_version(price: object, amount: int, kind: str | None) -> None:
    batch = decode(a_cdr(total_cost=price))
    assert batch.orders[0].amount_e4 == amount
    assert kinds(batch) == ({kind} if kind else set())


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        ("2026-03-10T10:03:49", None),
        ("2026-03-10T10:03:49.000Z", None),
        ("2026-03-10T11:03:49+01:00", "ocpi.time_offset"),
    ],
)
def test_times_of_rfc_3339_are_read(time: str, kind: str | None) -> None:
    batch = decode(a_cdr(start_date_time=time))
    assert batch.orders[0].start_utc_ms == 1773137029000
    assert kinds(batch) == ({kind} if kind else set())


def test_the_specifications_way_of_writing_an_unknown_time_is_seen_as_1970() -> None:
    assert decode(a_cdr(end_date_time="1970-1-1T00:00:00Z")).orders[0].end_utc_ms == 0


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: [c], lambda c: {"data": [c], "status_code": 1000}])
def test_every_container_holds_the_same_cdr(wrap: object) -> None:
    assert [o.order_id for o in decode(wrap(a_cdr())).orders] == ["cdr-1"]  # type: ignore[operator]


def test_json_lines_and_one_bad_line() -> None:
    lines = b"\n".join(json.dumps(c).encode() for c in (a_cdr(), a_cdr(total_energy="x"), a_cdr())) + b"\n{"
    batch = ocpi.decode(lines, "cdrs.jsonl")
    assert [o.source_row for o in batch.orders] == [1, 3]
    assert [(r.source.row, r.rule) for r in batch.rejects] == [(2, "number.syntax"), (4, "json.syntax")]


def signed(**value: object) -> dict[str, object]:
    return {"encoding_method": "OCMF", "public_key": "3059ab", "signed_values": [{"nature": "Start", **value}]}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"signed_data": base64.b64encode(RECORD).decode()}, None),
        ({"signed_data": base64.urlsafe_b64encode(RECORD).decode().rstrip("=")}, None),
        ({"signed_data": RECORD.decode()}, "ocpi.signed_data_plain"),
        ({"plain_data": RECORD.decode(), "signed_data": "3045ff"}, "ocpi.record_in_plain_data"),
        ({"plain_data": base64.b64encode(RECORD).decode()}, "ocpi.record_in_plain_data"),
    ],
)
def test_the_record_is_found_in_either_field_and_encoding(value: dict[str, object], kind: str | None) -> None:
    batch = decode(a_cdr(signed_data=signed(**value)))
    (record,) = batch.signed_records
    assert record.raw == RECORD
    assert (record.side, record.transaction_id, record.key_text, record.meter_id) == (Side.BEGIN, "s-1", "3059ab", "M7")
    assert kind is None or kind in kinds(batch)


def test_signed_data_that_is_no_record_is_malformed_not_lost() -> None:
    batch = decode(a_cdr(signed_data=signed(signed_data="AAAA")))
    assert [(r.record, r.malformed_rule) for r in batch.signed_records] == [(None, "ocmf.header")]
    assert len(batch.orders) == 1


def test_natures_become_sides() -> None:
    values = [{"nature": n, "signed_data": RECORD.decode()} for n in ("Start", "End", "Intermediate", "Odd")]
    batch = decode(a_cdr(signed_data={"encoding_method": "ocmf", "signed_values": values}))
    assert [r.side for r in batch.signed_records] == [Side.BEGIN, Side.END, Side.UNSTATED, Side.UNSTATED]
    assert "ocpi.nature" in kinds(batch)


@pytest.mark.parametrize(
    ("change", "rule", "field"),
    [
        ({"id": ...}, "ocpi.missing", "id"),
        ({"start_date_time": "yesterday"}, "time.syntax", "start_date_time"),
        ({"start_date_time": 5}, "time.syntax", "start_date_time"),
        ({"start_date_time": "0001-01-01T00:00:00+14:00"}, "time.range", None),
        ({"total_cost": {"incl_vat": "NaN"}}, "number.finite", "total_cost"),
        ({"total_cost": {}}, "ocpi.price", "total_cost"),
        ({"total_cost": {"before_taxes": 1, "taxes": 5}}, "ocpi.price", "total_cost"),
        ({"charging_periods": [5]}, "ocpi.periods", "charging_periods"),
        ({"signed_data": []}, "ocpi.signed_data", None),
        ({"signed_data": {"signed_values": [5]}}, "ocpi.signed_data", "signed_values"),
    ],
)
def test_a_bad_cdr_is_a_reject_that_names_its_field(change: dict[str, object], rule: str, field: str | None) -> None:
    batch = decode([a_cdr(**change), a_cdr()])
    assert [o.source_row for o in batch.orders] == [2]
    assert [(r.source.row, r.rule, r.field) for r in batch.rejects] == [(1, rule, field)]


@pytest.mark.parametrize("name", ["total_energy", "total_cost", "charging_periods", "end_date_time", "cdr_location"])
def test_a_missing_field_stays_none_and_is_reported(name: str) -> None:
    batch = decode(a_cdr(**{name: ...}))
    assert len(batch.orders) == 1
    assert ("ocpi.missing", name) in {(d.kind, d.field) for _, d in batch.deviations}


def test_an_empty_list_of_periods_is_no_fault_of_the_reader() -> None:
    batch = decode(a_cdr(charging_periods=[]))
    assert (len(batch.orders), batch.order_periods) == (1, [])


def test_no_session_took_place() -> None:
    location = {"evse_uid": "#NA", "evse_id": "#NA", "connector_id": "#NA"}
    assert decode(a_cdr(cdr_location=location)).orders[0].connector_id is None


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(FormatError):
        ocpi.decode(b" ", "x")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*a_cdr(), "signed_data"]), JSON_VALUES))
def test_any_value_in_any_field_is_an_order_or_a_reject(changes: dict[str, object]) -> None:
    try:
        batch = decode({**a_cdr(), **changes})
    except AnxinError:
        return
    assert len(batch.orders) + len(batch.rejects) == 1
