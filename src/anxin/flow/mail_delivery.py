"""Delivery of mail by SMTP (RFC 5321), always over verified TLS unless the server is on this machine.

    grouped     a mail tells of all that happened since the last one; after one there is none for `mail_gap_s`
    refused     5xx to the address or the mail: the subscription is stopped, and its owner told by an event
    put off     4xx: again with growing pauses; the same mail, under the same Message-ID
    away        no server, no TLS, a login that does not hold: nobody's fault but ours; all wait

MUST NOT  let an address, a login or a server's words get into a log, an event or the database's clear text

Killed between the server's 250 and our note of it, the mail is sent again under the same Message-ID.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib

from anxin.domain.errors import AnxinError, PolicyError
from anxin.domain.party import REGULATOR
from anxin.flow import mail
from anxin.flow.event_feed import scope_of
from anxin.flow.intake import now_utc_ms
from anxin.flow.mail_text import MAX_LINES, code_mail, notice_mail
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import mail as store
from anxin.store.events import Event, counted_events, kept_span, put_events, scoped_events
from anxin.store.mail import Subscription

LOG = logging.getLogger("anxin.notices")
TICK_S, RETRY_S = 1.0, 15.0
PAUSE_MAX_S = 3_600
#: How long a mail that is put off is tried: a day, with pauses of an hour at last.
ATTEMPTS = 30
_PORTS = {"smtps": 465, "smtp": 587, "smtp+local": 25}


def client_of(settings: Settings) -> aiosmtplib.SMTP:
    """Return a client of the mail server that the settings name. Raises PolicyError where they cannot be used."""
    url = urlsplit(settings.mail_url)
    if url.scheme not in _PORTS or not url.hostname or url.username:
        raise PolicyError("ANXIN_MAIL_URL is smtps://host:port, smtp://host:port (STARTTLS) or smtp+local://host:port")
    local = url.scheme == "smtp+local"
    if local and not _loopback(url.hostname):
        raise PolicyError("ANXIN_MAIL_URL: smtp+local is for 127.0.0.1 or ::1 alone")
    user, password = _login(settings)
    return aiosmtplib.SMTP(
        hostname=url.hostname,
        port=url.port or _PORTS[url.scheme],
        username=user,
        password=password,
        use_tls=url.scheme == "smtps",
        start_tls=url.scheme == "smtp",
        tls_context=None if local else ssl.create_default_context(cafile=settings.mail_ca_file or None),
        timeout=settings.mail_timeout_s,
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """A mail that is written: its text, whom it goes to, up to which event it tells."""

    text: bytes
    to: str
    place: int


class Postman:
    """Writes and hands over what is due, one mail after the other."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.settings = platform.settings
        self.database = platform.database

    async def run(self) -> None:
        """Look for ever; what goes wrong is looked at again."""
        if not self.settings.mail_url:
            return
        while True:
            try:
                await self._round()
                await asyncio.sleep(TICK_S)
            except (aiosmtplib.SMTPException, AnxinError, OSError) as error:
                # What a server says may hold an address: the kind of the error alone is told.
                LOG.warning("mail: %s; again in %g s", type(error).__name__, RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def _round(self) -> None:
        client: aiosmtplib.SMTP | None = None
        try:
            for one in await asyncio.to_thread(store.due, self.database, now_utc_ms()):
                made = await asyncio.to_thread(self._written, one)
                if made is None:
                    continue
                if client is None or not client.is_connected:
                    client = client_of(self.settings)
                    await client.connect()
                await self._hand_over(client, one, made)
                await asyncio.sleep(60 / self.settings.mail_per_minute)
        finally:
            if client is not None and client.is_connected:
                await client.quit()

    async def _hand_over(self, client: aiosmtplib.SMTP, one: Subscription, made: _Made) -> None:
        try:
            await client.sendmail(self.settings.mail_from, [made.to], made.text)
        except aiosmtplib.SMTPRecipientsRefused as error:
            await asyncio.to_thread(self._refused, one, error.recipients[0].code)
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused) as error:
            await asyncio.to_thread(self._refused, one, error.code)
        else:
            await asyncio.to_thread(self._sent, one, made)

    def _written(self, one: Subscription) -> _Made | None:
        """The mail that is due; None where none is."""
        now = now_utc_ms()
        party = self.platform.directory.parties.get(one.party_id)
        scope = None if party is None or party.suspended else scope_of(party, tuple(one.kinds))
        if scope is None:
            self._note(one, next_utc_ms=now + 60_000)
            return None
        if one.state == "unconfirmed":
            code = f"{secrets.randbelow(1_000_000):06}"
            to = mail.address_of(self.platform, one)
            digest = mail.code_digest(one.subscription_id, code)
            message_id = f"{one.subscription_id}.{secrets.token_hex(4)}"
            text = bytes(code_mail(self.settings, to, message_id, code, mail.CODE_MINUTES))
            # Noted before it is sent, so that nobody types a code that we do not know yet.
            until = now + mail.CODE_MINUTES * 60_000
            self._note(one, code_sha256=digest, code_until_utc_ms=until, guesses=0)
            return _Made(text, to, one.place)
        kept_after, newest = kept_span(self.database)
        place = max(one.place, kept_after)
        up_to = max(one.up_to or newest, kept_after)
        found = scoped_events(self.database, scope, place, up_to, MAX_LINES)
        if found is None:
            return None
        events = found[0]
        digest_next = mail.next_digest(self.settings, now)
        if not events:
            self._note(one, place=up_to, up_to=None, next_utc_ms=now if one.how == "at_once" else digest_next)
            return None
        company = events[0].at_utc_ms + self.settings.mail_wait_s * 1_000
        if one.how == "at_once" and one.up_to is None and company > now:
            self._note(one, next_utc_ms=company)
            return None
        if one.up_to is None:
            self._note(one, up_to=up_to)
        counts = counted_events(self.database, scope, place, up_to)
        to = mail.address_of(self.platform, one)
        message_id = f"{one.subscription_id}.{one.place}.{up_to}"
        written = notice_mail(self.settings, to, message_id, counts, events, digest=one.how == "digest")
        return _Made(bytes(written), to, up_to)

    def _sent(self, one: Subscription, made: _Made) -> None:
        now = now_utc_ms()
        with self.database.transaction() as connection:
            store.note(connection, "delivered")
            if one.state == "unconfirmed":
                store.change(connection, one.subscription_id, sent=1)
                return
            gap = now + self.settings.mail_gap_s * 1_000
            store.change(
                connection, one.subscription_id, place=made.place, up_to=None, attempts=0, sent=one.sent + 1,
                last_utc_ms=now, next_utc_ms=gap if one.how == "at_once" else mail.next_digest(self.settings, now),
            )  # fmt: skip

    def _refused(self, one: Subscription, code: int) -> None:
        """Note a refusal: for good where it is 5xx or was put off too often, else for a while."""
        now, attempts = now_utc_ms(), one.attempts + 1
        with self.database.transaction() as connection:
            if code >= 500 or attempts >= ATTEMPTS:
                store.note(connection, "dead")
                store.change(connection, one.subscription_id, state="stopped", reason=f"SMTP {code}", up_to=None)
                party = self.platform.directory.parties[one.party_id]
                body = {"subscription_id": one.subscription_id, "party_id": one.party_id, "reason": f"SMTP {code}"}
                inside = party.role in REGULATOR
                put_events(connection, [Event("mail.stopped", body, party.operator_id, None, inside)], now)
                return
            store.note(connection, "failed")
            wait_s = min(self.settings.mail_retry_s * 2 ** min(attempts - 1, 30), PAUSE_MAX_S)
            store.change(connection, one.subscription_id, attempts=attempts, next_utc_ms=now + wait_s * 1_000)

    def _note(self, one: Subscription, **values: object) -> None:
        with self.database.transaction() as connection:
            store.change(connection, one.subscription_id, **values)


def _login(settings: Settings) -> tuple[str | None, str | None]:
    if not settings.mail_login_file:
        return None, None
    try:
        lines = Path(settings.mail_login_file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise PolicyError("ANXIN_MAIL_LOGIN_FILE cannot be read") from None
    if len(lines) < 2:
        raise PolicyError("ANXIN_MAIL_LOGIN_FILE has two lines, user and password")
    return lines[0], lines[1]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
