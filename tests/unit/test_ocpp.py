"""OCPP frames and payloads: what is a frame, what it is called, what it says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.batch import Side
from anxin.domain.connector_status import State
from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.register import Connector
from anxin.domain.source import Source
from anxin.flow.ocpp_messages import contents_of, evidence_of
from anxin.flow.platform import Directory
from anxin.formats import ocpp, ocpp_frame

RECORD = 'OCMF|{"FV":"1.0","GS":"G1","PG":"T1","RD":[]}|{"SD":"3006020101020101"}'
B64 = base64.b64encode(RECORD.encode()).decode()
AT = "2026-03-10T10:03:49Z"
HERE = Source("m", 1)
NOW = 1_790_000_000_000


def frame_of(action: str, payload: Any, call_id: str = "i") -> bytes:
    return json.dumps([2, call_id, action, payload]).encode()


def read(action: str, payload: dict[str, Any]) -> ocpp.Contents:
    frame = ocpp_frame.parse(frame_of(action, payload))
    return ocpp.decode(action, frame.payload or {}, HERE, "CH")


def message_of(action: str, payload: Any, call_id: str = "i", now: int = NOW) -> Message:
    raw = frame_of(action, payload, call_id)
    found = evidence_of(ocpp_frame.parse(raw), raw, "CH", now)
    assert found is not None
    return found


def kinds(contents: ocpp.Contents) -> set[str]:
    return {d.kind for _, d in contents.deviations}


def stop(*sampled: Any, **more: Any) -> dict[str, Any]:
    values = [{"timestamp": AT, "sampledValue": list(sampled)}]
    return {"transactionId": 7, "meterStop": 1, "timestamp": AT, "transactionData": values} | more


def test_the_payload_is_the_slice_that_came_and_white_space_is_part_of_it() -> None:
    frame = ocpp_frame.parse(b' [ 2 , "i","MeterValues" , {"a" : 1.50} ] \n')
    assert (frame.kind, frame.call_id, frame.action) == (ocpp_frame.FrameType.CALL, "i", "MeterValues")
    assert frame.payload_bytes == b'{"a" : 1.50}'


@pytest.mark.parametrize(
    ("raw", "rule", "answered"),
    [
        (b"", "ocpp.frame", "-1"),
        (b"[]", "json.syntax", "-1"),
        (b'["2","i","A",{}]', "ocpp.frame", "-1"),
        (b'[2.5,"i","A",{}]', "ocpp.frame", "-1"),
        (b'[1e30,"i","A",{}]', "ocpp.frame", "-1"),
        (b'[2,7,"A",{}]', "ocpp.call", "-1"),
        (b'[2,"","A",{}]', "ocpp.call", "-1"),
        (b'[2,"i",null,{}]', "ocpp.call", "i"),
        (b'[2,"i","A",[]]', "ocpp.call", "i"),
        (b'[2,"i","A",{},1]', "ocpp.frame", "i"),
        (b'[2,"i","A",{}] x', "ocpp.frame", "i"),
        (b'[2,"i","A",{"x":', "json.syntax", "i"),
        (b'[2,"\\u0069","A",[]]', "ocpp.call", "-1"),
        (b'\xff[2,"i"', "encoding.utf8", "-1"),
    ],
)
def test_what_is_no_call_is_refused_and_answered_under_its_id_where_it_can_be_read(
    raw: bytes, rule: str, answered: str
) -> None:
    with pytest.raises(FormatError) as error:
        ocpp_frame.parse(raw)
    assert error.value.rule == rule
    assert ocpp_frame.id_of(raw) == answered


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        (json.dumps({"signedMeterData": B64, "encodingMethod": "OCMF", "publicKey": ""}), set()),
        (json.dumps({"signedMeterData": B64, "encodingMethod": "OCMF", "publicKey": "04"}), {"ocpp.key_came_along"}),
        (json.dumps({"signedMeterData": RECORD, "encodingMethod": "OCMF"}), {"ocpp.signed_data_bare"}),
        (json.dumps({"signedMeterData": B64, "encodingMethod": "EDL"}), {"ocpp.encoding_method"}),
        (RECORD, {"ocpp.signed_data_bare"}),
        (RECORD.encode().hex(), {"ocpp.signed_data_bare"}),
        (B64, {"ocpp.signed_data_bare"}),
        (B64.rstrip("=").replace("+", "-").replace("/", "_"), {"ocpp.signed_data_bare"}),
    ],
)
def test_a_signed_value_of_1_6_is_read_in_every_way_that_it_is_met(value: str, odd: set[str]) -> None:
    signed = {"value": value, "format": "SignedData", "context": "Transaction.Begin"}
    contents = read("StopTransaction", stop(signed))
    ((place, record),) = contents.records
    assert (place, record.raw, record.transaction_id, record.side) == (None, RECORD.encode(), "CH/7", Side.BEGIN)
    assert record.key_text is None
    assert kinds(contents) == odd


def test_a_signed_value_longer_than_2_0_1_allows_is_read_in_full() -> None:
    long = RECORD.replace("|{", "|" + " " * 4_000 + "{")
    signed = {"signedMeterData": base64.b64encode(long.encode()).decode(), "encodingMethod": "OCMF"}
    contents = read(
        "TransactionEvent",
        {
            "transactionInfo": {"transactionId": "abc"}, "evse": {"id": 2, "connectorId": 1}, "timestamp": AT,
            "meterValue": [{"timestamp": AT, "sampledValue": [{"value": 1, "signedMeterValue": signed}]}],
        },
    )  # fmt: skip
    ((place, record),) = contents.records
    assert (place, record.raw, record.transaction_id) == ("2", long.encode(), "CH/abc")
    assert kinds(contents) == {"ocpp.signed_data_length"}


def test_what_is_unsigned_or_of_a_wrong_shape_is_said_and_loses_no_other_value() -> None:
    signed = {"value": RECORD, "format": "SignedData"}
    assert kinds(read("StopTransaction", stop({"value": "1"}))) == {"ocpp.unsigned"}
    assert kinds(read("StopTransaction", stop({"value": "1", "measurand": "Voltage"}))) == set()
    mixed = read("StopTransaction", stop(7, {"value": 7, "format": "SignedData"}, {"value": "1"}, signed))
    assert len(mixed.records) == 1
    assert kinds(mixed) == {"ocpp.shape", "ocpp.signed_data_bare"}
    shapes: list[dict[str, Any]] = [
        {"transactionData": 1}, {"transactionData": [1]}, {"meterValue": [{"sampledValue": {}}]},
    ]  # fmt: skip
    for payload in shapes:
        assert kinds(read("MeterValues", payload)) == {"ocpp.shape"}
    unknown = read("StopTransaction", stop(signed, transactionId=-1))
    assert unknown.records[0][1].transaction_id is None
    assert "ocpp.transaction_missing" in kinds(unknown)


@pytest.mark.parametrize(
    ("payload", "place", "state"),
    [
        ({"connectorId": 1, "status": "Charging"}, "1", State.CHARGING),
        ({"evseId": 2, "connectorId": 1, "connectorStatus": "Occupied"}, "2", State.OCCUPIED),
        ({"evseId": 2, "connectorId": 3, "connectorStatus": "Faulted"}, "2/3", State.FAULT),
        ({"connectorId": 0, "status": "Faulted"}, None, State.FAULT),
        ({"connectorId": 1, "status": "Melting"}, "1", State.UNKNOWN),
    ],
)
def test_states_of_both_versions(payload: dict[str, Any], place: str | None, state: State) -> None:
    ((found),) = read("StatusNotification", payload | {"timestamp": AT}).states
    assert (found.place, found.state, found.at_utc_ms) == (place, state, 1_773_137_029_000)


def test_what_is_said_of_the_whole_charger_holds_for_a_connector_only_where_it_must() -> None:
    assert read("StatusNotification", {"connectorId": 0, "status": "Available"}).states == []
    odd = read("StatusNotification", {"connectorId": 1, "status": "Available", "timestamp": "yesterday"})
    assert (odd.states[0].at_utc_ms, kinds(odd)) == (None, {"ocpp.time"})
    assert kinds(read("StatusNotification", {"connectorId": 1.5, "status": "Available"})) == {"ocpp.shape"}


def test_names_follow_the_payload_and_not_the_call() -> None:
    assert message_of("StopTransaction", stop()).message_id == f"StopTransaction/7@{AT}"
    first, again = message_of("StopTransaction", stop(), "one"), message_of("StopTransaction", stop(), "two", NOW + 1)
    assert (first.message_id, first.payload) == (again.message_id, again.payload)
    assert first.envelope != again.envelope
    assert message_of("StopTransaction", stop(meterStop=2)).message_id == first.message_id  # a conflict
    assert message_of("StopTransaction", stop(transactionId=8)).message_id != first.message_id
    event = {"eventType": "Ended", "seqNo": 0, "timestamp": AT, "transactionInfo": {"transactionId": "t t"}}
    assert message_of("TransactionEvent", event).message_id.startswith("TransactionEvent/sha256:")
    state = {"connectorId": 1, "status": "Available"}
    assert message_of("StatusNotification", state).message_id != message_of(
        "StatusNotification", state, now=NOW + 1
    ).message_id  # fmt: skip
    assert message_of("StatusNotification", state).kind is Kind.OCPP_STATUS
    raw = frame_of("Heartbeat", {})
    assert evidence_of(ocpp_frame.parse(raw), raw, "CH", NOW) is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    | st.sampled_from([AT, RECORD, B64, "SignedData", "Transaction.End", "Faulted", 0, 1, -1]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "connectorId", "evseId", "evse", "id", "status", "connectorStatus", "timestamp", "transactionId",
            "transactionInfo", "transactionData", "meterValue", "sampledValue", "value", "format", "context",
            "signedMeterValue", "signedMeterData", "encodingMethod", "publicKey", "measurand", "seqNo", "eventType",
        ]), inner, max_size=6),
    max_leaves=30,
)  # fmt: skip
OWN = Directory(connectors_of_charger={"CH": tuple(Connector(f"C-{n}", "CH", "S", "O", 1, "AC") for n in (1, 2))})


@given(st.sampled_from(sorted(("StopTransaction", "TransactionEvent", "MeterValues", "StatusNotification"))), ANY)
def test_whatever_a_payload_holds_it_is_kept_under_a_name_and_read_without_an_error(action: str, value: Any) -> None:
    payload = value if isinstance(value, dict) else {"meterValue": value, "connectorId": value}
    message = message_of(action, payload)
    assert message.message_id.isascii()
    assert message.message_id.isprintable()
    batch, statuses = contents_of(message, "m", NOW, OWN)
    assert {s.connector_id for s in statuses} <= {"C-1", "C-2"}
    assert all((r.transaction_id or "CH/").startswith("CH/") for r in batch.signed_records)
