"""Bytes -> text: UTF-8, or a sentence on what the bytes look like instead."""

from __future__ import annotations

import codecs

from anxin.domain.errors import FormatError

BOM_UTF8 = codecs.BOM_UTF8
#: How much of a file is looked at to guess what a wrong encoding is.
SAMPLE_BYTES = 64 * 1024


def decode_utf8(data: bytes) -> str:
    """Return UTF-8 text without its byte order mark. Raises FormatError `encoding.*`, naming the likely encoding."""
    try:
        return str(data.removeprefix(BOM_UTF8), "utf-8")
    except UnicodeDecodeError as error:
        likely = likely_encoding(data)
        hint = f"; it looks like {likely}" if likely else ""
        raise FormatError("encoding.utf8", f"not UTF-8 at byte {error.start}{hint}") from None


def likely_encoding(data: bytes) -> str | None:
    """Return the likely name of an encoding that is not UTF-8, None where nothing fits. Only for messages."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    sample = data[:SAMPLE_BYTES]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    if max(zeros) * 4 > len(sample) // 2 + 1:
        return "UTF-16LE" if zeros[1] > zeros[0] else "UTF-16BE"
    try:
        # The sample may cut a character in two; the decoder then keeps the half for more input.
        text = codecs.getincrementaldecoder("gb18030")().decode(sample)
    except UnicodeDecodeError:
        return "Windows-1252 or ISO 8859-1" if 0 not in sample else None
    chinese = sum("\u4e00" <= char <= "\u9fff" for char in text)
    return "GBK (GB 18030)" if chinese * 2 >= sum(char > "\x7f" for char in text) else "Windows-1252 or ISO 8859-1"
