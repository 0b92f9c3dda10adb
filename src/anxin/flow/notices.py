"""The process that tells of events: webhooks and mail. One at a time works, whichever holds a lock in the database.

It waits for the database's word (LISTEN), and looks every TICK_S without it: pauses end by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import psycopg

from anxin.domain.errors import AnxinError
from anxin.flow.intake import now_utc_ms
from anxin.flow.mail_delivery import Postman
from anxin.flow.platform import Platform
from anxin.flow.webhook_delivery import Courier
from anxin.store.events import CHANNEL, forget_events

LOG = logging.getLogger("anxin.notices")
TICK_S, RETRY_S, FORGET_EVERY_S = 0.5, 2.0, 600.0
DAY_MS = 86_400_000
#: Any constant: whoever holds it is the one who tells.
_LOCK = 0x616E6F74


async def tell(platform: Platform, stop: threading.Event) -> None:
    """Tell until `stop` is set. Raises psycopg.Error where the connection ends: the caller begins again."""
    courier = Courier(platform)
    post: asyncio.Task[None] | None = None
    forgotten_at = 0.0
    async with await psycopg.AsyncConnection.connect(
        platform.database.url, autocommit=True, connect_timeout=5
    ) as connection:
        try:
            while not stop.is_set():
                row = await (await connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,))).fetchone()
                if row is not None and row[0]:
                    break
                await asyncio.sleep(TICK_S)
            await connection.execute(f"listen {CHANNEL}")
            post = asyncio.create_task(Postman(platform).run(), name="mail")
            while not stop.is_set():
                await courier.look()
                if time.monotonic() - forgotten_at > FORGET_EVERY_S:
                    forgotten_at = time.monotonic()
                    before = now_utc_ms() - platform.settings.events_days * DAY_MS
                    await asyncio.to_thread(forget_events, platform.database, before)
                async for _ in connection.notifies(timeout=TICK_S, stop_after=1):
                    pass
        finally:
            await courier.stop()
            if post is not None:
                post.cancel()
                await asyncio.gather(post, return_exceptions=True)


def tell_for_ever(platform: Platform, stop: threading.Event) -> None:
    """Tell until `stop` is set, whatever happens to the database meanwhile."""

    async def run() -> None:
        await platform.start()
        try:
            while not stop.is_set():
                try:
                    await tell(platform, stop)
                except (psycopg.Error, AnxinError, OSError) as error:
                    LOG.warning("notices: %s; again in %g s", type(error).__name__, RETRY_S)
                    await asyncio.sleep(RETRY_S)
        finally:
            await platform.stop()

    asyncio.run(run())
