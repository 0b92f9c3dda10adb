"""The container of a pack: one form, and every other is refused with its reason."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anxin.evidence import pack_reader
from anxin.evidence.pack_reader import PackRefusedError, read_pack
from anxin.flow.pack_files import write_zip

FILES = {"SHA256SUMS": b"sums", "a/b.txt": b"\0\1\2" * 9, "manifest.json": b"{}"}


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    write_zip(files, out)
    return out.getvalue()


def by_hand(fill: Callable[[zipfile.ZipFile], Any]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        fill(archive)
    return out.getvalue()


def info(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.create_system, found.external_attr = 3, mode << 16
    return found


NAMES = ("a.txt", "b/c.txt", "b/d-1.json", "e", "Z/z_z.pdf")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=40), min_size=1))
def test_what_is_written_is_read_and_the_same_files_are_the_same_bytes(files: dict[str, bytes]) -> None:
    assert read_pack(zipped(files)) == files
    assert zipped(dict(reversed(files.items()))) == zipped(files)


def test_every_turned_bit_of_the_container_is_seen() -> None:
    data = zipped(FILES)
    for bit in range(len(data) * 8):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PackRefusedError):
            read_pack(bytes(altered))


def test_every_cut_is_seen() -> None:
    data = zipped(FILES)
    for end in range(len(data)):
        with pytest.raises(PackRefusedError):
            read_pack(data[:end])
    with pytest.raises(PackRefusedError, match="behind the directory"):
        read_pack(data + b"\0")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = by_hand(lambda z: z.writestr(info("a.txt"), bytes(50_000_000), zipfile.ZIP_DEFLATED))
    assert len(bomb) < 100_000
    with pytest.raises(PackRefusedError, match="compressed"):
        read_pack(bomb)


@pytest.mark.parametrize(
    "name", ["../up.txt", "/etc/passwd", "a/../b", "a//b", "a\\b", "C:x", ".hidden", "a/.b", "名", "a" * 121]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(PackRefusedError, match="name"):
        read_pack(by_hand(lambda z: z.writestr(info(name), b"x")))


@pytest.mark.parametrize(
    ("fill", "why"),
    [
        (lambda z: (z.writestr(info("a"), b"1"), z.writestr(info("a"), b"2")), "twice"),
        (lambda z: (z.writestr(info("b"), b"1"), z.writestr(info("a"), b"2")), "sorted"),
        (lambda z: z.writestr(info("a", 0o120777), b"/etc/passwd"), "plain file"),
        (lambda z: z.writestr(zipfile.ZipInfo("a", (2026, 1, 1, 0, 0, 0)), b"1"), "another program"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_has_another_form_is_refused(fill: Callable[[zipfile.ZipFile], Any], why: str) -> None:
    with pytest.raises(PackRefusedError, match=why):
        read_pack(by_hand(fill))


def test_a_directory_that_names_other_files_than_the_headers_is_refused() -> None:
    data = zipped({"a": b"1"})
    assert data.count(b"PK\1\2") == 1
    with pytest.raises(PackRefusedError, match="directory"):
        read_pack(data[: data.index(b"PK\1\2")] + data[data.index(b"PK\5\6") :])


def test_sizes_and_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_reader, "MAX_FILES", 2)
    with pytest.raises(PackRefusedError, match="more than 2 files"):
        read_pack(zipped(FILES))
    monkeypatch.setattr(pack_reader, "MAX_PACK_BYTES", 10)
    with pytest.raises(PackRefusedError, match="at most 10"):
        read_pack(zipped(FILES))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_nothing_else_is_raised(data: bytes) -> None:
    with pytest.raises(PackRefusedError):
        read_pack(b"PK\3\4" + data)
