"""Deeds on people: who may do them on whom, that each is a leaf, and what a leaf never says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from anxin.cli.main import main
from anxin.domain.errors import FormatError, InputError
from anxin.domain.message import Kind, Refused
from anxin.domain.party import Party, Role
from anxin.flow import administration, people
from anxin.flow.city_people import enter_people
from anxin.flow.intake import now_utc_ms
from anxin.flow.people import HandedOver
from anxin.flow.platform import Platform
from anxin.flow.rekey import master_key_file, rekey
from anxin.store import ledger, messages
from tests.platform.browser import GOOD, Browser
from tests.platform.web import Caller, Served, serving

OPERATOR, OTHER = "MA0000001", "MA0000002"


@pytest.fixture
def city(platform: Platform) -> Platform:
    for operator in (OPERATOR, OTHER):
        administration.add_operator(platform.database, operator, f"运营商 {operator}")
    return platform


@pytest.fixture
def served(city: Platform) -> Iterator[Served]:
    with serving(city) as url:
        yield url


@pytest.fixture
def inside(served: Served) -> str:
    return served.regulator


@pytest.fixture
def outside(served: Served) -> str:
    return str(served)


def entered(platform: Platform, role: Role, login: str, operator: str | None = None) -> HandedOver:
    return people.add(platform.database, platform.vault, None, login, f"姓名{login}", role, operator, ready=True)


def deeds(platform: Platform, kind: Kind = Kind.DEED_PEOPLE) -> list[dict[str, Any]]:
    size = messages.size(platform.database)
    found = messages.stored(platform.database, range(size))
    return [json.loads(m.payload) for _, m, _ in found if m.kind is kind]


def test_an_administrator_enters_changes_suspends_and_removes_and_each_deed_is_a_leaf_without_a_name(
    city: Platform, inside: str
) -> None:
    admin = entered(city, Role.ADMIN, "chief")
    browser = Browser.of(inside, admin)
    new = {"login": "Wang.Fang", "name": "王芳", "role": "inspector", "districts": ["余杭区"]}
    status, made = browser.call("POST", "/api/people", new)
    assert (status, made["login"], made["must_change"]) == (201, "wang.fang", True)
    path = f"/api/people/{made['party_id']}"
    assert browser.call("POST", "/api/people", new)[1]["type"] == "urn:anxin:person.login_taken"
    first = Browser(inside)
    login = {"login": "wang.fang", "password": made["password"]}
    assert first.call("POST", "/api/session", login)[1]["stage"] == "password"
    status, told = browser.call("PATCH", path, {"role": "supervisor", "districts": ["西湖区", "余杭区"]})
    assert (status, told["role"], told["districts"]) == (200, "supervisor", ["西湖区", "余杭区"])
    assert first.call("GET", "/api/session")[0] == 401, "a changed role ends the session"
    assert browser.call("PATCH", path, {"suspended": True})[1]["suspended"] is True
    assert first.call("POST", "/api/session", login)[0] == 401
    assert browser.call("PATCH", path, {"suspended": False})[0] == 200
    status, again = browser.call("POST", f"{path}/password")
    assert again["password"] != made["password"]
    assert first.call("POST", "/api/session", login)[0] == 401
    assert browser.call("DELETE", f"{path}/totp")[0] == 200
    assert "wang.fang" in {p["login"] for p in browser.call("GET", "/api/people")[1]}
    assert browser.call("DELETE", path)[0] == 204
    assert browser.call("DELETE", path)[0] == 404
    assert [p["login"] for p in browser.call("GET", "/api/people")[1]] == ["chief"]
    found = deeds(city)[1:]
    assert [d["what"] for d in found] == [
        "added", "role", "districts", "suspended", "admitted", "password_reset", "second_factor_reset", "removed",
    ]  # fmt: skip
    assert {d["by"] for d in found} == {admin.person.party.party_id}
    assert {d["person"] for d in found} == {made["party_id"]}
    assert not any(word in json.dumps(deeds(city), ensure_ascii=False) for word in ("王芳", "wang", "chief"))
    with city.database.transaction() as connection:
        rows = connection.execute("select * from party where party_id = %s", (made["party_id"],)).fetchall()
    assert "王芳" not in str(rows)


def test_nobody_acts_on_himself_and_the_last_administrator_stays(city: Platform, inside: str) -> None:
    admin = entered(city, Role.ADMIN, "chief")
    own = admin.person.party.party_id
    browser = Browser.of(inside, admin)
    for method, path, body in (
        ("PATCH", f"/api/people/{own}", {"role": "supervisor"}), ("PATCH", f"/api/people/{own}", {"suspended": True}),
        ("PATCH", f"/api/people/{own}", {"districts": []}), ("DELETE", f"/api/people/{own}", None),
        ("POST", f"/api/people/{own}/password", None), ("DELETE", f"/api/people/{own}/totp", None),
    ):  # fmt: skip
        status, told = browser.call(method, path, body)
        assert (status, told["type"]) == (422, "urn:anxin:person.self")
    changes: list[dict[str, Any]] = [{"role": Role.AUDITOR}, {"suspended": True}]
    for change in changes:
        with pytest.raises(FormatError, match="last administrator"):
            people.change(city.database, None, own, **change)
    with pytest.raises(FormatError, match="last administrator"):
        people.remove(city.database, None, own)
    assert len(deeds(city)) == 1, "what was refused left no leaf"
    assert browser.call("GET", "/api/session")[0] == 200


def test_two_administrators_who_remove_one_another_at_once_leave_one(city: Platform) -> None:
    pair = [entered(city, Role.ADMIN, name).person.party for name in ("one", "two")]
    start, failed = threading.Barrier(2), []

    def remove(by: Party, whom: Party) -> None:
        start.wait()
        try:
            people.remove(city.database, by, whom.party_id)
        except Exception as error:
            failed.append(type(error).__name__)

    threads = [threading.Thread(target=remove, args=two) for two in (pair, pair[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert len(people.listed(city.database, None)) == 1


def test_a_manager_looks_after_his_own_engineers_and_hears_of_nobody_else(city: Platform, outside: str) -> None:
    manager = Browser.of(outside, entered(city, Role.MANAGER, "manager", OPERATOR))
    own = entered(city, Role.ENGINEER, "own", OPERATOR).person.party.party_id
    equal = entered(city, Role.MANAGER, "equal", OPERATOR).person.party.party_id
    foreign = entered(city, Role.ENGINEER, "foreign", OTHER).person.party.party_id
    inspector = entered(city, Role.INSPECTOR, "inspector").person.party.party_id
    assert {p["login"] for p in manager.call("GET", "/api/people")[1]} == {"manager", "own", "equal"}
    absent = manager.call("PATCH", "/api/people/p-0000000000000000", {"suspended": True})
    assert absent[0] == 404
    for party_id in (equal, foreign, inspector):
        assert manager.call("PATCH", f"/api/people/{party_id}", {"suspended": True}) == absent
        assert manager.call("POST", f"/api/people/{party_id}/password") == absent
        assert manager.call("DELETE", f"/api/people/{party_id}") == absent
    assert manager.call("PATCH", f"/api/people/{own}", {"role": "manager"})[0] == 404
    assert manager.call("PATCH", f"/api/people/{own}", {"role": "inspector"})[0] == 422
    for body in (
        {"login": "new", "name": "新", "role": "manager"}, {"login": "new", "name": "新", "role": "inspector"},
        {"login": "new", "name": "新", "role": "engineer", "operator_id": OTHER},
    ):  # fmt: skip
        assert manager.call("POST", "/api/people", body)[0] in (404, 422)
    assert manager.call("PATCH", f"/api/people/{own}", {"suspended": True})[0] == 200
    engineer = Browser.of(outside, entered(city, Role.ENGINEER, "another", OPERATOR))
    assert engineer.call("GET", "/api/people")[0] == 403


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "名" * 100])
def test_a_name_is_text_and_is_given_back_as_it_was_entered(city: Platform, inside: str, name: str) -> None:
    browser = Browser.of(inside, entered(city, Role.ADMIN, "chief"))
    assert browser.call("POST", "/api/people", {"login": "someone", "name": name, "role": "auditor"})[0] == 201
    answer = browser.client.get("/api/people")
    assert answer.headers["content-type"] == "application/json"
    assert name in [p["name"] for p in answer.json()]


def test_what_no_person_can_be_is_refused(city: Platform, inside: str) -> None:
    browser = Browser.of(inside, entered(city, Role.ADMIN, "chief"))
    good = {"login": "someone", "name": "某人", "role": "auditor"}
    for wrong in (
        {"name": ""}, {"name": "x" * 101}, {"name": "a\nb"}, {"name": "a\0b"}, {"name": "\u202egnp"}, {"login": "a b"},
        {"login": "<b>"}, {"login": "x" * 65}, {"role": "operator"}, {"role": "god"}, {"operator_id": OPERATOR},
        {"role": "engineer"}, {"role": "engineer", "operator_id": "nobody"}, {"districts": ["x"] * 65},
        {"districts": ["x" * 101]}, {"districts": "x"}, {"party_id": "mine"},
        {"role": "manager", "operator_id": OPERATOR, "districts": ["x"]},
    ):  # fmt: skip
        status, _ = browser.call("POST", "/api/people", good | wrong)
        assert status == 422, wrong
    assert len(deeds(city)) == 1


@pytest.fixture
def admin(pg_url: str, platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Any]:
    """`anxin admin people` as an administrator calls it; returns its JSON."""
    monkeypatch.setenv("ANXIN_DATABASE_URL", pg_url)

    def call(*words: str) -> Any:
        assert main(["admin", "people", *words, "--data", str(platform.settings.data_dir), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def test_the_first_administrator_and_all_others_are_entered_on_the_machine(
    city: Platform, inside: str, admin: Callable[..., Any], capsys: Any
) -> None:
    made = admin("add", "chief", "主任", "--role", "admin")
    browser = Browser(inside)
    assert browser.call("POST", "/api/session", {"login": "chief", "password": made["password"]})[0] == 200
    admin("add", "li", "李", "--role", "inspector", "--district", "余杭区")
    assert admin("districts", "li")["districts"] == []
    assert admin("districts", "li", "西湖区")["districts"] == ["西湖区"]
    assert admin("role", "li", "supervisor")["role"] == "supervisor"
    assert admin("suspend", "li")["suspended"] is True
    assert admin("admit", "LI")["suspended"] is False
    assert admin("reset-password", "li")["password"]
    assert admin("reset-totp", "li")["second_factor"] is False
    assert [p["login"] for p in admin("list")] == ["chief", "li"]
    assert admin("remove", "li")["removed"] is True
    assert [d["what"] for d in deeds(city) if d["by"] == "machine"][-1] == "removed"
    data = str(city.settings.data_dir)
    assert main(["admin", "people", "remove", "chief", "--data", data]) == 2
    assert main(["admin", "people", "suspend", "nobody", "--data", data]) == 2
    told = capsys.readouterr().err
    assert "最后一名管理员" in told
    assert "nobody" in told


def test_a_second_factor_holds_after_the_master_key_was_exchanged(city: Platform, outside: str) -> None:
    made = entered(city, Role.ENGINEER, "li", OPERATOR)
    assert rekey(city.database, master_key_file(city.settings), lambda _: None) >= 1
    Browser.of(outside, made)


def test_what_the_regulator_reads_of_a_message_is_a_leaf_before_he_has_it(
    city: Platform, served: Served, inside: str
) -> None:
    refused = Refused("tcec102.order", OPERATOR, "1", "tcec102.json", "no JSON", b"driver 13800000000")
    number = ledger.refuse(city.database, refused, now_utc_ms(), 100)
    made = entered(city, Role.INSPECTOR, "li")
    browser = Browser.of(inside, made)
    assert browser.call("GET", f"/api/refused/{number}")[0] == 200
    assert browser.call("GET", f"/api/refused/{number + 1}")[0] == 404
    (deed,) = deeds(city, Kind.DEED_READING)
    assert (deed["by"], deed["what"], deed["ids"]) == (made.person.party.party_id, "refused", [number])
    assert "13800000000" not in json.dumps(deed)
    city.refresh()
    owner = Caller(city, served, city.directory.parties[OPERATOR])
    assert owner.get(f"/api/refused/{number}")[0] == 200
    assert len(deeds(city, Kind.DEED_READING)) == 1, "who reads what he sent himself reads nothing of somebody else's"


def test_a_person_who_changes_his_password_keeps_out_who_gave_it_to_him(city: Platform, outside: str) -> None:
    made = people.add(city.database, city.vault, None, "li", "李", Role.ENGINEER, OPERATOR)
    browser = Browser(outside)
    browser.call("POST", "/api/session", {"login": "li", "password": made.password})
    for weak in ("short", made.password, "anxin2026!!!!", "li-li-li-li-li"):
        assert browser.call("POST", "/api/session/password", {"old": made.password, "new": weak})[0] == 422
    assert browser.call("POST", "/api/session/password", {"old": made.password, "new": GOOD})[1]["stage"] == "open"
    assert Browser(outside).call("POST", "/api/session", {"login": "li", "password": made.password})[0] == 401


def test_the_people_of_a_virtual_city_are_ready_to_log_in(city: Platform, served: Served) -> None:
    entered_ = enter_people(city.database, city.vault, OPERATOR)
    assert len(entered_) == 6
    for login, needs in entered_.items():
        role = Role(login)
        told = Browser(served.of(role), login, needs["password"], needs["totp_secret"]).log_in()
        assert (told["stage"], told["role"]) == ("open", login)


def test_a_person_is_suspended_as_a_person_with_his_leaf_and_not_as_a_machine(city: Platform) -> None:
    made = entered(city, Role.ADMIN, "chief")
    with pytest.raises(InputError, match="people suspend"):
        administration.suspend(city.database, made.person.party.party_id, True)
