"""`anxin check` on files as users have them: containers, several records, envelopes, and everything that goes wrong."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from anxin.cli import check
from anxin.domain.register import MeterKey
from anxin.formats import meter_envelope, safe_xml
from anxin.formats.ocmf import encode_frame
from anxin.formats.register import dump_keys
from anxin.trust.signing import new_signing_key
from tests.scenarios.record_notation import parse

SIGNER = new_signing_key("ECDSA-secp256r1-SHA256", b"scenarios")
SM2 = new_signing_key("SM2-sm2p256v1-SM3", b"check")
GOOD = parse("record PG=T1 B=100.0@10:00 E=120.5@10:30").records[0][0]
BEGIN, END = (r[0] for r in parse("record PG=T1 B=1.0@10:00\nrecord PG=T2 E=2.5@10:30").records)
KEY = ("--key", SIGNER.public_key)


def run(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    check.add_parser(parser.add_subparsers())
    code = check.run(parser.parse_args(["check", str(file), *options]))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Write bytes to a file and return exit code and document of `anxin check --json`."""

    def check_bytes(data: bytes, *options: str) -> tuple[int, Any]:
        file = tmp_path / "input"
        file.write_bytes(data)
        code, out, _ = run(capsys, file, "--json", *options)
        return code, json.loads(out)

    return check_bytes


def container(*values: tuple[bytes, str, str]) -> bytes:
    """Return a SAFE container of (record, context, key)."""
    body = "".join(
        f'<value transactionId="7" context="Transaction.{context}"><signedData format="OCMF" encoding="plain">'
        f'{escape(raw.decode())}</signedData><publicKey encoding="hex">{key}</publicKey></value>'
        for raw, context, key in values
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><values>{body}</values>'.encode()


def test_one_good_record(checked: Any) -> None:
    code, document = checked(GOOD, *KEY)
    (record,) = document["records"]
    assert (code, record["answer"], record["findings"], record["deviations"]) == (0, "authentic", [], [])
    assert [r["energy_kwh"] for r in record["readings"]] == ["100.000", "120.500"]
    assert document["session"]["findings"] == []
    assert document["session"]["sessions"][0]["energy_kwh"] == "20.500"


def test_people_read_chinese_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").write_bytes(GOOD)
    code, out, err = run(capsys, tmp_path / "r", *KEY)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert "真实" in lines[0]
    assert "authentic" in lines[1]
    assert any("20.500 kWh" in line for line in lines)


def test_a_record_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").write_bytes(parse("record MS=\x1b[2J B=1.0@10:00").records[0][0])
    _, out, _ = run(capsys, tmp_path / "r", *KEY)
    assert "\x1b" not in out


def test_key_may_stand_in_a_file(checked: Any, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(SIGNER.public_key + "\n")
    assert checked(GOOD, "--key", str(tmp_path / "key.txt"))[0] == 0


def test_register_vouches_by_meter_serial(checked: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_bytes(dump_keys([MeterKey("K1", "MS-1", SIGNER.algorithm, SIGNER.public_key, 0)]))
    code, document = checked(GOOD, "--keys", str(keys))
    assert (code, document["records"][0]["key_id"]) == (0, "K1")
    keys.write_bytes(dump_keys([MeterKey("K1", "MS-9", SIGNER.algorithm, SIGNER.public_key, 0)]))
    assert checked(GOOD, "--keys", str(keys))[0] == 2


def test_several_records_and_a_record_over_several_lines(checked: Any) -> None:
    payload = GOOD[5 : GOOD.rindex(b"|")].replace(b',"RD"', b',\n  "RD"')
    spread = encode_frame(payload, {"SD": SIGNER.sign(payload).hex()})
    other = parse("record PG=T2 B=120.5@11:00 E=130.5@11:30").records[0][0]
    code, document = checked(spread + b"\n\n" + other + b"\r\n", *KEY)
    assert [(r["answer"], r["row"]) for r in document["records"]] == [("authentic", 1), ("authentic", 4)]
    assert (code, len(document["session"]["sessions"])) == (0, 2)


def test_begin_and_end_in_one_file_are_one_session(checked: Any) -> None:
    for text in (BEGIN + b"\n" + END, container((BEGIN, "Begin", SIGNER.public_key), (END, "End", SIGNER.public_key))):
        code, document = checked(text, *KEY)
        assert code == 0
        assert [s["energy_kwh"] for s in document["session"]["sessions"]] == ["1.500"]


def test_container_brings_its_key_and_may_hold_the_end_first(checked: Any) -> None:
    key = SIGNER.public_key
    code, document = checked(container((END, "End", key), (BEGIN, "Begin", key)))
    assert code == 0
    assert [s["energy_kwh"] for s in document["session"]["sessions"]] == ["1.500"]
    assert {d["kind"] for d in document["records"][0]["deviations"]} == {"key.came_with_record"}
    assert [f["severity"] for f in document["records"][0]["findings"]] == ["note"]


def test_container_of_another_format_cannot_be_judged(checked: Any) -> None:
    text = b'<values><value><signedData format="ALFEN">AP;0;3;...</signedData></value></values>'
    code, document = checked(text)
    assert (code, document["records"][0]["answer"], document["records"][0]["reason"]) == (
        2,
        "cannot_judge",
        "cannot_open",
    )


CONTAINER_CASES = {
    "safe_xml.encoding_unknown": b'<values><value><signedData format="OCMF" encoding="rot13">%s</signedData></value>'
    b"</values>",
    "safe_xml.encoding_differs": b'<values><value><signedData format="OCMF" encoding="hex">%s</signedData></value>'
    b"</values>",
    "safe_xml.format_missing": b"<values><value><signedData>%s</signedData></value></values>",
    "safe_xml.data_missing": b"<values><value/><value><signedData format='OCMF'>%s</signedData></value></values>",
    "safe_xml.several_data": b"<values><value><signedData format='OCMF'>%s</signedData>"
    b"<signedData format='OCMF'>%s</signedData></value></values>",
}


@pytest.mark.parametrize("kind", safe_xml.CLAUSES)
def test_each_departure_of_a_container_is_read_and_named(kind: str) -> None:
    batch = safe_xml.decode(CONTAINER_CASES[kind].replace(b"%s", escape(GOOD.decode()).encode()))
    assert [d.kind for _, d in batch.deviations] == [kind]
    assert all(record.record is not None for record in batch.signed_records)
    page = (Path(__file__).resolve().parents[2] / "docs" / "formats" / "safe-xml.md").read_text("utf-8")
    assert f"| `{kind}` |" in page


def test_sm2_record_in_an_envelope(checked: Any, tmp_path: Path) -> None:
    payload = GOOD[5 : GOOD.rindex(b"|")]
    record = encode_frame(payload, {"SA": SM2.algorithm, "SD": SM2.sign(payload).hex()})
    content = meter_envelope.ContentKey("C1", meter_envelope.Suite.SM4_GCM, bytes(range(16)))
    sealed = meter_envelope.to_line(
        meter_envelope.seal(record, content, meter_id="MS-1", counter=1, sent_utc_ms=1_780_000_000_000)
    )
    keys = tmp_path / "keys.json"
    keys.write_bytes(dump_keys([MeterKey("K1", "MS-1", SM2.algorithm, SM2.public_key, 0)], [content]))
    assert checked(sealed, "--keys", str(keys))[0] == 0
    code, document = checked(sealed, "--key", SM2.public_key)
    assert (code, document["records"][0]["reason"]) == (2, "cannot_open")


UNREADABLE = {
    "empty": b"",
    "blank": b" \n\t",
    "UTF-16": GOOD.decode().encode("utf-16"),
    "orders": b'{"ChargeOrderInfo":[{"StartChargeSeq":"1"}]}',
    "a table": b"order,energy\n1,2\n",
    "binary": bytes(range(256)) * 4,
    "not well-formed": b"<values><value>",
    "entities": b'<!DOCTYPE values [<!ENTITY a "b">]><values><value>&a;</value></values>',
    "another root": b"<html/>",
    "no value": b"<values/>",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_file_is_said_so(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "input").write_bytes(UNREADABLE[name])
    code, out, err = run(capsys, tmp_path / "input", "--json", *KEY)
    assert code == 2
    assert json.loads(out)["records"] == []
    assert str(tmp_path / "input") in err


def test_absent_file_directory_and_no_rights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, tmp_path / "absent")[0] == 2
    assert run(capsys, tmp_path)[0] == 2
    assert run(capsys, tmp_path / ("x" * 5000))[0] == 2
    if os.geteuid() != 0:  # root may read anything
        (tmp_path / "shut").write_bytes(GOOD)
        (tmp_path / "shut").chmod(0)
        assert run(capsys, tmp_path / "shut")[0] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD[: len(GOOD) // 2], "json_syntax"),
        (GOOD.replace(b'"MS":"MS-1"', b'"MS":"MS-1","MS":"MS-2"'), "json_duplicate_key"),
        (GOOD.replace(b"120.5", b"NaN"), "json_not_finite"),
        (GOOD.replace(b'"GI":"', b'"GI":"' + b"x" * 10_000_000), "ocmf_size"),
        (GOOD.replace(b"GATEWAY", "网关".encode("gbk")), "ocmf_encoding"),
        (b"OCMF|", "json_syntax"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_undecodable_record_names_its_row_and_reason(checked: Any, text: bytes, reason: str) -> None:
    code, document = checked(b"\n" + text, *KEY)
    record = document["records"][0]
    assert (code, record["answer"], record["reason"], record["row"]) == (2, "malformed", reason, 2)
    assert [f["cause"] for f in record["findings"]] == ["undecodable"]


def test_the_key_may_stand_on_a_line_of_its_own(checked: Any) -> None:
    code, document = checked(GOOD + b"\n" + SIGNER.public_key.encode() + b"\n")
    (record,) = document["records"]
    assert (code, record["answer"]) == (0, "authentic")
    assert [d["kind"] for d in record["deviations"]] == ["key.came_with_record"]


def test_many_records_without_key_are_reported_in_linear_time(checked: Any) -> None:
    text = b"\n".join(GOOD.replace(b'"PG":"T1"', b'"PG":"T%d"' % page) for page in range(1, 1501))
    code, document = checked(text)
    assert code == 2
    assert [f["cause"] for r in document["records"] for f in r["findings"]] == ["cannot_judge"] * 1500


def test_one_bad_line_does_not_hide_the_good_ones(checked: Any) -> None:
    code, document = checked(GOOD[:80] + b"\n" + GOOD, *KEY)
    assert [r["answer"] for r in document["records"]] == ["malformed", "authentic"]
    assert code == 1


def test_wrong_keys_file_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").write_bytes(GOOD)
    for content in (b"", b"[]", b'{"format":"anxin-keys-1","keys":[{}]}', b'{"format":"anxin-register-1","keys":[{}]}'):
        (tmp_path / "keys.json").write_bytes(content)
        code, _, err = run(capsys, tmp_path / "r", "--keys", str(tmp_path / "keys.json"))
        assert code == 2
        assert "keys.json" in err
