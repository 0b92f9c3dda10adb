"""Single sign-on by OpenID Connect: authorization code with PKCE, state and nonce.

    1  the browser is sent to the provider; what this login was begun with goes along sealed in a cookie of its own
    2  it comes back with a code; its state is the cookie's, so that nobody logs another in as himself
    3  the code is exchanged for an ID token, with the verifier that only the one who began has
    4  the token is verified (trust/id_token.py): signature, issuer, audience, nonce, time
    5  its claim names a person who was entered; nobody is entered by it

The provider is trusted with who somebody is, never with what he may do.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from anxin.domain.errors import FormatError, InputError, PeerError
from anxin.domain.person import Person, Side
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.flow.rates import guessed
from anxin.flow.sessions import LoginRefusedError
from anxin.store import people
from anxin.trust.id_token import UnknownKeyError, verified_claims

MAX_ANSWER_BYTES = 262_144
MAX_STATE_CHARS = 4_096
TIMEOUT_S = 10.0
#: A login that was begun is finished within as much.
LOGIN_S = 600
#: The provider's metadata and keys are asked for anew so often; its keys also when a token's is not among them.
KEPT_S, KEYS_AGAIN_S = 600.0, 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: RFC 8176: more than one factor was shown to the provider.
_MULTI_FACTOR = frozenset({"mfa", "otp", "hwk", "swk", "sc"})
_REFUSED = "单点登录未成功，请重试 · the single sign-on did not hold: try again"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and what it keeps until it comes back."""

    address: str
    cookie: str


class SingleSignOn:
    """The provider of one app. Whoever controls it can log in as any person of this app, and as nobody who was not
    entered; the second factor of ours still stands, unless the provider says that it has asked for one."""

    def __init__(self, platform: Platform, side: Side) -> None:
        self.platform, self.side = platform, side
        self.issuer = platform.settings.oidc_issuer
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, Any] | None = None

    @property
    def enabled(self) -> bool:
        """Whether this app has a provider."""
        return bool(self.issuer) and self.platform.settings.oidc_app == self.side.value

    def begin(self, redirect_uri: str) -> Begun:
        """Begin a login. Raises PeerError where the provider does not answer as it should."""
        metadata = self._discovered()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code", "client_id": self.platform.settings.oidc_client_id, "redirect_uri": redirect_uri,
            "scope": "openid profile email", "state": state, "nonce": nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        begun = json.dumps({"state": state, "nonce": nonce, "verifier": verifier, "at_utc_ms": now_utc_ms()})
        sealed = base64.urlsafe_b64encode(self.platform.vault.seal(begun.encode(), self._context)).decode()
        address = metadata["authorization_endpoint"]
        return Begun(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", sealed)

    def finish(self, redirect_uri: str, cookie: str, state: str, code: str, issuer: str | None) -> tuple[Person, bool]:
        """Return who came back, and whether the provider has asked for a second factor.

        Raises LoginRefusedError where anything does not hold, PeerError where the provider does not answer.
        """
        try:
            begun = self._opened(cookie)
            if not hmac.compare_digest(begun["state"].encode(), state.encode("utf-8", "replace")):
                raise FormatError("sso.state", "this login was not begun here")
            metadata = self._discovered()
            # RFC 9207: an answer that names another issuer was mixed up on its way.
            named = issuer is not None or bool(metadata.get("authorization_response_iss_parameter_supported"))
            if named and issuer != self.issuer:
                raise FormatError("sso.issuer", "the answer names another issuer")
            token = self._exchanged(metadata, redirect_uri, code, begun["verifier"])
            claims = self._verified(metadata, token, begun["nonce"])
            return self._person(claims), bool(_MULTI_FACTOR & set(_texts(claims.get("amr"))))
        except (FormatError, InputError) as error:
            guessed()
            raise LoginRefusedError(_REFUSED) from error

    @property
    def _context(self) -> str:
        return f"sso/{self.side.value}"

    def _opened(self, cookie: str) -> dict[str, Any]:
        try:
            sealed = base64.urlsafe_b64decode(cookie.encode("ascii"))
        except ValueError:
            raise FormatError("sso.cookie", "this login was not begun here") from None
        begun: dict[str, Any] = json.loads(self.platform.vault.open(sealed, self._context))
        if now_utc_ms() - begun["at_utc_ms"] > LOGIN_S * 1000:
            raise FormatError("sso.late", "this login was begun too long ago")
        return begun

    def _discovered(self) -> dict[str, Any]:
        with self._lock:
            if self._metadata is None or time.monotonic() - self._metadata[0] > KEPT_S:
                found = self._asked("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                if not isinstance(found, dict) or found.get("issuer") != self.issuer:
                    raise PeerError("peer.issuer", "the provider's metadata name another issuer")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    self._require_address(found.get(name))
                self._metadata = time.monotonic(), found
            return self._metadata[1]

    def _exchanged(self, metadata: dict[str, Any], redirect_uri: str, code: str, verifier: str) -> str:
        settings = self.platform.settings
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier,
            "client_id": settings.oidc_client_id,
        }  # fmt: skip
        secret, auth = self._secret(), None
        # OpenID Connect Discovery: where nothing is said, the secret goes as Basic.
        if secret and "client_secret_basic" in _texts(
            metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        ):
            auth = httpx.BasicAuth(settings.oidc_client_id, secret)
        elif secret:
            form["client_secret"] = secret
        answer = self._asked("POST", metadata["token_endpoint"], data=form, auth=auth)
        token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise FormatError("sso.token", "the provider gave no ID token for this code")
        return token

    def _verified(self, metadata: dict[str, Any], token: str, nonce: str) -> dict[str, Any]:
        client, now_s = self.platform.settings.oidc_client_id, now_utc_ms() // 1000
        try:
            return verified_claims(token, self._provided_keys(metadata, KEPT_S), self.issuer, client, nonce, now_s)
        except UnknownKeyError:
            keys = self._provided_keys(metadata, KEYS_AGAIN_S)
            return verified_claims(token, keys, self.issuer, client, nonce, now_s)

    def _provided_keys(self, metadata: dict[str, Any], kept_s: float) -> Any:
        with self._lock:
            if self._keys is None or time.monotonic() - self._keys[0] > kept_s:
                self._keys = time.monotonic(), self._asked("GET", metadata["jwks_uri"])
            return self._keys[1]

    def _person(self, claims: dict[str, Any]) -> Person:
        name = self.platform.settings.oidc_claim
        value = claims.get(name)
        if not isinstance(value, str) or (name == "email" and claims.get("email_verified") is not True):
            raise FormatError("sso.claim", f"the ID token names nobody by {name}")
        with self.platform.database.transaction() as connection:
            person = people.by_login(connection, value.strip().casefold().replace("\0", ""))
        if person is None:
            raise FormatError("sso.person", "the provider named somebody who was not entered")
        return person

    def _secret(self) -> str:
        path = self.platform.settings.oidc_client_secret_file
        if not path:
            return ""
        try:
            return Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise PeerError("peer.secret", f"the client's secret cannot be read: {type(error).__name__}") from None

    def _require_address(self, url: object) -> None:
        parts = urlsplit(url if isinstance(url, str) else "")
        own = urlsplit(self.issuer)
        local = own.hostname in _LOOPBACK and own.scheme == "http"
        if parts.scheme != "https" and not (local and parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise PeerError("peer.address", "the provider's addresses must be https")

    def _asked(self, method: str, url: str, **more: Any) -> Any:
        self._require_address(url)
        try:
            with (
                httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
                client.stream(method, url, headers={"accept": "application/json"}, **more) as answer,
            ):
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > MAX_ANSWER_BYTES:
                        raise PeerError("peer.size", "the provider answers too much")
                status = answer.status_code
        except httpx.HTTPError as error:
            raise PeerError(
                "peer.away", f"the provider does not answer: {type(error).__name__}", passing=True
            ) from None
        if method == "POST" and status in (400, 401):
            raise FormatError("sso.code", "the provider does not know this code")
        if status != 200:
            raise PeerError("peer.status", f"the provider answers {status}")
        with contextlib.suppress(ValueError):
            return json.loads(data)
        raise PeerError("peer.json", "the provider's answer is no JSON")


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def require_usable(platform: Platform) -> None:
    """Raise InputError where a provider is named and cannot be used."""
    settings = platform.settings
    if not settings.oidc_issuer:
        return
    parts = urlsplit(settings.oidc_issuer)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if (parts.scheme != "https" and not local) or parts.query or parts.fragment:
        raise InputError("ANXIN_OIDC_ISSUER 须为 https 地址 · must be an https address")
    if not settings.oidc_client_id or settings.oidc_app not in {side.value for side in Side}:
        raise InputError(
            "须同时设置 ANXIN_OIDC_CLIENT_ID 与 ANXIN_OIDC_APP · set the client id, and regulator or outer"
        )
