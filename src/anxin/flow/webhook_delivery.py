"""Delivery of webhooks as the Standard Webhooks specification 1.0.0 says: id, time, signature (HMAC-SHA256, `v1`).

    in order     an endpoint gets one event after the other; the next one is sent when the last one was taken
    it is away   no answer, 5xx, 408, 425, 429, a redirect: the event stays first, and is tried again with growing
                 pauses; after the last attempt it becomes a dead letter, and the next one is tried
    it refuses   any other 4xx: this event steps aside, is tried again by itself, and the others go on without it
    it is gone   410, or it fails for long: it is paused, and its owner is told by an event

MUST      send each event with one webhook-id for ever; note that it was taken only after a 2xx
MUST NOT  let one endpoint wait for another

Killed at any point: the place of the endpoint is where it was, and the event is sent again under the same id.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from anxin import __version__
from anxin.domain.errors import AnxinError, PeerError
from anxin.domain.party import Party
from anxin.flow import outbound, webhooks
from anxin.flow.event_feed import event_document
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import webhooks as store
from anxin.store.events import Event, kept_span, put_events, scoped_events
from anxin.store.webhooks import Letter, Webhook

LOG = logging.getLogger("anxin.notices")
#: Events read for an endpoint in one go.
BATCH = 50
#: Bytes of an endpoint's answer that are read: what it says is not looked at.
MAX_ANSWER_BYTES = 16_384
#: Seconds that an endpoint may ask us to wait by Retry-After.
MAX_RETRY_AFTER_S = 3_600
#: Letters of one endpoint, dead or waiting; beyond it the endpoint is paused, so that nothing is thrown away.
MAX_LETTERS = 10_000
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call. `status` None: no answer."""

    status: int | None
    error: str = ""
    retry_after_s: int = 0

    @property
    def taken(self) -> bool:
        """Whether the endpoint took the event."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether it is this event that the endpoint will not take."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in _LATER

    @property
    def gone(self) -> bool:
        """Whether the endpoint says that it is no more."""
        return self.status == 410


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the signature of a message under one key: `v1,` and base64 (Standard Webhooks, Signature scheme)."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp_s, body)
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def pause_ms(attempts: int, settings: Settings, share: float) -> int:
    """Return how long to wait after so many attempts: doubled each time to a bound, half of it by chance (`share`)."""
    whole = min(settings.webhook_retry_s * 2 ** min(attempts - 1, 30), settings.webhook_retry_max_s) * 1_000
    return int(whole / 2 + share * whole / 2)


async def post(platform: Platform, hook: Webhook, message_id: str, body: bytes) -> Outcome:
    """Send one message to an endpoint, signed with each of its secrets."""
    settings = platform.settings
    named = webhooks.named_hosts(settings)
    keys = await asyncio.to_thread(webhooks.opened_secrets, platform, hook.webhook_id)
    now_s = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": f"anxin-charging/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(signature(key, message_id, now_s, body) for key in keys),
    }
    try:
        url = outbound.check_url(hook.url, named, named_only=False)
        answer = await outbound.call(
            "POST", url, public_only=not outbound.is_among(url, named), headers=headers, content=body,
            timeout_s=settings.webhook_timeout_s, max_bytes=MAX_ANSWER_BYTES, cut=True,
        )  # fmt: skip
    except PeerError as error:
        return Outcome(None, str(error))
    after = answer.headers.get("retry-after", "")
    wait_s = min(int(after), MAX_RETRY_AFTER_S) if after.isascii() and after.isdecimal() and len(after) < 10 else 0
    return Outcome(answer.status, "" if 200 <= answer.status < 300 else f"HTTP {answer.status}", wait_s)


async def test(platform: Platform, hook: Webhook, party: Party) -> tuple[Outcome, int]:
    """Send an endpoint a message that tells of nothing (`notice.test`); return what became of it and the ms it took."""
    now = now_utc_ms()
    event = Event("notice.test", {"webhook_id": hook.webhook_id, "by": party.party_id}, hook.operator_id, at_utc_ms=now)
    begun = time.monotonic()
    outcome = await post(platform, hook, f"msg_test_{secrets.token_hex(8)}", event_document(event))
    return outcome, round(1_000 * (time.monotonic() - begun))


class Courier:
    """Delivers to all endpoints. `look` begins what is due; each endpoint has one task at most."""

    def __init__(self, platform: Platform, chance: Callable[[], float] = random.random) -> None:
        self.platform = platform
        self.settings = platform.settings
        self.database = platform.database
        self._chance = chance
        self._running: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(self.settings.webhook_at_once)

    async def look(self) -> None:
        """Begin with the endpoints for which there is something to do."""
        busy = set(self._running)  # what ends while the table is read has moved on since
        for hook in await asyncio.to_thread(store.due, self.database, now_utc_ms()):
            if hook.webhook_id not in busy and self._admitted(hook):
                task = asyncio.create_task(self._run(hook), name=hook.webhook_id)
                self._running[hook.webhook_id] = task
                task.add_done_callback(lambda done: self._running.pop(done.get_name(), None))

    async def stop(self) -> None:
        """Give up what is under way: it is sent again."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _admitted(self, hook: Webhook) -> bool:
        """An operator that is suspended is told of nothing; what happens meanwhile waits."""
        if hook.operator_id is None:
            return True
        party = self.platform.directory.parties.get(hook.operator_id)
        return party is not None and not party.suspended

    async def _run(self, hook: Webhook) -> None:
        """Turn after turn, as long as there is more."""
        try:
            while await self._turn(hook):
                (hook,) = await asyncio.to_thread(store.owned, self.database, hook.operator_id, hook.webhook_id)
        except (AnxinError, ValueError) as error:  # the database is away, or the endpoint was deleted
            LOG.warning("webhook %s: %s; looked at again", hook.webhook_id, type(error).__name__)

    async def _turn(self, hook: Webhook) -> bool:
        """One turn of an endpoint: letters whose time has come, then the next events, as long as they are taken.
        Return whether there is more to do at once."""
        now = now_utc_ms()
        letters = await asyncio.to_thread(
            store.letters, self.database, hook.webhook_id, "waiting", limit=BATCH, due_utc_ms=now
        )
        for letter in letters:
            if not await self._deliver(hook, letter.event_id, letter.kind, letter.body, letter):
                return False
        found = await asyncio.to_thread(scoped_events, self.database, hook.scope, hook.place, None, BATCH)
        if found is None:
            await asyncio.to_thread(self._missed, hook)
            return True
        events, reached = found
        for number, event in enumerate(events):
            first = hook.attempts if number == 0 else 0
            if not await self._deliver(hook, event.event_id, event.kind, event_document(event), None, first):
                return False
        await asyncio.to_thread(self._in_one, store.note_place, hook.webhook_id, reached)
        return len(events) == BATCH or len(letters) == BATCH

    async def _deliver(
        self, hook: Webhook, event_id: int, kind: str, body: bytes, letter: Letter | None, attempts: int = 0
    ) -> bool:
        """Send one event and note what became of it; return whether the endpoint goes on."""
        async with self._slots:
            outcome = await post(self.platform, hook, f"evt_{hook.webhook_id[3:]}_{event_id}", body)
        now = now_utc_ms()
        if outcome.taken:
            return bool(
                await asyncio.to_thread(self._in_one, store.note_delivered, hook, event_id, outcome.status, now)
            )
        tried = (letter.attempts if letter else attempts) + 1
        fresh = Letter(
            hook.webhook_id, event_id, kind, body, "waiting", tried,
            now + max(pause_ms(tried, self.settings, self._chance()), outcome.retry_after_s * 1_000),
            now, outcome.status, outcome.error,
        )  # fmt: skip
        return await asyncio.to_thread(self._failed, hook, fresh, outcome, letter is not None)

    def _failed(self, hook: Webhook, letter: Letter, outcome: Outcome, aside: bool) -> bool:
        """Note a failure in one transaction; return whether the endpoint goes on."""
        now, is_last = letter.last_utc_ms, letter.attempts >= self.settings.webhook_attempts
        since = hook.failing_since_utc_ms or now
        with self.database.transaction() as connection:
            store.note_failure(connection, hook, now, status=outcome.status, error=outcome.error)
            kept = 0
            if is_last:
                letter = replace(letter, state="dead")
            if aside or is_last or outcome.refused:
                kept = store.put_letter(connection, letter)
                if not aside:
                    store.note_place(connection, hook.webhook_id, letter.event_id)
            if outcome.gone:
                self._pause(connection, hook, "it answers 410 Gone", now)
                return False
            if kept >= MAX_LETTERS:
                self._pause(connection, hook, f"{MAX_LETTERS} letters wait or are dead", now)
                return False
            if outcome.refused:
                store.change(connection, hook.webhook_id, attempts=0)
                return True
            attempts = 0 if aside or is_last else letter.attempts
            wait = letter.next_utc_ms
            store.change(connection, hook.webhook_id, attempts=attempts, failing_since_utc_ms=since, next_utc_ms=wait)
            if now - since >= self.settings.webhook_pause_hours * webhooks.HOUR_MS:
                self._pause(connection, hook, f"it fails since {self.settings.webhook_pause_hours} h", now)
            return False

    def _pause(self, connection: Any, hook: Webhook, reason: str, now: int) -> None:
        """Pause an endpoint and tell its owner."""
        store.change(connection, hook.webhook_id, state="paused", reason=reason)
        put_events(connection, [_told(hook, "webhook.paused", {"reason": reason})], now)

    def _missed(self, hook: Webhook) -> None:
        """Go on where events are still kept, and tell the owner what his endpoint was not told."""
        kept_after, _ = kept_span(self.database)
        with self.database.transaction() as connection:
            store.note_place(connection, hook.webhook_id, kept_after)
            span = {"after": hook.place, "up_to": kept_after}
            put_events(connection, [_told(hook, "webhook.missed", span)], now_utc_ms())

    def _in_one(self, note: Callable[..., Any], *values: Any) -> Any:
        with self.database.transaction() as connection:
            return note(connection, *values)


def _told(hook: Webhook, kind: str, said: dict[str, Any]) -> Event:
    body = {"webhook_id": hook.webhook_id, **said}
    return Event(kind, body, hook.operator_id, None, hook.operator_id is None)
