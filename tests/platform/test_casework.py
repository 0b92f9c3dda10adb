"""Acts of people over HTTP, on both sides: who may, who is told, and what the evidence log holds of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from anxin.domain.alarm import AlarmAct, AlarmState
from anxin.domain.errors import CaseError
from anxin.domain.finding import Severity
from anxin.domain.party import Party, Role
from anxin.flow import casework
from anxin.flow.alarm_reading import alarm_document
from anxin.flow.alarm_rules import load_rules
from anxin.flow.casework import Said, said_digest
from anxin.flow.desk import Desk
from anxin.flow.platform import Platform
from anxin.store import alarms, messages, parties
from anxin.store.events import events_after
from tests.platform.test_desk import BILLED_MORE, NOW, REGISTER, ROLLBACK, all_alarms, judge, rows
from tests.platform.web import Caller, Served, serving

LI = Party("li", Role.INSPECTOR, "李")
WANG = Party("wang", Role.INSPECTOR, "王")
CHEN = Party("chen", Role.SUPERVISOR, "陈")
QIAN = Party("qian", Role.AUDITOR, "钱")
WEST = Party("west", Role.INSPECTOR, "西", districts=("西湖区",))
MANAGER = Party("m1", Role.MANAGER, "甲经理", "OP1")
ENGINEER = Party("e1", Role.ENGINEER, "甲工", "OP1")
RIVAL = Party("m2", Role.MANAGER, "乙经理", "OP2")
KEY = Party("OP1", Role.OPERATOR, "甲", "OP1")
HTML = "<img src=x onerror=alert(1)> 请说明 & <b>附证</b>"


class House:
    """A platform with its two apps and a caller for each party."""

    def __init__(self, platform: Platform, url: Served) -> None:
        self.platform, self.url = platform, url
        self.desk = Desk(platform)
        people = (LI, WANG, CHEN, QIAN, WEST, MANAGER, ENGINEER, RIVAL, KEY)
        self.callers = {p.party_id: Caller(platform, url, p) for p in people}

    def ask(self, who: Party, path: str = "") -> tuple[int, Any]:
        return self.callers[who.party_id].get(f"/api/alarms{path}")

    def do(self, who: Party, alarm_id: int, act: str, version: int | None = None, **said: Any) -> tuple[int, Any]:
        if version is None:
            version = next(a.version for a in all_alarms(self.platform) if a.alarm_id == alarm_id)
        body = json.dumps({"version": version, **said}).encode()
        headers = {"content-type": "application/json", **self.callers[who.party_id].headers}
        base = self.callers[who.party_id].base
        answer = httpx.post(f"{base}/api/alarms/{alarm_id}/{act}", content=body, headers=headers, timeout=30)
        return answer.status_code, answer.json()

    def cheat(self, session: str = "O1", kind: tuple[str, str, Severity] = BILLED_MORE, connector: str = "C1") -> int:
        judge(self.platform, {session: [kind]}, connector, operator="OP1" if connector == "C1" else "OP2")
        self.desk.settle()
        return int(max(a.alarm_id for a in all_alarms(self.platform)))

    def alarm(self, alarm_id: int) -> Any:
        return next(a for a in all_alarms(self.platform) if a.alarm_id == alarm_id)


@pytest.fixture
def house(platform: Platform) -> Iterator[House]:
    parties.put_register(platform.database, REGISTER)
    with serving(platform) as url:
        yield House(platform, url)


def test_an_alarm_goes_from_the_desk_to_its_closing_and_every_deed_is_a_leaf(house: House) -> None:
    number = house.cheat()
    status, sent = house.do(LI, number, "send", text=HTML)
    assert (status, sent["state"], sent["assigned_to"]) == (200, "sent", "li")
    assert house.do(MANAGER, number, "answer", text="电表更换，见附")[1]["state"] == "answered"
    assert house.do(LI, number, "review")[1]["state"] == "review"
    status, closed = house.do(LI, number, "propose", text="多计属实", conclusion="operator_fault")
    assert (status, closed["state"], closed["conclusion"]) == (200, "closed", "operator_fault")
    _, document = house.ask(LI, f"/{number}")
    assert [(s["act"], s["by"], s["state"]) for s in document["steps"]] == [
        ("opened", "system", "open"),
        ("send", "li", "sent"),
        ("answer", "m1", "answered"),
        ("review", "li", "review"),
        ("propose", "li", "closed"),
    ]
    assert document["steps"][1]["said"] == {"text": HTML}, "HTML is text"
    finding = document["present_findings"][0]
    assert (finding["order_energy_milli_wh"], finding["record_energy_milli_wh"]) == (12_000_000, 10_000_000)
    for step in document["steps"][1:]:
        ((_, message, _),) = messages.stored(house.platform.database, [step["index"]])
        deed = json.loads(message.payload)
        assert (message.kind.value, message.sender, deed["by"]) == ("deed.alarm", step["by"], step["by"])
        assert (deed["alarm"], deed["step"], deed["act"], deed["to"]) == (
            number, step["step_no"], step["act"], step["state"],
        )  # fmt: skip
        assert deed["said_sha256"] == step["said_sha256"] == said_digest(step["said"])
        assert "text" not in deed
    kinds = [(e.kind, e.operator_id) for e in events_after(house.platform.database, 0, 20)]
    assert kinds == [
        ("alarm.opened", None), ("alarm.sent", "OP1"), ("alarm.answered", "OP1"), ("alarm.review", "OP1"),
        ("alarm.closed", "OP1"),
    ]  # fmt: skip


def test_a_grave_alarm_is_closed_by_two(house: House) -> None:
    number = house.cheat(kind=ROLLBACK)
    house.do(LI, number, "send", text="?")
    house.do(KEY, number, "answer", text="!")
    house.do(LI, number, "review")
    assert house.do(LI, number, "propose", text="回拨", conclusion="operator_fault")[1]["state"] == "proposed"
    assert house.ask(MANAGER, f"/{number}")[1]["state"] == "review", "no conclusion yet, to the operator"
    assert house.do(LI, number, "confirm")[:1] == (403,)
    parties.put_parties(house.platform.database, [replace(LI, name="李主任")], NOW)
    with house.platform.database.transaction() as connection:
        connection.execute("update party set role = 'supervisor' where party_id = 'li'")
        connection.execute("update counter set value = value + 1 where name = 'party_version'")
    house.platform.refresh()
    status, refused = house.do(LI, number, "confirm")
    assert (status, refused["title"]) == (403, "case.four_eyes")
    assert house.do(CHEN, number, "refuse", text="证据不足")[1]["state"] == "review"
    house.do(LI, number, "propose", text="补充", conclusion="operator_fault")
    assert house.do(WANG, number, "confirm", text="同意")[1]["state"] == "closed"
    assert house.alarm(number).conclusion.value == "operator_fault"


def test_no_step_can_be_skipped_and_no_role_exceeded(house: House) -> None:
    number = house.cheat()
    before = rows(house.platform, "select count(*) from message")
    for who, act, said, status in (
        (LI, "propose", {"text": "x", "conclusion": "explained"}, 409),
        (LI, "confirm", {}, 409),
        (LI, "review", {}, 409),
        (LI, "reopen", {"text": "x"}, 409),
        (QIAN, "send", {"text": "x"}, 403),
        (QIAN, "comments", {"text": "x"}, 403),
        (LI, "send", {"text": ""}, 422),
        (LI, "send", {"text": "a\u0000"}, 422),
        (LI, "send", {"text": "x" * 10_001}, 422),
        (LI, "send", {"text": "x", "conclusion": "explained"}, 422),
        (LI, "send", {"text": "x", "unknown": 1}, 422),
        (LI, "answer", {"text": "x"}, 404),
        (WEST, "send", {"text": "x"}, 404),
        (MANAGER, "answer", {"text": "x"}, 404),
        (ENGINEER, "answer", {"text": "x"}, 403),
    ):
        found, told = house.do(who, number, act, **said)
        assert found == status, (who.party_id, act, told)
    assert house.alarm(number).state is AlarmState.OPEN
    assert rows(house.platform, "select count(*) from message") == before, "what is refused is no deed"


def test_foreign_and_absent_alarms_are_told_alike(house: House) -> None:
    number = house.cheat()
    house.do(LI, number, "send", text="?")

    def told(who: Party, alarm_id: int) -> tuple[int, str]:
        status, body = house.ask(who, f"/{alarm_id}")
        return status, json.dumps(body, ensure_ascii=False).replace(f"alarm {alarm_id} ", "alarm N ")

    for who in (RIVAL, WEST):
        assert told(who, number) == told(who, 999_999)
        assert told(who, number)[0] == 404
        assert house.ask(who)[1] == []
        assert house.ask(who, "/counts")[1] == {"state": {}, "severity": {}, "cause": {}}
        assert house.ask(who, f"/{number}/findings")[0] == 404
    assert house.do(RIVAL, number, "answer", text="x")[0] == 404
    assert told(MANAGER, number)[0] == told(ENGINEER, number)[0] == told(KEY, number)[0] == 200


def test_the_operator_sees_neither_officers_nor_what_they_say_among_themselves(house: House) -> None:
    number = house.cheat(kind=ROLLBACK)
    assert house.ask(MANAGER)[1] == [], "not before it is sent"
    house.do(LI, number, "comments", text="内部", inner=True)
    house.do(LI, number, "send", text="?")
    house.do(LI, number, "comments", text="公开", inner=False)
    house.do(MANAGER, number, "comments", text="补充材料", inner=True)
    house.do(MANAGER, number, "answer", text="!")
    house.do(LI, number, "review")
    house.do(LI, number, "propose", text="内部理由", conclusion="operator_fault")
    house.do(CHEN, number, "refuse", text="内部意见")
    _, document = house.ask(MANAGER, f"/{number}")
    text = json.dumps(document, ensure_ascii=False)
    assert "内部" not in text
    assert [c["text"] for c in document["comments"]] == ["公开", "补充材料"]
    assert {"assigned_to", "proposed_by", "escalated", "district"}.isdisjoint(document)
    assert document["conclusion"] is None
    whole = alarm_document(house.platform, number, load_rules(house.platform.settings))
    assert whole is not None
    assert [c["text"] for c in whole["comments"]] == ["内部", "公开", "补充材料"]
    told = {e.kind for e in events_after(house.platform.database, 0, 50) if e.operator_id == "OP1"}
    assert told == {"alarm.sent", "alarm.comment", "alarm.answered", "alarm.review"}


def test_the_later_of_two_edits_is_told_who_did_what(house: House) -> None:
    number = house.cheat()
    seen = house.alarm(number).version
    assert house.do(LI, number, "send", seen, text="?")[0] == 200
    status, told = house.do(CHEN, number, "send", seen, text="?")
    assert (status, told["title"], told["state"], told["version"]) == (409, "case.version", "sent", seen + 1)
    assert [(c["by"], c["act"]) for c in told["changed"]] == [("li", "send")]
    url, held = f"{house.url.regulator}/api/alarms/{number}/review", house.callers["li"].headers
    assert httpx.post(url, json={}, headers=held).status_code == 428
    assert httpx.post(url, json={}, headers=held | {"if-match": '"x"'}).status_code == 428
    assert httpx.post(url, json={}, headers=held | {"if-match": f'"{seen}"'}).status_code == 409
    etag = httpx.get(f"{house.url.regulator}/api/alarms/{number}", headers=held).headers["etag"]
    assert etag == f'"{seen + 1}"'


def test_of_two_officers_at_the_same_moment_one_acts_and_one_is_told(house: House) -> None:
    rules = load_rules(house.platform.settings)
    for turn in range(12):
        number = house.cheat(f"T{turn}", connector="C1") if turn == 0 else house.alarm(1).alarm_id
        version = house.alarm(number).version
        done: list[str] = []
        gate = threading.Barrier(2)

        def go(who: Party, number: int = number, version: int = version, done: list[str] = done,
               gate: threading.Barrier = gate) -> None:  # fmt: skip
            gate.wait()
            try:
                casework.comment(house.platform, who, number, f"{who.party_id} {version}", True, version)
                done.append("done")
            except CaseError as error:
                done.append(error.rule)

        both = [threading.Thread(target=go, args=(w,)) for w in (LI, CHEN)]
        for one in both:
            one.start()
        for one in both:
            one.join(30)
        assert sorted(done) == ["case.version", "done"]
        assert house.alarm(number).version == version + 1
    assert rules.policy.title
    assert rows(house.platform, "select count(*) from message where kind = 'deed.alarm'") == [(12,)]


def test_an_assigned_alarm_is_in_its_officer_s_hand(house: House) -> None:
    number = house.cheat()
    assert house.do(LI, number, "assignment", to="li")[1]["assigned_to"] == "li"
    assert house.do(WANG, number, "send", text="?")[1]["title"] == "case.hand"
    assert house.do(WANG, number, "assignment", to="wang")[0] == 403
    assert house.do(LI, number, "assignment", to="qian")[0] == 422
    assert house.do(LI, number, "assignment", to="west")[0] == 422, "not of his district"
    assert house.do(LI, number, "assignment", to="nobody")[0] == 422
    assert house.do(CHEN, number, "assignment", to="wang")[1]["assigned_to"] == "wang"
    assert house.do(LI, number, "send", text="?")[0] == 403
    assert house.do(WANG, number, "send", text="?")[0] == 200


def test_a_removed_officer_s_proposal_waits_for_another(house: House) -> None:
    number = house.cheat(kind=ROLLBACK)
    house.do(LI, number, "send", text="?")
    house.do(MANAGER, number, "answer", text="!")
    house.do(LI, number, "review")
    house.do(LI, number, "propose", text="回拨", conclusion="device_fault")
    parties.put_parties(house.platform.database, [replace(LI, suspended=True)], NOW)
    house.platform.refresh()
    assert house.do(LI, number, "comments", text="x")[0] == 401
    assert house.desk.keep_time() == 1
    alarm = house.alarm(number)
    assert (alarm.state, alarm.assigned_to, alarm.proposed_by) == (AlarmState.PROPOSED, None, "li")
    assert house.do(WANG, number, "confirm")[1]["state"] == "closed"


def test_an_operator_who_is_silent_past_the_deadline_is_reviewed_without_an_answer(house: House) -> None:
    number = house.cheat()
    house.do(LI, number, "send", text="?")
    assert house.do(LI, number, "review")[0] == 409
    due = house.alarm(number).due_utc_ms
    assert house.desk.keep_time(due) == 1
    assert house.do(LI, number, "review")[1]["state"] == "review"
    assert house.alarm(number).escalated == 0


def test_the_list_is_filtered_counted_and_paged(house: House) -> None:
    first = house.cheat("O1")
    second = house.cheat("O2", ROLLBACK)
    third = house.cheat("O3", connector="C2")
    house.do(LI, second, "send", text="?")

    def numbers(query: str, who: Party = LI) -> list[int]:
        status, found = house.ask(who, f"?{query}")
        assert status == 200, found
        return [a["alarm_id"] for a in found]

    assert numbers("") == [third, second, first]
    assert numbers("state=open") == [third, first]
    assert numbers("severity=grave") == [second]
    assert numbers("district=余杭区") == [second, first]
    assert numbers("operator=OP2") == [third]
    assert numbers("cause=billing") == [third, first]
    assert numbers("assigned=li") == [second]
    assert numbers("unassigned=true") == [third, first]
    assert numbers("overdue=true") == []
    assert numbers("limit=1") == [third]
    assert numbers(f"before={third}&limit=1") == [second]
    assert numbers("", WEST) == [third]
    assert numbers("", QIAN) == [third, second, first]
    assert numbers("", MANAGER) == [second]
    assert numbers("operator=OP2&assigned=li", MANAGER) == []
    assert house.ask(LI, "/counts")[1] == {
        "state": {"open": 2, "sent": 1},
        "severity": {"grave": 1, "violation": 2},
        "cause": {"billing": 2, "record": 1},
    }
    status = httpx.get(f"{house.url}/api/status").json()["alarms"]
    assert status == {"open": 2, "sent": 1}
    for wrong in ("state=nowhere", "limit=501", "before=-1", "cause=a'b", "severity=x"):
        assert house.ask(LI, f"?{wrong}")[0] == 422


def test_a_bulk_act_on_one_cause_reports_each_alarm_by_itself(house: House) -> None:
    first, third = house.cheat("O1"), house.cheat("O3", connector="C2")
    grave = house.cheat("O2", ROLLBACK)
    versions = {a.alarm_id: a.version for a in all_alarms(house.platform)}
    items = [{"alarm_id": n, "version": v} for n, v in versions.items()] + [{"alarm_id": 77, "version": 1}]
    items[1]["version"] += 5
    held = house.callers["li"].headers
    body = {"cause": "billing", "act": "send", "text": "请说明", "items": items}
    answer = httpx.post(f"{house.url.regulator}/api/alarms/bulk", json=body, headers=held)
    assert answer.status_code == 200
    told = {t["alarm_id"]: t.get("rule", t.get("state")) for t in answer.json()}
    assert told == {first: "sent", third: "case.version", grave: "case.cause", 77: "case.absent"}
    many = body | {"items": [{"alarm_id": n + 1, "version": 1} for n in range(201)]}
    assert httpx.post(f"{house.url.regulator}/api/alarms/bulk", json=many, headers=held).status_code == 422
    body["act"] = "answer"
    told_again = httpx.post(f"{house.url.regulator}/api/alarms/bulk", json=body, headers=held).json()
    assert {t["done"] for t in told_again} == {False}


def test_filters_are_each_officer_s_own(house: House) -> None:
    held = house.callers["li"].headers
    url = f"{house.url.regulator}/api/alarms/filters"
    mine = {"name": "我的 <b>", "query": {"state": "open", "severity": "grave"}}
    assert httpx.put(url, json=mine, headers=held).json() == mine
    assert httpx.get(url, headers=held).json() == [mine]
    assert httpx.get(url, headers=house.callers["wang"].headers).json() == []
    assert httpx.put(url, json=mine | {"query": {"password": "x"}}, headers=held).status_code == 422
    assert httpx.put(url, json=mine | {"name": "a\u0007"}, headers=held).status_code == 422
    for n in range(60):
        last = httpx.put(url, json=mine | {"name": f"f{n}"}, headers=held)
    assert last.status_code == 422
    assert len(httpx.get(url, headers=held).json()) == 50
    assert httpx.delete(f"{url}/f1", headers=held).status_code == 204
    assert httpx.delete(f"{url}/f1", headers=held).status_code == 404


def test_a_key_bound_to_answering_answers_and_reads_nothing(house: House) -> None:
    from anxin.faces.rights import Right
    from anxin.flow import enrol

    number = house.cheat()
    house.do(LI, number, "send", text="?")
    token = enrol.new_token(house.platform.database, house.platform.vault, KEY, scopes=[Right.ANSWER_ALARMS.value])
    house.platform.refresh()
    held = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{house.url}/api/alarms", headers=held).status_code == 403
    body = {"version": house.alarm(number).version, "text": "!"}
    assert httpx.post(f"{house.url}/api/alarms/{number}/answer", json=body, headers=held).status_code == 200


def test_a_complaint_joins_the_alarm_of_its_session_or_opens_one(house: House) -> None:
    number = house.cheat("O1")
    rules = load_rules(house.platform.settings)
    with house.platform.database.transaction() as connection:
        joined = casework.join_complaint(connection, house.platform, rules, "K1", "O1", "C1", NOW)
        opened = casework.join_complaint(connection, house.platform, rules, "K2", "O9", "C2", NOW)
        again = casework.join_complaint(connection, house.platform, rules, "K3", "O8", "C2", NOW)
    assert (joined, again) == (number, opened)
    assert opened != number
    alarm = house.alarm(opened)
    assert (alarm.cause, alarm.charger_id, alarm.operator_id, alarm.district) == ("complaint", "CH2", "OP2", "西湖区")
    with house.platform.database.transaction() as connection:
        said = [s.said for s in alarms.steps(connection, opened)]
    assert said == [{"complaint": "K2"}, {"complaint": "K3"}]
    assert house.do(WEST, opened, "send", text="?")[1]["state"] == "sent"
    assert house.cheat("O9", connector="C2") == opened, "a finding on the session goes where the complaint is"
    assert (house.alarm(opened).findings, house.alarm(opened).severity) == (1, Severity.VIOLATION)


def test_a_closed_alarm_is_not_opened_beside_another_on_the_same(house: House) -> None:
    number = house.cheat("O1")
    house.do(LI, number, "send", text="?")
    house.do(MANAGER, number, "answer", text="!")
    house.do(LI, number, "review")
    house.do(LI, number, "propose", text="ok", conclusion="explained")
    assert house.do(LI, number, "reopen", text="再查")[1]["state"] == "review"
    house.do(LI, number, "propose", text="ok", conclusion="explained")
    later = house.alarm(number).closed_utc_ms + 60_000
    judge(house.platform, {"O2": [BILLED_MORE]}, at=later)
    house.desk.settle(later)
    assert len(all_alarms(house.platform)) == 2
    assert house.do(LI, number, "reopen", text="再查")[1]["title"] == "case.stands"


def test_what_is_refused_inside_leaves_nothing_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    number = house.cheat()
    before = rows(house.platform, "select version, state, assigned_to from alarm")

    def broken(*_: object) -> None:
        raise RuntimeError("the process dies here")

    monkeypatch.setattr(casework, "put_events", broken)
    with pytest.raises(RuntimeError):
        casework.act(house.platform, load_rules(house.platform.settings), LI, number, AlarmAct.SEND, Said(1, "?"))
    assert rows(house.platform, "select version, state, assigned_to from alarm") == before
    assert rows(house.platform, "select count(*) from message where kind = 'deed.alarm'") == [(0,)]
    assert rows(house.platform, "select count(*) from alarm_step") == [(1,)]
