"""Orders and records as lines of the public dialects: T/CEC 102 JSON, and whatever seals a meter's record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anxin.city.arrays import Bools, Ints
from anxin.city.meters import MeterSecret, make_secret
from anxin.city.names import Names, kwh, price, yuan
from anxin.city.ocmf_record import MeterText, meter_texts
from anxin.city.tables import Orders, Span
from anxin.city.tariffs import DAY_S, HABITS


@dataclass(frozen=True, slots=True)
class Upload:
    """What goes out to the platform around a meter's record. `counter` is never used twice by one meter."""

    secret: MeterSecret
    record: MeterText
    transaction_id: str
    counter: int
    sent_utc_ms: int


#: Turns an upload into one line, without its line feed. The flow gives the envelope of anxin.formats.
Seal = Callable[[Upload], str]


class WireWriter:
    """Encodes rows of one span. Lives once in each worker, because loading a meter's keys costs as much as signing."""

    def __init__(self, span: Span, seal: Seal) -> None:
        self.span, self.seal = span, seal
        self.names = Names(span.world)
        self.secrets: dict[int, MeterSecret] = {}

    def secret(self, meter: int) -> MeterSecret:
        """Return a meter's secrets, made when first needed."""
        if meter not in self.secrets:
            world = self.span.world
            self.secrets[meter] = make_secret(world.options.seed, meter, world.meter_code[meter])
        return self.secrets[meter]

    def order_lines(self, rows: list[int]) -> bytes:
        """Return one ChargeOrderInfo a line."""
        return "".join(f"{self.order_text(row)}\n" for row in rows).encode()

    def record_lines(self, rows: list[int]) -> bytes:
        """Return one sealed record a line."""
        return "".join(f"{text}\n" for row in rows for text in self.record_texts(row)).encode()

    def order_text(self, row: int) -> str:
        """Return one ChargeOrderInfo (T/CEC 102.2) as JSON; numbers keep the digits that the operator shows."""
        names, orders = self.names, self.span.orders
        operator = int(orders.operator[row])
        decimals = 3 if HABITS[operator % len(HABITS)].energy_step_wh == 1 else 2
        order_id = names.order_id(operator, int(orders.id_time[row]), int(orders.serial[row]))
        energy, service = int(orders.energy_cents[row]), int(orders.service_cents[row])
        details = [self._detail(piece, decimals) for piece in range(*orders.span(row).indices(len(orders.p_start)))]
        loss = int(orders.loss_ppm[row])
        extras = f',"LossRatio":{loss // 1_000_000}.{loss % 1_000_000:06d}' if loss >= 0 else ""
        if orders.meter_begin_wh[row] >= 0:
            begin, end = int(orders.meter_begin_wh[row]), int(orders.meter_end_wh[row])
            extras += f',"MeterNumStart":{kwh(begin)},"MeterNumEnd":{kwh(end)}'
        return (
            f'{{"OperatorID":"{names.operators[operator]}","StartChargeSeq":"{order_id}",'
            f'"ConnectorID":"{self.span.world.connector_code[int(orders.connector[row])]}",'
            f'"StartTime":"{names.wall(int(orders.start[row]))}","EndTime":"{names.wall(int(orders.end[row]))}",'
            f'"TotalPower":{kwh(int(orders.energy_wh[row]), decimals)},'
            f'"TotalElecMoney":{yuan(energy)},"TotalSeviceMoney":{yuan(service)},"TotalMoney":{yuan(energy + service)},'
            f'"StopReason":0,"SumPeriod":{len(details)},"ChargeDetails":[{",".join(details)}]{extras},'
            f'"UploadTime":"{names.iso(int(orders.received[row]))}"}}'
        )

    def _detail(self, piece: int, decimals: int) -> str:
        names, orders = self.names, self.span.orders
        return (
            f'{{"DetailStartTime":"{names.wall(int(orders.p_start[piece]))}",'
            f'"DetailEndTime":"{names.wall(int(orders.p_end[piece]))}",'
            f'"ElecPrice":{price(int(orders.p_energy_price[piece]))},'
            f'"SevicePrice":{price(int(orders.p_service_price[piece]))},'
            f'"DetailPower":{kwh(int(orders.p_energy_wh[piece]), decimals)},'
            f'"DetailElecMoney":{yuan(int(orders.p_energy_cents[piece]))},'
            f'"DetailSeviceMoney":{yuan(int(orders.p_service_cents[piece]))}}}'
        )

    def record_texts(self, row: int) -> list[str]:
        """Return what is sent for one row of records: one line, or two where begin and end are apart."""
        world, records = self.span.world, self.span.records
        payload = int(records.payload[row])
        secret = self.secret(int(records.meter[payload]))
        transaction = self.names.order_id(
            int(records.operator[row]), int(records.id_time[row]), int(records.serial[row])
        )
        sent_utc_ms = (world.start_utc_s + int(records.received[row])) * 1_000
        lines = []
        for text in meter_texts(world, self.names, records, payload, secret):
            upload = text.upload if payload == row else int(records.page_first[row])
            lines.append(self.seal(Upload(secret, text, transaction, upload + int(records.resent[row]), sent_utc_ms)))
        return lines


def in_order_of_arrival(received: Ints, again: Ints, chosen: Bools) -> Ints:
    """Return the chosen rows in the order in which they come in; a row sent twice stands twice."""
    once = np.flatnonzero(chosen)
    twice = np.flatnonzero(chosen & (again >= 0))
    rows = np.concatenate([once, twice])
    times = np.concatenate([received[once], again[twice]])
    result: Ints = rows[np.lexsort((rows, times))]
    return result


@dataclass(frozen=True, slots=True)
class DayTotal:
    """What an operator says he uploaded of one local day, by the orders' start; each order once."""

    operator: int
    day: int
    rows: Ints
    energy_wh: int
    cents: int


def day_totals(orders: Orders) -> list[DayTotal]:
    """Return the totals for every operator and day that has orders."""
    kept = np.flatnonzero(orders.keep)
    key = orders.operator[kept] * 100_000 + orders.start[kept] // DAY_S
    order = np.argsort(key, kind="stable")
    kept, key = kept[order], key[order]
    firsts = np.flatnonzero(np.diff(key, prepend=-1))
    totals = []
    for low, high in zip(firsts.tolist(), [*firsts[1:].tolist(), len(key)], strict=True):
        rows = kept[low:high]
        money = int((orders.energy_cents[rows] + orders.service_cents[rows]).sum())
        operator, day = divmod(int(key[low]), 100_000)
        totals.append(DayTotal(operator, day, rows, int(orders.energy_wh[rows].sum()), money))
    return totals


def check_text(names: Names, orders: Orders, total: DayTotal) -> str:
    """Return one check_charge_orders request (T/CEC 102.3) as JSON. Its span ends with the day's last second."""
    operator = names.operators[total.operator]
    decimals = 3 if HABITS[total.operator % len(HABITS)].energy_step_wh == 1 else 2
    first = total.day * DAY_S
    items = []
    for row in total.rows.tolist():
        order_id = names.order_id(total.operator, int(orders.id_time[row]), int(orders.serial[row]))
        money = int(orders.energy_cents[row] + orders.service_cents[row])
        energy = kwh(int(orders.energy_wh[row]), decimals)
        items.append(f'{{"StartChargeSeq":"{order_id}","TotalPower":{energy},"TotalMoney":{yuan(money)}}}')
    return (
        f'{{"OperatorID":"{operator}","CheckOrderSeq":"{operator}{names.date(first).replace("-", "")}{0:010d}",'
        f'"StartTime":"{names.wall(first)}","EndTime":"{names.wall(first + DAY_S - 1)}",'
        f'"OrderCount":{len(items)},"TotalOrderPower":{kwh(total.energy_wh, decimals)},'
        f'"TotalOrderMoney":{yuan(total.cents)},"ChargeOrders":[{",".join(items)}]}}'
    )
