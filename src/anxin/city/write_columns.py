"""Writes a city as Parquet in the canonical columns: for benchmarks of the rule book, signatures apart.

No record is signed or encrypted here; `answer` stands as if each had been judged (forged ones as forged).
`content_digest` is sixteen hex characters of a mixing hash instead of SHA-256: it only tells versions apart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anxin.city.arrays import Ints, mix64
from anxin.city.build import SPAN_SESSIONS, City, HonestCount
from anxin.city.column_arrays import (
    ColumnFile,
    Columns,
    constant,
    expand,
    fixed_text,
    lookup,
    null_where,
    sent_rows,
    write_digits,
)
from anxin.city.meters import algorithm_of
from anxin.city.names import Names
from anxin.city.ocmf_record import FIRMWARE, clock_letter, gateway_of
from anxin.city.tables import Orders, Span
from anxin.city.tamper import Truth
from anxin.city.tariffs import DAY_S, HABITS
from anxin.city.wire import day_totals
from anxin.city.write_wire import Progress
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod

MILLI_WH_PER_WH = 1_000
E4_PER_CENT = 100
ID_CHARS = 27

#: File name and the domain class whose fields are its columns.
COLUMN_FILES: dict[str, type] = {
    "orders": Order,
    "order_periods": OrderPeriod,
    "operator_totals": OperatorTotal,
    "records": MeterSession,
    "record_periods": RecordPeriod,
}


def write_columns(city: City, out: Path, progress: Progress, span_sessions: int = SPAN_SESSIONS) -> HonestCount:
    """Write orders, order_periods, operator_totals, records and record_periods as .parquet, and truth.jsonl."""
    count = HonestCount(city)
    writers = {name: ColumnFile(out / f"{name}.parquet", shape) for name, shape in COLUMN_FILES.items()}
    truths: list[Truth] = []
    done = 0
    totals: dict[tuple[int, int], list[int]] = {}
    for span, truth in city.spans(span_sessions):
        count.add(span)
        truths += truth
        order_sent = sent_rows(span.orders.keep, span.orders.again)
        record_sent = sent_rows(span.records.keep, span.records.again)
        digests = _digests(span.orders)
        writers["orders"].write(_orders(span, order_sent, digests))
        writers["order_periods"].write(_order_periods(span, order_sent, digests))
        writers["records"].write(_records(span, record_sent))
        writers["record_periods"].write(_record_periods(span, record_sent))
        for total in day_totals(span.orders):
            sums = totals.setdefault((total.operator, total.day), [0, 0, 0])
            for place, value in enumerate((len(total.rows), total.energy_wh, total.cents)):
                sums[place] += value
        done += len(span.plan)
        progress(done, len(city.plan))
    writers["operator_totals"].write(_totals(city, totals))
    for writer in writers.values():
        writer.close()
    truths.sort(key=lambda t: str(t["cheat_id"]))
    lines = [json.dumps(t, ensure_ascii=False) + "\n" for t in truths]
    (out / "truth.jsonl").write_text("".join(lines), encoding="utf-8")
    return count


def _utc_ms(span: Span, second: Ints) -> Ints:
    result: Ints = (second + span.world.start_utc_s) * 1_000
    return result


def _dates(span: Span, second: Ints) -> Any:
    """Local dates. A slow clock shows the city's first minutes as the day before, hence one day more in front."""
    names = Names(span.world)
    day = second // DAY_S + 1
    return lookup([names.date((d - 1) * DAY_S) for d in range(int(day.max(initial=0)) + 1)], day)


def _id_matrix(span: Span, operator: Ints, second: Ints, serial: Ints, extra: int = 0) -> npt.NDArray[np.uint8]:
    """Return the bytes of order ids as `Names.order_id` spells them."""
    names = Names(span.world)
    matrix = np.empty((len(operator), ID_CHARS + extra), dtype=np.uint8)
    prefixes = np.array([list(o.encode()) for o in span.world.operators], dtype=np.uint8)
    matrix[:, :9] = prefixes[operator]
    day = second // DAY_S
    texts = [names.date(d * DAY_S) for d in range(int(day.max(initial=0)) + 1)]
    dates = np.array([list(f"{t[2:4]}{t[5:7]}{t[8:10]}".encode()) for t in texts], dtype=np.uint8)
    matrix[:, 9:15] = dates[day]
    minute = second % DAY_S // 60
    write_digits(matrix, 18, minute // 60 * 100 + minute % 60, 4)
    write_digits(matrix, 26, serial, 8)
    return matrix


def _order_ids(span: Span, rows: Ints) -> Any:
    orders = span.orders
    return fixed_text(_id_matrix(span, orders.operator[rows], orders.id_time[rows], orders.serial[rows]))


def _record_ids(span: Span, rows: Ints) -> Any:
    """A record's id: its transaction's id and a letter, `a`, or `b` for what follows a power failure."""
    records = span.records
    matrix = _id_matrix(span, records.operator[rows], records.id_time[rows], records.serial[rows], 1)
    matrix[:, ID_CHARS] = (records.part[rows] + ord("a")).astype(np.uint8)
    return fixed_text(matrix)


def _digests(orders: Orders) -> Any:
    """Return a hash over what each order says, as hex."""
    mixed = np.zeros(len(orders.session), dtype=np.uint64)
    for values in (orders.serial, orders.start, orders.end, orders.energy_wh, orders.energy_cents, orders.loss_ppm):
        mixed = mix64(mixed ^ values.astype(np.uint64))
    nibbles = (mixed[:, None] >> np.arange(60, -4, -4, dtype=np.uint64)) & np.uint64(15)
    alphabet = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    return fixed_text(alphabet[nibbles.astype(np.int64)])


def _orders(span: Span, rows: Ints, digests: Any) -> Columns:
    orders, world = span.orders, span.world
    operator = orders.operator[rows]
    habit = operator % len(HABITS)
    energy_step = np.array([h.energy_step_wh for h in HABITS], dtype=np.int64)[habit]
    start, stop = orders.start[rows], orders.end[rows]
    # A reader of the wire cannot tell minutes from seconds that happen to be nought on both ends.
    coarse = (start % 60 == 0) & (stop % 60 == 0)
    ids = _order_ids(span, rows)
    begin, end, loss = orders.meter_begin_wh[rows], orders.meter_end_wh[rows], orders.loss_ppm[rows]
    return {
        "order_id": ids,
        "transaction_id": ids,
        "content_digest": digests.take(rows),
        "operator_id": lookup(world.operators, operator),
        "connector_id": lookup(world.connector_code, orders.connector[rows]),
        "start_utc_ms": _utc_ms(span, start),
        "end_utc_ms": _utc_ms(span, stop),
        "time_quantum_ms": np.where(coarse, 60_000, 1_000),
        "energy_milli_wh": orders.energy_wh[rows] * MILLI_WH_PER_WH,
        "energy_quantum_milli_wh": energy_step * MILLI_WH_PER_WH,
        "amount_e4": (orders.energy_cents + orders.service_cents)[rows] * E4_PER_CENT,
        "energy_amount_e4": orders.energy_cents[rows] * E4_PER_CENT,
        "service_amount_e4": orders.service_cents[rows] * E4_PER_CENT,
        "currency": constant("CNY", len(rows)),
        "meter_begin_milli_wh": null_where(begin * MILLI_WH_PER_WH, begin < 0),
        "meter_end_milli_wh": null_where(end * MILLI_WH_PER_WH, end < 0),
        "loss_ratio_ppm": null_where(loss, loss < 0),
        "received_utc_ms": _utc_ms(span, orders.received[rows]),
        "local_date": _dates(span, start),
    }


def _order_periods(span: Span, rows: Ints, digests: Any) -> Columns:
    orders = span.orders
    place, piece, number = expand(orders.first, rows)
    return {
        "order_id": _order_ids(span, rows[place]),
        "content_digest": digests.take(rows[place]),
        "period_no": number,
        "start_utc_ms": _utc_ms(span, orders.p_start[piece]),
        "end_utc_ms": _utc_ms(span, orders.p_end[piece]),
        "energy_milli_wh": orders.p_energy_wh[piece] * MILLI_WH_PER_WH,
        "energy_price_e4": orders.p_energy_price[piece],
        "service_price_e4": orders.p_service_price[piece],
        "energy_amount_e4": orders.p_energy_cents[piece] * E4_PER_CENT,
        "service_amount_e4": orders.p_service_cents[piece] * E4_PER_CENT,
    }


def _records(span: Span, rows: Ints) -> Columns:
    """What is signed comes from the row whose payload is sent; id and time of arrival from the row itself."""
    records, world = span.records, span.world
    signed = records.payload[rows]
    meter = records.meter[signed]
    begin = records.begin[signed]
    low, high = records.register_begin_wh[signed], records.register_end_wh[signed]
    forged = records.forged_wh[signed] != 0
    algorithms = [algorithm_of(m) for m in range(len(world.meter_code))]
    letters = [clock_letter(world, m) for m in range(len(world.meter_code))]
    return {
        "record_id": _record_ids(span, signed),
        "transaction_id": fixed_text(
            _id_matrix(span, records.operator[rows], records.id_time[rows], records.serial[rows])
        ),
        "meter_id": lookup(world.meter_code, meter),
        "gateway_id": lookup([gateway_of(m) for m in world.meter_code], meter),
        "connector_id": lookup(world.connector_code, records.connector[signed]),
        "user_ref": _drivers(span, records.driver[signed]),
        "begin_utc_ms": _utc_ms(span, begin),
        "end_utc_ms": _utc_ms(span, records.end[signed]),
        "clock": lookup(letters, meter),
        "begin_register_milli_wh": low * MILLI_WH_PER_WH,
        "end_register_milli_wh": high * MILLI_WH_PER_WH,
        "energy_milli_wh": (high - low) * MILLI_WH_PER_WH,
        "page_context": constant("T", len(rows)),
        "page_first": records.page_first[signed],
        "page_last": records.page_last[signed],
        "algorithm": lookup(algorithms, meter),
        "key_id": lookup([f"{m}-1" for m in world.meter_code], meter),
        "answer": lookup(["authentic", "forged"], forged.astype(np.int64)),
        "reason": lookup(["signature_verified", "signature_wrong"], forged.astype(np.int64)),
        "firmware": constant(FIRMWARE, len(rows)),
        "received_utc_ms": _utc_ms(span, records.received[rows]),
        "local_date": _dates(span, begin),
    }


def _drivers(span: Span, driver: Ints) -> Any:
    """Return pseudonyms as sixteen hex characters of a mixing hash."""
    mixed = mix64(driver.astype(np.uint64) ^ np.uint64(span.world.options.seed))
    nibbles = (mixed[:, None] >> np.arange(60, -4, -4, dtype=np.uint64)) & np.uint64(15)
    return fixed_text(np.frombuffer(b"0123456789ABCDEF", dtype=np.uint8)[nibbles.astype(np.int64)])


def _record_periods(span: Span, rows: Ints) -> Columns:
    """Energy between neighbouring readings, of records in which the tariff changes (RecordPeriod)."""
    records = span.records
    changes = (np.diff(records.first) > 1) & ~records.pair
    signed = records.payload[rows]
    place, piece, number = expand(records.first, signed[changes[signed]])
    source = signed[changes[signed]][place]
    opening = number == 1
    begin = np.where(opening, records.begin[source], records.p_time[piece - 1])
    low = np.where(opening, records.register_begin_wh[source], records.p_register_wh[piece - 1])
    return {
        "record_id": _record_ids(span, source),
        "period_no": number,
        "start_utc_ms": _utc_ms(span, begin),
        "end_utc_ms": _utc_ms(span, records.p_time[piece]),
        "energy_milli_wh": (records.p_register_wh[piece] - low) * MILLI_WH_PER_WH,
    }


def _totals(city: City, totals: dict[tuple[int, int], list[int]]) -> Columns:
    names, world = Names(city.world), city.world
    keys = sorted(totals)
    day = np.array([day for _, day in keys], dtype=np.int64)
    sums = np.array([totals[key] for key in keys], dtype=np.int64).reshape(-1, 3)
    checks = [f"{world.operators[o]}{names.date(d * DAY_S).replace('-', '')}{0:010d}" for o, d in keys]
    start = (day * DAY_S + world.start_utc_s) * 1_000
    return {
        "operator_id": lookup(world.operators, np.array([o for o, _ in keys], dtype=np.int64)),
        "check_id": lookup(checks, np.arange(len(keys), dtype=np.int64)),
        "start_utc_ms": start,
        "end_utc_ms": start + (DAY_S - 1) * 1_000,
        "order_count": sums[:, 0],
        "energy_milli_wh": sums[:, 1] * MILLI_WH_PER_WH,
        "amount_e4": sums[:, 2] * E4_PER_CENT,
    }
