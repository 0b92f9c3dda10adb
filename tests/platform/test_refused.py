"""The failed-write ledger: its sender reads what was wrong, corrects it, and sends it again; nobody else sees it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import anxin
from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.party import Party, Role
from anxin.flow.admission import refusal
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.flow.refusal_words import FAMILIES, ZH, place_of, sentences
from anxin.store import ledger, messages
from tests.platform.live_city import LiveCity, enrolled
from tests.platform.web import Caller, operators, serving

KEPT = 100


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=1, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[str]:
    with serving(platform) as url:
        yield url


@pytest.fixture
def order(city: LiveCity) -> Message:
    return next(m for m in city.messages if m.kind is Kind.TCEC_ORDER)


@pytest.fixture
def sender(platform: Platform, server: str, order: Message) -> Caller:
    return Caller(platform, server, platform.directory.parties[order.sender])


@pytest.fixture
def stranger(platform: Platform, server: str, order: Message) -> Caller:
    return Caller(platform, server, next(p for p in operators(platform) if p.party_id != order.sender))


def refused(platform: Platform, message: Message, payload: bytes, rule: str, field: str | None = None) -> int:
    entry = refusal(message.kind, message.sender, payload, FormatError(rule, "not a time: 'x026'", field))
    return ledger.refuse(platform.database, entry, now_utc_ms(), KEPT)


def test_an_entry_is_read_corrected_and_sent_again_and_its_receipt_is_the_order_s(
    platform: Platform, sender: Caller, order: Message
) -> None:
    wrong = order.payload.replace(b'"StartTime":"2026', b'"StartTime":"x026')
    number = refused(platform, order, wrong, "time.syntax", "StartTime")
    status, entry = sender.get(f"/api/refused/{number}")
    assert status == 200
    assert (entry["door"], entry["rule"], entry["field"]) == ("tcec102.order", "time.syntax", "StartTime")
    assert (entry["zh"], entry["en"]) == ("时间格式不对（字段 StartTime）。", "StartTime: not a time: 'x026'.")
    assert entry["payload"].encode() == wrong
    assert entry["payload_encoding"] == "utf-8"
    assert wrong.decode()[entry["where"]["column"] - 1 :].startswith('"StartTime"')
    # Wrong still: it says so, and the entry stays open.
    status, told = sender.post(f"/api/refused/{number}/correction", wrong)
    assert (status, told["rule"], told["field"]) == (422, "time.syntax", "StartTime")
    assert "时间" in told["zh"]
    assert sender.get(f"/api/refused/{number}")[1]["corrected_by"] is None
    # Put right: the answer is a receipt like the door's, the same for the same bytes, and the entry is marked.
    status, answer = sender.post(f"/api/refused/{number}/correction", order.payload)
    assert (status, answer["repeated"], answer["receipt"]["message_id"]) == (200, False, order.message_id)
    again = sender.post(f"/api/refused/{number}/correction", order.payload)
    assert again == (200, {"receipt": answer["receipt"], "repeated": True})
    assert sender.get(f"/api/refused/{number}")[1]["corrected_by"] == answer["receipt"]["index"]
    ((index, kept, _),) = messages.stored(platform.database, [answer["receipt"]["index"]])
    assert (index, kept.kind, kept.sender, kept.payload) == (0, order.kind, order.sender, order.payload)
    # Another payload for an entry that was put right is no correction any more.
    other = order.payload.replace(b'"StopReason":0', b'"StopReason":1')
    status, told = sender.post(f"/api/refused/{number}/correction", other)
    assert (status, told["corrected_by"], messages.size(platform.database)) == (409, 0, 1)


def test_an_entry_of_another_answers_as_an_absent_one(
    platform: Platform, server: str, sender: Caller, stranger: Caller, order: Message
) -> None:
    number = refused(platform, order, order.payload[:-1], "json.syntax")
    absent = f"/api/refused/{number + 1_000}"
    for call in (stranger.get, lambda path: stranger.post(f"{path}/correction", order.payload)):
        status, told = call(f"/api/refused/{number}")
        assert status == 404
        assert json.dumps(told).replace(str(number), "N") == json.dumps(call(absent)[1]).replace(
            str(number + 1_000), "N"
        )
    assert messages.size(platform.database) == 0
    # An inspector reads it and corrects nothing; a stranger without a token is asked for one.
    inspector = Caller(platform, server, Party("inspector", Role.INSPECTOR, "检查员"))
    assert inspector.get(f"/api/refused/{number}")[0] == 200
    assert inspector.post(f"/api/refused/{number}/correction", order.payload)[0] == 404
    sender.headers = {"authorization": "Bearer guess"}
    assert sender.get(f"/api/refused/{number}")[0] == 401
    assert sender.post(f"/api/refused/{number}/correction", order.payload)[0] == 401


def test_a_correction_cannot_send_what_the_door_would_refuse(
    platform: Platform, sender: Caller, stranger: Caller, order: Message
) -> None:
    number = refused(platform, order, b"{}", "tcec102.missing")
    path = f"/api/refused/{number}/correction"
    stolen = json.dumps(json.loads(order.payload) | {"OperatorID": stranger.party.party_id}).encode()
    foreign = next(
        c.connector_id for c in platform.directory.register.connectors if c.operator_id != sender.party.party_id
    )
    elsewhere = json.dumps(json.loads(order.payload) | {"ConnectorID": foreign}).encode()
    deep = b'{"StartChargeSeq":' + b"[" * 100 + b"]" * 100 + b"}"
    large = order.payload.replace(b'"StopReason":0', b'"StopReason":' + b"9" * 5_000)
    rules = [sender.post(path, body)[1]["rule"] for body in (stolen, elsewhere, deep, large, b"", b"[]", b"\xff")]
    assert rules == [
        "admission.tenant", "admission.tenant", "json.depth", "json.number", "json.syntax", "tcec102.order_count",
        "encoding.utf8",
    ]  # fmt: skip
    assert messages.size(platform.database) == 0
    assert sender.post(path, order.payload)[0] == 200


def test_checks_statuses_and_envelopes_are_corrected_as_what_they_were_meant_as(
    platform: Platform, server: str, city: LiveCity, sender: Caller
) -> None:
    check = next(m for m in city.messages if m.kind is Kind.TCEC_CHECK and m.sender == sender.party.party_id)
    connector = next(
        c for c in platform.directory.register.connectors if c.operator_id == sender.party.party_id
    ).connector_id
    status = {"ConnectorStatusInfo": {"ConnectorID": connector, "Status": 1}}
    report = Message(Kind.TCEC_STATUS, sender.party.party_id, connector, json.dumps(status).encode())
    for message in (check, report):
        number = refused(platform, message, b"{", "json.syntax")
        code, answer = sender.post(f"/api/refused/{number}/correction", message.payload)
        assert (code, answer["receipt"]["kind"]) == (200, message.kind.value)
    # A meter's entry is its operator's to read; what corrects it is an envelope that only that meter could seal.
    mine = {
        m.meter_id
        for m in platform.directory.register.meters
        if platform.directory.operator_of_connector(m.connector_id) == sender.party.party_id
    }
    envelopes = [m for m in city.messages if m.kind is Kind.METER_ENVELOPE]
    own = next(m for m in envelopes if m.sender in mine)
    foreign = next(m for m in envelopes if m.sender not in mine)
    number = refused(platform, own, b"\0\xff", "meter_suspended")
    entry = sender.get(f"/api/refused/{number}")[1]
    assert (entry["payload_encoding"], entry["payload"]) == ("base64", "AP8=")
    assert sender.post(f"/api/refused/{number}/correction", foreign.payload)[1]["rule"] == "admission.tenant"
    assert sender.post(f"/api/refused/{number}/correction", own.payload)[0] == 200
    assert sender.get(f"/api/refused/{refused(platform, foreign, b'', 'meter_suspended')}")[0] == 404
    unknown = ledger.refuse(
        platform.database, refusal(Kind.TCEC_ORDER, own.sender, b"", FormatError("x.y", "z")), now_utc_ms(), KEPT
    )
    assert sender.post(f"/api/refused/{unknown}/correction", own.payload)[0] == 422


def test_where_a_field_stands_is_told_in_lines_and_columns() -> None:
    assert place_of('{\n "电": 1, "EndTime": 2}'.encode(), "", "EndTime") is not None
    place = place_of('{\n "电": 1, "EndTime": 2}'.encode(), "", "endtime")
    assert place is not None
    assert (place.line, place.column) == (2, 10)
    told = place_of(b"{", "not JSON at line 3 column 7: Expecting", None)
    assert told is not None
    assert (told.line, told.column) == (3, 7)
    assert place_of(b"\xff", "", "x") is None
    assert place_of(b"{}", "", "x") is None


def test_every_rule_that_can_refuse_at_a_door_has_its_words_in_chinese() -> None:
    """Rules on meter records inside an envelope are evidence, never refused: their families have no line."""
    root = Path(anxin.__file__).parent
    raised = set()
    for file in [*(root / "formats").glob("*.py"), *(root / "flow").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"FormatError", "NotAdmittedError"}:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    raised.add(first.value)
    assert {"tcec102.order_count", "time.syntax", "json.depth", "admission.tenant"} <= raised
    families = {rule.partition(".")[0] for rule in raised if "." in rule} - {"ocmf", "safe_xml", "signature"}
    assert families <= FAMILIES.keys()
    mine = {rule for rule in raised if rule.partition(".")[0] in {"admission", "bench", "correction", "seal", "upload"}}
    assert mine <= ZH.keys()
    assert all(sentences(rule, "x", None)[0] != sentences("?", "x", None)[0] for rule in raised if rule in ZH)
