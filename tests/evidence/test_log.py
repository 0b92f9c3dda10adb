"""The log against pymerkle, against itself at every size, and against whoever turns a bit or rolls it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymerkle import InmemoryTree

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import open_checkpoint, parse_vkey
from anxin.evidence.publisher import LogPublisher
from anxin.evidence.tiles import Tiles
from anxin.evidence.tree import (
    consistency_proof,
    inclusion_proof,
    is_consistent,
    root,
    root_of_inclusion,
)
from tests.evidence.trees import ENTRIES, LOG, node_of, take

SIGNER = LOG


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
