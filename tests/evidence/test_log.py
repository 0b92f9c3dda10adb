"""The log against pymerkle, against itself at every size, and against whoever turns a bit or rolls it back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from pymerkle import InmemoryTree

from anxin.domain.errors import EvidenceError
from anxin.evidence.auditor import Row, audit_log
from anxin.evidence.commitment import entry_of, statement
from anxin.evidence.note import Signer, open_checkpoint, parse_vkey
from anxin.evidence.publisher import LogPublisher
from anxin.evidence.tiles import Tiles
from anxin.evidence.tree import (
    consistency_proof,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    node_hash,
    root,
    root_of_inclusion,
)

SIGNER = Signer("example.org/log", bytes(range(32)))
ENTRIES = [hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(700)]


def node_of(entries: list[bytes]):  # type: ignore[no-untyped-def]
    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(entries[index])
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def take(entries: list[bytes]):  # type: ignore[no-untyped-def]
    return lambda first, count: entries[first : first + count]


def test_roots_are_those_of_another_implementation() -> None:
    other = InmemoryTree(algorithm="sha256")
    for size, entry in enumerate(ENTRIES[:300], 1):
        other.append_entry(entry)
        assert root(size, node_of(ENTRIES)) == other.get_root()


def test_every_entry_is_proved_in_every_tree_and_no_other_entry_is() -> None:
    node = node_of(ENTRIES)
    for size in range(1, 65):
        whole = root(size, node)
        for index in range(size):
            path = inclusion_proof(index, size, node)
            assert root_of_inclusion(ENTRIES[index], index, size, path) == whole
            assert root_of_inclusion(ENTRIES[index + 1], index, size, path) != whole


def test_every_tree_is_proved_to_begin_every_later_one() -> None:
    node = node_of(ENTRIES)
    for size in range(1, 65):
        for old in range(size + 1):
            path = consistency_proof(old, size, node)
            assert is_consistent(old, root(old, node), size, root(size, node), path)
            if 0 < old < size:
                assert not is_consistent(old, ENTRIES[0], size, root(size, node), path)
                assert not is_consistent(old, root(old, node), size, ENTRIES[0], path)


def test_published_in_pieces_the_log_is_the_same_as_published_at_once(tmp_path: Path) -> None:
    pieces = LogPublisher(tmp_path / "pieces", SIGNER)
    for size in (1, 2, 255, 256, 257, 600, 700):
        checkpoint = pieces.publish(take(ENTRIES), size)
        assert checkpoint.root == root(size, node_of(ENTRIES))
        pieces = LogPublisher(tmp_path / "pieces", SIGNER)  # the process starts anew each time
    at_once = LogPublisher(tmp_path / "once", SIGNER).publish(take(ENTRIES), 700)
    assert at_once == pieces.checkpoint
    signed = (tmp_path / "once" / "checkpoint").read_bytes()
    assert open_checkpoint(signed, parse_vkey(SIGNER.vkey)) == at_once
    assert Tiles(tmp_path / "once", 700).entry(699) == ENTRIES[699]


def test_an_old_database_or_another_history_is_refused(tmp_path: Path) -> None:
    LogPublisher(tmp_path, SIGNER).publish(take(ENTRIES), 300)
    before = (tmp_path / "checkpoint").read_bytes()
    with pytest.raises(EvidenceError, match="300"):
        LogPublisher(tmp_path, SIGNER).publish(take(ENTRIES), 299)
    other = [*ENTRIES[:299], ENTRIES[0], *ENTRIES[300:]]
    with pytest.raises(EvidenceError, match="299"):
        LogPublisher(tmp_path, SIGNER).publish(take(other), 400)
    assert (tmp_path / "checkpoint").read_bytes() == before


def test_tiles_left_by_a_crash_before_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    publisher = LogPublisher(tmp_path, SIGNER)
    publisher.publish(take(ENTRIES), 10)
    publisher.tiles.append([b"never acknowledged" + b"." * 14] * 5)  # and then the process died
    checkpoint = LogPublisher(tmp_path, SIGNER).publish(take(ENTRIES), 600)
    assert checkpoint.root == root(600, node_of(ENTRIES))


def test_each_bit_turned_in_the_published_log_is_found_by_the_auditor(tmp_path: Path) -> None:
    LogPublisher(tmp_path, SIGNER).publish(take(ENTRIES), 256)
    assert audit_log(tmp_path, SIGNER.vkey).faults == []
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        good = path.read_bytes()
        # Every bit of the small files; of the two tiles one bit of each byte, a different one from byte to byte.
        bits = range(len(good) * 8) if len(good) < 1_000 else [8 * i + i % 8 for i in range(len(good))]
        for bit in bits:
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bytes(bad))
            assert audit_log(tmp_path, SIGNER.vkey).fault_count, (path.name, bit)
        path.write_bytes(good)


def rows_of(count: int) -> list[Row]:
    rows = []
    for i in range(count):
        payload, salt = b"order %d" % i, bytes([i % 256]) * 32
        digest = hashlib.sha256(payload).digest()
        said = statement("tcec102.order", "123456789", f"seq-{i}", 1_000 + i, digest, None)
        entry = entry_of(salt, said)
        rows.append(
            Row(i, "tcec102.order", "123456789", f"seq-{i}", 1_000 + i, digest, None, salt, entry, payload, None)
        )
    return rows


def test_each_bit_turned_in_a_message_is_found_and_the_message_named(tmp_path: Path) -> None:
    rows = rows_of(256)
    LogPublisher(tmp_path, SIGNER).publish(take([r.entry for r in rows]), 256)
    assert audit_log(tmp_path, SIGNER.vkey, rows).faults == []
    for number in range(0, 256, 5):
        row = rows[number]
        assert row.payload is not None
        for bit in range(len(row.payload) * 8):
            bad = bytearray(row.payload)
            bad[bit // 8] ^= 1 << bit % 8
            altered = [*rows[:number], replace(row, payload=bytes(bad)), *rows[number + 1 :]]
            faults = audit_log(tmp_path, SIGNER.vkey, altered).faults
            assert faults == [f"message {number}: the payload is not the one that was received"]
    later = replace(rows[9], received_utc_ms=9)
    assert "message 9" in audit_log(tmp_path, SIGNER.vkey, [*rows[:9], later, *rows[10:]]).faults[0]
    assert "message 9: missing" in audit_log(tmp_path, SIGNER.vkey, [*rows[:9], *rows[10:]]).faults[0]
    assert "message 250: missing" in audit_log(tmp_path, SIGNER.vkey, rows[:250]).faults[0]
    erased = replace(rows[9], payload=None, salt=None)
    assert audit_log(tmp_path, SIGNER.vkey, [*rows[:9], erased, *rows[10:]]).faults == []
