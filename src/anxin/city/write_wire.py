"""Writes a city in the dialects in which operators and meters speak."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

from anxin.city.arrays import Ints
from anxin.city.build import City, HonestCount
from anxin.city.names import Names
from anxin.city.tables import Span
from anxin.city.wire import Seal, WireWriter, check_text, day_totals, in_order_of_arrival

#: Rows that a worker encodes at a time. Fixed, so that the number of workers changes nothing.
SLICE_ROWS = 2_000
RECORD_SUFFIX = ".axe"

Progress = Callable[[int, int], None]
_Task = tuple[str, list[int]]

_writer: list[WireWriter] = []


def write_wire(city: City, out: Path, seal: Seal, workers: int, progress: Progress) -> HonestCount:
    """Write orders/, checks/, records/ and truth.jsonl under `out`; `progress(done, of)` counts lines' rows."""
    count = HonestCount(city)
    for span, truths in city.spans():
        count.add(span)
        _write_lines(out / "truth.jsonl", (json.dumps(t, ensure_ascii=False) for t in truths))
        _write_checks(span, out)
        _write_span(span, out, seal, workers, progress)
    return count


def _write_span(span: Span, out: Path, seal: Seal, workers: int, progress: Progress) -> None:
    plans = [*_files(span, out, "orders", ".jsonl"), *_files(span, out, "records", RECORD_SUFFIX)]
    tasks: list[_Task] = []
    targets: list[Path] = []
    for kind, path, rows in plans:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        for low in range(0, len(rows), SLICE_ROWS):
            tasks.append((kind, rows[low : low + SLICE_ROWS].tolist()))
            targets.append(path)
    for done, (path, lines) in enumerate(zip(targets, _encoded(span, seal, workers, tasks), strict=True), 1):
        with path.open("ab") as file:
            file.write(lines)
        progress(done, len(tasks))


def _files(span: Span, out: Path, kind: str, suffix: str) -> Iterator[tuple[str, Path, Ints]]:
    table = span.orders if kind == "orders" else span.records
    for number, operator in enumerate(span.world.operators):
        rows = in_order_of_arrival(table.received, table.again, table.keep & (table.operator == number))
        yield kind, out / kind / f"{operator}{suffix}", rows


def _encoded(span: Span, seal: Seal, workers: int, tasks: list[_Task]) -> Iterator[bytes]:
    """Yield the encoded tasks in their order. Workers inherit the span where the system can fork."""
    if workers <= 1 or len(tasks) < 2:
        writer = WireWriter(span, seal)
        yield from (_encode(writer, task) for task in tasks)
        return
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    with context.Pool(workers, _begin, (span, seal)) as pool:
        yield from pool.imap(_work, tasks)


def _begin(span: Span, seal: Seal) -> None:
    _writer[:] = [WireWriter(span, seal)]


def _work(task: _Task) -> bytes:
    return _encode(_writer[0], task)


def _encode(writer: WireWriter, task: _Task) -> bytes:
    kind, rows = task
    return writer.order_lines(rows) if kind == "orders" else writer.record_lines(rows)


def _write_checks(span: Span, out: Path) -> None:
    names = Names(span.world)
    lines: dict[int, list[str]] = {}
    for total in day_totals(span.orders):
        lines.setdefault(total.operator, []).append(check_text(names, span.orders, total))
    for number, texts in lines.items():
        _write_lines(out / "checks" / f"{span.world.operators[number]}.jsonl", texts)


def _write_lines(path: Path, lines: Iterator[str] | list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
