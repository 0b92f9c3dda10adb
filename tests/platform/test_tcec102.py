"""The T/CEC 102 interface as an operator's platform meets it: every variant on the wire, right and wrong."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from anxin.domain.message import Kind
from anxin.domain.party import Party, Role
from anxin.flow import enrol
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.formats import tcec102_envelope
from anxin.store import messages
from anxin.store.declarations import declared_by
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.test_doors import Operator, another
from tests.platform.web import Caller, Served, serving
from tests.vectors.shared import ROOT

STATION, STATUS = "notification_stationInfo", "notification_stationStatus"
ORDER, CHECK = "notification_charge_order_info", "check_charge_orders"


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=1, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[Served]:
    with serving(platform) as url:
        yield url


@pytest.fixture
def operator(platform: Platform, server: str, city: LiveCity) -> Operator:
    made = Operator(platform, server, next(m for m in city.messages if m.kind is Kind.TCEC_ORDER).sender)
    made.login()
    return made


@pytest.fixture
def judge(platform: Platform, tmp_path: Path) -> Iterator[Judge]:
    made = Judge(platform, tmp_path)
    yield made
    made.close()


def connectors_of(platform: Platform, operator_id: str) -> list[str]:
    return [c.connector_id for c in platform.directory.register.connectors if c.operator_id == operator_id]


def statuses(platform: Platform) -> dict[str, tuple[str, str]]:
    with platform.database.transaction() as connection:
        rows = connection.execute("select connector_id, status, sender from connector_status").fetchall()
    return {r[0]: (r[1], r[2]) for r in rows}


def read(server: str, platform: Platform, party: Party, path: str) -> Any:
    return Caller(platform, server, party).get(f"/api/{path}")[1]


def oddities(platform: Platform) -> set[tuple[str, str | None]]:
    with platform.database.transaction() as connection:
        rows = connection.execute("select kind, field from deviation").fetchall()
    return {(r[0], r[1]) for r in rows}


def station(platform: Platform, operator_id: str, **changes: Any) -> dict[str, Any]:
    """A station of the register as its operator would declare it."""
    own = next(s for s in platform.directory.register.stations if s.operator_id == operator_id)
    plugs = [c for c in platform.directory.register.connectors if c.station_id == own.station_id]
    chargers: dict[str, list[Any]] = {}
    for plug in plugs:
        chargers.setdefault(plug.charger_id, []).append(
            {"ConnectorID": plug.connector_id, "ConnectorName": "1号枪", "ConnectorType": 4, "VoltageUpperLimits": 750,
             "VoltageLowerLimits": 200, "Current": 250, "Power": plug.rated_power_w / 1000, "NationalStandard": 2}
        )  # fmt: skip
    return {
        "StationID": own.station_id, "OperatorID": operator_id, "EquipmentOwnerID": operator_id,
        "StationName": own.name, "CountryCode": "CN", "AreaCode": "330110", "Address": "文一西路1号",
        "ServiceTel": "95598", "StationType": 1, "StationStatus": 50, "ParkNums": 8, "Construction": 4,
        "StationLng": float(own.longitude or 0), "StationLat": float(own.latitude or 0),
        "EquipmentInfos": [
            {"EquipmentID": charger, "EquipmentType": 1, "Power": 120.0, "ConnectorInfos": infos}
            for charger, infos in chargers.items()
        ],
    } | changes  # fmt: skip


def test_a_station_is_kept_with_a_receipt_declared_and_each_sending_is_a_version(
    operator: Operator, platform: Platform, judge: Judge
) -> None:
    body = operator.body({"StationInfo": station(platform, operator.id)})
    code, _, data = operator.post(STATION, body)
    assert (code, data["Status"], data["Receipt"]["repeated"]) == (0, 0, False)
    assert operator.post(STATION, body)[2]["Receipt"]["repeated"]
    changed = station(platform, operator.id, StationName="改了名字的站")
    assert operator.post(STATION, operator.body({"StationInfo": changed}))[0] == 0
    assert messages.size(platform.database) == 2
    judge.settle(AS_OF_UTC_MS)
    (declared,) = declared_by(platform.database, operator.id).stations
    assert (declared.name, declared.crs, declared.district) == ("改了名字的站", "GCJ-02", "330110")
    register = platform.directory.stations[declared.station_id]
    assert (float(declared.longitude or 0), register.crs) == (float(register.longitude or 0), "GCJ-02")
    connectors = {c.connector_id: c for c in declared_by(platform.database, operator.id).connectors}
    assert connectors.keys() == {
        c.connector_id for c in platform.directory.register.connectors if c.station_id == declared.station_id
    }
    assert {(c.rated_power_w, c.current_type) for c in connectors.values()} == {
        (platform.directory.connectors[n].rated_power_w, "DC") for n in connectors
    }
    # The register is the authority's: what an operator declares does not change it.
    assert platform.directory.stations[declared.station_id].name != "改了名字的站"


def test_every_variant_of_a_status_on_the_wire_is_read_and_its_oddity_told(
    operator: Operator, platform: Platform, judge: Judge
) -> None:
    own = connectors_of(platform, operator.id)
    a, b = own[0], own[-1]
    site = platform.directory.connectors[a].station_id
    plain: dict[str, Any] = {"ConnectorID": a, "Status": 3, "ParkStatus": 0, "LockStatus": 0}
    variants: list[tuple[Any, dict[str, str], set[str]]] = [
        ({"ConnectorStatusInfo": plain}, {a: "charging"}, set()),
        ({"ConnectorStatusInfo": [plain | {"Status": 1}]}, {a: "idle"}, {"tcec102.status_shape"}),
        ({"ConnectorStatusInfos": [plain, {"ConnectorID": b, "Status": 255}]}, {a: "charging", b: "fault"},
         {"tcec102.status_shape"}),
        ({"ConnectorInfos": [{"ConnectorID": a, "Status": "2", "ConnectorName": "1"}]}, {a: "occupied"},
         {"tcec102.status_shape", "tcec102.number_as_text"}),
        ({"ConnectorStatusInfo": {"connectorID": a, "status": 0}}, {a: "offline"}, {"tcec102.spelling"}),
        ({"ConnectorStatusInfo": plain | {"Status": 5}}, {a: "unknown"}, {"tcec102.status_unknown"}),
        ({"ConnectorStatusInfo": plain | {"Status": "空闲"}}, {a: "unknown"}, {"tcec102.status_unknown"}),
        ({"ConnectorStatusInfo": plain | {"ParkStatus": 7, "Tempture": 3}}, {a: "charging"},
         {"tcec102.code", "tcec102.unknown_field"}),
        (plain | {"Status": 4}, {a: "reserved"}, {"tcec102.status_shape"}),
        ([plain | {"Status": 1}], {a: "idle"}, {"tcec102.status_shape"}),
        ({"Total": 2, "StationStatusInfos": [{"StationID": site, "ConnectorStatusInfos": [plain]}]},
         {a: "charging"}, {"tcec102.total"}),
        # The shape of the example in appendix C.3 of the standard.
        ({"total": 1, "stationStatusInfo": {"stationID": site, "connectorStatusInfos": {
            "connectorID": a, "status": 4, "currentA": 0, "soc": 10}}}, {a: "reserved"},
         {"tcec102.spelling", "tcec102.status_shape", "tcec102.object_for_list"}),
    ]  # fmt: skip
    for body, expected, told in variants:
        with platform.database.transaction() as connection:
            connection.execute("delete from deviation")
        code, message, data = operator.post(STATUS, operator.body(body))
        assert (code, data.get("Status")) == (0, 0), (body, message)
        judge.step(AS_OF_UTC_MS)
        found = statuses(platform)
        assert {name: found[name] for name in expected} == {n: (s, operator.id) for n, s in expected.items()}, body
        assert {kind for kind, _ in oddities(platform)} == told, body


def test_the_oddities_of_stations_are_read_and_told(operator: Operator, platform: Platform, judge: Judge) -> None:
    odd = station(
        platform, operator.id, StationType=2, StationLng="30.2", StationLat="120.1", ServiceTax=0.06,
        ElectricityFee='{"StatrTime":"0000","Price":120}', BusinessHours="24小时",
    )  # fmt: skip
    infos = odd["EquipmentInfos"][0]
    infos["EquipmentType"] = 2
    infos["ConnectorInfos"][0] |= {"Status": "2", "Power": None}
    assert operator.post(STATION, operator.body({"StationInfo": odd}))[0] == 0
    judge.settle(AS_OF_UTC_MS)
    assert {kind for kind, _ in oddities(platform)} == {
        "tcec102.code", "tcec102.number_as_text", "tcec102.coordinates", "tcec102.unknown_field",
        "tcec102.fee_structured", "tcec102.spelling", "tcec102.current_type", "tcec102.status_in_station",
        "tcec102.power_of_equipment",
    }  # fmt: skip
    name = infos["ConnectorInfos"][0]["ConnectorID"]
    assert statuses(platform)[name] == ("occupied", operator.id)
    declared = {c.connector_id: c for c in declared_by(platform.database, operator.id).connectors}
    assert declared[name].rated_power_w == 120_000


def test_what_the_register_gives_to_another_is_refused_and_stands_in_the_ledger(
    operator: Operator, platform: Platform, server: str
) -> None:
    other = another(platform, operator)
    foreign = connectors_of(platform, other.party_id)[0]
    own = connectors_of(platform, operator.id)[0]
    theirs = station(platform, other.party_id)
    mine = station(platform, operator.id)
    smuggled = json.loads(json.dumps(mine))
    smuggled["EquipmentInfos"][0]["ConnectorInfos"][0]["ConnectorID"] = foreign
    site = platform.directory.connectors[foreign].station_id
    for interface, body in (
        (STATUS, {"ConnectorStatusInfo": {"ConnectorID": foreign, "Status": 1}}),
        (STATUS, {"ConnectorStatusInfos": [{"ConnectorID": own, "Status": 1}, {"ConnectorID": foreign, "Status": 1}]}),
        (STATUS, {"StationStatusInfos": [{"StationID": site, "ConnectorStatusInfos": []}]}),
        (STATION, {"StationInfo": theirs}),
        (STATION, {"StationInfo": theirs | {"OperatorID": operator.id}}),
        (STATION, {"StationInfo": mine | {"OperatorID": other.party_id}}),
        (STATION, {"StationInfo": smuggled}),
    ):
        code, told, _ = operator.post(interface, operator.body(body))
        assert (code, other.party_id in told) == (4004, False), (interface, body)
    assert messages.size(platform.database) == 0
    ledger = read(server, platform, platform.directory.parties[operator.id], "refused")
    assert [e["rule"] for e in ledger].count("admission.tenant") == 7
    assert read(server, platform, other, "refused") == []


@pytest.mark.parametrize(
    ("interface", "body", "field"),
    [
        (STATUS, {}, "ConnectorStatusInfo"),
        (STATUS, [], "ConnectorStatusInfo"),
        (STATUS, {"ConnectorStatusInfo": {"Status": 1}}, "ConnectorID"),
        (STATUS, {"ConnectorStatusInfo": {"ConnectorID": "1"}}, "Status"),
        (STATUS, {"ConnectorStatusInfo": {"ConnectorID": "1", "Status": True}}, "Status"),
        (STATUS, {"ConnectorStatusInfo": {"ConnectorID": "1", "connectorid": "2", "Status": 1}}, "ConnectorID"),
        (STATUS, {"ConnectorStatusInfos": "1"}, "ConnectorStatusInfos"),
        (STATUS, {"ConnectorStatusInfo": {"ConnectorID": "1\n2", "Status": 1}}, "ConnectorID"),
        (STATION, {"StationInfo": {"StationName": "站"}}, "StationID"),
        (STATION, {"StationInfos": []}, "StationInfo"),
        (STATION, {"StationInfo": {"StationID": "1", "EquipmentInfos": [{"EquipmentID": "2", "ConnectorInfos": [
            {"ConnectorID": "3"}]}]}}, "Power"),
        (STATION, {"StationInfo": {"StationID": "1", "EquipmentInfos": [{"EquipmentID": "2", "ConnectorInfos": [
            {"ConnectorID": "3", "Power": 120000}]}]}}, "Power"),
        (STATION, {"StationInfo": {"StationID": "1", "StationLng": "east"}}, "StationLng"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_field(
    operator: Operator, platform: Platform, interface: str, body: Any, field: str
) -> None:
    code, told, _ = operator.post(interface, operator.body(json.dumps(body).encode()))
    assert (code, field in told, "失败记录" in told) == (4004, True, True), told
    assert messages.size(platform.database) == 0


def listed(plain: bytes) -> dict[str, Any]:
    order = json.loads(plain)
    return {name: order[name] for name in ("StartChargeSeq", "TotalPower", "TotalMoney")}


def check_of(operator_id: str, orders: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "CheckOrderSeq": f"{operator_id}{20261002:018d}", "StartTime": "2026-10-01 00:00:00",
        "EndTime": "2026-10-01 23:59:59", "OrderCount": len(orders),
        "TotalOrderPower": sum(o["TotalPower"] for o in orders),
        "TotalOrderMoney": sum(o["TotalMoney"] for o in orders), "ChargeOrders": orders,
    }  # fmt: skip


@pytest.mark.parametrize("judged", [False, True], ids=["not judged yet", "judged"])
def test_a_check_answers_exactly_the_orders_that_are_not_kept_as_listed(
    operator: Operator, city: LiveCity, platform: Platform, judge: Judge, judged: bool
) -> None:
    plains = [m.payload for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender == operator.id]
    plains = list({json.loads(p)["StartChargeSeq"]: p for p in plains}.values())[:4]
    for plain in plains:
        assert operator.post(ORDER, operator.body(plain))[0] == 0
    # A second content under the id of the first: the first stands.
    changed = json.loads(plains[0])
    changed["TotalMoney"] += 100
    assert operator.post(ORDER, operator.body(changed))[2]["ConfirmResult"] == 1
    if judged:
        judge._ingest(AS_OF_UTC_MS)  # the messages become facts; the verdicts are not asked for here
    orders = [listed(p) for p in plains]
    _, _, answer = operator.post(CHECK, operator.body(check_of(operator.id, orders)))
    assert (answer["TotalDisputeOrder"], answer["DisputeOrders"]) == (0, [])
    missing = orders[0] | {"StartChargeSeq": f"{operator.id}{777:018d}", "TotalPower": 12.345, "TotalMoney": 0.1}
    dearer = orders[1] | {"TotalMoney": orders[1]["TotalMoney"] + 0.01}
    more = orders[2] | {"TotalPower": orders[2]["TotalPower"] + 1, "TotalMoney": orders[2]["TotalMoney"] + 1}
    said = check_of(operator.id, [orders[0], missing, dearer, more, orders[3]])
    _, _, answer = operator.post(CHECK, operator.body(said | {"CheckOrderSeq": f"{operator.id}{1:018d}"}))
    found = [(d["StartChargeSeq"], d["DisputeReason"]) for d in answer["DisputeOrders"]]
    assert found == [(missing["StartChargeSeq"], 1), (dearer["StartChargeSeq"], 2), (more["StartChargeSeq"], 3)]
    assert answer["TotalDisputeOrder"] == 3
    assert answer["TotalDisputePower"] == pytest.approx(12.345 + dearer["TotalPower"] + more["TotalPower"], abs=1e-9)
    assert answer["TotalDisputeMoney"] == pytest.approx(0.1 + dearer["TotalMoney"] + more["TotalMoney"], abs=1e-9)
    assert answer["DisputeOrders"][0]["KeptPower"] is None
    assert answer["DisputeOrders"][1]["KeptMoney"] == pytest.approx(orders[1]["TotalMoney"], abs=1e-9)
    # Another operator is not told of these orders, not even that they exist.
    stranger = Operator(platform, operator.url, another(platform, operator).party_id)
    stranger.login()
    _, _, answer = stranger.post(CHECK, stranger.body(check_of(stranger.id, orders)))
    assert [d["DisputeReason"] for d in answer["DisputeOrders"]] == [1] * len(orders)
    assert all(d["KeptPower"] is None for d in answer["DisputeOrders"])


def test_a_list_with_a_bad_entry_or_too_long_is_refused(operator: Operator, platform: Platform) -> None:
    good = {"StartChargeSeq": f"{operator.id}{1:018d}", "TotalPower": 1, "TotalMoney": 1}
    for orders, field in (
        ([good, good | {"TotalPower": "much"}], "ChargeOrders[1].TotalPower"),
        ([good, {"StartChargeSeq": "1"}], "ChargeOrders[1]"),
        ([good, 5], "ChargeOrders[1]"),
        ([0] * 100_001, "ChargeOrders"),
    ):
        body = check_of(operator.id, [good]) | {"ChargeOrders": orders}
        code, told, _ = operator.post(CHECK, operator.body(body))
        assert (code, field in told) == (4004, True), told[:200]
    assert messages.size(platform.database) == 0


def test_a_captured_request_is_worthless(operator: Operator, city: LiveCity, platform: Platform, server: str) -> None:
    plain = next(m for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender == operator.id).payload
    bodies = {
        ORDER: operator.body(plain),
        CHECK: operator.body(check_of(operator.id, [listed(plain)])),
        STATION: operator.body({"StationInfo": station(platform, operator.id)}),
        STATUS: operator.body({"ConnectorStatusInfo": {"ConnectorID": connectors_of(platform, operator.id)[0],
                                                       "Status": 1}}),
    }  # fmt: skip
    login = operator.body({"OperatorID": operator.id, "OperatorSecret": operator.values["operator_secret"]})
    receipts = {}
    for interface, body in bodies.items():
        code, _, data = operator.post(interface, body)
        assert code == 0
        receipts[interface] = data["Receipt"]["receipt"]
    # Again, at once and many times: the receipt that there is, nothing counted twice.
    for interface, body in bodies.items():
        for _ in range(3):
            _, _, data = operator.post(interface, body)
            assert data["Receipt"] == {"receipt": receipts[interface], "repeated": True}
    assert messages.size(platform.database) == 4
    # At another interface, although the signature does not cover the path: it is none of its messages.
    for interface in bodies:
        for name, body in (bodies | {"query_token": login}).items():
            if name != interface:
                assert operator.post(interface, body)[0] == 4004, (name, interface)
    assert messages.size(platform.database) == 4
    # No secret went where it would be kept for ever.
    with platform.database.transaction() as connection:
        row = connection.execute(
            "select count(*) from refused where position(%s::bytea in payload) > 0",
            (operator.values["operator_secret"].encode(),),
        ).fetchone()
    assert row == (0,)
    # Without the token that the capture of a body does not show.
    assert operator.post(ORDER, bodies[ORDER], token="")[0] == 4002
    # A captured query_token buys nothing: the token comes encrypted under a key that no wire has carried.
    answer = httpx.post(f"{server}/evcs/v1/query_token", content=login).json()
    assert operator.values["operator_secret"] not in json.dumps(answer)
    assert "AccessToken" not in json.dumps(answer)


def test_digits_cannot_wander_between_the_signed_fields(
    operator: Operator, city: LiveCity, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature has no separators: TimeStamp 20261125224326 and Seq 0001 are signed as 2026112522 and 43260001,
    which is a moment in epoch seconds, years later. A capture must not come to life again then."""
    plain = next(m for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender == operator.id).payload
    body = json.loads(operator.body(plain))
    digits = body["TimeStamp"] + body["Seq"]
    wandered = body | {"TimeStamp": digits[:10], "Seq": digits[10:]}
    tcec102_envelope.authenticate(wandered, [operator.keys])  # the signature holds, that is the trap
    monkeypatch.setattr("anxin.faces.tcec102.now_utc_ms", lambda: int(digits[:10]) * 1_000)
    code, told, _ = operator.post(ORDER, json.dumps(wandered).encode())
    assert (code, "Seq" in told) == (4003, True), told
    assert messages.size(platform.database) == 0


def test_the_checks_come_in_their_order_and_every_refusal_of_a_known_sender_is_signed(
    operator: Operator, city: LiveCity, platform: Platform, server: str
) -> None:
    late = json.loads(operator.body(b"{}"))
    sign = tcec102_envelope.sign
    # All wrong at once: signature before token before time before decryption before business.
    wrong = late | {"TimeStamp": "20200101000000", "Data": "AAAA"}
    signed = wrong | {"Sig": sign(operator.id + "AAAA" + wrong["TimeStamp"] + wrong["Seq"], operator.keys)}
    in_time = late | {"Data": "AAAA"}
    in_time |= {"Sig": sign(operator.id + "AAAA" + late["TimeStamp"] + late["Seq"], operator.keys)}
    for body, token, code in (
        (wrong, "no", 4001), (signed, "no", 4002), (signed, None, 4003), (in_time, None, 4004), (late, None, 4004),
    ):  # fmt: skip
        used = operator.token if token is None else token
        answer = httpx.post(f"{server}/evcs/v1/{STATUS}", json=body, headers={"authorization": f"Bearer {used}"}).json()
        assert answer["Ret"] == code, answer
        if code != 4001:
            tcec102_envelope.authenticate(answer, [operator.keys])


def test_the_envelope_s_own_oddities_are_told(operator: Operator, platform: Platform, judge: Judge) -> None:
    name = connectors_of(platform, operator.id)[0]
    plain = json.dumps({"ConnectorStatusInfo": {"ConnectorID": name, "Status": 1}}).encode()
    body = json.loads(tcec102_envelope.seal_envelope(plain, operator.keys, str(int(time.time())), "7"))
    assert operator.post(STATUS, json.dumps(body | {"Sig": body["Sig"].lower()}).encode())[0] == 0
    judge.settle(AS_OF_UTC_MS)
    assert oddities(platform) == {
        ("tcec102.time_stamp", "TimeStamp"), ("tcec102.seq", "Seq"), ("tcec102.signature_case", "Sig"),
    }  # fmt: skip
    assert statuses(platform)[name] == ("idle", operator.id)


def test_an_inspector_is_no_operator_and_a_suspended_one_is_heard_no_more(
    operator: Operator, platform: Platform, server: str
) -> None:
    from anxin.store import parties

    body = operator.body({"StationInfo": station(platform, operator.id)})
    own = platform.directory.parties[operator.id]
    parties.put_parties(platform.database, [Party(own.party_id, Role.OPERATOR, own.name, own.operator_id, True)], 0)
    platform.refresh()
    assert httpx.post(f"{server}/evcs/v1/{STATION}", content=body).json()["Ret"] == 4001


def test_the_exchange_by_hand_on_the_page_works(operator: Operator, city: LiveCity, platform: Platform) -> None:
    page = (ROOT / "docs" / "formats" / "tcec102-door.md").read_text("utf-8")
    _, _, rest = page.partition("```bash\n")
    script = rest.partition("```")[0]
    values = {name.upper(): value for name, value in operator.values.items()}
    plain = next(m for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender == operator.id).payload
    given = {"URL": operator.url, "OPERATOR": operator.id, "ORDER": plain.decode(),
             "CONNECTOR": connectors_of(platform, operator.id)[0], "PATH": os.environ["PATH"]}  # fmt: skip
    done = subprocess.run(["bash", "-eu", "-c", f"TOKEN=\n{script}"], env=values | given, capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    order, status = (json.loads(line) for line in done.stdout.splitlines())
    assert (order["ConfirmResult"], status["Status"]) == (0, 0)
    assert messages.size(platform.database) == 2


def test_deviations_and_declarations_are_read_by_their_operator_and_the_inspector(
    operator: Operator, platform: Platform, server: str, judge: Judge
) -> None:
    odd = station(platform, operator.id, StationName="改了名字的站", Tempture=1)
    assert operator.post(STATION, operator.body({"StationInfo": odd}))[0] == 0
    name = connectors_of(platform, operator.id)[0]
    for state in ("1", "3"):
        body = operator.body({"ConnectorInfos": [{"ConnectorID": name, "Status": state}]})
        assert operator.post(STATUS, body)[0] == 0
    judge.settle(AS_OF_UTC_MS)
    own, other = platform.directory.parties[operator.id], another(platform, operator)
    inspector = Party("inspector", Role.INSPECTOR, "检查员")
    found = read(server, platform, own, "deviations")
    assert [d["kind"] for d in found].count("tcec102.status_shape") == 2
    assert {d["sender"] for d in found} == {operator.id}
    assert [d["deviation_id"] for d in found] == sorted((d["deviation_id"] for d in found), reverse=True)
    # Page by page it is the same list, and the judge tells it again when it decodes again, not twice.
    pages, before = [], ""
    while page := read(server, platform, own, f"deviations?limit=2{before}"):
        pages += page
        before = f"&before={page[-1]['deviation_id']}"
    assert pages == found == read(server, platform, inspector, "deviations")
    only = read(server, platform, own, "deviations?kind=tcec102.unknown_field")
    assert [(d["field"], d["message_index"]) for d in only] == [("Tempture", 0)]
    declared = read(server, platform, own, "declarations")
    (changed,) = [d for d in declared if d["differences"] and d["kind"] == "station"]
    known = platform.directory.stations[odd["StationID"]].name
    assert changed["differences"] == [{"field": "name", "declared": "改了名字的站", "register": known}]
    assert declared == read(server, platform, inspector, "declarations")
    for path in ("deviations", "declarations", "pulls"):
        assert read(server, platform, other, path) == []
        assert httpx.get(f"{server}/api/{path}").status_code == 401
    token = {"authorization": f"Bearer {enrol.new_token(platform.database, platform.vault, own)}"}
    platform.refresh()
    for query in ("limit=501", "limit=0", "before=x", f"before={1 << 63}", "before=-1"):
        assert httpx.get(f"{server}/api/deviations?{query}", headers=token).status_code == 422
