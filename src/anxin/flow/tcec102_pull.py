"""What this platform asks of operators' platforms, again and again: stations, states of connectors, orders that lack.

    stations   query_stations_info, page by page; in full at the start and once a day, else what changed since
    status     query_station_status, fifty stations a call
    orders     query_supplement_info (a local variant): orders that a check of the last days lists and that did not come

Each answer is evidence: it goes through the intake as it came, sender is the operator, and the judge decodes it like
what the operator sends himself. An operator that does not answer is logged, counted, and asked again when its time
comes; no other waits for it. Without client credentials of any operator nothing is done.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from anxin.domain.errors import AnxinError, FormatError, PeerError, StoreError
from anxin.domain.message import Kind, Message
from anxin.domain.party import Credential
from anxin.domain.quantities import moment_of
from anxin.flow import tcec102_checking
from anxin.flow.admission import Grounds, admit, refusal
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Directory, Platform
from anxin.flow.tcec102_checking import PULLED, Reason
from anxin.flow.tcec102_client import MAX_STATION_IDS, Answer, OperatorClient
from anxin.formats import tcec102, tcec102_station
from anxin.formats.local_time import zone_of
from anxin.formats.tcec102_supplement import order_texts
from anxin.store import ledger, order_lookup, pulls
from anxin.store.declarations import declared_by

LOG = logging.getLogger("anxin.pull")
#: Calls that wait for an answer at the same moment.
MAX_AT_ONCE = 32
#: Orders asked for in one call: each is kept with the whole answer around it.
MAX_ASKED_ORDERS = 20
#: Checks looked through for orders that lack.
MAX_CHECKS = 50
CHECKS_OF_DAYS = 7
DAY_MS = 86_400_000
#: An answer that says what the last one said is kept again so long after it, as proof that it was still so.
UNCHANGED_MS = 15 * 60_000
TICK_S = 0.2
#: Pause after an error that is not the operator's (the database is away).
RETRY_S = 5.0
#: Credentials that begin or end by themselves are noticed within this time; any change of the directory at once.
FOLLOW_S = 10.0
_TIME = "%Y-%m-%d %H:%M:%S"


def clients_of(directory: Directory) -> dict[str, Credential]:
    """Return the client credentials in force, newest first, of operators that are not suspended."""
    now = now_utc_ms()
    found = {}
    for (party_id, kind), credentials in directory.credentials_of.items():
        party = directory.parties.get(party_id)
        if kind != "tcec102_client" or party is None or party.suspended:
            continue
        valid = [c for c in credentials if c.valid_at(now)]
        if valid:
            found[party_id] = max(valid, key=lambda c: (c.valid_from_utc_ms, c.credential_id))
    return found


@dataclass(slots=True)
class Operator:
    """One operator that is asked. `last` is what each part of an answer said last, and when that was kept."""

    operator_id: str
    client: OperatorClient
    due: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("stations", "status", "orders"), 0.0))
    last: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    station_ids: set[str] = field(default_factory=set)
    full_utc_ms: int = 0
    since_utc_ms: int = 0
    busy: set[str] = field(default_factory=set)


class Puller:
    """Asks all operators that can be asked. One a database is enough; a second only asks twice."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.settings = platform.settings
        self.operators: dict[str, Operator] = {}
        self._http = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=self.settings.pull_timeout_s)
        self._gate = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: Directory | None = None
        self._follow_again = 0.0
        self._every_s = {
            "stations": self.settings.pull_stations_minutes * 60,
            "status": self.settings.pull_status_seconds,
            "orders": self.settings.pull_orders_minutes * 60,
        }

    async def run(self, stopped: Callable[[], bool]) -> None:
        """Ask until `stopped`; what is being asked then is given up."""
        try:
            while not stopped():
                self.start_due()
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._http.aclose()

    def start_due(self) -> None:
        """Begin whatever is due. One operator is asked one thing of a kind at a time."""
        self.follow_credentials()
        for operator in self.operators.values():
            for what, at in operator.due.items():
                if what not in operator.busy and time.monotonic() >= at:
                    operator.busy.add(what)
                    task = asyncio.create_task(self.turn(operator, what), name=f"pull {operator.operator_id} {what}")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    def follow_credentials(self) -> None:
        """Ask those that may be asked now, with the newest credentials."""
        directory, now = self.platform.directory, time.monotonic()
        if directory is self._followed and now < self._follow_again:
            return  # every meter has credentials: looking through all of them costs more than all the rest
        self._followed, self._follow_again = directory, now + FOLLOW_S
        wanted = clients_of(directory)
        for operator_id in [o for o in self.operators if o not in wanted]:
            del self.operators[operator_id]
        for operator_id, credential in wanted.items():
            known = self.operators.get(operator_id)
            if known is None or known.client.credential.credential_id != credential.credential_id:
                try:
                    client = OperatorClient(credential, self.settings, self._http, self._gate)
                except AnxinError as error:  # entered by an older version, or altered
                    LOG.error("%s: %s", operator_id, error)
                    continue
                self.operators[operator_id] = Operator(operator_id, client)

    async def turn(self, operator: Operator, what: str) -> None:
        """Ask once, and note how it went."""
        ask: Callable[[Operator, list[int]], Awaitable[None]] = getattr(self, what)
        kept: list[int] = []
        error: str | None = None
        every_s: float = self._every_s[what]
        try:
            await ask(operator, kept)
        except PeerError as found:
            error = f"{found.rule}: {found}"
        except StoreError as found:
            LOG.error("%s %s: %s", operator.operator_id, what, found)
            every_s = min(every_s, RETRY_S)
        except AnxinError as found:
            error = str(found)
        finally:
            operator.due[what] = time.monotonic() + every_s
            operator.busy.discard(what)
        if error is not None:
            LOG.warning("%s does not answer %s: %s", operator.operator_id, what, error)
        with suppress(StoreError):
            await asyncio.to_thread(self._note, operator.operator_id, what, every_s, len(kept), error)

    def _note(self, operator_id: str, what: str, every_s: float, kept: int, error: str | None) -> None:
        now = now_utc_ms()
        later = now + int(every_s * 1_000)
        if error is None:
            pulls.note_success(self.platform.database, operator_id, what, now, later, kept)
        else:
            pulls.note_failure(self.platform.database, operator_id, what, now, later, kept, error)

    async def stations(self, operator: Operator, kept: list[int]) -> None:
        """Ask for stations. Raises PeerError, StoreError."""
        started = now_utc_ms()
        full = started - operator.full_utc_ms >= DAY_MS
        since = "" if full else self._local(operator.since_utc_ms).strftime(_TIME)
        page = 0
        async for answer in operator.client.pages("query_stations_info", {"LastQueryTime": since}, "StationInfos"):
            page += 1
            part = f"query_stations_info/{page}"
            await self._keep(operator, Kind.TCEC_STATION, part, answer, kept)
            try:
                said = tcec102_station.decode(answer.plain, part, operator.operator_id, 0).declared
            except FormatError as error:
                raise PeerError("peer.answer", f"{error} [{error.rule}]") from None
            operator.station_ids |= {s.station_id for s in said.stations}
        operator.since_utc_ms = started
        if full:
            operator.full_utc_ms = started

    async def status(self, operator: Operator, kept: list[int]) -> None:
        """Ask for the states of all connectors, fifty stations a call. Raises PeerError, StoreError."""
        wanted = sorted(await asyncio.to_thread(self._stations_of, operator))
        heard = 0
        for number, start in enumerate(range(0, len(wanted), MAX_STATION_IDS)):
            part = wanted[start : start + MAX_STATION_IDS]
            answer = await operator.client.ask("query_station_status", {"StationIDs": part})
            await self._keep(operator, Kind.TCEC_STATUS, f"query_station_status/{number}", answer, kept)
            infos = answer.value.get("StationStatusInfos")
            heard += len(infos) if isinstance(infos, list) else 0
        if heard < len(wanted):
            raise PeerError("peer.stations_missing", f"{len(wanted)} stations were asked for, {heard} came")

    async def orders(self, operator: Operator, kept: list[int]) -> None:
        """Ask again for orders that checks list and that did not come. Raises PeerError, StoreError."""
        for span, ids in await asyncio.to_thread(self._lacking, operator.operator_id):
            for start in range(0, len(ids), MAX_ASKED_ORDERS):
                part = ids[start : start + MAX_ASKED_ORDERS]
                question = span | {"InfName": "notification_charge_order_info", "StartChargeSeqs": part}
                answer = await operator.client.ask("query_supplement_info", question)
                try:
                    texts = order_texts(answer.plain)
                except FormatError as error:
                    raise PeerError("peer.answer", f"{error} [{error.rule}]") from None
                await self._take_orders(operator.operator_id, texts, set(part), answer, kept)

    async def _take_orders(
        self, operator_id: str, texts: Iterable[bytes], asked: set[str], answer: Answer, kept: list[int]
    ) -> None:
        """Keep the orders that were asked for, as their operator would send them; a bad one goes to his ledger."""
        grounds = Grounds(operator_id, self.platform.directory, self.settings.zone)
        for text in texts:
            try:
                order_id = admit(Kind.TCEC_ORDER, text, grounds).message_id
            except FormatError as error:
                # Asked again each hour, it would fill his ledger: the same refusal stands there once.
                entry = refusal(Kind.TCEC_ORDER, operator_id, text, error)
                await asyncio.to_thread(
                    ledger.refuse_each, self.platform.database, [entry], now_utc_ms(), self.settings.refused_kept
                )
                continue
            if order_id in asked:
                message = Message(Kind.TCEC_ORDER, operator_id, f"{PULLED}{order_id}", text, answer.body)
                kept.append((await self.platform.intake.accept(message)).receipt.index)

    async def _keep(self, operator: Operator, kind: Kind, part: str, answer: Answer, kept: list[int]) -> None:
        digest, now = hashlib.sha256(answer.plain).digest(), now_utc_ms()
        if (last := operator.last.get(part)) is not None and last[0] == digest and now - last[1] < UNCHANGED_MS:
            return
        message = Message(kind, operator.operator_id, f"{part}@{answer.number}", answer.plain, answer.body)
        kept.append((await self.platform.intake.accept(message)).receipt.index)
        operator.last[part] = (digest, now)

    def _stations_of(self, operator: Operator) -> set[str]:
        """All that the register gives him, and what he declares and nobody else has."""
        directory = self.platform.directory
        declared = declared_by(self.platform.database, operator.operator_id).stations
        said = operator.station_ids | {s.station_id for s in declared}
        own = {s.station_id for s in directory.register.stations if s.operator_id == operator.operator_id}
        return own | {s for s in said if s not in directory.stations}

    def _lacking(self, operator_id: str) -> list[tuple[dict[str, str], list[str]]]:
        """(span, order ids) of the checks of the last days that list what is not kept; each order once."""
        since = now_utc_ms() - CHECKS_OF_DAYS * DAY_MS
        found, seen = [], set[str]()
        for payload in order_lookup.recent_checks(self.platform.database, operator_id, since, MAX_CHECKS):
            try:
                disputes = tcec102_checking.disputes(self.platform, operator_id, payload)
                totals = tcec102.decode(payload, "check", zone=self.settings.zone, operator_id=operator_id)
            except FormatError:
                continue
            ids = [d.listed.order_id for d in disputes if d.reason is Reason.NO_SUCH_ORDER]
            ids = [i for i in dict.fromkeys(ids) if i not in seen]
            seen.update(ids)
            if ids and totals.operator_totals:
                total = totals.operator_totals[0]
                first, last = self._local(total.start_utc_ms), self._local(total.end_utc_ms)
                found.append(({"StartTime": first.strftime(_TIME), "EndTime": last.strftime(_TIME)}, ids))
        return found

    def _local(self, utc_ms: int) -> datetime:
        return moment_of(utc_ms, zone_of(self.settings.zone))


def pull_for_ever(platform: Platform, stop: threading.Event) -> None:
    """Ask until `stop` is set."""

    async def run() -> None:
        await platform.start()
        try:
            await Puller(platform).run(stop.is_set)
        finally:
            await platform.stop()

    asyncio.run(run())
