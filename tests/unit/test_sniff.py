"""Files are told by their content; what is of no known dialect is named for what it looks like."""

from __future__ import annotations

import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.errors import InputError
from anxin.formats.sniff import Dialect, sniff

HEADS = [
    (b'OCMF|{"FV":"1.0"}|{}', Dialect.OCMF),
    (b"\xef\xbb\xbf\nOCMF|{}|{}", Dialect.OCMF),
    (b'<?xml version="1.0"?><values/>', Dialect.SAFE_XML),
    (b"AXE1.QVhF", Dialect.ENVELOPE),
    (b"AXE\x01\x01\x00", Dialect.ENVELOPE_BINARY),
    (b'{"StartChargeSeq": "1"}', Dialect.TCEC102),
    (b'[\n {"ConnectorID": "1", "startChargeSeq": "2"}]', Dialect.TCEC102),
    (b'{"CheckOrderSeq": "1"}', Dialect.TCEC102),
    (b'{"OperatorID":"1","Data":"xx","TimeStamp":"2","Seq":"3","Sig":"4"}', Dialect.TCEC102_ENVELOPE),
    (b'{"data":[{"country_code":"BE","cdr_token":{}}]}', Dialect.OCPI),
    (b"id,kWh\n1,2\n", Dialect.CSV),
    ("编号;电量\n1;2\n".encode("gbk"), Dialect.CSV),
    (b"PK\x03\x04....", Dialect.XLSX),
    (b"PAR1....", Dialect.PARQUET),
]


@pytest.mark.parametrize(("head", "dialect"), HEADS)
def test_a_dialect_is_told_by_content_also_inside_gzip(head: bytes, dialect: Dialect) -> None:
    assert sniff(head, "file.bin") is dialect
    assert sniff(gzip.compress(head, mtime=0), "file.gz") is dialect


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (b"\x1f\x8b\x00\x00", "broken .gz"),
        (b'{"operators": []}', "neither T/CEC 102 orders nor OCPI CDRs (keys: operators)"),
        ("电量,1\n".encode("utf-16"), "UTF-16"),
        ("这是一份文件".encode("gbk"), "GBK"),
        (b"hello", "no known dialect"),
        (bytes(range(256)), "no known dialect"),
    ],
)
def test_what_is_of_no_dialect_is_said_clearly(head: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        sniff(head, "dir/file")
    assert str(caught.value).startswith("dir/file: ")
    assert message in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_dialect_or_an_input_error(data: bytes) -> None:
    with contextlib.suppress(InputError):
        assert sniff(data, "x") in Dialect
