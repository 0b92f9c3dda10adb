"""The meter envelope AXE1: how a meter uploads its signed record encrypted. Byte-exact page: docs/formats.

    offset  length  content
    0       3       "AXE"
    3       1       version, 1
    4       1       suite: 1 SM4-GCM (GB/T 32907, 128-bit key), 2 AES-256-GCM (FIPS 197, SP 800-38D)
    5       1       side: 0 unstated, 1 begin, 2 end, 3 whole transaction
    6       8       counter, unsigned, from 1, never used twice under one key
    14      8       time of sending, UTC ms, unsigned
    22      1 + k   length and UTF-8 of the key id          (1 to 64 bytes)
    ..      1 + m   length and UTF-8 of the meter id        (1 to 64 bytes)
    ..      1 + t   length and UTF-8 of the transaction id  (0 to 255 bytes)
    ..      4       length of the ciphertext, without the tag
    ..      n       ciphertext: the OCMF record, encrypted
    ..      16      tag

All integers are big-endian. Everything before the ciphertext is authenticated (AAD) and readable. The nonce has 12
bytes: the first four of SHA-256("AXE1" | meter id), then the counter; the four keep two meters apart that were given
one key by mistake. In text files an envelope is one line: "AXE1." and Base64url without padding.

The envelope keeps a record from being read or altered on its way by those without the key. Who made the record is
proved by its own signature alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from anxin.domain.batch import Side, SignedRecord
from anxin.domain.errors import FormatError
from anxin.domain.quantities import MAX_YEAR
from anxin.domain.source import Source
from anxin.formats import ocmf
from anxin.formats.values import clean_text

LINE_PREFIX = b"AXE1."
MAGIC = b"AXE"
VERSION = 1
#: The longest record that `ocmf.decode` takes.
MAX_CIPHERTEXT_BYTES = 1024 * 1024
MAX_SHORT_ID_BYTES = 64
MAX_TRANSACTION_ID_BYTES = 255
TAG_BYTES = 16
NONCE_PREFIX_BYTES = 4
_FIXED = struct.Struct(">3sBBBQQ")
_LENGTH = struct.Struct(">I")
_MAX_LINE_BYTES = (_FIXED.size + 3 * 256 + _LENGTH.size + MAX_CIPHERTEXT_BYTES + TAG_BYTES) * 4 // 3 + 16
_MAX_UTC_MS = (MAX_YEAR - 1970 + 1) * 366 * 86_400_000
_MAX_COUNTER = 2**63 - 1  # fits a signed 64-bit column


class Suite(IntEnum):
    """Suite ids on the wire; AES-128-GCM has none on purpose."""

    SM4_GCM = 1
    AES_256_GCM = 2

    @property
    def key_bytes(self) -> int:
        """Length of a key of this suite."""
        return 16 if self is Suite.SM4_GCM else 32


SUITE_NAMES = {"SM4-GCM": Suite.SM4_GCM, "AES-256-GCM": Suite.AES_256_GCM}
_SIDES = (Side.UNSTATED, Side.BEGIN, Side.END, Side.WHOLE)


@dataclass(frozen=True, slots=True)
class ContentKey:
    """A content-encryption key, shared by one meter and the platform. `meter_id` None: not bound to one meter."""

    key_id: str
    suite: Suite
    key: bytes
    meter_id: str | None = None

    def __post_init__(self) -> None:
        if len(self.key) != self.suite.key_bytes:
            raise FormatError("envelope.key", f"key {self.key_id}: this suite needs {self.suite.key_bytes} bytes")


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope taken apart, before it is opened. `header` is what the tag covers besides the ciphertext."""

    suite: Suite
    side: Side
    counter: int
    sent_utc_ms: int
    key_id: str
    meter_id: str
    transaction_id: str | None
    header: bytes
    ciphertext: bytes
    tag: bytes


class CannotOpenError(FormatError):
    """An envelope of right shape that cannot be opened: `rule` is the reason (unknown_key, tag_mismatch, ...)."""


def seal(
    record: bytes,
    content_key: ContentKey,
    *,
    counter: int,
    meter_id: str,
    transaction_id: str | None = None,
    side: Side = Side.UNSTATED,
    sent_utc_ms: int,
) -> bytes:
    """Return the binary envelope around one OCMF record. Raises FormatError where a field is out of its limits.

    The caller MUST NOT use a counter twice under one key: with GCM that would lay open both records and the key.
    """
    if not 1 <= counter <= _MAX_COUNTER or not 0 <= sent_utc_ms <= _MAX_UTC_MS:
        raise FormatError("envelope.range", "counter or time out of range")
    if not 1 <= len(record) <= MAX_CIPHERTEXT_BYTES:
        raise FormatError("envelope.size", f"a record has 1 to {MAX_CIPHERTEXT_BYTES} bytes")
    header = (
        _FIXED.pack(MAGIC, VERSION, content_key.suite, _SIDES.index(side), counter, sent_utc_ms)
        + _packed(content_key.key_id, MAX_SHORT_ID_BYTES, "key id")
        + _packed(meter_id, MAX_SHORT_ID_BYTES, "meter id")
        + _packed(transaction_id or "", MAX_TRANSACTION_ID_BYTES, "transaction id", least=0)
        + _LENGTH.pack(len(record))
    )
    cipher = Cipher(_algorithm(content_key), modes.GCM(_nonce(meter_id, counter))).encryptor()
    cipher.authenticate_additional_data(header)
    ciphertext = cipher.update(record) + cipher.finalize()
    return header + ciphertext + cipher.tag


def parse(data: bytes) -> Envelope:
    """Return a binary envelope taken apart. Raises FormatError `envelope.*` where it has not the shape of one."""
    if len(data) < _FIXED.size or not data.startswith(MAGIC):
        raise FormatError("envelope.header", "not a meter envelope: it must begin with AXE")
    _, version, suite, side, counter, sent = _FIXED.unpack_from(data)
    if version != VERSION:
        raise FormatError("envelope.version", f"unknown version {version}", "version")
    if suite not in Suite.__members__.values():
        raise FormatError("envelope.suite", f"unknown suite {suite}", "suite")
    if side >= len(_SIDES):
        raise FormatError("envelope.side", f"unknown side {side}", "side")
    if not 1 <= counter <= _MAX_COUNTER or sent > _MAX_UTC_MS:
        raise FormatError("envelope.range", "counter or time out of range", "counter")
    key_id, at = _unpacked(data, _FIXED.size, MAX_SHORT_ID_BYTES, "key id")
    meter_id, at = _unpacked(data, at, MAX_SHORT_ID_BYTES, "meter id")
    transaction_id, at = _unpacked(data, at, MAX_TRANSACTION_ID_BYTES, "transaction id")
    if key_id is None or meter_id is None:
        raise FormatError("envelope.id", "an envelope needs a key id and a meter id", "key id")
    if len(data) < at + _LENGTH.size:
        raise FormatError("envelope.truncated", "the envelope breaks off")
    (length,) = _LENGTH.unpack_from(data, at)
    at += _LENGTH.size
    if not 1 <= length <= MAX_CIPHERTEXT_BYTES or len(data) != at + length + TAG_BYTES:
        raise FormatError("envelope.truncated", f"{len(data)} bytes do not fit a ciphertext of {length}")
    return Envelope(
        suite=Suite(suite),
        side=_SIDES[side],
        counter=counter,
        sent_utc_ms=sent,
        key_id=key_id,
        meter_id=meter_id,
        transaction_id=transaction_id,
        header=data[:at],
        ciphertext=data[at : at + length],
        tag=data[at + length :],
    )


def open_envelope(envelope: Envelope, content_keys: Iterable[ContentKey]) -> bytes:
    """Return the OCMF record inside. Raises CannotOpenError: `unknown_key`, `key_of_another_meter`, `suite_mismatch`,
    `tag_mismatch` (altered on the way, or sealed with another key)."""
    key = next((key for key in content_keys if key.key_id == envelope.key_id), None)
    if key is None:
        raise CannotOpenError("unknown_key", f"no content key {envelope.key_id!r} is known")
    if key.meter_id is not None and key.meter_id != envelope.meter_id:
        raise CannotOpenError("key_of_another_meter", f"key {key.key_id!r} belongs to meter {key.meter_id!r}")
    if key.suite is not envelope.suite:
        raise CannotOpenError("suite_mismatch", f"key {key.key_id!r} is for another suite than the envelope states")
    nonce = _nonce(envelope.meter_id, envelope.counter)
    cipher = Cipher(_algorithm(key), modes.GCM(nonce, envelope.tag)).decryptor()
    cipher.authenticate_additional_data(envelope.header)
    try:
        return cipher.update(envelope.ciphertext) + cipher.finalize()
    except InvalidTag:
        raise CannotOpenError("tag_mismatch", "the tag does not fit: altered on the way, or another key") from None


def to_line(data: bytes) -> bytes:
    """Return the text form of a binary envelope, one line without its end."""
    return LINE_PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=")


def from_line(line: bytes) -> bytes:
    """Return the binary form of one line. Raises FormatError `envelope.line`."""
    text = line.strip()
    if len(text) > _MAX_LINE_BYTES:
        raise FormatError("envelope.size", f"a line has more than {_MAX_LINE_BYTES} bytes")
    if not text.startswith(LINE_PREFIX):
        raise FormatError("envelope.line", "a meter envelope's line begins with AXE1.")
    body = text[len(LINE_PREFIX) :].rstrip(b"=")
    try:
        data = base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("envelope.line", "not Base64url behind AXE1.") from None
    # Two texts of one envelope would be two identities of one upload.
    if to_line(data) != LINE_PREFIX + body:
        raise FormatError("envelope.line", "Base64url with stray bits at its end")
    return data


def decode_line(line: bytes, source: Source, content_keys: Iterable[ContentKey]) -> SignedRecord:
    """Return the record in one line; `cannot_open` says why an envelope stays shut, `malformed_rule` why what was
    inside is no record. Raises FormatError `envelope.*` where the line is no envelope."""
    return decode_binary(from_line(line), source, content_keys)


def decode_binary(data: bytes, source: Source, content_keys: Iterable[ContentKey]) -> SignedRecord:
    """Return the record in one binary envelope, as `decode_line`."""
    envelope = parse(data)
    raw, record = data, None
    cannot_open = malformed_rule = malformed_detail = None
    try:
        raw = open_envelope(envelope, content_keys)
        record = ocmf.decode(raw)
    except CannotOpenError as error:
        cannot_open = error.rule
    except FormatError as error:
        malformed_rule, malformed_detail = error.rule, str(error)
    return SignedRecord(
        source=source,
        raw=raw,
        record=record,
        malformed_rule=malformed_rule,
        malformed_detail=malformed_detail,
        transaction_id=envelope.transaction_id,
        side=envelope.side,
        meter_id=envelope.meter_id,
        received_utc_ms=envelope.sent_utc_ms,
        cannot_open=cannot_open,
        envelope_counter=envelope.counter,
        envelope_key_id=envelope.key_id,
    )


def _algorithm(key: ContentKey) -> algorithms.SM4 | algorithms.AES:
    return algorithms.SM4(key.key) if key.suite is Suite.SM4_GCM else algorithms.AES(key.key)


def _nonce(meter_id: str, counter: int) -> bytes:
    return hashlib.sha256(b"AXE1" + meter_id.encode()).digest()[:NONCE_PREFIX_BYTES] + counter.to_bytes(8, "big")


def _packed(text: str, most: int, name: str, least: int = 1) -> bytes:
    data = (clean_text(text, name) or "").encode()
    if not least <= len(data) <= most:
        raise FormatError("envelope.id", f"{name} has {len(data)} bytes, not {least} to {most}", name)
    return bytes([len(data)]) + data


def _unpacked(data: bytes, at: int, most: int, name: str) -> tuple[str | None, int]:
    end = at + 1 + (data[at] if at < len(data) else 0)
    if at >= len(data) or end > len(data):
        raise FormatError("envelope.truncated", "the envelope breaks off", name)
    if end - at - 1 > most:
        raise FormatError("envelope.id", f"{name} has more than {most} bytes", name)
    try:
        text = data[at + 1 : end].decode()
    except UnicodeDecodeError:
        raise FormatError("envelope.id", f"{name} is not UTF-8", name) from None
    if clean_text(text, name) != (text or None):
        raise FormatError("envelope.id", f"{name} has blanks at its ends", name)
    return text or None, end
