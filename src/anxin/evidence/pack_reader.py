"""The container of an evidence pack, read by one who trusts nobody: every byte of it is where its one form puts it.

A pack is a ZIP (PKWARE APPNOTE 6.3.10) in which everything is stored, names are sorted, times and attributes are fixed
(docs/formats/evidence-pack.md). It is read from its start, header by header, and what the directory at its end must
then be is compared byte for byte. So nothing can be packed, linked, hidden between files, named twice, or told
differently by two readers.
"""

from __future__ import annotations

import re
import struct
import zlib

#: Largest pack that is read: it is held in memory. The builder stops at a quarter of it.
MAX_PACK_BYTES = 512 * 1024 * 1024
#: Files of one pack: five or so for each message.
MAX_FILES = 60_000
#: Characters of a name inside a pack.
MAX_NAME_CHARS = 120
#: Letters, digits, and a dot that does not begin a part; a part never goes up, and a name never begins with a slash.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*){0,3}")
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _MADE_BY, _NO_DATE, _REGULAR = 20, 3 << 8 | 20, 1 << 5 | 1, 0o100644 << 16


class PackRefusedError(ValueError):
    """These bytes are no evidence pack; `str()` says why. What is inside is not looked at."""


def read_pack(data: bytes) -> dict[str, bytes]:
    """Return the files of a pack by name. Raises PackRefusedError for anything that is not in the one form."""
    if len(data) > MAX_PACK_BYTES:
        raise PackRefusedError(f"{len(data)} bytes; a pack has at most {MAX_PACK_BYTES}")
    files: dict[str, bytes] = {}
    directory: list[bytes] = []
    at, last = 0, ""
    while data[at : at + 4] == b"PK\3\4":
        if len(files) == MAX_FILES:
            raise PackRefusedError(f"more than {MAX_FILES} files")
        name, content, end = _file(data, at)
        if name in files:
            raise PackRefusedError(f"{name} stands there twice")
        if name <= last:
            raise PackRefusedError(f"{name} is not in its place: names are sorted")
        files[name] = content
        directory.append(_directory_entry(name, content, at))
        at, last = end, name
    if not files:
        raise PackRefusedError("this is no pack: a ZIP begins with its first file")
    size = sum(len(entry) for entry in directory)
    end_record = _END.pack(b"PK\5\6", 0, 0, len(files), len(files), size, at, 0)
    if data[at:] != b"".join(directory) + end_record:
        raise PackRefusedError(_why_the_end_differs(data[at:], directory))
    return files


def _file(data: bytes, at: int) -> tuple[str, bytes, int]:
    """One file at a place: its name, its bytes, and where the next begins."""
    if len(data) < at + _LOCAL.size:
        raise PackRefusedError("it breaks off")
    (_, version, flags, method, time, date, crc, packed, size, name_length, extra) = _LOCAL.unpack_from(data, at)
    raw = data[at + _LOCAL.size : at + _LOCAL.size + name_length]
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError:
        raise PackRefusedError(f"a name that is not ASCII: {raw[:60]!a}") from None
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise PackRefusedError(f"a name that no pack has: {name[:60]!a}")
    if method != 0 or packed != size:
        raise PackRefusedError(f"{name} is compressed: a pack stores its files as they are")
    if flags != 0:
        raise PackRefusedError(f"{name} is encrypted, streamed or otherwise marked")
    if (version, time, date, extra) != (_VERSION, 0, _NO_DATE, 0):
        raise PackRefusedError(f"{name} has a header of another form: the pack was packed again by another program")
    start = at + _LOCAL.size + name_length
    content = data[start : start + size]
    if len(content) != size:
        raise PackRefusedError(f"{name} breaks off")
    if zlib.crc32(content) != crc:
        raise PackRefusedError(f"{name} was altered: its check sum (CRC-32) is another")
    return name, content, start + size


def _directory_entry(name: str, content: bytes, at: int) -> bytes:
    raw = name.encode()
    head = _CENTRAL.pack(
        b"PK\1\2", _MADE_BY, _VERSION, 0, 0, 0, _NO_DATE, zlib.crc32(content), len(content), len(content),
        len(raw), 0, 0, 0, 0, _REGULAR, at,
    )  # fmt: skip
    return head + raw


def _why_the_end_differs(found: bytes, directory: list[bytes]) -> str:
    """Say what is wrong with the directory at the end."""
    at = 0
    for entry in directory:
        own = found[at : at + len(entry)]
        if own != entry:
            name = entry[_CENTRAL.size :].decode()
            if own[:4] == b"PK\1\2" and len(own) == len(entry) and own[38:42] != entry[38:42]:
                return f"{name} is no plain file in the directory: a link, a folder, or other rights"
            return f"the directory at the end says something else of {name} than its own header"
        at += len(entry)
    return "there is more, or less, behind the directory than its end"
