"""The finder: register, states and prices in memory, fresh within a second or two, and what a driver asks of them.

register    read anew where its version has changed: stations with an address and coordinates, their connectors
states      what a message has said since the last look, every REFRESH_S; all of them now and then, so that words
            which only repeat a state are counted as heard
prices      of the minute, from the register's tariffs
assured     from whoever can tell (`Finder.assured`); what nobody has told is unknown, and never shown as assured
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anxin.domain.connector_status import State
from anxin.domain.coordinates import Crs, Point, point_of
from anxin.domain.register import Connector, Operator, Station
from anxin.finder.coordinates import converted
from anxin.finder.index import Index, Row, Wish, Word
from anxin.finder.prices import Price, prices_at
from anxin.flow.intake import now_utc_ms
from anxin.flow.occupancy_reading import policy_of
from anxin.flow.platform import Directory, Platform
from anxin.store import finder as store
from anxin.store.finder import Detail, WordRow

LOG = logging.getLogger("anxin.finder")
REFRESH_S = 1.0
#: All states are read anew so often, and no more often than takes EVERYTHING_SHARE of the time.
EVERYTHING_S, EVERYTHING_SHARE = 60.0, 0.05
#: How often what operators declare of addresses, hours and plugs is read again.
DETAILS_S = 300.0
#: Words taken at one look; where there are more the next look follows at once.
MAX_WORDS = 50_000
ALWAYS = "24/7"
MINUTE_MS = 60_000

#: Tells which connectors are assured (True) and which are not (False). Who is not named is unknown.
Assured = Callable[[], Mapping[str, bool]]


def nothing_assured() -> Mapping[str, bool]:
    """Return that of no connector anything is known."""
    return {}


@dataclass(frozen=True, slots=True)
class Site:
    """A station with all that is public of it. `wgs84` and `gcj02` are the same place. `changed_utc_ms`: its entry in
    the register, or one of its connectors'."""

    station: Station
    operator: Operator
    wgs84: Point
    gcj02: Point
    address: str | None
    opening: str | None
    connectors: tuple[Connector, ...]
    changed_utc_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The register as the finder shows it, with the index over it. `left_out`: stations without a usable place."""

    register_version: int = -1
    sites: dict[str, Site] = field(default_factory=dict)
    index: Index = field(default_factory=lambda: Index([]))
    left_out: int = 0
    changed_utc_ms: int = 0


class Finder:
    """What a process knows to find chargers with. `start` and `stop` belong to its app's life."""

    def __init__(self, platform: Platform, assured: Assured = nothing_assured) -> None:
        self.platform = platform
        self.assured_source = assured
        self.assured: Mapping[str, bool] = {}
        self.snapshot = Snapshot()
        self.silence_ms = policy_of(platform).int("occupancy.silence")
        #: The latest moment at which anything was heard: what dynamic data are as fresh as.
        self.heard_utc_ms = 0
        self.changes = 0
        self._message = -1
        self._everything_at = self._details_at = 0.0
        self._details: dict[tuple[str, str, str], Detail] = {}
        #: When a price was last seen to change.
        self.priced_utc_ms = 0
        self._prices: tuple[tuple[int, int], dict[str, Price]] = ((-1, -1), {})
        self._lock = threading.Lock()
        self._watch: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the register has been read once."""
        return self.snapshot.register_version >= 0

    async def start(self) -> None:
        """Begin to follow the database; the first look may last, and until it is done nothing is found."""
        self._watch = asyncio.create_task(self._watch_for_ever(), name="finder")

    async def stop(self) -> None:
        """Stop following."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _watch_for_ever(self) -> None:
        while True:
            again = False
            # A database that is away leaves what is known as it was; each state says how old it is.
            try:
                again = await asyncio.to_thread(self.refresh)
            except Exception as error:
                LOG.warning("the finder could not read what is new: %s", type(error).__name__)
            if not again:
                await asyncio.sleep(REFRESH_S)

    def refresh(self) -> bool:
        """Bring everything up to date; return whether more waits."""
        with self._lock:
            directory = self.platform.directory
            database = self.platform.database
            if self._details_changed() or directory.version.register != self.snapshot.register_version:
                found = _snapshot(directory, store.register_changed(database), self._details)
                self._fill(found.index)
                found.index.assure(i for i, yes in self.assured.items() if yes)
                self.snapshot = found
                self.changes += 1
            elif time.monotonic() >= self._everything_at:
                self._fill(self.snapshot.index)
            rows = store.words_after(database, self._message, MAX_WORDS)
            self._take(self.snapshot.index, rows)
            told = self.assured_source()
            if told != self.assured:
                self.assured = dict(told)
                self.snapshot.index.assure(i for i, yes in told.items() if yes)
                self.changes += 1
            return len(rows) == MAX_WORDS

    def _details_changed(self) -> bool:
        if time.monotonic() < self._details_at:
            return False
        self._details_at = time.monotonic() + DETAILS_S
        before, self._details = self._details, store.declared_details(self.platform.database)
        return before != self._details

    def _fill(self, index: Index) -> None:
        began = time.monotonic()
        for rows in store.all_words(self.platform.database):
            self._take(index, rows)
        took = time.monotonic() - began
        self._everything_at = time.monotonic() + max(EVERYTHING_S, took / EVERYTHING_SHARE)

    def _take(self, index: Index, rows: list[WordRow]) -> None:
        if not rows:
            return
        index.put(Word(r.connector_id, State(r.status), r.since_utc_ms, r.heard_utc_ms) for r in rows)
        self._message = max(self._message, *(r.message_index for r in rows))
        self.heard_utc_ms = max(self.heard_utc_ms, *(r.heard_utc_ms for r in rows))
        self.changes += 1

    def prices(self, at_utc_ms: int) -> dict[str, Price]:
        """Return the price of each operator that has one, in the minute of a moment."""
        register = self.platform.directory.register
        key = (self.platform.directory.version.register, at_utc_ms // MINUTE_MS)
        kept = self._prices
        if kept[0] != key:
            kept = (key, prices_at(register.tariffs, register.tariff_periods, at_utc_ms))
            if kept[1] != self._prices[1]:
                self.priced_utc_ms = at_utc_ms
            self._prices = kept
        return kept[1]

    def state_of(self, word: Word | None, at_utc_ms: int) -> State:
        """Return a connector's state: unknown where nothing was heard, or not for longer than the policy allows."""
        if word is None or word.heard_utc_ms + self.silence_ms < at_utc_ms:
            return State.UNKNOWN
        return word.state


@dataclass(frozen=True, slots=True)
class Asked:
    """What a driver asks for. `most_price_e4` is per kWh, in `currency`, with the service fee."""

    point: Point
    count: int
    wish: Wish
    most_price_e4: int | None = None
    currency: str = "CNY"
    within_m: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A connector that was found. `word` is what was last heard, `state` what that means now."""

    connector: Connector
    site: Site
    distance_mm: int
    word: Word | None
    state: State
    price: Price | None
    assured: bool | None


def find(finder: Finder, asked: Asked, at_utc_ms: int | None = None) -> tuple[int, list[Found]]:
    """Return the moment, and what is nearest to a point of any system."""
    now = now_utc_ms() if at_utc_ms is None else at_utc_ms
    snapshot, prices = finder.snapshot, finder.prices(now)
    wish = asked.wish
    if asked.most_price_e4 is not None:
        cheap = {
            operator for operator, price in prices.items()
            if price.currency == asked.currency and price.total_e4 <= asked.most_price_e4
        }  # fmt: skip
        operators = frozenset(cheap if wish.operators is None else cheap & wish.operators)
        wish = Wish(wish.least_power_w, wish.current_type, wish.plug, operators, wish.free, wish.assured, wish.open_24h)
    here = converted(asked.point, Crs.WGS84)
    near = snapshot.index.nearest(here, asked.count, wish, now - finder.silence_ms)
    found = []
    for one in near:
        if asked.within_m is not None and one.distance_mm > asked.within_m * 1_000:
            break
        site = snapshot.sites[one.row.station_id]
        connector = next(c for c in site.connectors if c.connector_id == one.row.connector_id)
        state = finder.state_of(one.word, now)
        price = prices.get(connector.operator_id)
        assured = finder.assured.get(connector.connector_id)
        found.append(Found(connector, site, one.distance_mm, one.word, state, price, assured))
    return now, found


def _snapshot(
    directory: Directory, changed: dict[str, dict[str, int]], details: dict[tuple[str, str, str], Detail]
) -> Snapshot:
    of_station: dict[str, list[Connector]] = {}
    for connector in _public(directory.register.connectors, details):
        of_station.setdefault(connector.station_id, []).append(connector)
    names = {o.operator_id: o for o in directory.register.operators}
    sites, left_out = {}, 0
    for station in sorted(directory.register.stations, key=lambda s: s.station_id):
        connectors = tuple(sorted(of_station.get(station.station_id, ()), key=lambda c: c.connector_id))
        place = point_of(station.longitude, station.latitude, station.crs)
        if place is None or not connectors:
            left_out += place is None
            continue
        said = details.get(("station", station.operator_id, station.station_id))
        at = max(changed["station"].get(station.station_id, 0),
                 *(changed["connector"].get(c.connector_id, 0) for c in connectors))  # fmt: skip
        sites[station.station_id] = Site(
            station, names.get(station.operator_id, Operator(station.operator_id, station.operator_id)),
            converted(place, Crs.WGS84), converted(place, Crs.GCJ02),
            station.address or (said.address if said else None), station.opening or (said.opening if said else None),
            connectors, at,
        )  # fmt: skip
    rows = [
        Row(c.connector_id, s.wgs84, c.rated_power_w, c.current_type, c.operator_id, c.plug, s.opening == ALWAYS,
            s.station.station_id)
        for s in sites.values() for c in s.connectors
    ]  # fmt: skip
    newest = max((s.changed_utc_ms for s in sites.values()), default=0)
    return Snapshot(directory.version.register, sites, Index(rows), left_out, newest)


def _public(connectors: Iterable[Connector], details: dict[tuple[str, str, str], Detail]) -> Iterator[Connector]:
    """The register's connectors; a plug that it does not state is taken from the operator's own word."""
    for c in connectors:
        said = None if c.plug else details.get(("connector", c.operator_id, c.connector_id))
        if said is None or said.plug is None:
            yield c
        else:
            yield Connector(
                c.connector_id, c.charger_id, c.station_id, c.operator_id, c.rated_power_w, c.current_type, said.plug
            )
