"""OCMF: what a record says, which departures are read all the same, and what no decoder may let through."""

from __future__ import annotations

import contextlib
import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.errors import FormatError
from anxin.domain.meter_record import Clock, MeterRecord
from anxin.formats import ocmf
from anxin.formats.ocmf_deviations import CLAUSES
from anxin.formats.strict_json import Number, parse_json

DOCS = Path(__file__).resolve().parents[2] / "docs" / "formats"
BEGIN = {"TM": "2026-05-01T10:00:00,000+0200 S", "TX": "B", "RV": 100.5, "RI": "1-0:1.8.0", "RU": "kWh", "ST": "G"}
END = {"TM": "2026-05-01T10:30:00,000+0200 S", "TX": "E", "RV": 120.5}
HEAD: dict[str, Any] = {
    "FV": "1.4",
    "GI": "G",
    "GS": "GS-1",
    "PG": "T10",
    "MS": "MS-1",
    "IS": True,
    "IL": "VERIFIED",
    "IF": ["RFID_PLAIN"],
    "IT": "ISO14443",
    "ID": "1F2D3A4F",
    "CT": "EVSEID",
    "CI": "DE*ABC*E1",
    "RD": [BEGIN, END],
}
SIGNATURE = '{"SA":"ECDSA-secp256r1-SHA256","SD":"3006020101020101"}'


def framed(payload: str, signature: str = SIGNATURE) -> bytes:
    return f"OCMF|{payload}|{signature}".encode()


def decoded(changes: dict[str, Any] | None = None, signature: str = SIGNATURE, drop: str = "") -> MeterRecord:
    payload = {**HEAD, **(changes or {})}
    payload.pop(drop, None)
    return ocmf.decode(framed(json.dumps(payload), signature))


def reading(**changes: Any) -> dict[str, Any]:
    """One begin reading with fields changed; None leaves a field out."""
    return {"RD": [{k: v for k, v in {**BEGIN, **changes}.items() if v is not None}]}


def test_a_record_without_fault_says_what_it_says() -> None:
    record = decoded()
    assert record.deviations == ()
    assert (record.page_context, record.page_number, record.format_version) == ("T", 10, "1.4")
    assert (record.meter_serial, record.gateway_serial, record.place_id) == ("MS-1", "GS-1", "DE*ABC*E1")
    begin, end = record.readings
    assert (begin.time_utc_ms, begin.clock, begin.context) == (1777622400000, Clock.SYNCHRONISED, "B")
    assert (begin.register_milli_wh, begin.quantum_milli_wh) == (100_500_000, 100_000)
    assert (end.obis, end.unit, end.status, end.context) == ("1-0:1.8.0", "kWh", "G", "E")  # inherited


def test_the_user_is_a_pseudonym() -> None:
    record = decoded()
    assert record.user_ref == hashlib.sha256(b"1F2D3A4F").hexdigest()[:32]
    assert "1F2D3A4F" not in repr([getattr(record, n) for n in record.__slots__ if n not in ("signed_bytes",)])


@settings(max_examples=60, deadline=None)
@given(blanks=st.text(" \t\r\n", max_size=4), name=st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_signed_bytes_are_the_slice_that_came(blanks: str, name: str) -> None:
    payload = f"{blanks}{{{blanks}{json.dumps('UX')}{blanks}:{json.dumps(name, ensure_ascii=False)}}}{blanks}"
    record = ocmf.decode(framed(payload))
    assert record.signed_bytes == payload.encode()
    assert record.payload_digest == hashlib.sha256(payload.encode()).hexdigest()


@pytest.mark.parametrize("text", ["2935.600", "0.10", "1E+2", "100", "-0.001", "12345678901234567890.123"])
def test_a_value_keeps_its_digits(text: str) -> None:
    record = ocmf.decode(framed(json.dumps({**HEAD, "RD": [{**BEGIN, "RV": 0.5}]}).replace("0.5", text)))
    assert record.readings[0].value == Decimal(text)
    assert str(record.readings[0].value) == str(Decimal(text))


def test_old_records_name_their_gateway_otherwise() -> None:
    payload = {"FV": "0.1", "VI": "ABL", "VV": "1.4p3", "PG": "T12345", "MS": "M", "IS": "VERIFIED", "IT": "NONE"}
    record = ocmf.decode(framed(json.dumps(payload | {"RD": [BEGIN]})))
    assert (record.gateway_id, record.gateway_firmware, record.user_level) == ("ABL", "1.4p3", "VERIFIED")
    assert record.deviations == ()


def test_loss_compensation_is_read() -> None:
    loss = {"LC": {"LN": "cable", "LI": 1, "LR": 12, "LU": "mOhm"}}
    readings = {"RD": [{**BEGIN, "CL": 0}, {**END, "CL": 0.25}]}
    record = decoded(loss | readings)
    assert [r.cumulated_loss_milli_wh for r in record.readings] == [0, 250_000]
    assert record.deviations == ()


def test_an_error_event_may_leave_out_its_value_and_inherits_none() -> None:
    record = decoded({"RD": [BEGIN, {"TX": "X", "EF": "E"}, {**END, "EF": ""}]})
    assert [r.value for r in record.readings] == [Decimal("100.5"), None, Decimal("120.5")]
    assert record.deviations == ()


def test_fiscal_records_have_no_user() -> None:
    payload = {"FV": "1.0", "GS": "G", "MS": "M", "PG": "F7", "RD": [{k: v for k, v in BEGIN.items() if k != "TX"}]}
    record = ocmf.decode(framed(json.dumps(payload)))
    assert (record.page_context, record.readings[0].context, record.deviations) == ("F", None, ())


#: kind -> a record that shows it, and nothing else
CASES: dict[str, bytes] = {
    "ocmf.pipe_in_section": framed(json.dumps({**HEAD, "GI": "a|b"})),
    "ocmf.fv_missing": framed(json.dumps({k: v for k, v in HEAD.items() if k != "FV"})),
    "ocmf.fv_unknown": framed(json.dumps({**HEAD, "FV": "2.0"})),
    "ocmf.field_type": framed(json.dumps({**HEAD, "GS": 17})),
    "ocmf.key_unknown": framed(json.dumps({**HEAD, "QQ": 1})),
    "ocmf.pg_missing": framed(json.dumps({k: v for k, v in HEAD.items() if k != "PG"})),
    "ocmf.pg_shape": framed(json.dumps({**HEAD, "PG": "T007"})),
    "ocmf.ms_missing": framed(json.dumps({k: v for k, v in HEAD.items() if k != "MS"})),
    "ocmf.serial_missing": framed(json.dumps({k: v for k, v in HEAD.items() if k not in ("MS", "GS")})),
    "ocmf.is_missing": framed(json.dumps({k: v for k, v in HEAD.items() if k != "IS"})),
    "ocmf.is_type": framed(json.dumps({**HEAD, "IS": "VERIFIED"})),
    "ocmf.il_unknown": framed(json.dumps({**HEAD, "IL": "GUESSED"})),
    "ocmf.if_unknown": framed(json.dumps({**HEAD, "IF": ["RFID_MAYBE"]})),
    "ocmf.it_unknown": framed(json.dumps({**HEAD, "IT": "FACE"})),
    "ocmf.id_shape": framed(json.dumps({**HEAD, "ID": "12345"})),
    "ocmf.text_length": framed(json.dumps({**HEAD, "TT": "t" * 251})),
    "ocmf.ct_unknown": framed(json.dumps({**HEAD, "CT": "STREET"})),
    "ocmf.lc_shape": framed(json.dumps({**HEAD, "LC": {"LR": 1, "LU": "Ohm"}})),
    "ocmf.rd_missing": framed(json.dumps({**HEAD, "RD": []})),
    "ocmf.reading_key_unknown": framed(json.dumps({**HEAD, **reading(QQ=1)})),
    "ocmf.ei_kept": framed(json.dumps({**HEAD, **reading(EI=567)})),
    "ocmf.tm_missing": framed(json.dumps({**HEAD, **reading(TM=None)})),
    "ocmf.tm_shape": framed(json.dumps({**HEAD, **reading(TM="2026-05-01T10:00:00+02:00 S")})),
    "ocmf.tm_no_sync": framed(json.dumps({**HEAD, **reading(TM="2026-05-01T10:00:00,000+0200")})),
    "ocmf.tm_sync_unknown": framed(json.dumps({**HEAD, **reading(TM="2026-05-01T10:00:00,000+0200 Q")})),
    "ocmf.tx_unknown": framed(json.dumps({**HEAD, **reading(TX="Q")})),
    "ocmf.rv_missing": framed(json.dumps({**HEAD, **reading(RV=None)})),
    "ocmf.rv_as_text": framed(json.dumps({**HEAD, **reading(RV="100.50")})),
    "ocmf.rv_range": framed(json.dumps({**HEAD, **reading(RV=10**20)})),
    "ocmf.ri_shape": framed(json.dumps({**HEAD, **reading(RI="energy")})),
    "ocmf.ru_missing": framed(json.dumps({**HEAD, **reading(RU=None)})),
    "ocmf.ru_unknown": framed(json.dumps({**HEAD, **reading(RU="sec")})),
    "ocmf.rt_unknown": framed(json.dumps({**HEAD, **reading(RT="AD")})),
    "ocmf.cl_shape": framed(json.dumps({**HEAD, **reading(CL="much")})),
    "ocmf.cl_not_reset": framed(json.dumps({**HEAD, **reading(CL=0.5)})),
    "ocmf.ef_unknown": framed(json.dumps({**HEAD, **reading(EF="q")})),
    "ocmf.st_missing": framed(json.dumps({**HEAD, **reading(ST=None)})),
    "ocmf.st_unknown": framed(json.dumps({**HEAD, **reading(ST="Q")})),
    "ocmf.sa_spelling": framed(json.dumps(HEAD), '{"SA":"ECDSA-brainpoolP256r1-SHA256","SD":"00"}'),
    "ocmf.sa_not_in_table": framed(json.dumps(HEAD), '{"SA":"ECDSA-secp256r1-SHA512","SD":"00"}'),
    "ocmf.se_spelling": framed(json.dumps(HEAD), '{"SE":"Hex","SD":"00"}'),
    "ocmf.sm_unknown": framed(json.dumps(HEAD), '{"SM":"application/x-raw","SD":"00"}'),
    "ocmf.sd_spaces": framed(json.dumps(HEAD), '{"SD":"00 00"}'),
    "ocmf.signature_key_unknown": framed(json.dumps(HEAD), '{"SD":"00","QQ":1}'),
}


@pytest.mark.parametrize("kind", CLAUSES)
def test_each_departure_is_read_and_named(kind: str) -> None:
    assert {d.kind for d in ocmf.decode(CASES[kind]).deviations} == {kind}


def test_the_page_lists_every_departure() -> None:
    page = (DOCS / "ocmf.md").read_text("utf-8")
    for kind, (clause, _) in CLAUSES.items():
        assert f"| `{kind}` | {clause} |" in page


REFUSED = {
    "json.duplicate_key": framed('{"MS":"1","MS":"2"}'),
    "json.not_finite": framed('{"RD":[{"RV":NaN}]}'),
    "json.depth": framed('{"U":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "json.syntax": framed('{"FV":"1.0",}'),
    "json.surrogate": framed('{"GI":"\\ud800"}'),
    "number.syntax": framed('{"RD":[{"RV":"1,5","RU":"kWh"}]}'),
    "number.finite": framed('{"RD":[{"RV":"NaN","RU":"kWh"}]}'),
    "number.length": framed('{"PG":' + "1" * 5000 + "}"),
    "ocmf.header": b'OCMA|{"FV":"1.0"}|{"SD":"00"}',
    "ocmf.sections": b'OCMF|{"FV":"1.0"}{"SD":"00"}',
    "ocmf.trailing": framed("{}") + b"|x",
    "ocmf.encoding": b"OCMF|\xff",
    "ocmf.size": b"OCMF|" + b" " * 10_000_000,
    "ocmf.sd": framed("{}", '{"SD":"zz"}'),
    "ocmf.se": framed("{}", '{"SE":"base32","SD":"AA"}'),
    "ocmf.sa": framed("{}", '{"SA":1,"SD":"00"}'),
    "ocmf.rd": framed('{"RD":[1]}'),
    "ocmf.rv": framed('{"RD":[{"RV":true}]}'),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        ocmf.decode(REFUSED[rule])
    assert caught.value.rule == rule


def test_a_bar_inside_a_string_separates_nothing() -> None:
    payload = json.dumps({**HEAD, "GI": 'x|{"SD":"00"}|y'})
    record = ocmf.decode(framed(payload))
    assert record.signed_bytes == payload.encode()
    assert record.signature == bytes.fromhex("3006020101020101")


@settings(max_examples=400, deadline=None)
@given(junk=st.binary(max_size=60), place=st.integers(0, 900), cut=st.integers(0, 40))
def test_no_damage_raises_anything_but_format_error(junk: bytes, place: int, cut: int) -> None:
    good = framed(json.dumps(HEAD))
    damaged = good[: place % len(good)] + junk + good[place % len(good) + cut :]
    with contextlib.suppress(FormatError):
        record = ocmf.decode(damaged)
        assert record.payload_digest == hashlib.sha256(record.signed_bytes).hexdigest()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=JSON_VALUES)
def test_strict_json_reads_what_json_writes(value: object) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return
    assert _plain(parse_json(text)) == value


def _plain(value: object) -> object:
    if isinstance(value, Number):
        return int(value.value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


@pytest.mark.parametrize("text", ['{"a":"' + '\\"' * 200_000, "[" * 200_000 + '"' * 7, '{"' + "{" * 300_000])
def test_hostile_json_is_refused_in_linear_time(text: str) -> None:
    with pytest.raises(FormatError):
        parse_json(text)
