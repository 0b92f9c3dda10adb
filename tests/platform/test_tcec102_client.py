"""The platform asks operators' platforms: what they answer is evidence, and none of their mistakes harms it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anxin.domain.errors import FormatError, InputError
from anxin.domain.message import Kind, Message
from anxin.domain.party import Sight
from anxin.flow import enrol
from anxin.flow.declared_reading import declarations, deviations, pulls_of, silent_operators
from anxin.flow.intake import Intake, committed_entry, now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.flow.tcec102_client import checked_url
from anxin.flow.tcec102_pull import Puller
from anxin.store import messages
from anxin.store.declarations import declared_by
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.operator_platform import OUR_ID, VALUES, OperatorPlatform, running
from tests.platform.test_tcec102 import check_of, listed, station, statuses

STATIONS, STATUS, ORDERS = "query_stations_info", "query_station_status", "query_supplement_info"


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    platform.settings = dataclasses.replace(
        platform.settings, pull_retry_s=0, pull_timeout_s=1, max_body_bytes=2_000_000, pull_status_seconds=3_600
    )
    return enrolled(platform, chargers=6, days=1, cheats=0)


@pytest.fixture
def operator_id(city: LiveCity) -> str:
    return next(m for m in city.messages if m.kind is Kind.TCEC_ORDER).sender


@pytest.fixture
def peer(platform: Platform, operator_id: str) -> Iterator[OperatorPlatform]:
    """The operator's platform, which knows what the register knows; its credentials are entered here."""
    own = [s for s in platform.directory.register.stations if s.operator_id == operator_id]
    plugs = [c for c in platform.directory.register.connectors if c.operator_id == operator_id]
    states: dict[str, list[dict[str, Any]]] = {s.station_id: [] for s in own}
    for plug in plugs:
        states[plug.station_id].append({"ConnectorID": plug.connector_id, "Status": 1})
    with running(OperatorPlatform([station(platform, operator_id)], states)) as made:
        enrol.put_tcec_client(platform.database, platform.vault, operator_id, made.url, OUR_ID, VALUES)
        yield made


@pytest.fixture
def judge(platform: Platform, tmp_path: Path) -> Iterator[Judge]:
    made = Judge(platform, tmp_path)
    yield made
    made.close()


def pull(platform: Platform, *whats: str, between: Callable[[], None] = lambda: None) -> None:
    """Let one puller ask these questions, one after the other; `between` comes before each."""

    async def run() -> None:
        platform.intake = Intake(platform.database, platform.settings)  # each run has an event loop of its own
        await platform.start()
        puller = Puller(platform)
        puller.follow_credentials()
        for what in whats:
            between()
            for operator in puller.operators.values():
                await puller.turn(operator, what)
        await puller.run(lambda: True)
        await platform.stop()

    asyncio.run(run())


def row(platform: Platform, operator_id: str, what: str) -> dict[str, Any]:
    return next(r for r in pulls_of(platform, Sight(operator_id)) if r["what"] == what)


def kept(platform: Platform) -> list[Message]:
    return [m for _, m, _ in messages.stored(platform.database, range(messages.size(platform.database)))]


def test_stations_and_states_are_asked_for_kept_as_they_came_and_judged(
    platform: Platform, peer: OperatorPlatform, operator_id: str, judge: Judge
) -> None:
    pull(platform, "stations", "status")
    found = kept(platform)
    assert [(m.kind, m.sender) for m in found] == [(Kind.TCEC_STATION, operator_id), (Kind.TCEC_STATUS, operator_id)]
    assert json.loads(found[0].payload)["StationInfos"] == peer.stations
    assert json.loads(found[0].envelope or b"")["Ret"] == 0
    judge.settle(AS_OF_UTC_MS)
    own = {c.connector_id for c in platform.directory.register.connectors if c.operator_id == operator_id}
    assert statuses(platform) == dict.fromkeys(own, ("idle", operator_id))
    assert [s.station_id for s in declared_by(platform.database, operator_id).stations] == [
        peer.stations[0]["StationID"]
    ]
    assert peer.asked["query_token"] == 1
    for what in ("stations", "status"):
        found_row = row(platform, operator_id, what)
        assert (found_row["failures"], found_row["kept"], found_row["last_error"]) == (0, 1, None)
        assert now_utc_ms() < found_row["next_utc_ms"] <= now_utc_ms() + 3_600_000
    assert silent_operators(platform) == {"stations": 0, "status": 0}


def test_every_page_comes_and_no_more_than_fifty_stations_are_asked_for_at_once(
    platform: Platform, peer: OperatorPlatform, operator_id: str
) -> None:
    peer.stations = [{"StationID": f"N{n:03d}", "OperatorID": operator_id} for n in range(120)]
    peer.states |= {f"N{n:03d}": [{"ConnectorID": f"N{n:03d}C", "Status": 3}] for n in range(120)}
    pull(platform, "stations", "status")
    assert [q["PageNo"] for name, q in peer.questions if name == STATIONS] == [1, 2, 3]
    asked = [q["StationIDs"] for name, q in peer.questions if name == STATUS]
    known = [s.station_id for s in platform.directory.register.stations if s.operator_id == operator_id]
    assert [len(part) for part in asked] == [50, 50, 20 + len(known)]
    assert {s for part in asked for s in part} == {*known, *(f"N{n:03d}" for n in range(120))}
    assert row(platform, operator_id, "status")["failures"] == 0


def test_an_answer_that_says_the_same_again_is_kept_once_and_a_change_at_once(
    platform: Platform, peer: OperatorPlatform, operator_id: str
) -> None:
    pull(platform, "status", "status", "status")
    assert (peer.asked[STATUS], messages.size(platform.database)) == (3, 1)
    first = next(iter(peer.states.values()))[0]
    states = iter((1, 1, 3, 1, 1))
    pull(platform, *["status"] * 5, between=lambda: first.update(Status=next(states)))
    told = [json.loads(m.payload)["StationStatusInfos"] for m in kept(platform)]
    assert [next(c["Status"] for s in infos for c in s["ConnectorStatusInfos"] if c == c | {
        "ConnectorID": first["ConnectorID"]}) for infos in told] == [1, 1, 3, 1]  # fmt: skip


@pytest.mark.parametrize(
    ("mistake", "rule", "attempts"),
    [
        ("signature", "peer.signature", 1),
        ("foreign signature", "peer.signature", 1),
        ("no data", "peer.envelope", 1),
        ("not json", "peer.envelope", 1),
        ("http 500", "peer.http_status", 3),
        ("http 404", "peer.http_status", 1),
        ("busy", "peer.refused", 3),
        ("refused", "peer.refused", 1),
        ("redirect", "peer.redirect", 1),
        ("slow", "peer.timeout", 3),
        ("drip", "peer.timeout", 3),
        ("huge", "peer.size", 1),
        ("gzip", "peer.encoding", 1),
        ("token", "peer.token", 2),
    ],
)
def test_a_false_answer_is_not_kept_and_is_told(
    platform: Platform, peer: OperatorPlatform, operator_id: str, mistake: str, rule: str, attempts: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    peer.mistakes[STATIONS], peer.for_ever = [mistake], True
    with caplog.at_level(logging.WARNING, "anxin.pull"):
        pull(platform, "stations")
    found = row(platform, operator_id, "stations")
    assert found["last_error"].startswith(rule), found["last_error"]
    assert (found["failures"], found["kept"], found["last_success_utc_ms"]) == (1, 0, None)
    assert peer.asked[STATIONS] == attempts
    assert (messages.size(platform.database), peer.elsewhere) == (0, 0)
    assert silent_operators(platform) == {"stations": 1}
    assert operator_id in caplog.text
    assert not any(value in caplog.text for value in VALUES.values())
    # When it comes to itself, nothing is left of it.
    peer.mistakes.clear()
    pull(platform, "stations")
    assert row(platform, operator_id, "stations")["failures"] == 0
    assert messages.size(platform.database) == 1


@pytest.mark.parametrize("mistake", ["http 500", "busy", "slow", "token"])
def test_what_passes_by_itself_is_asked_again_and_comes(
    platform: Platform, peer: OperatorPlatform, operator_id: str, mistake: str
) -> None:
    peer.mistakes[STATIONS] = [mistake]
    pull(platform, "stations")
    assert row(platform, operator_id, "stations")["failures"] == 0
    assert (messages.size(platform.database), peer.asked[STATIONS]) == (1, 2)
    assert peer.asked["query_token"] == (2 if mistake == "token" else 1)


@pytest.mark.parametrize(
    ("mistake", "rule", "pages"),
    [
        ("page number", "peer.page_number", 1),
        ("page count", "peer.page_empty", 2),
        ("item size", "peer.item_size", 1),
        ("same page", "peer.page_repeated", 1),
        ("endless", "peer.pages", 12),
    ],
)
def test_pages_that_lie_end_and_what_came_is_kept(
    platform: Platform,
    peer: OperatorPlatform,
    operator_id: str,
    mistake: str,
    rule: str,
    pages: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anxin.flow.tcec102_client.MAX_PAGES", 12)
    peer.mistakes[STATIONS], peer.for_ever = [mistake], True
    pull(platform, "stations")
    found = row(platform, operator_id, "stations")
    assert found["last_error"].startswith(rule), found["last_error"]
    assert found["kept"] == messages.size(platform.database) == pages


def test_an_operator_cannot_speak_of_another_s_stations_in_an_answer(
    platform: Platform, peer: OperatorPlatform, operator_id: str, judge: Judge
) -> None:
    foreign = next(c for c in platform.directory.register.connectors if c.operator_id != operator_id)
    own = next(iter(peer.states))
    peer.states[own].append({"ConnectorID": foreign.connector_id, "Status": 255})
    peer.stations.append({"StationID": foreign.station_id, "OperatorID": operator_id, "StationName": "mine"})
    pull(platform, "stations", "status")
    judge.settle(AS_OF_UTC_MS)
    assert foreign.connector_id not in statuses(platform)
    assert foreign.station_id not in {s.station_id for s in declared_by(platform.database, operator_id).stations}
    told = deviations(platform, Sight(operator_id), "admission.tenant", None, 50)
    assert {d["field"] for d in told} == {"StationID", "ConnectorID"}


def test_orders_that_a_check_lists_and_that_did_not_come_are_asked_for_again(
    platform: Platform, city: LiveCity, peer: OperatorPlatform, operator_id: str
) -> None:
    plains = [m.payload for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender == operator_id]
    by_id = {json.loads(p)["StartChargeSeq"]: p for p in plains}
    came, lost, gone, altered = list(by_id)[:4]
    check = check_of(operator_id, [listed(by_id[i]) for i in (came, lost, gone, altered)])
    messages.append(
        platform.database,
        [
            Message(Kind.TCEC_ORDER, operator_id, came, by_id[came]),
            Message(Kind.TCEC_CHECK, operator_id, check["CheckOrderSeq"], json.dumps(check).encode()),
        ],
        now_utc_ms(),
        committed_entry,
    )
    foreign = next(c for c in platform.directory.register.connectors if c.operator_id != operator_id)
    stranger = json.loads(by_id[altered]) | {"ConnectorID": foreign.connector_id}
    peer.orders = {came: json.loads(by_id[came]), lost: json.loads(by_id[lost]), altered: stranger}
    pull(platform, "orders")
    (question,) = [q for name, q in peer.questions if name == ORDERS]
    assert set(question["StartChargeSeqs"]) == {lost, gone, altered}
    assert (question["StartTime"], question["EndTime"]) == (check["StartTime"], check["EndTime"])
    pulled = [m for m in kept(platform) if m.message_id.startswith("query_supplement_info/")]
    assert [json.loads(m.payload)["StartChargeSeq"] for m in pulled] == [lost]
    # What came is not asked for again, and the check that counts it agrees now.
    peer.questions.clear()
    pull(platform, "orders")
    (question,) = [q for name, q in peer.questions if name == ORDERS]
    assert set(question["StartChargeSeqs"]) == {gone, altered}
    with platform.database.transaction() as connection:
        ledger = connection.execute("select sender, rule, message_id from refused").fetchall()
    assert ledger == [(operator_id, "admission.tenant", altered)]


def test_what_differs_from_the_register_is_told(
    platform: Platform, peer: OperatorPlatform, operator_id: str, judge: Judge
) -> None:
    plug = peer.stations[0]["EquipmentInfos"][0]["ConnectorInfos"][0]
    plug["Power"] = 999
    peer.stations[0]["StationName"] = "另一个名字"
    peer.stations[0]["EquipmentInfos"][0]["ConnectorInfos"].append(plug | {"ConnectorID": "unknown-plug"})
    pull(platform, "stations")
    judge.settle(AS_OF_UTC_MS)
    found = {d["entry_id"]: d for d in declarations(platform, Sight(operator_id), None, 500)}
    register = platform.directory.connectors[plug["ConnectorID"]]
    assert {d["field"]: (d["declared"], d["register"]) for d in found[plug["ConnectorID"]]["differences"]} == {
        "rated_power_w": (999_000, register.rated_power_w)
    } | ({"current_type": ("DC", "AC")} if register.current_type == "AC" else {})
    site = platform.directory.stations[peer.stations[0]["StationID"]]
    assert found[site.station_id]["differences"] == [{"field": "name", "declared": "另一个名字", "register": site.name}]
    assert (found["unknown-plug"]["in_register"], found[site.station_id]["in_register"]) == (False, True)
    other = next(o for o in platform.directory.register.operators if o.operator_id != operator_id)
    assert declarations(platform, Sight(other.operator_id), None, 500) == []


@pytest.mark.parametrize(
    "url",
    ["ftp://host/evcs", "file:///etc/passwd", "host/evcs", "https://", "https://user:pw@host/x", "https://host/x?y=1",
     "https://host/#x", "https://host:99999/x", "https://ho\nst/x", ""],
)  # fmt: skip
def test_only_a_plain_http_address_is_entered(url: str) -> None:
    with pytest.raises(InputError):
        checked_url(url)


def test_credentials_are_sealed_checked_and_the_newest_are_used_until_revoked(
    platform: Platform, peer: OperatorPlatform, operator_id: str
) -> None:
    with pytest.raises(FormatError):
        enrol.put_tcec_client(
            platform.database, platform.vault, operator_id, peer.url, OUR_ID, VALUES | {"data_secret": "short"}
        )
    with pytest.raises(InputError):
        enrol.put_tcec_client(platform.database, platform.vault, operator_id, peer.url, OUR_ID, {})
    with platform.database.transaction() as connection:
        sealed = connection.execute("select sealed, public::text from credential where kind = 'tcec102_client'")
        assert not any(v.encode() in bytes(r[0]) or v in r[1] for r in sealed for v in VALUES.values())
    with platform.database.transaction() as connection:
        connection.execute("update credential set revoked_utc_ms = 1 where kind = 'tcec102_client'")
        connection.execute("update counter set value = value + 1 where name = 'register_version'")
    pull(platform, "stations", "status", "orders")
    assert (sum(peer.asked.values()), messages.size(platform.database)) == (0, 0)
