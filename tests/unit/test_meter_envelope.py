"""The meter envelope AXE1: the documented vectors, and every way of tampering."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.batch import Side
from anxin.domain.errors import FormatError
from anxin.domain.source import Source
from anxin.formats import meter_envelope as axe

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "meter-envelope.md"
HERE = Source("uploads.txt", 3)
KEY = axe.ContentKey("k-1", axe.Suite.SM4_GCM, bytes(range(16)), "M1")
RECORD = b'OCMF|{"FV":"1.0","RD":[]}|{"SD":"00"}'


def sealed(key: axe.ContentKey = KEY, **changes: object) -> bytes:
    options: dict[str, object] = {
        "counter": 5, "meter_id": "M1", "transaction_id": "T1", "side": Side.BEGIN, "sent_utc_ms": 1_790_000_000_000,
    }  # fmt: skip
    options.update(changes)
    return axe.seal(RECORD, key, **options)  # type: ignore[arg-type]


def documented_vectors() -> list[dict[str, str]]:
    """The vectors as the page prints them: blocks of `name = value` lines."""
    blocks = re.findall(r"```vector\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [dict(line.split(" = ", 1) for line in block.strip().splitlines()) for block in blocks]


@pytest.mark.parametrize("vector", documented_vectors(), ids=lambda vector: vector["suite"])
def test_the_vectors_of_the_page_open_and_are_sealed_to_the_same_bytes(vector: dict[str, str]) -> None:
    key = axe.ContentKey(
        vector["key_id"], axe.SUITE_NAMES[vector["suite"]], bytes.fromhex(vector["key"]), vector["meter_id"]
    )
    data = axe.from_line(vector["line"].encode())
    envelope = axe.parse(data)
    assert data.hex() == vector["header"] + vector["ciphertext"] + vector["tag"]
    assert envelope.header.hex() == vector["header"]
    assert axe.open_envelope(envelope, [key]) == vector["record"].encode()
    again = axe.seal(
        vector["record"].encode(), key, counter=int(vector["counter"]), meter_id=vector["meter_id"],
        transaction_id=vector["transaction_id"], side=Side(vector["side"]), sent_utc_ms=int(vector["sent_utc_ms"]),
    )  # fmt: skip
    assert again == data
    assert axe._nonce(vector["meter_id"], int(vector["counter"])).hex() == vector["nonce"]


def test_the_page_has_a_vector_of_each_suite() -> None:
    assert {vector["suite"] for vector in documented_vectors()} == set(axe.SUITE_NAMES)


@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 2**63 - 1),
    st.sampled_from(list(Side)),
    st.from_regex(r"[A-Za-z0-9表-]{1,20}", fullmatch=True),
    st.sampled_from(list(axe.Suite)),
)
def test_what_is_sealed_opens_to_the_same(record: bytes, counter: int, side: Side, name: str, suite: axe.Suite) -> None:
    key = axe.ContentKey(name, suite, bytes(suite.key_bytes))
    data = axe.seal(record, key, counter=counter, meter_id=name, side=side, sent_utc_ms=0)
    envelope = axe.parse(axe.from_line(axe.to_line(data)))
    assert axe.open_envelope(envelope, [key]) == record
    assert (envelope.counter, envelope.side, envelope.meter_id, envelope.transaction_id) == (counter, side, name, None)


def test_a_line_becomes_a_signed_record_with_what_the_header_says() -> None:
    record = axe.decode_line(axe.to_line(sealed()) + b"\r\n", HERE, [KEY])
    assert (record.raw, record.source, record.side) == (RECORD, HERE, Side.BEGIN)
    assert (record.meter_id, record.transaction_id, record.received_utc_ms) == ("M1", "T1", 1_790_000_000_000)
    assert (record.envelope_counter, record.envelope_key_id, record.cannot_open) == (5, "k-1", None)


def answer_to(data: bytes, keys: list[axe.ContentKey]) -> str:
    """The rule under which bytes are refused, `shut: reason` where they stay shut, `opened` where they open."""
    try:
        record = axe.decode_binary(data, HERE, keys)
    except FormatError as error:
        return error.rule
    return f"shut: {record.cannot_open}" if record.cannot_open else "opened"


def test_every_single_flipped_bit_is_found() -> None:
    data = sealed()
    for bit in range(len(data) * 8):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        outcome = answer_to(bytes(altered), [KEY, replace(KEY, key_id="k-0", meter_id=None)])
        assert outcome.startswith(("envelope.", "text.", "shut: "))


def test_every_truncation_is_found() -> None:
    data = sealed()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            axe.parse(data[:length])


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], "unknown_key"),
        ([replace(KEY, key_id="k-2")], "unknown_key"),
        ([replace(KEY, meter_id="M2")], "key_of_another_meter"),
        ([axe.ContentKey("k-1", axe.Suite.AES_256_GCM, bytes(32), "M1")], "suite_mismatch"),
        ([replace(KEY, key=bytes(16))], "tag_mismatch"),
    ],
)
def test_an_envelope_that_stays_shut_says_why(keys: list[axe.ContentKey], reason: str) -> None:
    record = axe.decode_binary(sealed(), HERE, keys)
    assert (record.cannot_open, record.record, record.malformed_rule) == (reason, None, None)
    assert record.raw == sealed()


def test_what_is_inside_may_be_no_record() -> None:
    data = axe.seal(b"hello", KEY, counter=1, meter_id="M1", sent_utc_ms=0)
    record = axe.decode_binary(data, HERE, [KEY])
    assert (record.malformed_rule, record.cannot_open) == ("ocmf.header", None)


@pytest.mark.parametrize(
    "change",
    [
        {"counter": 0},
        {"counter": 2**63},
        {"sent_utc_ms": -1},
        {"meter_id": ""},
        {"meter_id": "m" * 65},
        {"meter_id": "a\x00"},
        {"transaction_id": "t" * 256},
    ],
)
def test_what_does_not_fit_is_not_sealed(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        sealed(KEY, **change)


@pytest.mark.parametrize("line", [b"", b"AXE1", b"AXE1.", b"AXE1.***", b"AXE1.QQ\xff", b"OCMF|", b"AXE2.QUFB"])
def test_a_line_that_is_no_envelope_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        axe.decode_line(line, HERE, [KEY])


def test_one_envelope_has_one_text() -> None:
    data = sealed()[:-1]  # a length that leaves unused bits in the last character
    line = axe.to_line(data)
    assert axe.from_line(line) == data
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = line[:-1] + alphabet[alphabet.index(line[-1:]) + 1 :][:1]
    with pytest.raises(FormatError, match="stray bits"):
        axe.from_line(stray)


def test_a_key_of_a_wrong_length_is_refused() -> None:
    with pytest.raises(FormatError):
        axe.ContentKey("k", axe.Suite.AES_256_GCM, bytes(16))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_a_format_error(tail: bytes) -> None:
    for data in (tail, sealed()[:22] + tail):
        try:
            axe.decode_binary(data, HERE, [KEY])
        except FormatError:
            continue
