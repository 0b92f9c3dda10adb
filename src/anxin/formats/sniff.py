"""Which dialect are these bytes? Told by content; the name only breaks ties."""

from __future__ import annotations

import re
import zlib
from enum import StrEnum

from anxin.domain.errors import FormatError, InputError
from anxin.formats.text_encoding import BOM_UTF8, decode_utf8, likely_encoding

#: So many bytes of a file's head are enough to tell its dialect.
HEAD_BYTES = 64 * 1024
_GZIP = b"\x1f\x8b"
_KEY = re.compile(rb'"([A-Za-z_]{2,40})"\s*:')


class Dialect(StrEnum):
    """What a file holds. The same value whether the file is compressed with gzip or not."""

    OCMF = "ocmf"
    SAFE_XML = "safe_xml"
    ENVELOPE = "envelope"
    ENVELOPE_BINARY = "envelope_binary"
    TCEC102 = "tcec102"
    TCEC102_ENVELOPE = "tcec102_envelope"
    OCPI = "ocpi"
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


#: Keys that only one JSON dialect has, by the first letters' case-free form.
_TCEC102_KEYS = {b"startchargeseq", b"chargeorderinfo", b"chargeorderinfos", b"checkorderseq", b"chargeorders"}
_OCPI_KEYS = {b"start_date_time", b"cdr_location", b"cdr_token", b"charging_periods", b"total_energy"}


def sniff(head: bytes, name: str) -> Dialect:
    """Return the dialect of a file from its first bytes (HEAD_BYTES are enough).

    Raises InputError, saying what the bytes look like, where it is none of these.
    """
    plain = _unpacked(head, name)
    body = plain.removeprefix(BOM_UTF8).lstrip()
    if not body:
        raise InputError(f"{name}: the file is empty")
    for start, dialect in (
        (b"PAR1", Dialect.PARQUET),
        (b"PK\x03\x04", Dialect.XLSX),
        (b"AXE1.", Dialect.ENVELOPE),
        (b"AXE\x01", Dialect.ENVELOPE_BINARY),
        (b"OCMF|", Dialect.OCMF),
        (b"<", Dialect.SAFE_XML),
    ):
        if body.startswith(start):
            return dialect
    if body[:1] in (b"{", b"["):
        return _json(body, name)
    return _text(plain, name)


def _unpacked(head: bytes, name: str) -> bytes:
    if not head.startswith(_GZIP):
        return head
    packed = zlib.decompressobj(31)
    try:
        plain = packed.decompress(head, HEAD_BYTES)
    except zlib.error as error:
        raise InputError(f"{name}: a broken .gz file ({error})") from None
    if not plain and not packed.eof:
        raise InputError(f"{name}: a broken .gz file (it ends before its content begins)")
    return plain


def _json(body: bytes, name: str) -> Dialect:
    keys = {match.group(1).lower() for match in _KEY.finditer(body[:HEAD_BYTES])}
    if keys & _TCEC102_KEYS:
        return Dialect.TCEC102
    if keys & _OCPI_KEYS:
        return Dialect.OCPI
    if {b"data", b"sig"} <= keys or {b"data", b"operatorid"} <= keys:
        return Dialect.TCEC102_ENVELOPE
    some = ", ".join(sorted(key.decode() for key in keys)[:5]) or "none"
    raise InputError(
        f"{name}: JSON, but neither T/CEC 102 orders nor OCPI CDRs (keys: {some}); registers and keys are given apart"
    )


def _text(plain: bytes, name: str) -> Dialect:
    first = plain.removeprefix(BOM_UTF8).lstrip().split(b"\n", 1)[0]
    separated = any(first.count(sign) for sign in (b",", b";", b"\t", b"|"))
    binary = sum(byte < 9 for byte in plain[:1024])
    if separated and not binary:
        return Dialect.CSV  # also in another encoding: the mapping may state it, the decoder names it otherwise
    try:
        # The head may cut the last character in two: three bytes at most.
        decode_utf8(plain[:-4] if len(plain) > 4 else plain)
        looks = None
    except FormatError as error:
        looks = likely_encoding(plain) or str(error)
    hint = f"; it looks like {looks}" if looks else ""
    known = "OCMF, SAFE XML, AXE1 envelopes, T/CEC 102, OCPI, CSV, XLSX, Parquet"
    raise InputError(f"{name}: of no known dialect{hint} (known: {known})")
