"""The auditor against whoever turns a bit, drops a row, skips a leaf, cuts a tile, erases without a deed."""

from __future__ import annotations

import hashlib
import json
import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anxin.evidence.auditor import Audit, Row, audit_log, folder_of
from anxin.evidence.commitment import entry_of, statement
from anxin.evidence.publisher import LogPublisher
from anxin.evidence.tiles import Tiles
from tests.evidence.trees import ENTRIES, LOG, take


def row_of(index: int, payload: bytes, kind: str = "tcec102.order") -> Row:
    salt, envelope = bytes([index % 256]) * 32, b"around %d" % index if index % 3 else None
    digest = hashlib.sha256(payload).digest()
    around = None if envelope is None else hashlib.sha256(envelope).digest()
    said = statement(kind, "123456789", f"seq-{index}", 1_000 + index, digest, around)
    entry = entry_of(salt, said)
    return Row(
        index, kind, "123456789", f"seq-{index}", 1_000 + index, digest, around, salt, entry, payload, envelope
    )  # fmt: skip


def rows_of(count: int) -> list[Row]:
    return [row_of(i, b"order %d" % i) for i in range(count)]


@pytest.fixture
def log(tmp_path: Path) -> tuple[Path, list[Row]]:
    rows = rows_of(256)
    LogPublisher(tmp_path, LOG).publish(take([r.entry for r in rows]), 256)
    assert audited(tmp_path, rows).faults == []
    return tmp_path, rows


def audited(folder: Path, rows: list[Row] | None = None) -> Audit:
    return audit_log(folder_of(folder), LOG.vkey, rows)


def flipped(data: bytes, bit: int) -> bytes:
    bad = bytearray(data)
    bad[bit // 8] ^= 1 << bit % 8
    return bytes(bad)


def _one(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def flips_of(row: Row) -> Iterator[tuple[str, Row]]:
    """The row with each bit of each of its columns turned, one after the other."""
    for name in ("payload_sha256", "envelope_sha256", "salt", "entry", "payload", "envelope"):
        data = getattr(row, name)
        for bit in range(len(data or b"") * 8):
            yield name, replace(row, **_one(name, flipped(data, bit)))
    for name in ("kind", "sender", "message_id"):
        text = getattr(row, name).encode()
        for bit in range(len(text) * 8):
            if bit % 8 != 7:  # the database holds text: what is not UTF-8 cannot stand in it
                yield name, replace(row, **_one(name, flipped(text, bit).decode()))
    for bit in range(63):
        yield "received_utc_ms", replace(row, received_utc_ms=row.received_utc_ms ^ 1 << bit)


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.long)])
def test_each_bit_turned_in_any_column_of_any_message_is_found_and_the_message_named(
    log: tuple[Path, list[Row]], step: int
) -> None:
    """In every round one bit of each of the 256 rows is turned, another one each time, until all were (step 1)."""
    folder, rows = log
    flips = [list(flips_of(row)) for row in rows]
    total = 0
    for number in range(0, max(map(len, flips)), step):
        altered = [f[number][1] if number < len(f) else row for f, row in zip(flips, rows, strict=True)]
        turned = [row.index for f, row in zip(flips, rows, strict=True) if number < len(f)]
        faults = audited(folder, altered).faults
        named = {int(fault.split()[1].rstrip(":")) for fault in faults}
        assert named == set(turned), number
        total += len(turned)
    assert total > 256 * 1_000 // step


def test_each_bit_of_each_hash_and_entry_is_found_and_the_entry_named(log: tuple[Path, list[Row]]) -> None:
    folder, _ = log
    for name, stride, head in (("tile/0/000", 32, 0), ("tile/entries/000", 34, 2)):
        path = folder / name
        good = path.read_bytes()
        for bit in range(head * 8, stride * 8):
            bad = bytearray(good)
            for item in range(256):
                bad[item * stride + bit // 8] ^= 1 << bit % 8
            path.write_bytes(bad)
            faults = audited(folder).faults
            assert {f"tile 0/0: hash {i} (entry {i})" for i in range(256)} <= set(faults), (name, bit)
        path.write_bytes(good)
    assert audited(folder).faults == []


def test_bits_of_every_file_one_at_a_time(log: tuple[Path, list[Row]]) -> None:
    """All bits of the small files, some of the large ones; all of those in the long test."""
    turn_bits(log[0], 1009)


@pytest.mark.long
def test_each_bit_of_every_file_one_at_a_time(log: tuple[Path, list[Row]]) -> None:
    assert turn_bits(log[0], 1) == sum(p.stat().st_size for p in log[0].rglob("*") if p.is_file()) * 8


def turn_bits(folder: Path, step: int) -> int:
    count = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        good = path.read_bytes()
        for bit in range(0, len(good) * 8, 1 if len(good) < 1_000 else step):
            path.write_bytes(flipped(good, bit))
            assert audited(folder).fault_count, (path.name, bit)
            count += 1
        path.write_bytes(good)
    return count


def test_rows_that_are_missing_doubled_or_exchanged_are_named(log: tuple[Path, list[Row]]) -> None:
    folder, rows = log
    assert "message 9: missing, the next is 10" in audited(folder, [*rows[:9], *rows[10:]]).faults
    assert audited(folder, rows[:250]).faults == ["message 250: missing, and all after it: the log has 256"]
    assert audited(folder, []).faults == ["message 0: missing, and all after it: the log has 256"]
    assert audited(folder, [*rows[:10], *rows[9:]]).faults == ["message 10: missing, the next is 9"]
    swapped = [*rows[:9], replace(rows[10], index=9), replace(rows[9], index=10), *rows[11:]]
    named = audited(folder, swapped).faults
    assert "message 9: its entry is not the one in the log" in named
    assert "message 10: its entry is not the one in the log" in named
    # Messages that are not published yet are checked as well.
    assert audited(folder, [*rows, row_of(256, b"late")]).faults == []
    late = replace(row_of(256, b"late"), payload=b"other")
    assert audited(folder, [*rows, late]).faults == ["message 256: the payload is not the one that was received"]


def test_a_writer_that_skips_a_leaf_is_found_out(tmp_path: Path) -> None:
    """Planted: everything that it signs is right by itself, but one message is not in it."""
    rows = rows_of(300)
    skipped = [r.entry for r in rows if r.index != 123]
    LogPublisher(tmp_path, LOG).publish(take(skipped), 299)
    assert audited(tmp_path).faults == []
    assert "message 123: its entry is not the one in the log" in audited(tmp_path, rows).faults


def test_a_tile_written_without_its_last_hash_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the writer cuts the last hash of each full tile."""
    real = Tiles._tiles_of

    def cut(self: Tiles, level: int | str, size: int, items: list[bytes]) -> list[tuple[Path, bytes]]:
        files = real(self, level, size, items)
        return [(p, d[:-32] if level == 0 and len(d) == 8192 else d) for p, d in files]

    publisher = LogPublisher(tmp_path, LOG)
    publisher.publish(take(ENTRIES), 255)
    monkeypatch.setattr(Tiles, "_tiles_of", cut)
    publisher.tiles.append(ENTRIES[255:300])
    monkeypatch.undo()
    signed = LogPublisher(tmp_path / "good", LOG)
    signed.publish(take(ENTRIES), 300)
    (tmp_path / "checkpoint").write_bytes((tmp_path / "good" / "checkpoint").read_bytes())
    faults = audited(tmp_path).faults
    assert "tile 0/0: hash 255 (entry 255)" in faults
    assert "tile 0/0: 8160 bytes, not 8192" in faults


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000"])
@pytest.mark.parametrize("how", ["gone", "cut", "longer", "empty"])
def test_files_that_are_gone_or_cut_are_found(tmp_path: Path, name: str, how: str) -> None:
    LogPublisher(tmp_path, LOG).publish(take(ENTRIES), 300)
    path = tmp_path / name
    match how:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "longer":
            path.write_bytes(path.read_bytes() + b"\0")
        case _:
            path.write_bytes(b"")
    assert audited(tmp_path).fault_count


def deed(index: int, erased: Any) -> Row:
    return row_of(index, json.dumps({"index": erased}).encode(), "deed.erasure")


def test_an_erasure_needs_its_deed_and_a_deed_its_erasure(tmp_path: Path) -> None:
    rows = rows_of(20)
    rows[7] = replace(rows[7], payload=None, envelope=None, salt=None)
    deeds = [*rows, deed(20, 7)]
    LogPublisher(tmp_path, LOG).publish(take([r.entry for r in deeds]), 21)
    audit = audited(tmp_path, deeds)
    assert (audit.faults, audit.erased) == ([], 1)
    other = [*deeds[:8], replace(rows[8], payload=None, envelope=None, salt=None), *deeds[9:]]
    assert audited(tmp_path, other).faults == ["message 8: erased, and no deed in the log says so"]
    kept = [*deeds[:7], row_of(7, b"order 7"), *deeds[8:]]
    assert audited(tmp_path, kept).faults == ["message 7: a deed says that it was erased, and it is here"]
    half = [*deeds[:7], replace(row_of(7, b"order 7"), salt=None), *deeds[8:]]
    assert audited(tmp_path, half).faults == ["message 7: erased, but not wholly"]
    # Without the deed's row the log itself tells: a deed that was made up is no entry.
    false = [*rows, replace(deed(20, 7), payload=b'{"index":8}')]
    assert "message 20: the payload is not the one that was received" in audited(tmp_path, false).faults


@pytest.mark.parametrize("erased", [None, "7", 20, 21, -1, 1.5])
def test_a_deed_that_names_no_earlier_message_is_a_fault(tmp_path: Path, erased: Any) -> None:
    rows = [*rows_of(20), deed(20, erased)]
    LogPublisher(tmp_path, LOG).publish(take([r.entry for r in rows]), 21)
    assert "message 20: a deed of erasure that names no earlier message" in audited(tmp_path, rows).faults


def test_random_damage_of_a_larger_log_is_found(tmp_path: Path) -> None:
    """Deletions, exchanges, cuts, turned bits, rollbacks of files of a log with three levels of tiles."""
    count = 66_000
    entries = [hashlib.sha256(b"%d" % i).digest() for i in range(count)]
    LogPublisher(tmp_path, LOG).publish(take(entries), count)
    tracemalloc.start()
    assert audited(tmp_path).faults == []
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # bytes: it does not grow with the log
    tracemalloc.stop()
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file() and "entries" not in p.parts)
    draw = random.Random(5)
    for _ in range(6):
        path = draw.choice(files)
        good = path.read_bytes()
        match draw.randrange(3):
            case 0:
                path.unlink()
            case 1:
                path.write_bytes(good[: draw.randrange(len(good))])
            case _:
                path.write_bytes(flipped(good, draw.randrange(len(good) * 8)))
        assert audited(tmp_path).fault_count, path
        path.write_bytes(good)
