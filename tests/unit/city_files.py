"""Reads a made city back through the platform's own doors, for the tests of the city."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from anxin.city.options import CityOptions
from anxin.domain.batch import JudgedRecord, SignedRecord
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.register import Register
from anxin.domain.source import Source
from anxin.flow.make_city import make_city
from anxin.formats import tcec102
from anxin.formats.meter_envelope import decode_line
from anxin.formats.register import load_keys, load_register
from anxin.formats.transactions import join, session_of
from anxin.trust.keyring import KeyRing
from anxin.trust.verify import judge_signed


@dataclass
class CityFiles:
    """Everything a city hands in, decoded; `order_lines` and `record_lines` count each line's bytes."""

    orders: list[Order]
    order_periods: list[OrderPeriod]
    totals: list[OperatorTotal]
    signed: list[SignedRecord]
    sessions: list[MeterSession]
    record_periods: list[RecordPeriod]
    register: Register
    order_lines: Counter[bytes]
    record_lines: Counter[bytes]


def make(out: Path, options: CityOptions, form: str = "wire", workers: int = 1) -> dict[str, object]:
    """Make a city without showing progress."""
    return make_city(options, out, form, workers, lambda done, total: None)


def read(out: Path) -> CityFiles:
    """Decode all files of a wire city and judge every signature."""
    register = load_register((out / "register.json").read_bytes(), "register.json")
    keys, content_keys = load_keys((out / "keys.json").read_bytes(), "keys.json")
    register = replace(register, keys=keys)
    by_meter = {key.meter_id: key for key in content_keys}
    files = CityFiles([], [], [], [], [], [], register, Counter(), Counter())
    for path in sorted((out / "orders").iterdir()) + sorted((out / "checks").iterdir()):
        data = path.read_bytes()
        batch = tcec102.decode(data, path.name)
        assert not batch.rejects
        assert not batch.notices
        files.orders += batch.orders
        files.order_periods += batch.order_periods
        files.totals += batch.operator_totals
        files.order_lines.update(data.splitlines() if path.parent.name == "orders" else [])
    ring = KeyRing(tuple(keys))
    judged = []
    for path in sorted((out / "records").iterdir()):
        for row, line in enumerate(path.read_bytes().splitlines(), 1):
            files.record_lines[line] += 1
            signed = decode_line(line, Source(path.name, row), by_meter.values())
            files.signed.append(signed)
            judged.append(JudgedRecord(signed, judge_signed(signed, ring)))
    for transaction in join(judged):
        session, periods = session_of(transaction)
        files.sessions.append(session)
        files.record_periods += periods
    return files
