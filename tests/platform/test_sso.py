"""Single sign-on with a real provider in a process of its own, and with an issuer that hands out what none should."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey

from anxin.domain.party import Role
from anxin.flow import people
from anxin.flow.platform import Platform
from tests.platform import oidc_provider
from tests.platform.browser import Device
from tests.platform.web import serving
from tests.vectors.shared import ROOT

CALLBACK = "/api/session/oidc/callback"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def configured(platform: Platform, issuer: str, tmp_path: Path, **more: Any) -> None:
    secret = tmp_path / "client.secret"
    secret.write_text(oidc_provider.SECRET + "\n")
    platform.settings = dataclasses.replace(
        platform.settings, oidc_issuer=issuer, oidc_client_id=oidc_provider.CLIENT, oidc_client_secret_file=str(secret),
        **more,
    )  # fmt: skip


def entered(platform: Platform, login: str = oidc_provider.USER, role: Role = Role.INSPECTOR) -> people.HandedOver:
    return people.add(platform.database, platform.vault, None, login, "周明", role, ready=True)


# With a real provider.


@pytest.fixture
def canaille(platform: Platform, tmp_path: Path) -> Iterator[str]:
    """The address of the regulator's app, whose provider is Canaille."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    configured(platform, issuer, tmp_path)
    with serving(platform) as served:
        url = served.regulator
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.platform.oidc_provider", str(port), url + CALLBACK],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield url
        finally:
            process.kill()
            process.wait()


def logged_in_there(browser: httpx.Client, address: str) -> str:
    """Follow a browser through the provider's pages; return where it is sent back to."""
    answer = browser.get(address)
    for _ in range(12):
        if answer.is_redirect:
            where = str(answer.next_request.url) if answer.next_request is not None else ""
            if urlsplit(where).path == CALLBACK:  # its address is also in the query of the provider's own
                return where
            answer = browser.get(where)
            continue
        form = dict(re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', answer.text))
        form |= {"login": oidc_provider.USER} if 'name="login"' in answer.text else {"password": oidc_provider.PASSWORD}
        answer = browser.post(answer.url, data=form)
    raise AssertionError("the provider never sent the browser back")


def test_a_person_logs_in_by_his_provider_and_shows_his_own_second_factor(platform: Platform, canaille: str) -> None:
    made = entered(platform)
    with httpx.Client(timeout=30) as browser:
        begun = browser.get(f"{canaille}/api/session/oidc")
        assert begun.status_code == 303
        back = logged_in_there(browser, begun.headers["location"])
        # Another browser that is handed this address is nobody: it did not begin the login.
        assert httpx.get(back).status_code == 401
        answer = browser.get(back)
        assert answer.status_code == 200, answer.text
        told = browser.get(f"{canaille}/api/session").json()
        assert told["stage"] == "code"
        assert browser.get(f"{canaille}/api/verdicts").status_code == 403
        assert made.totp_secret is not None
        whole = browser.post(
            f"{canaille}/api/session/totp", json={"code": Device(made.totp_secret).code()},
            headers={"x-csrf-token": told["csrf"]},
        )  # fmt: skip
        assert (whole.json()["stage"], whole.json()["login"]) == ("open", oidc_provider.USER)
        assert browser.get(f"{canaille}/api/verdicts").status_code == 200
        assert browser.get(back).status_code == 401, "a code and its cookie count once"


def test_whom_nobody_entered_is_nobody_however_the_provider_knows_him(platform: Platform, canaille: str) -> None:
    entered(platform, "somebody.else")
    with httpx.Client(timeout=30) as browser:
        back = logged_in_there(browser, browser.get(f"{canaille}/api/session/oidc").headers["location"])
        assert browser.get(back).status_code == 401
        assert browser.get(f"{canaille}/api/session").status_code == 401
    assert len(people.listed(platform.database, None)) == 1


# With an issuer that says what a test wants.


class Issuer(ThreadingHTTPServer):
    """A hand-made issuer: `token` is what it gives for any code, `listed` the keys that it names."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
        self.listed = [self.key.as_dict(private=False)]
        self.token: Any = ""
        self.status = 200
        self.forms: list[dict[str, list[str]]] = []
        super().__init__(("127.0.0.1", 0), _Answers)
        self.address = self.issuer = f"http://127.0.0.1:{self.server_address[1]}"

    def signed(self, nonce: str, /, header: dict[str, Any] | None = None, **more: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": oidc_provider.CLIENT, "sub": "1", "iat": now, "exp": now + 300, "nonce": nonce,
            "preferred_username": oidc_provider.USER, **more,
        }  # fmt: skip
        claims = {k: v for k, v in claims.items() if v is not None}
        return str(jwt.encode({"alg": "ES256", "kid": self.key.kid, **(header or {})}, claims, self.key))


class _Answers(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        own = self.server
        found = {
            "/.well-known/openid-configuration": {
                "issuer": own.issuer, "authorization_endpoint": f"{own.address}/authorize",
                "token_endpoint": f"{own.address}/token", "jwks_uri": f"{own.address}/keys",
            },
            "/keys": {"keys": own.listed},
        }  # fmt: skip
        self._answer(200, found[self.path])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.forms.append(parse_qs(body))
        self._answer(self.server.status, {"id_token": self.server.token, "access_token": "x", "token_type": "Bearer"})

    def _answer(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def inside(platform: Platform, issuer: Issuer, tmp_path: Path) -> Iterator[str]:
    configured(platform, issuer.address, tmp_path, guesses_per_minute=10_000)
    entered(platform)
    with serving(platform) as served:
        yield served.regulator


class Login:
    """One login: begun, with what the issuer was asked for."""

    def __init__(self, url: str) -> None:
        self.browser = httpx.Client(base_url=url, timeout=30)
        begun = self.browser.get("/api/session/oidc")
        assert begun.status_code == 303, begun.text
        asked = {k: v[0] for k, v in parse_qs(urlsplit(begun.headers["location"]).query).items()}
        assert asked["code_challenge_method"] == "S256"
        self.nonce, self.state, self.challenge = asked["nonce"], asked["state"], asked["code_challenge"]

    def back(self, **more: str) -> int:
        answer = self.browser.get(CALLBACK, params={"code": "c", "state": self.state, **more})
        return answer.status_code


def test_a_true_token_logs_in_and_every_login_has_its_own_state_nonce_and_verifier(inside: str, issuer: Issuer) -> None:
    one, two = Login(inside), Login(inside)
    assert {one.state, one.nonce, one.challenge}.isdisjoint({two.state, two.nonce, two.challenge})
    issuer.token = issuer.signed(one.nonce)
    assert one.back() == 200
    assert one.browser.get("/api/session").json()["stage"] == "code"
    (form,) = issuer.forms
    assert 43 <= len(form["code_verifier"][0]) <= 128
    # The provider says that it has asked for more than a password: ours is not asked for again.
    issuer.token = issuer.signed(two.nonce, amr=["pwd", "otp", "mfa"])
    assert two.back(iss=issuer.address) == 200
    assert two.browser.get("/api/session").json()["stage"] == "open"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"aud": None}, {"aud": ["anxin", "another"]},
        {"azp": "another"}, {"iss": "http://evil.example"}, {"iss": None}, {"exp": 1}, {"exp": None}, {"iat": 1},
        {"iat": None}, {"iat": 4_102_444_800}, {"nbf": 4_102_444_800}, {"exp": "soon"},
        {"preferred_username": "nobody"}, {"preferred_username": None}, {"preferred_username": 7}, {"sub": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_that_says_anything_else_is_refused(inside: str, issuer: Issuer, wrong: dict[str, Any]) -> None:
    login = Login(inside)
    issuer.token = issuer.signed(login.nonce, **wrong)
    assert login.back() == 401
    assert login.browser.get("/api/session").status_code == 401


def test_an_algorithm_of_the_token_s_own_choice_is_refused(inside: str, issuer: Issuer) -> None:
    login = Login(inside)
    claims = json.loads(jws.extract_compact(issuer.signed(login.nonce).encode()).payload)
    nothing = jwt.encode({"alg": "none"}, claims, OctKey.import_key("x" * 32), algorithms=["none"])
    # The public key as the secret of an HMAC: what a verifier that asks the token for its algorithm falls for.
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": issuer.key.kid}).encode()).rstrip(b"=")
    said = head + b"." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    mac = hmac.digest(issuer.key.as_pem(private=False), said, "sha256")
    hmac_ = (said + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    foreign = ECKey.generate_key("P-256", {"kid": issuer.key.kid or ""})
    other = jwt.encode({"alg": "ES256", "kid": issuer.key.kid}, claims, foreign)
    unknown = jwt.encode({"alg": "ES256", "kid": "x"}, claims, foreign)
    own = jwt.encode({"alg": "ES256", "jwk": foreign.as_dict(private=False)}, claims, foreign)
    cut = issuer.signed(login.nonce)[:-4]
    for token in (nothing, hmac_, other, unknown, own, cut, "", "a.b.c", "x" * 70_000, 7, None):
        issuer.token = token
        login = Login(inside)
        assert login.back() == 401, token
    assert issuer.forms


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(inside: str, issuer: Issuer) -> None:
    mine, other = Login(inside), Login(inside)
    issuer.token = issuer.signed(mine.nonce)
    assert mine.back(state=other.state) == 401
    assert mine.back(state="") == 401
    assert mine.back(iss="http://evil.example") == 401
    assert mine.back(code="") == 401
    assert mine.back(state="x" * 5_000) == 422
    fresh = Login(inside)
    fresh.browser.cookies.clear()
    assert fresh.back() == 401
    issuer.status = 400
    assert Login(inside).back() == 401
    issuer.status = 500
    assert Login(inside).back() == 502


def test_a_key_that_the_provider_has_exchanged_is_fetched(inside: str, issuer: Issuer, monkeypatch: Any) -> None:
    from anxin.flow import sso

    login = Login(inside)
    issuer.token = issuer.signed(login.nonce)
    assert login.back() == 200
    issuer.key = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
    issuer.listed = [issuer.key.as_dict(private=False)]
    login = Login(inside)
    issuer.token = issuer.signed(login.nonce)
    assert login.back() == 401, "keys are not asked for at every false token"
    monkeypatch.setattr(sso, "KEYS_AGAIN_S", 0.0)
    login = Login(inside)
    issuer.token = issuer.signed(login.nonce)
    assert login.back() == 200


def test_a_provider_that_names_another_issuer_is_not_used(inside: str, issuer: Issuer) -> None:
    issuer.issuer = "http://127.0.0.1:1"
    assert httpx.get(f"{inside}/api/session/oidc").status_code == 502


def test_only_the_app_that_has_a_provider_has_this_door(platform: Platform, issuer: Issuer, tmp_path: Path) -> None:
    configured(platform, issuer.address, tmp_path)
    with serving(platform) as url:
        assert httpx.get(f"{url}/api/session/oidc").status_code == 404
        assert httpx.get(f"{url}{CALLBACK}", params={"code": "c", "state": "s"}).status_code == 404


def test_an_e_mail_names_a_person_only_once_it_was_verified(platform: Platform, issuer: Issuer, tmp_path: Path) -> None:
    configured(platform, issuer.address, tmp_path, oidc_claim="email", guesses_per_minute=1_000)
    entered(platform, "zhou@example.org")
    with serving(platform) as served:
        url = served.regulator
        for verified, status in ((None, 401), (False, 401), ("true", 401), (True, 200)):
            login = Login(url)
            issuer.token = issuer.signed(login.nonce, email="Zhou@example.org", email_verified=verified)
            assert login.back() == status


def test_an_issuer_without_https_elsewhere_refuses_to_start(platform: Platform, tmp_path: Path) -> None:
    from anxin.domain.errors import InputError
    from anxin.faces.regulator import create_app

    for issuer in ("http://login.example", "ftp://x", "https://x?y"):
        configured(platform, issuer, tmp_path)
        with pytest.raises(InputError):
            create_app(platform)
