"""The little DER that signatures and public keys need (ITU-T X.690), strict where it says strict."""

from __future__ import annotations

from dataclasses import dataclass

INTEGER, BIT_STRING, OID, SEQUENCE = 0x02, 0x03, 0x06, 0x30


class DerError(ValueError):
    """Bytes are not the structure looked for. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class SignaturePair:
    """r and s of a signature. `strict` is False where the bytes are BER or worse, `defect` then names the first one:
    `unpadded` (an integer whose top bit makes it negative), `length` (non-minimal), `trailing` (bytes left over)."""

    r: int
    s: int
    strict: bool
    defect: str | None = None


def read_element(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """Return the content of the element at `at` and the index behind it. Raises DerError."""
    if at + 2 > len(data) or data[at] != tag:
        raise DerError(f"no element of type {tag:#x} at byte {at}")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 3 or start + count > len(data):
            raise DerError(f"an unreadable length at byte {at}")
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + length > len(data):
        raise DerError(f"an element reaches beyond the data at byte {at}")
    return data[start : start + length], start + length


def element(tag: int, content: bytes) -> bytes:
    """Return one DER element."""
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def encode_signature(r: int, s: int) -> bytes:
    """Return ECDSA-Sig-Value / SM2Signature as strict DER."""
    return element(SEQUENCE, _integer(r) + _integer(s))


def read_signature(data: bytes) -> SignaturePair:
    """Return r and s read as a tolerant reader would, and whether the bytes are strict DER. Raises DerError."""
    body, end = read_element(data, 0, SEQUENCE)
    first, at = read_element(body, 0, INTEGER)
    second, inner_end = read_element(body, at, INTEGER)
    if not first or not second:
        raise DerError("an integer without content")
    r, s = int.from_bytes(first, "big"), int.from_bytes(second, "big")
    if encode_signature(r, s) == data:
        return SignaturePair(r, s, True)
    if first[0] & 0x80 or second[0] & 0x80:
        return SignaturePair(r, s, False, "unpadded")
    defect = "trailing" if end != len(data) or inner_end != len(body) else "length"
    return SignaturePair(r, s, False, defect)


def _integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
