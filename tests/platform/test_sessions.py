"""Logging in: what holds, what is refused, and that a refusal tells nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from anxin.domain.party import Party, Role
from anxin.flow import administration, people
from anxin.flow.people import HandedOver
from anxin.flow.platform import Platform
from anxin.trust import passwords
from tests.platform.browser import GOOD, Browser, Device
from tests.platform.web import Served, serving

OPERATOR = "MA0000001"


@pytest.fixture
def quick(platform: Platform) -> Platform:
    """A platform whose Guard lets a test guess, so that what the accounts themselves do is seen."""
    platform.settings = dataclasses.replace(platform.settings, guesses_per_minute=10_000)
    administration.add_operator(platform.database, OPERATOR, "第一运营商")
    return platform


@pytest.fixture
def served(quick: Platform) -> Iterator[Served]:
    with serving(quick) as url:
        yield url


@pytest.fixture
def inside(served: Served) -> str:
    return served.regulator


@pytest.fixture
def outside(served: Served) -> str:
    return str(served)


def entered(platform: Platform, role: Role, login: str, *, ready: bool = True, **more: Any) -> HandedOver:
    operator = OPERATOR if role in (Role.ENGINEER, Role.MANAGER) else None
    return people.add(
        platform.database, platform.vault, None, login, f"姓名 {login}", role, operator, ready=ready, **more
    )


def set_cookies(answer: httpx.Response) -> list[str]:
    return [value for name, value in answer.headers.multi_items() if name == "set-cookie"]


def test_the_first_login_changes_the_password_sets_up_a_second_factor_and_gives_nothing_before(
    quick: Platform, inside: str
) -> None:
    made = entered(quick, Role.ADMIN, "chen.wei", ready=False)
    browser = Browser(inside)
    status, told = browser.call("POST", "/api/session", {"login": "Chen.Wei", "password": made.password})
    assert (status, told["stage"], told.keys()) == (200, "password", {"stage", "csrf"})
    assert browser.call("GET", "/api/people")[0] == 403
    assert browser.call("POST", "/api/session/totp/enrolment")[0] == 403
    status, told = browser.call("POST", "/api/session/password", {"old": made.password, "new": GOOD})
    assert (status, told["stage"]) == (200, "enrol")
    assert browser.call("GET", "/api/people")[0] == 403
    status, told = browser.call("POST", "/api/session/totp/enrolment")
    assert status == 200
    assert told["otpauth"].startswith("otpauth://totp/")
    device = Device(told["secret"])
    assert browser.call("POST", "/api/session/totp/confirmation", {"code": "000000"})[0] in (401, 200)
    before = browser.cookie
    status, told = browser.call("POST", "/api/session/totp/confirmation", {"code": device.code()})
    assert (status, told["stage"], len(told["recovery_codes"])) == (200, "open", 10)
    assert browser.cookie != before
    assert browser.call("GET", "/api/people")[0] == 200
    # The next login asks for a code, and a recovery code stands in for it once.
    again = Browser(inside)
    assert again.call("POST", "/api/session", {"login": "chen.wei", "password": GOOD})[1]["stage"] == "code"
    assert again.call("GET", "/api/people")[0] == 403
    assert again.call("POST", "/api/session/password", {"old": GOOD, "new": GOOD + "!"})[0] == 403
    code = told["recovery_codes"][0].lower()
    assert again.call("POST", "/api/session/totp", {"code": code})[1]["stage"] == "open"
    third = Browser(inside)
    third.call("POST", "/api/session", {"login": "chen.wei", "password": GOOD})
    assert third.call("POST", "/api/session/totp", {"code": code})[0] == 401


def test_who_i_am_says_what_i_may_do(quick: Platform, outside: str) -> None:
    browser = Browser.of(outside, entered(quick, Role.ENGINEER, "li.na"))
    status, told = browser.call("GET", "/api/session")
    assert (status, told["role"], told["operator_id"], told["login"]) == (200, "engineer", OPERATOR, "li.na")
    assert "judge:verdicts:read" in told["rights"]
    assert "people:people:manage" not in told["rights"]
    answer = browser.client.get("/api/session")
    assert answer.headers["cache-control"] == "no-store"
    assert browser.call("GET", "/api/verdicts")[0] == 200
    assert browser.call("DELETE", "/api/session")[0] == 204
    assert browser.call("GET", "/api/session")[0] == 401


def test_each_side_knows_its_own_people_and_no_cookie_of_the_other(quick: Platform, inside: str, outside: str) -> None:
    inspector, engineer = entered(quick, Role.INSPECTOR, "zhao"), entered(quick, Role.ENGINEER, "qian")
    for url, made in ((outside, inspector), (inside, engineer)):
        stranger = Browser(url)
        answer = stranger.call("POST", "/api/session", {"login": made.person.login, "password": made.password})
        unknown = stranger.call("POST", "/api/session", {"login": "nobody", "password": made.password})
        assert answer == unknown
        assert answer[0] == 401
    browser = Browser.of(inside, inspector)
    assert browser.cookie is not None
    for name in ("anxin-outer", "anxin-regulator", "__Host-anxin-outer"):
        for path in ("/api/session", "/api/verdicts"):
            assert httpx.get(f"{outside}{path}", cookies={name: browser.cookie}).status_code == 401


def test_a_cookie_is_strict_and_host_bound_where_https_is(platform: Platform) -> None:
    platform.settings = dataclasses.replace(platform.settings, regulator_url="https://jianguan.example")
    made = entered(platform, Role.AUDITOR, "sun")
    with serving(platform) as url:
        answer = httpx.post(f"{url.regulator}/api/session", json={"login": "sun", "password": made.password})
    (cookie,) = set_cookies(answer)
    assert cookie.startswith("__Host-anxin-regulator=")
    for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie


def test_unknown_login_wrong_password_and_locked_account_have_one_answer_and_cost_one_hash_each(
    quick: Platform, outside: str
) -> None:
    made = entered(quick, Role.ENGINEER, "wu")
    hashes = quick.measures.password_hashes._value
    answers = set()
    for login, password in [("wu", "wrong"), ("nobody", "wrong"), *[("wu", "wrong")] * 6, ("wu", made.password)]:
        before = hashes.get()
        answer = httpx.post(f"{outside}/api/session", json={"login": login, "password": password})
        answers.add((answer.status_code, answer.text))
        assert hashes.get() == before + 1
    assert len(answers) == 1
    assert answers.pop()[0] == 401


def test_a_hundred_guesses_at_once_are_a_hundred_and_lock_the_account(quick: Platform, outside: str) -> None:
    made = entered(quick, Role.ENGINEER, "zheng")

    def guess(n: int) -> int:
        return httpx.post(
            f"{outside}/api/session", json={"login": "zheng", "password": f"guess {n}"}, timeout=120
        ).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(guess, range(100))) <= {401, 503}
    with quick.database.transaction() as connection:
        row = connection.execute("select failures, locked_until_utc_ms from person where login = 'zheng'").fetchone()
    assert row is not None
    assert 5 <= row[0] <= 8, "the account was locked after a few, and the others were not looked at"
    assert httpx.post(
        f"{outside}/api/session", json={"login": "zheng", "password": made.password}
    ).status_code == 401  # fmt: skip
    with quick.database.transaction() as connection:  # time goes by
        connection.execute("update person set locked_until_utc_ms = 0 where login = 'zheng'")
    Browser.of(outside, made)


def test_one_address_guesses_so_often_and_no_more(platform: Platform) -> None:
    platform.settings = dataclasses.replace(platform.settings, guesses_per_minute=5)
    with serving(platform) as url:
        found = [
            httpx.post(f"{url}/api/session", json={"login": f"name{n}", "password": "x"}).status_code for n in range(8)
        ]
    assert found == [401] * 5 + [429] * 3


def test_a_code_counts_once_and_guessing_codes_locks_the_account(quick: Platform, outside: str) -> None:
    made = entered(quick, Role.ENGINEER, "feng")
    browser = Browser(outside, "feng", made.password, made.totp_secret)
    assert browser.device is not None
    browser.call("POST", "/api/session", {"login": "feng", "password": made.password})
    code = browser.device.code()
    assert browser.call("POST", "/api/session/totp", {"code": code})[0] == 200
    other = Browser(outside)
    for wrong in (code, "123", "x" * 32, "", "1" * 33):
        # A login of its own before each guess must not forgive the guesses.
        other.call("POST", "/api/session", {"login": "feng", "password": made.password})
        assert other.call("POST", "/api/session/totp", {"code": wrong})[0] in (401, 422)
    for n in range(4):
        other.call("POST", "/api/session/totp", {"code": f"{n:06}"})
    assert other.call("POST", "/api/session/totp", {"code": browser.device.code()})[0] == 401
    assert browser.call("GET", "/api/session")[0] == 200, "who is in is not thrown out by guesses"


def test_a_planted_cookie_is_worth_nothing_and_each_step_upward_has_a_new_one(quick: Platform, outside: str) -> None:
    made = entered(quick, Role.ENGINEER, "chu")
    planted = "A" * 43
    browser = Browser(outside, "chu", made.password, made.totp_secret)
    browser.client.cookies.set("anxin-outer", planted, domain="127.0.0.1")
    assert browser.call("GET", "/api/session")[0] == 401
    first = httpx.post(
        f"{outside}/api/session", json={"login": "chu", "password": made.password}, cookies={"anxin-outer": planted}
    )
    half = first.cookies["anxin-outer"]
    assert half != planted
    assert browser.device is not None
    whole = httpx.post(
        f"{outside}/api/session/totp", json={"code": browser.device.code()}, cookies={"anxin-outer": half},
        headers={"x-csrf-token": first.json()["csrf"]},
    )  # fmt: skip
    assert whole.status_code == 200
    assert whole.cookies["anxin-outer"] not in (half, planted)
    for dead in (half, planted):
        assert httpx.get(f"{outside}/api/session", cookies={"anxin-outer": dead}).status_code == 401


def test_an_unsafe_request_needs_the_session_s_own_token_and_the_own_site(quick: Platform, outside: str) -> None:
    mine = Browser.of(outside, entered(quick, Role.MANAGER, "wei"))
    other = Browser.of(outside, entered(quick, Role.MANAGER, "jiang"))
    new = {"login": "shen", "name": "沈", "role": "engineer"}
    for token in ("", "x", other.csrf, mine.csrf[:-1], "é"):
        answer = mine.client.post("/api/people", json=new, headers={b"x-csrf-token": token.encode("utf-8")})
        assert answer.status_code == 403, token
    assert mine.client.delete("/api/session").status_code == 403
    assert mine.call("POST", "/api/people", new, origin="https://evil.example")[0] == 403
    assert mine.call("POST", "/api/people", new, origin="null")[0] == 403
    for site in ("cross-site", "same-site"):
        assert mine.call("POST", "/api/people", new, sec_fetch_site=site)[0] == 403
    login = {"login": "wei", "password": mine.password}
    assert (
        httpx.post(f"{outside}/api/session", json=login, headers={"origin": "https://evil.example"}).status_code == 403
    )
    plain = httpx.post(f"{outside}/api/session", content=b'{"login":"wei","password":"x"}',
                       headers={"content-type": "text/plain"})  # fmt: skip
    assert plain.status_code == 422, "what a form of another site can send is not read"
    status, told = mine.call("POST", "/api/people", new, origin=outside, sec_fetch_site="same-origin")
    assert (status, told["operator_id"]) == (201, OPERATOR)


@pytest.mark.parametrize("which", ["session_idle_s", "session_absolute_s"])
def test_a_session_is_over_when_idle_and_when_old(quick: Platform, which: str) -> None:
    made = entered(quick, Role.ENGINEER, "han")
    short: dict[str, Any] = {which: 2}
    quick.settings = dataclasses.replace(quick.settings, **short)
    with serving(quick) as url:
        browser = Browser.of(url, made)
        end = time.monotonic() + 2.5
        statuses = []
        while time.monotonic() < end:
            time.sleep(0.4)
            statuses.append(browser.call("GET", "/api/session")[0])
        if which == "session_idle_s":
            assert set(statuses) == {200}, "use keeps it"
            time.sleep(2.1)
        assert browser.call("GET", "/api/session")[0] == 401


def test_a_changed_password_ends_every_other_session(quick: Platform, outside: str) -> None:
    made = entered(quick, Role.ENGINEER, "yang")
    one, two = Browser.of(outside, made), Browser.of(outside, made)
    assert one.call("POST", "/api/session/password", {"old": "wrong", "new": GOOD})[0] == 401
    before = one.cookie
    assert one.call("POST", "/api/session/password", {"old": made.password, "new": GOOD})[0] == 200
    assert one.cookie != before
    assert one.call("GET", "/api/session")[0] == 200
    assert two.call("GET", "/api/session")[0] == 401


@pytest.mark.parametrize("deed", ["suspended", "removed", "operator"])
def test_a_person_who_goes_in_mid_session_is_out_with_the_next_request(
    quick: Platform, outside: str, deed: str
) -> None:
    made = entered(quick, Role.ENGINEER, "zhu")
    browser = Browser.of(outside, made)
    if deed == "removed":
        people.remove(quick.database, None, made.person.party.party_id)
    elif deed == "suspended":
        people.change(quick.database, None, made.person.party.party_id, suspended=True)
    else:
        administration.suspend(quick.database, OPERATOR, True)
    assert browser.call("GET", "/api/session")[0] == 401
    assert browser.call("GET", "/api/verdicts")[0] == 401
    quick.refresh()
    assert browser.call("POST", "/api/session", {"login": "zhu", "password": made.password})[0] == 401


def test_what_is_too_long_or_of_another_shape_is_refused_and_not_quoted(quick: Platform, outside: str) -> None:
    secret = "s3cret-" * 3
    for body in (
        {"login": "x" * 1_000, "password": secret}, {"login": "x", "password": secret * 100}, {"login": "x"},
        {"login": ["x"], "password": secret}, {"login": "x", "password": secret, "more": 1}, [secret], secret,
    ):  # fmt: skip
        answer = httpx.post(f"{outside}/api/session", json=body)
        assert answer.status_code == 422
        assert secret not in answer.text
    for odd in (b'{"login": "a\\u0000b", "password": "x"}', b'{"login": "ab", "password": "\\ud800"}', b"\xff", b"{"):
        answer = httpx.post(f"{outside}/api/session", content=odd, headers={"content-type": "application/json"})
        assert answer.status_code in (401, 422), odd
    assert httpx.get(f"{outside}/api/session", cookies={"anxin-outer": "y" * 5_000}).status_code == 401


def test_a_hash_under_older_parameters_is_made_anew_at_the_next_login(quick: Platform, outside: str) -> None:
    made = entered(quick, Role.ENGINEER, "qin")
    from argon2 import PasswordHasher

    weak = PasswordHasher(1, 8_192, 1).hash(made.password)
    with quick.database.transaction() as connection:
        connection.execute("update person set password_hash = %s where login = 'qin'", (weak,))
    Browser.of(outside, made)
    with quick.database.transaction() as connection:
        row = connection.execute("select password_hash from person where login = 'qin'").fetchone()
    assert row is not None
    assert row[0] != weak
    assert not passwords.outdated(row[0])


def test_sessions_of_one_person_are_bounded_and_no_secret_stands_in_the_database(quick: Platform, outside: str) -> None:
    made = entered(quick, Role.ENGINEER, "you")
    browsers = [Browser(outside, "you", made.password) for _ in range(12)]
    for browser in browsers:
        browser.call("POST", "/api/session", {"login": "you", "password": made.password})
    alive = [b for b in browsers if b.call("GET", "/api/session")[0] == 200]
    assert alive == browsers[2:]
    with quick.database.transaction() as connection:
        text = str([connection.execute(f"select * from {t}".encode()).fetchall() for t in ("person", "session")])
    for secret in (made.password, made.totp_secret or "-", *(b.cookie or "-" for b in browsers)):
        assert secret not in text


def test_a_token_of_a_machine_stands_beside_sessions(quick: Platform, outside: str) -> None:
    party = Party(OPERATOR, Role.OPERATOR, "第一运营商", OPERATOR)
    token = administration.new_token(quick.database, quick.vault, party.party_id, None)
    quick.refresh()
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{outside}/api/verdicts", headers=headers).status_code == 200
    browser = Browser.of(outside, entered(quick, Role.ENGINEER, "xu"))
    # A false token is not made good by a cookie.
    assert browser.client.get("/api/verdicts", headers={"authorization": "Bearer no"}).status_code == 401
