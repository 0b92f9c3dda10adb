"""The doors over real HTTP: an operator's platform and a meter, right and wrong."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from anxin.domain.batch import Side
from anxin.domain.message import Kind, Receipt
from anxin.domain.party import Party, Role
from anxin.evidence.note import parse_vkey
from anxin.evidence.publisher import LogPublisher
from anxin.flow import enrol
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.flow.receipts import receipt_text
from anxin.formats import meter_envelope, tcec102_envelope
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.store import messages, parties
from anxin.store.facts import judge_lock
from tests.platform.live_city import LiveCity, enrolled
from tests.platform.web import Caller, Served, serving

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=1, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[Served]:
    with serving(platform) as url:
        yield url


class Operator:
    """A scripted T/CEC client that can be told to make mistakes."""

    def __init__(self, platform: Platform, url: str, operator_id: str) -> None:
        self.id, self.url = operator_id, url
        self.values = enrol.new_tcec_secrets(platform.database, platform.vault, operator_id)
        platform.refresh()
        parts = (self.values[n].encode() for n in ("data_secret", "data_secret_iv", "sig_secret"))
        self.keys = OperatorSecrets(operator_id, *parts)
        self.token = ""
        self.seq = 0

    def body(self, value: dict[str, Any] | bytes, shift: timedelta = timedelta()) -> bytes:
        self.seq += 1
        plain = value if isinstance(value, bytes) else json.dumps(value).encode()
        stamp = (datetime.now(UTC) + shift).astimezone(ZONE).strftime("%Y%m%d%H%M%S")
        return tcec102_envelope.seal_envelope(plain, self.keys, stamp, f"{self.seq:04d}")

    def post(self, interface: str, body: bytes, token: str | None = None) -> tuple[int, str, dict[str, Any]]:
        used = self.token if token is None else token
        headers = {"authorization": f"Bearer {used}"} if used else {}
        answer = httpx.post(f"{self.url}/evcs/v1/{interface}", content=body, headers=headers)
        assert answer.status_code == 200
        value = answer.json()
        data = json.loads(tcec102_envelope.open_parsed(value, [self.keys]).plain) if value["Sig"] else {}
        return value["Ret"], value["Msg"], data

    def login(self) -> None:
        ask = {"OperatorID": self.id, "OperatorSecret": self.values["operator_secret"]}
        code, _, data = self.post("query_token", self.body(ask), token="")
        assert (code, data["SuccStat"], data["TokenAvailableTime"]) == (0, 0, 7200)
        self.token = data["AccessToken"]


ORDER = "notification_charge_order_info"


@pytest.fixture
def operator(platform: Platform, server: str, city: LiveCity) -> Operator:
    made = Operator(platform, server, first(city, Kind.TCEC_ORDER).sender)
    made.login()
    return made


def another(platform: Platform, operator: Operator) -> Party:
    everyone = platform.directory.parties.values()
    return next(p for p in everyone if p.role is Role.OPERATOR and p.party_id != operator.id)


def first(city: LiveCity, kind: Kind) -> Any:
    return next(m for m in city.messages if m.kind is kind)


def test_an_order_gets_its_receipt_and_the_same_receipt_when_it_is_sent_again(
    operator: Operator, city: LiveCity, platform: Platform
) -> None:
    plain = first(city, Kind.TCEC_ORDER).payload
    code, _, data = operator.post(ORDER, operator.body(plain))
    assert (code, data["ConfirmResult"], data["Receipt"]["repeated"]) == (0, 0, False)
    _, _, again = operator.post(ORDER, operator.body(plain))
    assert again["Receipt"] == {"receipt": data["Receipt"]["receipt"], "repeated": True}
    document = data["Receipt"]["receipt"]
    kept = messages.receipt(platform.database, document["index"])
    assert isinstance(kept, Receipt)
    verifier = parse_vkey(log_signer(platform.settings).vkey)
    assert verifier.holds(receipt_text(verifier.name, kept), bytes.fromhex(document["signature"]))
    changed = plain.replace(b'"StopReason":0', b'"StopReason":1')
    _, _, dispute = operator.post(ORDER, operator.body(changed))
    assert (dispute["ConfirmResult"], dispute["Receipt"]["conflicts_with"]) == (1, document["index"])


def test_each_mistake_of_an_operator_has_the_standard_s_code(
    operator: Operator, city: LiveCity, platform: Platform
) -> None:
    plain = first(city, Kind.TCEC_ORDER).payload
    good = operator.body(plain)
    assert operator.post(ORDER, good, token="nobody's")[0] == 4002
    assert operator.post(ORDER, good, token="")[0] == 4002
    forged = json.loads(good) | {"Seq": "9999"}
    assert operator.post(ORDER, json.dumps(forged).encode())[0] == 4001
    assert operator.post(ORDER, json.dumps(json.loads(good) | {"OperatorID": "stranger1"}).encode())[0] == 4001
    assert operator.post(ORDER, b"not json")[0] == 4003
    assert operator.post(ORDER, b'{"OperatorID":"123456789"}')[0] == 4003
    assert operator.post(ORDER, operator.body(plain, timedelta(minutes=-6)))[0] == 4003
    code, told, _ = operator.post(ORDER, operator.body(plain.replace(b'"StartTime":"2026', b'"StartTime":"x026')))
    assert (code, "StartTime" in told, "失败记录" in told) == (4004, True, True)
    other = next(
        o for o in platform.directory.parties.values() if o.role is Role.OPERATOR and o.party_id != operator.id
    )
    stolen = json.loads(plain) | {"OperatorID": other.party_id}
    assert operator.post(ORDER, operator.body(stolen))[0] == 4004
    wrong = {"OperatorID": operator.id, "OperatorSecret": "guess"}
    assert operator.post("query_token", operator.body(wrong))[2]["FailReason"] == 2
    assert messages.size(platform.database) == 0


def test_secrets_are_rotated_without_a_gap_and_revoked_at_once(
    operator: Operator, city: LiveCity, platform: Platform, server: str
) -> None:
    plain = first(city, Kind.TCEC_ORDER).payload
    newer = Operator(platform, server, operator.id)
    newer.login()
    assert operator.post(ORDER, operator.body(plain))[0] == newer.post(ORDER, newer.body(plain))[0] == 0
    old = platform.directory.tcec[operator.id][0].credential
    parties.put_credentials(platform.database, [dataclasses.replace(old, revoked_utc_ms=1)], platform.vault.seal)
    platform.refresh()
    answer = httpx.post(f"{server}/evcs/v1/{ORDER}", content=operator.body(plain))
    assert answer.json() == {"Ret": 4001, "Msg": answer.json()["Msg"], "Data": "", "Sig": ""}
    assert newer.post(ORDER, newer.body(plain))[0] == 0
    with platform.database.transaction() as connection:
        sealed = connection.execute("select sealed from credential where kind = 'tcec102'").fetchall()
    assert all(newer.values["sig_secret"].encode() not in bytes(row[0]) for row in sealed)


def test_a_batch_of_records_has_an_outcome_for_each_and_a_bad_one_loses_no_other(
    server: str, city: LiveCity, platform: Platform
) -> None:
    records = [m for m in city.messages if m.kind is Kind.METER_ENVELOPE][:5]
    lines = [meter_envelope.to_line(m.payload) for m in records]
    altered = bytearray(records[0].payload)
    altered[-1] ^= 1
    lines[2:2] = [meter_envelope.to_line(bytes(altered)), b"AXE1.", b"hello"]
    outcomes = httpx.post(f"{server}/meter/v1/records/batch", content=b"\n".join(lines)).json()
    assert [o.get("problem", {}).get("title") for o in outcomes] == [
        None, None, "tag_mismatch", "envelope.header", "envelope.header", None, None, None,
    ]  # fmt: skip
    again = httpx.post(f"{server}/meter/v1/records", content=records[0].payload).json()
    assert again == {"receipt": outcomes[0]["receipt"], "repeated": True, "signature": "holds"}
    assert messages.size(platform.database) == 5
    many = httpx.post(f"{server}/meter/v1/records/batch", content=b"x\n" * 1_001)
    assert (many.status_code, many.json()["title"]) == (413, "batch.size")


def test_a_meter_hears_at_once_whether_its_signature_holds_and_the_record_is_kept_whatever_it_is(
    server: str, city: LiveCity, platform: Platform
) -> None:
    record = next(m for m in city.messages if m.kind is Kind.METER_ENVELOPE)
    envelope = meter_envelope.parse(record.payload)
    key = platform.directory.valid_content_key(envelope.key_id)
    assert key is not None
    signed = meter_envelope.open_envelope(envelope, (key,))
    altered = signed.replace(b'"RV":', b'"RV":9', 1)
    unnamed = signed.replace(b'"MS":"', b'"MS":"X', 1).replace(b'"GS":"', b'"GS":"X', 1)
    for number, (inside, said) in enumerate(
        [(signed, "holds"), (altered, "does_not_hold"), (unnamed, "not_checked"), (b"OCMF|", "not_checked")]
    ):
        sealed = meter_envelope.seal(
            inside, key, counter=10_000 + number, meter_id=envelope.meter_id, transaction_id=f"look-{number}",
            side=Side.WHOLE, sent_utc_ms=1_790_000_000_000,
        )  # fmt: skip
        answer = httpx.post(f"{server}/meter/v1/records", content=sealed)
        assert (answer.status_code, answer.json()["signature"]) == (200, said)
        assert answer.json()["receipt"]["index"] == number


def test_a_body_beyond_the_limit_is_refused_stated_or_not(server: str, platform: Platform) -> None:
    large = b"x" * (platform.settings.max_body_bytes + 1)
    assert httpx.post(f"{server}/meter/v1/records", content=large).status_code == 413
    pieces = (large[:65_536] for _ in range(len(large) // 65_536 + 2))
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{server}/meter/v1/records", content=pieces).raise_for_status()


def test_an_operator_reads_his_own_and_a_stranger_nothing(
    operator: Operator, city: LiveCity, platform: Platform, server: Served
) -> None:
    _, _, data = operator.post(ORDER, operator.body(first(city, Kind.TCEC_ORDER).payload))
    index = data["Receipt"]["receipt"]["index"]
    other = next(
        p for p in platform.directory.parties.values() if p.role is Role.OPERATOR and p.party_id != operator.id
    )
    tokens = {
        name: enrol.new_token(platform.database, platform.vault, party)
        for name, party in (
            ("own", platform.directory.parties[operator.id]),
            ("other", other),
        )
    }
    platform.refresh()

    def read(path: str, token: str) -> int:
        return httpx.get(f"{server}/api/{path}", headers={"authorization": f"Bearer {token}"}).status_code

    inspector = Caller(platform, server, Party("inspector", Role.INSPECTOR, "检查员"))
    assert inspector.get(f"/api/receipts/{index}")[0] == 200
    assert [read(f"receipts/{index}", tokens[n]) for n in ("own", "other")] == [200, 404]
    for path in ("verdicts", "findings", "refused", f"receipts/{index}"):
        assert read(path, "guess") == 401
        assert httpx.get(f"{server}/api/{path}").status_code == 401
    assert read("verdicts?limit=501", tokens["own"]) == 422


def test_status_health_metrics_and_log_are_there_for_anyone(
    operator: Operator, city: LiveCity, platform: Platform, server: str
) -> None:
    operator.post(ORDER, operator.body(first(city, Kind.TCEC_ORDER).payload))
    LogPublisher(log_folder(platform.settings), log_signer(platform.settings)).publish(
        lambda start, count: messages.entries(platform.database, start, count), 1
    )
    pages = ("/", "/health/live", "/health/ready", "/metrics", "/api/status", "/docs", "/openapi.json")
    log = ("checkpoint", "vkey", "tile/0/000.p/1", "tile/entries/000.p/1", "proof/0")
    with judge_lock(platform.database):  # without a judge the platform is not ready, and says so
        for path in (*pages, *(f"/log/{name}" for name in log)):
            assert httpx.get(f"{server}{path}").status_code == 200, path
    for path in (
        "/log/proof/1",
        "/log/proof/-1",
        "/log/tile/0/%2e%2e/%2e%2e/checkpoint",
        "/log/tile/0/001",
        "/nothing",
    ):
        assert httpx.get(f"{server}{path}").status_code == 404, path
    assert 'anxin_messages{kind="tcec102.order"} 1' in httpx.get(f"{server}/metrics").text


def test_the_interactive_pages_load_nothing_from_outside(server: str) -> None:
    page = httpx.get(f"{server}/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) >= 2
    for address in addresses:
        assert address.startswith("/"), address
        assert httpx.get(f"{server}{address}").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["verdicts?state=%00", "findings?rule=R04%00", "verdicts?before=99999999999999999999", "deviations?kind=%00"],
)
def test_what_no_row_can_hold_is_the_callers_mistake_and_not_the_databases(
    query: str, platform: Platform, server: Served
) -> None:
    inspector = Caller(platform, server, Party("inspector", Role.INSPECTOR, "检查员"))
    assert inspector.get(f"/api/{query}")[0] == 422
