"""Small worlds for the reconciliation's differential test: honest mess, cheats, hostile corners.

Times, energies and pages are drawn from few values, so that ties, touching ends and exact limits are common.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

from anxin.domain.connector_status import StatusSpan
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.register import Connector, Meter, MeterKey, Seal, Tariff, TariffPeriod, Verification

#: 2026-05-01T00:00Z, and the audit's reference moment five days later: some windows have passed, some have not.
DAY_0 = 1_777_593_600_000
DAY, HOUR, MINUTE, SECOND = 86_400_000, 3_600_000, 60_000, 1_000
AS_OF = DAY_0 + 5 * DAY
WH, KWH = 1_000, 1_000_000
CENT_KWH = 10 * WH


@dataclass
class World:
    """Values by the name of their table, as the facts have them."""

    values: dict[str, list[Any]] = field(default_factory=dict)
    serial: int = 0

    def add(self, name: str, value: Any) -> None:
        self.values.setdefault(name, []).append(value)

    def next_id(self, letter: str) -> str:
        self.serial += 1
        return f"{letter}{self.serial}"


@dataclass
class Place:
    """A connector as the walk sees it: its meter's register and page, its clock's error."""

    connector: str
    meter: str
    operator: str | None
    register: int
    page: int | None
    offset: int
    clock: str
    quantum: int
    tariff: str | None


def random_world(rng: Random) -> World:
    """Return a world of one to three connectors with up to a dozen orders and records."""
    world = World()
    chance = Chance(rng)
    _tariffs(world, rng, chance)
    for number in range(rng.choice((1, 1, 2, 3))):
        place = _place(world, rng, chance, number)
        at = DAY_0 + rng.choice((0, 0, 1, 3)) * DAY + rng.choice((0, 9, 22, 23)) * HOUR
        for _ in range(rng.choice((0, 1, 2, 3, 4))):
            at = _session(world, rng, chance, place, at)
    _mischief(world, rng, chance)
    _totals(world, rng, chance)
    _statuses(world, rng, chance)
    for name in ("orders", "records"):
        if chance(0.3):
            rng.shuffle(world.values.get(name, []))
    return world


class Chance:
    """`chance(p)` is true with probability p."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def __call__(self, probability: float) -> bool:
        return self.rng.randrange(1000) < probability * 1000


def _tariffs(world: World, rng: Random, chance: Chance) -> None:
    for operator in ("OP0", "OP1"):
        for number in range(rng.choice((0, 1, 1, 2))):
            tariff_id = f"T{operator}{number}"
            since = 0 if number == 0 else DAY_0 + DAY * rng.choice((0, 2))
            until = rng.choice((None, None, DAY_0 + 2 * DAY))
            world.add("tariffs", Tariff(tariff_id, operator, "CNY", since, until, "Asia/Shanghai",
                                        rng.choice((0, 480)), rng.choice((100, 100, 1))))  # fmt: skip
            edges = rng.choice(((0, 1440), (0, 480, 1440), (0, 570, 1380, 1440)))
            for begin, end in pairwise(edges):
                prices = rng.choice(((8000, 4000), (4000, 4000), (12345, 0)))
                world.add("tariff_periods", TariffPeriod(tariff_id, begin, end, *prices))


def _place(world: World, rng: Random, chance: Chance, number: int) -> Place:
    connector, meter, operator = f"C{number}", f"M{number}", rng.choice(("OP0", "OP1"))
    if chance(0.6):
        world.add("connectors", Connector(connector, f"H{number}", "S", operator, rng.choice((7_000, 60_000, 480_000)),
                                          "DC"))  # fmt: skip
        for row in range(rng.choice((0, 0, 1, 2))):
            made = DAY_0 + rng.choice((-500, -1, 0, 1)) * DAY + row
            until = made + rng.choice((1, 2, 1000)) * DAY
            world.add("verifications", Verification(f"H{number}", f"V{row}", made, until, not chance(0.3)))
        if chance(0.2):
            broken = rng.choice((None, DAY_0 + 9 * HOUR, DAY_0 + DAY))
            replaced = rng.choice((None, DAY_0 + DAY, DAY_0 + 10 * HOUR))
            world.add(
                "seals",
                Seal(
                    f"Z{number}",
                    f"H{number}",
                    "physical",
                    0,
                    broken,
                    replaced,
                    rng.choice((None, DAY_0, DAY_0 + 8 * HOUR)),
                ),
            )
    if chance(0.5):
        removed = rng.choice((None, None, DAY_0 + DAY))
        firmware = rng.choice((None, "1.0", "1.0,1.1"))
        world.add("meters", Meter(meter, connector, 0, removed, "1", firmware))
        if removed is not None and chance(0.5):
            world.add("meters", Meter(f"{meter}x", connector, removed, None, "1", firmware))
    if chance(0.6):
        ends, revoked = rng.choice((None, None, DAY_0 + DAY)), rng.choice((None, None, DAY_0 + 10 * HOUR))
        world.add("keys", MeterKey(f"K{number}", meter, "Ed25519", "", DAY_0 - 100 * DAY, ends, revoked))
    return Place(
        connector, meter, operator, rng.choice((0, 100 * KWH, 5_000 * KWH)), rng.choice((None, 1, 100)),
        rng.choice((0, 0, 0, 59 * SECOND, 180 * SECOND, 181 * SECOND, -181 * SECOND, -10 * MINUTE)),
        rng.choice("SSSSIRU-"), rng.choice((CENT_KWH, CENT_KWH, WH)),
        rng.choice((None, None, f"T{operator}0", f"T{operator}1")),
    )  # fmt: skip


def _session(world: World, rng: Random, chance: Chance, place: Place, at: int) -> int:
    """One car at one connector: what it took, what was billed, what was recorded. Returns when the next may come."""
    length = rng.choice((0, SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, HOUR, 3 * HOUR))
    energy = rng.choice((0, 5 * WH, KWH, 10 * KWH, 10 * KWH, 20 * KWH, 20_004 * WH, 1_999 * WH, 60 * KWH))
    begin, end = at, at + length
    records = _records(world, rng, chance, place, begin, end, energy)
    orders = _orders(world, rng, chance, place, begin, end, energy)
    lost = rng.choice(("", "", "", "", "", "record", "order"))
    if lost != "order":
        for order in orders:
            world.add("orders", order)
    if lost != "record":
        _share_ids(rng, orders, records, world)
    return end + rng.choice((0, 0, SECOND, MINUTE, 30 * MINUTE, 5 * HOUR, DAY, -5 * MINUTE, -HOUR))


def _records(
    world: World, rng: Random, chance: Chance, place: Place, begin: int, end: int, energy: int
) -> list[MeterSession]:
    """The session's record, or two of them after a power failure; the register moves on."""
    cuts = [begin, end] if not chance(0.12) else [begin, begin + (end - begin) // 2, end]
    shares = [energy] if len(cuts) == 2 else [energy // 2, energy - energy // 2]
    place.register += rng.choice((0,) * 12 + (WH, 4 * WH, 5 * WH, 10 * KWH, -4 * WH, -5 * KWH))
    if chance(0.05):
        place.meter, place.register = f"{place.meter[:2]}x", 0
    # A record signed by a meter from elsewhere, while the connector's own meter goes on.
    lent = f"{place.meter[:2]}y" if chance(0.08) else None
    records = []
    for (since, until), share in zip(pairwise(cuts), shares, strict=True):
        first, last = place.register, place.register + share
        place.register = last
        if place.page is not None:
            place.page += rng.choice((1,) * 12 + (0, 2, -3))
        closed = not chance(0.04)
        answer = rng.choice(("authentic",) * 12 + ("cannot_judge", "forged", "malformed"))
        records.append(
            MeterSession(
                world.next_id("R"), "f", world.serial,
                meter_id=None if chance(0.03) else lent or place.meter,
                connector_id=None if chance(0.03) else place.connector,
                begin_utc_ms=since + place.offset,
                end_utc_ms=until + place.offset if closed else None,
                clock=place.clock,
                begin_register_milli_wh=None if chance(0.02) else first,
                end_register_milli_wh=last if closed else None,
                energy_milli_wh=share if closed and not chance(0.02) else None,
                energy_quantum_milli_wh=rng.choice((WH, WH, WH, CENT_KWH)),
                time_quantum_ms=rng.choice((SECOND, SECOND, 1)),
                page_context=rng.choice(("T", "T", "T", "T", None, "F")) if place.page is not None else None,
                page_first=place.page, page_last=place.page,
                key_id=rng.choice((f"K{place.connector[1:]}",) * 4 + (None, "K9")),
                answer=answer,
                reason="unsigned" if answer == "cannot_judge" and chance(0.5) else "stated",
                firmware=rng.choice((None, "1.0", "1.1", "2.0")),
                closed=closed,
                received_utc_ms=rng.choice((None, None, until + HOUR, until + 3 * DAY, until + 4 * DAY)),
            )
        )  # fmt: skip
    return records


def _orders(world: World, rng: Random, chance: Chance, place: Place, begin: int, end: int, energy: int) -> list[Order]:
    """The session's order, or two or three of them where it was split."""
    minutes = chance(0.2)
    parts = rng.choice((1,) * 8 + (2, 3))
    edges = [begin + (end - begin) * n // parts for n in range(parts + 1)]
    shares = [energy // parts] * (parts - 1) + [energy - energy // parts * (parts - 1)]
    orders = []
    if minutes:
        edges = [edge // MINUTE * MINUTE for edge in edges]
    for (since, until), share in zip(pairwise(edges), shares, strict=True):
        shown = _billed(rng, share, place)
        order = Order(
            world.next_id("O"), "f", world.serial, f"D{world.serial}",
            operator_id=place.operator if not chance(0.03) else None,
            connector_id=place.connector if not chance(0.03) else None,
            start_utc_ms=since if not chance(0.02) else None,
            end_utc_ms=until if not chance(0.03) else None,
            time_quantum_ms=MINUTE if minutes else SECOND,
            energy_milli_wh=shown if not chance(0.03) else None,
            energy_quantum_milli_wh=place.quantum,
            tariff_id=place.tariff,
            loss_ratio_ppm=rng.choice((None,) * 8 + (0, 50_000)),
            requested_energy_milli_wh=rng.choice((None,) * 8 + (share, share + 50 * WH, max(share - 51 * WH, 0))),
            received_utc_ms=rng.choice((None, None, until + HOUR, until + 3 * DAY, until + 3 * DAY + 1)),
        )  # fmt: skip
        orders.append(_priced(world, rng, chance, place, order))
    return orders


def _billed(rng: Random, share: int, place: Place) -> int:
    """What the bill shows of an energy: rounded to the display, and sometimes something else altogether."""
    shown = (share + place.quantum // 2) // place.quantum * place.quantum
    slips = (share * 1000, share * 1019, share // 1000, place.register, -share, 0, shown + 500 * WH, shown - 500 * WH)
    honest = (shown,) * 24 + (shown + place.quantum, shown - place.quantum, shown + 2 * place.quantum)
    return rng.choice(honest + slips)


def _priced(world: World, rng: Random, chance: Chance, place: Place, order: Order) -> Order:
    """The order with its money, its periods, the registers that it claims."""
    energy = order.energy_milli_wh or 0
    prices = {t.tariff_id: [p for p in world.values["tariff_periods"] if p.tariff_id == t.tariff_id]
              for t in world.values.get("tariffs", [])}  # fmt: skip
    mine = next((p for t, p in prices.items() if t == (order.tariff_id or f"T{place.operator}0")), None)
    spans = mine or [TariffPeriod("none", 0, 1440, 8000, 4000)]
    period = rng.choice(spans)
    price, service = period.energy_price_e4, period.service_price_e4
    amount = (energy * (price + service) // KWH + 50) // 100 * 100
    amount += rng.choice((0,) * 8 + (100, 300, 400, 5000, -5000))
    if chance(0.3):
        order = replace(
            order, energy_amount_e4=(energy * price // KWH + 50) // 100 * 100 + rng.choice((0, 0, 0, 100, 200)),
            service_amount_e4=None if chance(0.1) else (energy * service // KWH + 50) // 100 * 100,
        )  # fmt: skip
    if chance(0.2):
        first = place.register - energy
        order = replace(order, meter_begin_milli_wh=rng.choice((first, 0)),
                        meter_end_milli_wh=rng.choice((place.register, place.register + WH, 0, None)))  # fmt: skip
    if chance(0.4) and order.start_utc_ms is not None:
        _order_periods(world, rng, chance, order, price, service)
    return replace(order, amount_e4=None if chance(0.1) else amount)


def _order_periods(world: World, rng: Random, chance: Chance, order: Order, price: int, service: int) -> None:
    count = rng.choice((1, 1, 2, 3))
    energy, start = order.energy_milli_wh or 0, order.start_utc_ms or 0
    for number in range(count):
        part = energy // count if number else energy - energy // count * (count - 1)
        since = start + number * rng.choice((MINUTE, HOUR))
        shown = rng.choice((price,) * 12 + (price + 100, None))
        money = (part * price // KWH + 50) // 100 * 100 + rng.choice((0,) * 8 + (100, 200, 1000))
        world.add(
            "order_periods",
            OrderPeriod(
                order.order_id, order.content_digest, number, None if chance(0.03) else since, since + HOUR,
                None if chance(0.04) else part + rng.choice((0,) * 12 + (WH, 100 * WH)), shown,
                rng.choice((service,) * 10 + (None, service + 1)), None if chance(0.04) else money,
                None if chance(0.04) else (part * service // KWH + 50) // 100 * 100,
            ),
        )  # fmt: skip


def _share_ids(rng: Random, orders: list[Order], records: list[MeterSession], world: World) -> None:
    """Add the records, and let orders and records share transaction ids: all, some, or none of them."""
    mode = rng.choice(("all", "all", "all", "first", "none", "order_only"))
    transaction = f"X{world.serial}"
    numbered = world.values.get("orders", [])
    for position, order in enumerate(orders):
        named = replace(order, transaction_id=transaction)
        if mode == "none" or (mode == "first" and position):
            continue
        for place, other in enumerate(numbered):
            if other is order:
                numbered[place] = named
    for position, record in enumerate(records):
        share = mode == "all" or (mode == "first" and not position)
        world.add("records", replace(record, transaction_id=transaction if share else None))
        for number in range(rng.choice((0, 0, 0, 1, 2, 3))):
            energy = (record.energy_milli_wh or 0) // (number + 1)
            world.add("record_periods", RecordPeriod(record.record_id, number, record.begin_utc_ms or 0, 0, energy))


def _mischief(world: World, rng: Random, chance: Chance) -> None:
    """Re-sends, changed re-sends, replays, fake second orders, factory clocks, and endless sessions."""
    orders, records = world.values.setdefault("orders", []), world.values.setdefault("records", [])
    for order in list(orders):
        if chance(0.06):
            orders.append(replace(order, received_utc_ms=rng.choice((None, order.received_utc_ms, DAY_0 + 4 * DAY))))
            _again(world, order, order.content_digest)
        if chance(0.05):
            digest = f"{order.content_digest}b"
            orders.append(
                replace(order, content_digest=digest, energy_milli_wh=KWH, received_utc_ms=rng.choice((None, 5)))
            )
            _again(world, order, digest)
        if chance(0.05):
            shift = rng.choice((0, 0, MINUTE, 20 * MINUTE))
            start = None if order.start_utc_ms is None else order.start_utc_ms + shift
            orders.append(
                replace(order, order_id=world.next_id("F"), content_digest=world.next_id("D"), start_utc_ms=start,
                        transaction_id=rng.choice((None, order.transaction_id, "Xfake")))
            )  # fmt: skip
    transactions = [o.transaction_id for o in orders if o.transaction_id is not None]
    for record in list(records):
        if chance(0.05):
            records.append(replace(record, received_utc_ms=rng.choice((None, record.received_utc_ms))))
            _again_record(world, record)
        if chance(0.06):
            claimed = rng.choice((*transactions, "Xnone", None))
            records.append(replace(record, transaction_id=claimed, received_utc_ms=rng.choice((None, DAY_0, AS_OF))))
    for values, start in ((orders, "start_utc_ms"), (records, "begin_utc_ms")):
        for place, value in enumerate(values):
            if chance(0.02):
                values[place] = replace(value, **{start: rng.choice((5, AS_OF + DAY + 1, DAY_0 - 8 * DAY))})


def _again(world: World, order: Order, digest: str) -> None:
    for period in [p for p in world.values.get("order_periods", []) if p.order_id == order.order_id]:
        world.add("order_periods", replace(period, content_digest=digest))


def _again_record(world: World, record: MeterSession) -> None:
    for period in [p for p in world.values.get("record_periods", []) if p.record_id == record.record_id]:
        world.add("record_periods", period)


def _totals(world: World, rng: Random, chance: Chance) -> None:
    orders = {o.order_id: o for o in reversed(world.values.get("orders", []))}.values()
    for operator in ("OP0", "OP1"):
        if not chance(0.3):
            continue
        mine = [o for o in orders if o.operator_id == operator and o.start_utc_ms is not None]
        until = rng.choice((AS_OF, *(o.start_utc_ms for o in mine if o.start_utc_ms is not None)))
        within = [o for o in mine if o.start_utc_ms is not None and DAY_0 <= o.start_utc_ms < until + SECOND]
        total = OperatorTotal(
            operator, f"Q{operator}", DAY_0, until, len(within) + rng.choice((0, 0, 0, 1)),
            sum(o.energy_milli_wh or 0 for o in within) + rng.choice((0, 0, 0, WH)),
            sum(o.amount_e4 or 0 for o in within) + rng.choice((0, 0, 0, 100)), "f", 1,
        )  # fmt: skip
        world.add("operator_totals", total)
        if chance(0.3):
            world.add("operator_totals", replace(total, source_row=2))


def _statuses(world: World, rng: Random, chance: Chance) -> None:
    """What connectors were called around their records: rightly, wrongly, or not at all; spans do not overlap."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for record in world.values.get("records", []):
        begin, end = record.begin_utc_ms, record.end_utc_ms
        place = record.connector_id or (f"C{record.meter_id[1]}" if record.meter_id else None)
        if place is None or begin is None or end is None or chance(0.5):
            continue
        edges = [begin + rng.choice((-HOUR, -4 * MINUTE, 0, 4 * MINUTE, 4 * MINUTE + 1, 20 * MINUTE))]
        for _ in range(rng.choice((1, 1, 2, 3))):
            edges.append(edges[-1] + rng.choice((10 * MINUTE, 10 * MINUTE - 1, 30 * MINUTE, HOUR, 5 * HOUR)))
        for since, until in pairwise(edges):
            if all(until <= a or b <= since for a, b in spans.setdefault(place, [])):
                spans[place].append((since, until))
                state = rng.choice(("idle", "idle", "fault", "out_of_service", "charging", "offline", "unknown"))
                world.add("statuses", StatusSpan(place, state, since, until, len(spans[place])))
