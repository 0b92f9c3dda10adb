"""The chargers' door over real websockets: what is kept, what is answered, what comes of it, and who is turned away."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import call as call201

from anxin.domain.errors import InputError
from anxin.domain.message import Kind
from anxin.domain.party import Role
from anxin.domain.register import Connector
from anxin.faces.outer import create_app
from anxin.flow import enrol
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.ocpp_messages import Places
from anxin.flow.platform import Platform
from anxin.store import messages, parties
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.ocpp_charger import (
    Session,
    charge_point,
    header,
    meter_values,
    password_for,
    said,
    sessions_of,
    signed_16,
    signed_201,
    socket,
)
from tests.platform.ocpp_relay import relay


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=8, days=2, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[str]:
    platform.settings = dataclasses.replace(platform.settings, ocpp_max_frame_bytes=65_536, ocpp_frames_per_s=500)
    web = uvicorn.Server(uvicorn.Config(create_app(platform), port=0, log_level="error"))
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    yield f"ws://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    web.should_exit = True
    thread.join(10)


@dataclasses.dataclass
class Charger:
    """A charger that is enrolled, its password, and the sessions that its meters signed."""

    id: str
    password: str
    sessions: list[Session]
    url: str

    @property
    def pair(self) -> Session:
        """A session with a begin and an end record."""
        return next(s for s in self.sessions if len(s.records) == 2)


@pytest.fixture
def charger(platform: Platform, server: str, city: LiveCity) -> Charger:
    found = sessions_of(city, platform)
    # One with a begin and end record apart, and with as many connectors as there are.
    charger_id = max(found, key=lambda c: (any(len(s.records) == 2 for s in found[c]), found[c][0].place))
    return Charger(charger_id, password_for(platform, charger_id), found[charger_id], server)


def kept(platform: Platform) -> list[tuple[Any, ...]]:
    with platform.database.transaction() as connection:
        return connection.execute("select kind, message_id, payload, envelope, conflicts_with from message").fetchall()


def rows(platform: Platform, query: str) -> list[tuple[Any, ...]]:
    with platform.database.transaction() as connection:
        return connection.execute(query.encode()).fetchall()


def judged(platform: Platform, tmp_path: Path) -> None:
    judge = Judge(platform, tmp_path / "scratch")
    try:
        judge.settle(AS_OF_UTC_MS)
    finally:
        judge.close()


def decoded(platform: Platform, tmp_path: Path) -> None:
    """Let what came become facts, and leave the rule book alone."""
    judge = Judge(platform, tmp_path / "scratch")
    try:
        while judge._ingest(AS_OF_UTC_MS):
            pass
    finally:
        judge.close()


def orders_come(platform: Platform, city: LiveCity) -> None:
    orders = [m for m in city.messages if m.kind is Kind.TCEC_ORDER]
    messages.append(platform.database, orders, AS_OF_UTC_MS - 1_000, committed_entry)


def verdicts(platform: Platform, session: Session) -> list[str]:
    found = rows(platform, "select state, record_id from verdict where present and order_id is not null"
                           f" and place = '{session.connector_id}' and record_id is not null")  # fmt: skip
    return [state for state, _ in found]


def test_a_signed_session_of_1_6_agrees_with_its_order(
    charger: Charger, platform: Platform, city: LiveCity, tmp_path: Path
) -> None:
    async def charge() -> None:
        async with charge_point(charger.url, charger.id, charger.password, "ocpp1.6") as point:
            boot = await point.call(call16.BootNotification("City", "Maker"))
            assert (boot.status, boot.interval) == ("Accepted", 300)
            await point.call(call16.Heartbeat())
            authorised = await point.call(call16.Authorize("TAG"))
            assert authorised.id_tag_info == {"status": "Accepted"}
            for session in charger.sessions:
                begin = call16.StartTransaction(session.place, "TAG", 0, session.time())
                started = await point.call(begin)
                again = await point.call(begin)
                assert again.transaction_id == started.transaction_id > 0
                stop = call16.StopTransaction(
                    1000, session.time(last=True), started.transaction_id,
                    transaction_data=meter_values(session),
                )  # fmt: skip
                assert await point.call(stop) is not None

    asyncio.run(charge())
    orders_come(platform, city)
    judged(platform, tmp_path)
    answers = {a for (a,) in rows(platform, "select answer from fact_signed_record")}
    assert answers == {"authentic"}
    states = [state for s in charger.sessions for state in verdicts(platform, s)]
    assert len(states) >= len(charger.sessions) >= 2
    assert set(states) == {"agree"}
    assert not {k for (k,) in rows(platform, "select kind from deviation") if k.startswith("ocpp")}


def test_a_signed_session_of_2_0_1_agrees_with_its_order_also_beyond_the_standard_s_length(
    charger: Charger, platform: Platform, city: LiveCity, tmp_path: Path
) -> None:
    long = charger.pair
    # White space before the signature is allowed by OCMF and not signed: the text grows beyond 2,500 characters.
    texts = [text.replace('|{"SA"', "|" + " " * 2_500 + '{"SA"', 1) for text in long.texts]

    async def charge() -> None:
        async with charge_point(charger.url, charger.id, charger.password, "ocpp2.0.1") as point:
            boot = await point.call(call201.BootNotification({"model": "M", "vendor_name": "V"}, "PowerUp"))
            assert boot.status == "Accepted"
            for event, number, text in (("Started", 0, texts[0]), ("Ended", 1, texts[1])):
                last = event == "Ended"
                context = "Transaction.End" if last else "Transaction.Begin"
                value = {"timestamp": long.time(last), "sampled_value": [signed_201(text, context)]}
                told = call201.TransactionEvent(
                    event, long.time(last), "Authorized", number, {"transactionId": "a-b-c"},
                    evse={"id": long.place}, meter_value=[value], id_token={"idToken": "T", "type": "Local"},
                )  # fmt: skip
                result = await point.call(told, skip_schema_validation=True)
                assert result.id_token_info == {"status": "Accepted"}
            assert await point.call(call201.NotifyReport(1, long.time(), 0)) is not None
            assert await point.call(call201.SecurityEventNotification("StartupOfTheDevice", long.time())) is not None

    asyncio.run(charge())
    orders_come(platform, city)
    judged(platform, tmp_path)
    assert rows(platform, "select answer, transaction_key from fact_signed_record") == [
        ("authentic", f"{charger.id}/a-b-c")
    ] * 2  # fmt: skip
    assert verdicts(platform, long) == ["agree"]
    assert "ocpp.signed_data_length" in {k for (k,) in rows(platform, "select kind from deviation")}


def test_unsigned_and_falsely_signed_values_are_answered_and_recorded_as_what_they_are(
    charger: Charger, platform: Platform, tmp_path: Path
) -> None:
    session = charger.pair
    authentic = session.texts[1]
    payload = authentic.split("|")[1]
    forged = authentic.replace('"RV":', '"RV":1')
    cases = {
        "unsigned": {"value": "1234", "context": "Transaction.End", "unit": "Wh"},
        "forged": signed_16(forged, "Transaction.End"),
        "malformed": signed_16(f'OCMF|{payload}|{{"SD":"00ff"}}', "Transaction.End"),
        "no record": signed_16("hello", "Transaction.End"),
        "another format": signed_16("hello", "Transaction.End"),
        # A key that the charger sends along vouches for nothing: the register has none for this serial.
        "cannot judge": signed_16(
            authentic.replace('"MS":"', '"MS":"X').replace('"GS":"', '"GS":"X'), "Transaction.End",
            key=platform.directory.register.keys[0].public_key,
        ),
    }  # fmt: skip
    cases["another format"]["value"] = json.dumps({"signedMeterData": "AAAA", "encodingMethod": "EDL"})

    async def charge() -> None:
        async with charge_point(charger.url, charger.id, charger.password, "ocpp1.6") as point:
            for number, value in enumerate(cases.values(), 1):
                data = [{"timestamp": session.time(last=True), "sampledValue": [value]}]
                stop = call16.StopTransaction(10, session.time(last=True), number, transaction_data=data)
                assert await point.call(stop) is not None

    asyncio.run(charge())
    decoded(platform, tmp_path)
    answers = dict(rows(platform, "select transaction_key, answer || ' ' || reason from fact_signed_record"))
    assert answers == {
        f"{charger.id}/2": "forged signature_mismatch",
        f"{charger.id}/3": "malformed signature_undecodable",
        f"{charger.id}/4": "malformed ocmf_header",
        f"{charger.id}/5": "cannot_judge cannot_open",
        f"{charger.id}/6": "cannot_judge no_key",
    }
    odd = rows(platform, "select message_index, kind, sender from deviation order by 1, 2")
    assert (0, "ocpp.unsigned", charger.id) in odd
    assert (5, "ocpp.key_came_along", charger.id) in odd
    assert [k for i, k, _ in odd if i == 1] == []


def test_a_stop_sent_again_after_a_reconnect_counts_once_and_a_changed_one_is_a_conflict(
    charger: Charger, platform: Platform, tmp_path: Path
) -> None:
    session = charger.pair
    stop = {
        "transactionId": 7, "meterStop": 10, "timestamp": session.time(last=True),
        "transactionData": meter_values(session),
    }  # fmt: skip

    async def charge() -> list[Any]:
        answers = []
        for call_id in ("first", "again"):
            async with socket(charger.url, charger.id, charger.password) as line:
                answers.append(await said(line, [2, call_id, "StopTransaction", stop]))
        async with socket(charger.url, charger.id, charger.password) as line:
            for call_id in ("one", "two"):
                ask = {"vendorId": "anxin-charging", "messageId": "receipt", "data": call_id}
                answers.append(await said(line, [2, call_id, "StopTransaction", stop]))
                answers.append(await said(line, [2, "ask", "DataTransfer", ask]))
            answers.append(await said(line, [2, "other", "StopTransaction", stop | {"meterStop": 99}]))
            answers.append(await said(line, [2, "x", "DataTransfer", {"vendorId": "else"}]))
        return answers

    answers = asyncio.run(charge())
    assert answers[:2] == [[3, "first", {}], [3, "again", {}]]
    receipts = [json.loads(a[2]["data"]) for a in answers if "data" in a[2]]
    assert [r["receipt"]["index"] for r in receipts] == [0, 0]
    assert receipts[1]["repeated"]
    assert answers[-1] == [3, "x", {"status": "UnknownVendorId"}]
    found = kept(platform)
    assert [(f[0], f[4]) for f in found] == [("ocpp.record", None), ("ocpp.record", 0)]
    assert json.loads(bytes(found[0][3]))[1] == "first"
    decoded(platform, tmp_path)
    assert len(rows(platform, "select 1 from fact_record")) == 1


def test_states_reach_the_register_s_connectors_and_zero_is_the_whole_charger(
    charger: Charger, platform: Platform, tmp_path: Path
) -> None:
    own = sorted(c.connector_id for c in platform.directory.connectors_of_charger[charger.id])

    def state(connector: int, word: str, at: str | None) -> dict[str, Any]:
        told = {"connectorId": connector, "errorCode": "NoError", "status": word}
        return told if at is None else told | {"timestamp": at}

    async def charge(*told: dict[str, Any]) -> None:
        async with socket(charger.url, charger.id, charger.password) as line:
            for payload in told:
                assert await said(line, [2, "s", "StatusNotification", payload]) == [3, "s", {}]

    def latest() -> dict[str, str]:
        decoded(platform, tmp_path)
        return dict(rows(platform, "select connector_id, status from connector_status"))

    asyncio.run(charge(state(1, "Charging", "2026-10-01T10:00:00Z"), state(0, "Available", "2026-10-01T11:00:00Z")))
    assert latest() == {own[0]: "charging"}
    # An older word that comes late changes nothing; one without a time is dated by its arrival.
    asyncio.run(charge(state(1, "Faulted", "2026-10-01T09:00:00Z"), state(len(own) + 1, "Charging", None)))
    assert latest() == {own[0]: "charging"}
    asyncio.run(charge(state(0, "Unavailable", "2026-10-02T10:00:00Z")))
    assert latest() == dict.fromkeys(own, "out_of_service")
    asyncio.run(charge(state(1, "Available", None), state(1, "Melting", None)))
    time.sleep(0.01)
    asyncio.run(charge(state(1, "Available", None)))
    assert latest()[own[0]] == "idle"
    # A clock far ahead does not hold the state for ever.
    asyncio.run(charge(state(1, "Reserved", "2090-01-01T00:00:00Z"), state(1, "Available", None)))
    assert latest()[own[0]] == "idle"
    kinds = {k for (k,) in rows(platform, "select kind from deviation")}
    assert kinds >= {"ocpp.place_unknown", "ocpp.status_unknown", "ocpp.clock_ahead"}
    assert len(kept(platform)) == 10  # each arrival without a time is a message of its own


def test_places_follow_the_numbers_in_ids_unless_a_mapping_says_otherwise(platform: Platform, city: LiveCity) -> None:
    charger_id = platform.directory.register.connectors[0].charger_id
    made = [Connector(f"X-{n}", "X", "s", "o", 1, "AC") for n in (10, 9, 2)]
    parties.put_register(platform.database, dataclasses.replace(platform.directory.register, connectors=tuple(made)))
    password_for(platform, "X", connectors={"1/2": "X-10", "3": "X-2"})
    places = Places(platform.directory, "X")
    assert [places.connector(p) for p in ("1", "2", "3", "4", "0", "1/2", "1/3", None)] == [
        "X-2", "X-9", "X-2", None, None, "X-10", None, None,
    ]  # fmt: skip
    for wrong in ({"charger_id": "stranger"}, {"charger_id": charger_id, "connectors": {"1": "X-2"}}):
        with pytest.raises(InputError):
            enrol.new_charger_password(
                platform.database, platform.vault, parties.load_register(platform.database), **wrong
            )


def refused_with(url: str, charger_id: str, headers: dict[str, str]) -> int:
    async def attempt() -> int:
        try:
            protocols = [websockets.Subprotocol("ocpp1.6")]
            async with websockets.connect(f"{url}/ocpp/{charger_id}", subprotocols=protocols,
                                          additional_headers=headers):  # fmt: skip
                return 101
        except websockets.InvalidStatus as error:
            return error.response.status_code

    return asyncio.run(attempt())


def test_strangers_wrong_passwords_and_the_suspended_are_turned_away_before_the_upgrade(
    charger: Charger, platform: Platform
) -> None:
    good = header(charger.id, charger.password)
    other = next(c for c in platform.directory.connectors_of_charger if c != charger.id)
    password_for(platform, other)
    assert refused_with(charger.url, charger.id, good) == 101
    assert refused_with(charger.url, charger.id, header(charger.id, bytes.fromhex(charger.password))) == 101
    for name, headers in (
        (charger.id, {}),
        (charger.id, header(charger.id, "guess")),
        (charger.id, header(other, charger.password)),
        (other, good),
        ("stranger", header("stranger", charger.password)),
        (charger.id, {"Authorization": "Basic !!!"}),
        (charger.id, {"Authorization": "Bearer " + charger.password}),
    ):
        assert refused_with(charger.url, name, headers) == 401, (name, headers)
    party = platform.directory.parties[charger.id]
    assert party.role is Role.CHARGER
    parties.put_parties(platform.database, [dataclasses.replace(party, suspended=True)], 0)
    platform.refresh()
    assert refused_with(charger.url, charger.id, good) == 401
    # A new password is no pardon; and a charger that leaves the register leaves the door.
    assert refused_with(charger.url, charger.id, header(charger.id, password_for(platform, charger.id))) == 401
    parties.put_parties(platform.database, [party], 0)
    with platform.database.transaction() as connection:
        sealed = connection.execute("select sealed from credential where kind = 'basic'").fetchall()
        connection.execute("delete from register_entry where kind = 'connector' and entry_id like %s",
                           (charger.sessions[0].connector_id[:-2] + "%",))  # fmt: skip
        connection.execute("update counter set value = value + 1 where name = 'register_version'")
    assert all(charger.password.encode() not in bytes(row[0]) for row in sealed)
    platform.refresh()
    assert refused_with(charger.url, charger.id, good) == 401


def test_the_newer_connection_wins_and_a_revoked_password_ends_it_within_seconds(
    charger: Charger, platform: Platform
) -> None:
    async def charge() -> tuple[int, int, float]:
        async with socket(charger.url, charger.id, charger.password) as older:
            assert await said(older, [2, "1", "Heartbeat", {}])
            async with socket(charger.url, charger.id, charger.password) as newer:
                assert await said(newer, [2, "1", "Heartbeat", {}])
                await asyncio.wait_for(older.wait_closed(), 3)
                assert await said(newer, [2, "2", "Heartbeat", {}])
                (credential,) = platform.directory.credentials_of[charger.id, "basic"]
                revoked = dataclasses.replace(credential, revoked_utc_ms=1)
                started = time.monotonic()
                parties.put_credentials(platform.database, [revoked], platform.vault.seal)
                await asyncio.wait_for(newer.wait_closed(), 5)
                assert older.close_code is not None
                assert newer.close_code is not None
                return older.close_code, newer.close_code, time.monotonic() - started

    older, newer, waited = asyncio.run(charge())
    assert (older, newer) == (1000, 1008)
    assert waited < 4


def test_nothing_is_answered_before_it_is_durable_and_what_cannot_be_kept_is_asked_for_again(
    charger: Charger, platform: Platform
) -> None:
    stop = [2, "s", "StopTransaction", {"transactionId": 1, "meterStop": 1, "timestamp": "2026-10-01T00:00:00Z"}]

    async def charge() -> tuple[Any, Any, Any]:
        async with socket(charger.url, charger.id, charger.password) as line:
            # The database keeps the committer waiting: no answer may come.
            with psycopg.connect(platform.database.url) as blocking:
                blocking.execute("select size from log_head for update")
                await line.send(json.dumps(stop))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(line.recv(), 0.7)
                before = kept(platform)
            waited = json.loads(await asyncio.wait_for(line.recv(), 10))
            assert before == []
            assert len(kept(platform)) == 1
            # The database refuses: the charger hears InternalError, keeps its call and sends it again.
            with psycopg.connect(platform.database.url, autocommit=True) as admin:
                admin.execute("alter table message rename to away")
                stop[3] |= {"transactionId": 2}  # type: ignore[operator]
                failed = await said(line, stop)
                admin.execute("alter table away rename to message")
            return waited, failed, await said(line, stop)

    waited, failed, again = asyncio.run(charge())
    assert waited == again == [3, "s", {}]
    assert failed[:3] == [4, "s", "InternalError"]
    assert len(kept(platform)) == 2


def test_garbage_is_answered_by_the_standard_s_codes_and_ends_nothing(charger: Charger, platform: Platform) -> None:
    deep = "[" * 2_000
    cases: list[tuple[str, str | bytes, list[Any]]] = [
        ("ocpp1.6", "hello", [4, "-1", "FormationViolation"]),
        ("ocpp1.6", "{}", [4, "-1", "FormationViolation"]),
        ("ocpp1.6", deep, [4, "-1", "FormationViolation"]),
        ("ocpp1.6", '[2,"i","Heartbeat"]', [4, "i", "FormationViolation"]),
        ("ocpp1.6", '[2,"i","MeterValues",{"a":1,"a":2}]', [4, "i", "FormationViolation"]),
        ("ocpp1.6", '[2,"i","MeterValues",{"a":"\\ud800"}]', [4, "i", "FormationViolation"]),
        ("ocpp1.6", '[2,"i","MeterValues",{"a":NaN}]', [4, "i", "FormationViolation"]),
        ("ocpp1.6", '[9,"i","Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ("ocpp1.6", '[2,"i","Sing",{}]', [4, "i", "NotImplemented"]),
        ("ocpp1.6", '[2,"i","Reset",{"type":"Hard"}]', [4, "i", "NotSupported"]),
        ("ocpp1.6", '[2,"i","BootNotification",{"chargePointVendor":7}]', [4, "i", "TypeConstraintViolation"]),
        ("ocpp1.6", '[2,"i","Heartbeat",{"more":1}]', [4, "i", "FormationViolation"]),
        ("ocpp1.6", '[2,"i","SignCertificate",{"csr":"x"}]', [3, "i", {"status": "Rejected"}]),
        ("ocpp1.6", '[2,"i","MeterValues",{"connectorId":"x","meterValue":[7,{"sampledValue":{}}]}]', [3, "i", {}]),
        ("ocpp1.6", '[2,"i","StopTransaction",{"transactionId":"\\u0000","timestamp":{"a":[]}}]', [3, "i", {}]),
        ("ocpp2.0.1", "hello", [4, "-1", "RpcFrameworkError"]),
        ("ocpp2.0.1", '[2,"i","Heartbeat",{"more":1}]', [4, "i", "FormatViolation"]),
        ("ocpp2.0.1", '[2,"i","TransactionEvent",{}]', [3, "i", {}]),
        ("ocpp2.0.1", '[2,"i","NotifyEVChargingSchedule",{"timeBase":"x"}]', [4, "i", "ProtocolError"]),
    ]  # fmt: skip

    async def charge() -> None:
        for protocol in ("ocpp1.6", "ocpp2.0.1"):
            async with socket(charger.url, charger.id, charger.password, protocol) as line:
                for named, frame, expected in cases:
                    if named == protocol:
                        answered = await said(line, frame)
                        assert answered[: len(expected)] == expected, (frame[:80], answered)
                await line.send('[3,"nobody-asked",{}]')
                await line.send('[4,"nobody-asked","GenericError","",{}]')
                assert (await said(line, [2, "h", "Heartbeat", {}]))[:2] == [3, "h"]

    asyncio.run(charge())
    ledger = rows(platform, f"select rule from refused where sender = '{charger.id}'")
    assert {r for (r,) in ledger} >= {"ocpp.frame", "ocpp.call", "json.depth", "json.duplicate_key", "json.surrogate"}
    assert len(kept(platform)) == 3


def test_frames_that_are_too_large_or_binary_end_the_connection_and_stand_in_the_ledger(
    charger: Charger, platform: Platform
) -> None:
    most = platform.settings.ocpp_max_frame_bytes

    async def closes(frame: str | bytes) -> int | None:
        async with socket(charger.url, charger.id, charger.password) as line:
            await line.send(frame)
            await asyncio.wait_for(line.wait_closed(), 5)
            return line.close_code

    async def charge() -> None:
        async with socket(charger.url, charger.id, charger.password) as line:
            start = '[2,"i","DataTransfer",{"vendorId":"v","data":"'
            fits = start + "x" * (most - len(start) - 3) + '"}]'
            assert await said(line, fits) == [3, "i", {"status": "UnknownVendorId"}]
        assert await closes("x" * (most + 1)) == 1009
        assert await closes(b"\x00\x01") == 1003

    asyncio.run(charge())
    assert [r for (r,) in rows(platform, "select rule from refused order by refused_id")] == [
        "ocpp.frame_size",
        "ocpp.frame",
    ]
    assert rows(platform, "select max(length(payload)) from refused") == [(16_384,)]


def test_silence_other_protocols_and_a_full_house(charger: Charger, platform: Platform) -> None:
    async def charge() -> None:
        async with websockets.connect(
            f"{charger.url}/ocpp/{charger.id}", additional_headers=header(charger.id, charger.password)
        ) as line:
            await asyncio.wait_for(line.wait_closed(), 5)
            assert (line.close_code, line.subprotocol) == (1002, None)
        async with socket(charger.url, charger.id, charger.password) as line:
            await asyncio.wait_for(line.wait_closed(), 8)
            assert line.close_code == 1001

    platform.settings = dataclasses.replace(platform.settings, ocpp_idle_s=1)
    asyncio.run(charge())
    platform.settings = dataclasses.replace(platform.settings, ocpp_max_connections=1, ocpp_idle_s=900)
    other = next(c for c in platform.directory.connectors_of_charger if c != charger.id)
    password = password_for(platform, other)

    async def full() -> int:
        async with socket(charger.url, charger.id, charger.password):
            return await asyncio.to_thread(refused_with, charger.url, other, header(other, password))

    assert asyncio.run(full()) == 503


def test_a_charger_s_operator_reads_its_receipts_and_refusals_and_no_other_does(
    charger: Charger, platform: Platform
) -> None:
    async def charge() -> None:
        async with socket(charger.url, charger.id, charger.password) as line:
            state = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            assert await said(line, [2, "s", "StatusNotification", state]) == [3, "s", {}]
            assert (await said(line, "hello"))[0] == 4

    asyncio.run(charge())
    own = platform.directory.parties[charger.id].operator_id
    operators = [p for p in platform.directory.parties.values() if p.role is Role.OPERATOR]
    tokens = {p.party_id: enrol.new_token(platform.database, platform.vault, p) for p in operators}
    platform.refresh()
    assert own in tokens
    assert len(tokens) > 1
    for operator, token in tokens.items():
        read = {"headers": {"authorization": f"Bearer {token}"}, "timeout": 10}
        http = charger.url.replace("ws://", "http://")
        receipt = httpx.get(f"{http}/api/receipts/0", **read)  # type: ignore[arg-type]
        refused = httpx.get(f"{http}/api/refused", **read).json()  # type: ignore[arg-type]
        assert receipt.status_code == (200 if operator == own else 404)
        assert [r["rule"] for r in refused] == (["ocpp.frame"] if operator == own else [])


def test_an_operator_s_relay_sends_on_what_its_chargers_say_and_keeps_its_own_orders_to_itself(
    charger: Charger, platform: Platform
) -> None:
    class Remote(ChargePoint16):  # type: ignore[misc]
        @on("RemoteStartTransaction")  # type: ignore[untyped-decorator]
        def on_start(self, **_: Any) -> Any:
            started.set()
            return result16.RemoteStartTransaction(status="Accepted")

        @on("RemoteStopTransaction")  # type: ignore[untyped-decorator]
        def on_stop(self, transaction_id: int) -> Any:
            stopped.append(transaction_id)
            return result16.RemoteStopTransaction(status="Accepted")

    started = asyncio.Event()
    stopped: list[int] = []

    async def charge() -> int:
        async with (
            relay(f"{charger.url}/ocpp", charge_s=0.1) as port,
            websockets.connect(
                f"ws://127.0.0.1:{port}/{charger.id}",
                subprotocols=[websockets.Subprotocol("ocpp1.6")],
                additional_headers=header(charger.id, charger.password),
            ) as line,
        ):
            point = Remote(charger.id, line)
            listening = asyncio.create_task(point.start())
            await point.call(call16.BootNotification("City", "Maker"))
            await asyncio.wait_for(started.wait(), 5)
            begun = await point.call(call16.StartTransaction(1, "TAG", 0, "2026-10-01T00:00:00Z"))
            while not stopped:
                await asyncio.sleep(0.02)
            listening.cancel()
            return int(begun.transaction_id)

    assert stopped == [asyncio.run(charge())]
    assert len(kept(platform)) == 1
    assert rows(platform, "select 1 from refused") == []


def test_a_charger_faster_than_its_share_is_read_more_slowly_and_loses_nothing(
    charger: Charger, platform: Platform
) -> None:
    platform.settings = dataclasses.replace(platform.settings, ocpp_frames_per_s=10)

    async def charge() -> float:
        async with socket(charger.url, charger.id, charger.password) as line:
            started = time.monotonic()
            for number in range(115):
                await line.send(json.dumps([2, str(number), "Heartbeat", {}]))
            answered = [json.loads(await asyncio.wait_for(line.recv(), 10))[1] for _ in range(115)]
            assert answered == [str(n) for n in range(115)]
            return time.monotonic() - started

    assert asyncio.run(charge()) > 1.2  # 100 at once, then 10 a second
