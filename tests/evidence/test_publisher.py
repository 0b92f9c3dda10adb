"""The writer: faults at every one of its steps, corrupted tiles, partial tiles that are no longer needed, proofs."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anxin.domain.errors import EvidenceError
from anxin.evidence import tiles as tiles_module
from anxin.evidence.auditor import audit_log, folder_of
from anxin.evidence.note import open_checkpoint, parse_vkey
from anxin.evidence.proofs import Proofs
from anxin.evidence.publisher import LogPublisher
from anxin.evidence.tree import is_consistent, root, root_of_inclusion
from tests.evidence.trees import ENTRIES, FORKED, LOG, WITNESSES, node_of, take

KEY = parse_vkey(LOG.vkey)


class Died(BaseException):
    """The process is gone: nothing after this call happens, and nothing in memory is left."""


class Disk:
    """Stands for `os` and `Path.replace` under the writer: the n-th call fails (or is the last one), landed or not."""

    def __init__(self, at: int, error: Callable[[], BaseException], landed: bool) -> None:
        self.at, self.error, self.landed = at, error, landed
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self.wrap(real) if name in ("write", "fsync") else real

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.count += 1
            if self.count != self.at:
                return real(*args)
            if self.landed:
                real(*args)
            raise self.error()

        return call


@pytest.mark.parametrize("death", [False, True], ids=["error", "death"])
@pytest.mark.parametrize("landed", [False, True], ids=["not landed", "landed"])
def test_whichever_call_fails_no_checkpoint_contradicts_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: bool, death: bool
) -> None:
    """250 entries are published; then 270 are to be, which fills a tile; each call in turn fails. After it, whatever is
    on disk is a whole log, begins with what was published, and the next publication goes on from it."""
    error: Callable[[], BaseException] = Died if death else lambda: OSError(5, "Input/output error")
    real_replace = Path.replace
    at = calls = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        publisher = LogPublisher(folder, LOG)
        first = publisher.publish(take(ENTRIES), 250)
        disk = Disk(at, error, landed)
        with monkeypatch.context() as patch:
            patch.setattr(tiles_module, "os", disk)
            patch.setattr(Path, "replace", disk.wrap(real_replace))
            try:
                publisher.publish(take(ENTRIES), 270)
            except (OSError, Died):
                calls += 1
            else:
                break
        left = open_checkpoint((folder / "checkpoint").read_bytes(), KEY)
        assert left.size in (250, 270)
        assert left.root == root(left.size, node_of(ENTRIES))
        assert first.size <= left.size
        assert audit_log(folder_of(folder), LOG.vkey).faults == [], at
        # The process goes on, or is started again, with twenty entries more.
        after = (LogPublisher(folder, LOG) if death else publisher).publish(take(ENTRIES), 290)
        assert after.root == root(290, node_of(ENTRIES))
        assert audit_log(folder_of(folder), LOG.vkey).faults == [], at
        LogPublisher(folder, LOG)
        assert not [p for p in folder.rglob(".*.new") if p.is_file()]
    assert calls == at - 1 > 20


def test_a_bit_turned_on_disk_below_the_running_writer_is_never_signed(tmp_path: Path) -> None:
    """Whatever tile the writer builds on: where a bit of it turned, nothing is signed that contradicts."""
    stopped = 0
    for name in ("tile/0/000.p/250", "tile/entries/000.p/250"):
        for bit in range(0, 250 * 32 * 8, 3001):
            folder = tmp_path / f"{name.replace('/', '-')}-{bit}"
            publisher = LogPublisher(folder, LOG)
            publisher.publish(take(ENTRIES), 250)
            path = folder / name
            data = bytearray(path.read_bytes())
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            with pytest.raises(EvidenceError):
                publisher.publish(take(ENTRIES), 300)
            assert open_checkpoint((folder / "checkpoint").read_bytes(), KEY).size == 250
            stopped += 1
    assert stopped > 40


def test_a_bit_turned_in_a_higher_tile_is_never_signed(tmp_path: Path) -> None:
    publisher = LogPublisher(tmp_path, LOG)
    publisher.publish(take(ENTRIES), 600)
    path = tmp_path / "tile/1/000.p/2"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match="no longer hold"):
        publisher.publish(take(ENTRIES), 700)
    assert open_checkpoint((tmp_path / "checkpoint").read_bytes(), KEY).size == 600


def test_a_database_that_lacks_an_entry_in_its_midst_is_refused(tmp_path: Path) -> None:
    publisher = LogPublisher(tmp_path, LOG)
    publisher.publish(take(ENTRIES), 100)
    with pytest.raises(EvidenceError, match="lacks an entry"):
        publisher.publish(lambda first, count: ENTRIES[first : first + count][: max(1, count - 1)], 200)
    assert open_checkpoint((tmp_path / "checkpoint").read_bytes(), KEY).size == 100


def test_partial_tiles_go_when_their_full_tile_is_there_and_not_before(tmp_path: Path) -> None:
    publisher = LogPublisher(tmp_path, LOG)
    for size in range(5, 256, 10):
        publisher.publish(take(ENTRIES), size)
    for size in range(5, 256, 10):  # every published size can still be read
        assert (tmp_path / f"tile/0/000.p/{size}").is_file()
    old = Proofs(tmp_path, KEY)
    assert old.inclusion(0) is not None
    publisher.publish(take(ENTRIES), 600)
    assert not (tmp_path / "tile/0/000.p").exists()
    assert not (tmp_path / "tile/entries/000.p").exists()
    assert [p.name for p in (tmp_path / "tile/0/002.p").iterdir()] == ["88"]
    assert audit_log(folder_of(tmp_path), LOG.vkey).faults == []
    # Left by a process that died between checkpoint and pruning: swept at the next start.
    stray = tmp_path / "tile/0/001.p"
    stray.mkdir()
    (stray / "7").write_bytes(b"old")
    LogPublisher(tmp_path, LOG)
    assert not stray.exists()


def test_a_full_tile_that_no_checkpoint_covers_keeps_its_partial_ones(tmp_path: Path) -> None:
    publisher = LogPublisher(tmp_path, LOG)
    publisher.publish(take(ENTRIES), 250)
    publisher.tiles.append(FORKED[250:300])  # died here; these never got a checkpoint
    again = LogPublisher(tmp_path, LOG)
    assert again.publish(take(ENTRIES), 300).root == root(300, node_of(ENTRIES))
    assert audit_log(folder_of(tmp_path), LOG.vkey).faults == []


def test_proofs_follow_the_checkpoint_and_prefer_the_witnessed_one(tmp_path: Path) -> None:
    publisher, proofs = LogPublisher(tmp_path, LOG), Proofs(tmp_path, KEY)
    assert proofs.inclusion(0) is None
    checkpoint = publisher.publish(take(ENTRIES), 300)
    line = WITNESSES[0].line(checkpoint.text, 1_000)
    publisher.add_cosignatures(checkpoint, publisher.signed, [line], True)
    publisher.publish(take(ENTRIES), 700)
    for index, witnessed in ((0, True), (299, True), (300, False), (699, False)):
        found = proofs.inclusion(index)
        assert found is not None
        text, is_witnessed = found
        assert is_witnessed is witnessed
        head, _, signed = text.partition("\n\n")
        under = open_checkpoint(signed.encode(), KEY)
        path = [base64.b64decode(h) for h in head.split("\n")[2:]]
        assert root_of_inclusion(ENTRIES[index], index, under.size, path) == under.root
        assert (line in signed) is witnessed
    assert proofs.inclusion(700) is None
    assert proofs.inclusion(-1) is None
    between = proofs.consistency(300, 700)
    assert between is not None
    path = [base64.b64decode(h) for h in between.split()]
    assert is_consistent(300, checkpoint.root, 700, root(700, node_of(ENTRIES)), path)
    assert proofs.consistency(300, 701) is None
    assert proofs.consistency(5, 4) is None


def test_cosignatures_that_come_late_do_not_replace_a_newer_checkpoint(tmp_path: Path) -> None:
    publisher = LogPublisher(tmp_path, LOG)
    old = publisher.publish(take(ENTRIES), 300)
    signed = publisher.signed
    publisher.publish(take(ENTRIES), 400)
    publisher.add_cosignatures(old, signed, [WITNESSES[0].line(old.text, 5)], True)
    assert open_checkpoint((tmp_path / "checkpoint").read_bytes(), KEY).size == 400
    assert open_checkpoint((tmp_path / "witnessed").read_bytes(), KEY).size == 300
    assert LogPublisher(tmp_path, LOG).checkpoint.size == 400
