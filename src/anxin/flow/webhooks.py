"""Endpoints that an operator, or the regulator, lets be told of events: entered, changed, and what became of letters.

Secrets are in the form of Standard Webhooks (`whsec_` and base64), shown once and sealed; while one follows another
both sign. Each change is a deed in the log, which names the endpoint by its id and never by its URL: that may hold a
token.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import FormatError, PeerError
from anxin.domain.message import Kind
from anxin.domain.party import REGULATOR, Party
from anxin.flow import outbound
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import notice_secrets, webhooks
from anxin.store.events import kept_span
from anxin.store.webhooks import Letter, Webhook

#: Characters of an endpoint's URL: some carry a token.
MAX_URL_CHARS = 1_000
MAX_DESCRIPTION_CHARS = 200
SECRET_BYTES = 32
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of an endpoint. `kinds` empty: of every event of its owner."""

    url: str
    kinds: tuple[str, ...] = ()
    description: str = ""


def named_hosts(settings: Settings) -> frozenset[str]:
    """Return the hosts that the administrator named: they may be inside, and without TLS."""
    return frozenset(h.strip().lower() for h in settings.webhook_hosts.split(",") if h.strip())


def owner_of(party: Party) -> str | None:
    """Return whose endpoints a party looks after: an operator's, or None for the regulator's."""
    return None if party.role in REGULATOR else party.operator_id or party.party_id


def create(platform: Platform, party: Party, wanted: Wanted) -> tuple[Webhook, str]:
    """Enter an endpoint that is told of what happens from now on; return it and its secret, to be shown once.

    Raises FormatError for a URL that may not be called, and where the owner has as many as he may have.
    """
    _check(platform, wanted)
    now = now_utc_ms()
    _, newest = kept_span(platform.database)
    hook = Webhook(
        f"wh_{secrets.token_hex(8)}", owner_of(party), list(party.districts), party.party_id, now, wanted.url,
        list(wanted.kinds), wanted.description, "active", newest,
    )  # fmt: skip
    secret = _new_secret()
    with platform.database.transaction() as connection:
        if not webhooks.add(connection, hook, platform.settings.webhooks_per_party):
            raise FormatError("webhook.many", f"at most {platform.settings.webhooks_per_party} endpoints")
        _put_secret(platform, connection, hook.webhook_id, secret, now)
        _keep(connection, party, "created", hook.webhook_id, now)
    return hook, secret


def listed(platform: Platform, party: Party) -> list[Webhook]:
    """Return the endpoints of a party's owner."""
    return webhooks.owned(platform.database, owner_of(party))


def of(platform: Platform, party: Party, webhook_id: str) -> Webhook | None:
    """Return an endpoint of a party's owner; None for another's as for none at all."""
    found = webhooks.owned(platform.database, owner_of(party), webhook_id)
    return found[0] if found else None


def alter(platform: Platform, party: Party, hook: Webhook, wanted: Wanted) -> None:
    """Give an endpoint another URL, other kinds, or another description. Raises FormatError."""
    _check(platform, wanted)
    values = {"url": wanted.url, "kinds": list(wanted.kinds), "description": wanted.description}
    _change(platform, party, hook, "altered", **values)


def pause(platform: Platform, party: Party, hook: Webhook) -> None:
    """Let an endpoint be told of nothing until it is resumed; what happens meanwhile waits."""
    _change(platform, party, hook, "paused", state="paused", reason="by its owner")


def resume(platform: Platform, party: Party, hook: Webhook) -> None:
    """Let an endpoint be told again, from where it was."""
    fresh = {"attempts": 0, "failing_since_utc_ms": None, "next_utc_ms": 0}
    _change(platform, party, hook, "resumed", state="active", reason="", **fresh)


def delete(platform: Platform, party: Party, hook: Webhook) -> None:
    """Delete an endpoint with its letters and secrets."""
    with platform.database.transaction() as connection:
        webhooks.delete(connection, hook.webhook_id)
        _keep(connection, party, "deleted", hook.webhook_id, now_utc_ms())


def rotate(platform: Platform, party: Party, hook: Webhook) -> tuple[str, int]:
    """Give an endpoint a new secret; return it, and until when the old one signs beside it."""
    now = now_utc_ms()
    until = now + platform.settings.webhook_old_secret_hours * HOUR_MS
    secret = _new_secret()
    with platform.database.transaction() as connection:
        notice_secrets.end_secrets(connection, hook.webhook_id, until, now)
        _put_secret(platform, connection, hook.webhook_id, secret, now)
        _keep(connection, party, "secret", hook.webhook_id, now)
    return secret, until


def dead_letters(platform: Platform, hook: Webhook, after: int, limit: int) -> list[Letter]:
    """Return what an endpoint did not take in all its attempts, by the number of the event."""
    return webhooks.letters(platform.database, hook.webhook_id, "dead", after=after, limit=limit)


def send_again(platform: Platform, party: Party, hook: Webhook, event_id: int | None) -> int:
    """Let one dead letter, or all, be sent again; return how many."""
    with platform.database.transaction() as connection:
        count = webhooks.revive(connection, hook.webhook_id, event_id)
        if count:
            _keep(connection, party, "resent", hook.webhook_id, now_utc_ms())
    return count


def opened_secrets(platform: Platform, webhook_id: str) -> list[bytes]:
    """Return the keys that sign for an endpoint now, newest first."""
    sealed = notice_secrets.secrets_of(platform.database, webhook_id, now_utc_ms())
    return [platform.vault.open(value, secret_id) for secret_id, value in sealed]


def _check(platform: Platform, wanted: Wanted) -> None:
    if len(wanted.url) > MAX_URL_CHARS or not wanted.url.isprintable():
        raise FormatError("webhook.url", f"a URL has at most {MAX_URL_CHARS} characters", "url")
    if len(wanted.description) > MAX_DESCRIPTION_CHARS:
        raise FormatError("webhook.description", f"at most {MAX_DESCRIPTION_CHARS} characters", "description")
    try:
        outbound.check_url(wanted.url, named_hosts(platform.settings), named_only=False)
    except PeerError as error:
        raise FormatError("webhook.url", str(error), "url") from None


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _put_secret(platform: Platform, connection: Any, webhook_id: str, secret: str, now: int) -> None:
    secret_id = f"webhook/{webhook_id}/{secrets.token_hex(6)}"
    sealed = platform.vault.seal(base64.b64decode(secret.removeprefix("whsec_")), secret_id)
    notice_secrets.put_secret(connection, secret_id, webhook_id, sealed, now)


def _change(platform: Platform, party: Party, hook: Webhook, act: str, **values: Any) -> None:
    with platform.database.transaction() as connection:
        webhooks.change(connection, hook.webhook_id, **values)
        _keep(connection, party, act, hook.webhook_id, now_utc_ms())


def _keep(connection: Any, party: Party, act: str, webhook_id: str, now: int) -> None:
    said = {"act": f"webhook.{act}", "webhook_id": webhook_id}
    keep_deed(connection, Kind.DEED_PEOPLE, party.party_id, f"webhook/{secrets.token_hex(12)}", said, now)
