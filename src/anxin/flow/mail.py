"""Subscriptions to mail: a person's own. An address is sealed, is shown to its owner alone, and counts once it was
confirmed with a code that was mailed to it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Any

from anxin.domain.errors import FormatError, InputError
from anxin.domain.message import Kind
from anxin.domain.party import Party
from anxin.domain.quantities import moment_of
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.mail_text import checked_address
from anxin.flow.platform import Platform
from anxin.formats.local_time import zone_of
from anxin.settings import Settings
from anxin.store import mail as store
from anxin.store import notice_secrets
from anxin.store.events import kept_span
from anxin.store.mail import Subscription

#: Guesses of one code: with six digits a stranger's chance stays below one in a hundred thousand.
MAX_GUESSES = 5
CODE_MINUTES = 60
HOWS = ("at_once", "digest")


def subscribe(platform: Platform, party: Party, address: str, kinds: tuple[str, ...], how: str) -> Subscription:
    """Enter a subscription; a code is mailed to its address. Raises InputError, FormatError."""
    settings = platform.settings
    if not settings.mail_url:
        raise InputError("本平台未配置邮件 · this platform sends no mail")
    checked = checked_address(address)
    now = now_utc_ms()
    _, newest = kept_span(platform.database)
    one = Subscription(f"ms_{secrets.token_hex(8)}", party.party_id, list(kinds), how, "unconfirmed", now, newest, now)
    secret_id = f"mail/{one.subscription_id}"
    with platform.database.transaction() as connection:
        if not store.add(connection, one, settings.mail_per_party):
            raise FormatError("mail.many", f"at most {settings.mail_per_party} subscriptions")
        sealed = platform.vault.seal(checked.encode(), secret_id)
        notice_secrets.put_secret(connection, secret_id, one.subscription_id, sealed, now)
        _keep(connection, party, "mail.subscribed", one.subscription_id, now)
    return one


def listed(platform: Platform, party: Party) -> list[dict[str, Any]]:
    """Return a person's own subscriptions, with their addresses."""
    return [document(platform, one) for one in store.of_party(platform.database, party.party_id)]


def of(platform: Platform, party: Party, subscription_id: str) -> Subscription | None:
    """Return a subscription of a person's own; None for another's as for none at all."""
    found = store.of_party(platform.database, party.party_id, subscription_id)
    return found[0] if found else None


def confirm(platform: Platform, one: Subscription, code: str) -> bool:
    """Confirm an address with the code that came there; return whether it was the code."""
    now = now_utc_ms()
    with platform.database.transaction() as connection:
        allowed = store.guess(connection, one.subscription_id, MAX_GUESSES)
    if one.state != "unconfirmed" or one.code_sha256 is None or not allowed or now > (one.code_until_utc_ms or 0):
        return False
    if not hmac.compare_digest(code_digest(one.subscription_id, code), bytes(one.code_sha256)):
        return False
    begins = now if one.how == "at_once" else next_digest(platform.settings, now)
    with platform.database.transaction() as connection:
        store.change(connection, one.subscription_id, state="active", code_sha256=None, sent=0, next_utc_ms=begins)
    return True


def delete(platform: Platform, party: Party, one: Subscription) -> None:
    """Delete a subscription with its address."""
    with platform.database.transaction() as connection:
        store.delete(connection, one.subscription_id)
        _keep(connection, party, "mail.deleted", one.subscription_id, now_utc_ms())


def address_of(platform: Platform, one: Subscription) -> str:
    """Return the address, opened. Raises InputError where it is gone or does not open."""
    for secret_id, sealed in notice_secrets.secrets_of(platform.database, one.subscription_id, now_utc_ms()):
        return platform.vault.open(sealed, secret_id).decode()
    raise InputError("the address was deleted")


def document(platform: Platform, one: Subscription) -> dict[str, Any]:
    """Return a subscription as its owner sees it."""
    names = ("subscription_id", "kinds", "how", "state", "reason", "created_utc_ms", "sent", "last_utc_ms")
    return {name: getattr(one, name) for name in names} | {"address": address_of(platform, one)}


def code_digest(subscription_id: str, code: str) -> bytes:
    """Return what is kept of a code."""
    return hashlib.sha256(f"{subscription_id} {code}".encode()).digest()


def next_digest(settings: Settings, now_utc_ms: int) -> int:
    """Return when the next daily digest is due: UTC ms of the hour that the settings name, in their zone."""
    local = moment_of(now_utc_ms, zone_of(settings.zone))
    at = local.replace(hour=settings.mail_digest_hour % 24, minute=0, second=0, microsecond=0)
    if at <= local:
        at += timedelta(days=1)
    return int(at.timestamp() * 1_000)


def _keep(connection: Any, party: Party, act: str, subscription_id: str, now: int) -> None:
    said = {"act": act, "subscription_id": subscription_id}
    keep_deed(connection, Kind.DEED_PEOPLE, party.party_id, f"mail/{secrets.token_hex(12)}", said, now)
