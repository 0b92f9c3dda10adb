"""A monitor that remembers one checkpoint: growth passes; rollback, fork and tiles that lie do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from anxin.evidence.auditor import folder_of
from anxin.evidence.monitor import look
from anxin.evidence.publisher import LogPublisher
from tests.evidence.trees import ENTRIES, FORKED, LOG, signed, take


def published(folder: Path, entries: list[bytes], *sizes: int) -> Path:
    publisher = LogPublisher(folder, LOG)
    for size in sizes:
        publisher.publish(take(entries), size)
    return folder


def test_a_log_that_grows_is_followed_from_any_size_to_any(tmp_path: Path) -> None:
    for size in (1, 2, 3, 255, 256, 257, 511, 513, 700):
        read = folder_of(published(tmp_path / str(size), ENTRIES, size))
        assert look(read, LOG.vkey, None).fault is None
        for old in (*range(min(size, 20) + 1), *range(250, min(size, 260) + 1), size):
            seen = look(read, LOG.vkey, signed(ENTRIES, old))
            assert (seen.fault, seen.size, seen.old) == (None, size, old)


def test_rollback_and_fork_are_found(tmp_path: Path) -> None:
    read = folder_of(published(tmp_path, ENTRIES, 300))
    assert "rolled back" in str(look(read, LOG.vkey, signed(ENTRIES, 301)).fault)
    for old in (1, 100, 256, 299, 300):
        assert "forked" in str(look(read, LOG.vkey, signed(FORKED, old)).fault)
        mixed = [*ENTRIES[: old - 1], *FORKED[old - 1 :]]
        assert "forked" in str(look(read, LOG.vkey, signed(mixed, old)).fault)


def test_tiles_that_lie_at_one_level_do_not_hide_a_fork(tmp_path: Path) -> None:
    """The forked log serves old level-0 tiles, so that the old root can be made from them, and its own level 1."""
    published(tmp_path / "old", ENTRIES, 600)
    read = folder_of(published(tmp_path / "new", [*FORKED[:512], *ENTRIES[512:]], 700))
    for number in ("000", "001"):
        shutil.copy(tmp_path / "old/tile/0" / number, tmp_path / "new/tile/0" / number)
    for old in (1, 255, 257, 300, 511, 600):
        assert look(read, LOG.vkey, signed(ENTRIES, old)).fault is not None, old


def test_what_cannot_be_read_or_is_another_log_is_said(tmp_path: Path) -> None:
    read = folder_of(published(tmp_path, ENTRIES, 300))
    with pytest.raises(ValueError, match="checkpoint"):
        look(read, LOG.vkey, b"no checkpoint")
    (tmp_path / "tile/0/000").unlink()
    with pytest.raises(OSError, match="000"):
        look(read, LOG.vkey, signed(ENTRIES, 100))
    (tmp_path / "checkpoint").write_bytes(b"nothing\n")
    assert look(read, LOG.vkey, None).fault is not None
