"""An evidence pack stands alone: it is made, checked without the platform, and every altered bit of it is named."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest

from anxin.cli.main import main
from anxin.evidence.pack_reader import read_pack
from anxin.flow import packing
from anxin.flow.check_pack import PackCheck, check_pack
from anxin.flow.erasing import erase
from anxin.flow.packing import Pack
from anxin.flow.platform import Platform
from anxin.store import parties
from tests.platform.live_city import AS_OF_UTC_MS
from tests.platform.packs import PackedCity, judged_city, publish, zipped


@pytest.fixture
def city(platform: Platform, tmp_path: Path) -> Iterator[PackedCity]:
    with judged_city(platform, tmp_path / "scratch") as found:
        yield found


def fails(check: PackCheck) -> list[str]:
    return [f"{s.name} {s.en}" for s in check.steps if s.outcome == "fails"]


def content_keys(city: PackedCity) -> Path:
    from anxin.formats.register import dump_keys

    keys = [key for key, _ in city.platform.directory.content_keys.values()]
    path = city.platform.settings.data_dir / "keys.json"
    path.write_bytes(dump_keys((), keys))
    return path


def test_a_pack_holds_with_the_logs_key_and_says_what_it_holds(
    city: PackedCity, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = city.pack()
    check = check_pack(zipped(pack.files), city.vkey)
    assert fails(check) == []
    assert check.exit_code == 0
    assert check.answers["authentic"] >= 1
    kinds = {line["kind"] for line in pack.evidence}
    assert {"tcec102.order", "meter.envelope"} <= kinds
    for line in pack.evidence:
        assert pack.files[f"{line['folder']}/proof.txt"].startswith(b"c2sp.org/tlog-proof@v1\n")
    found = json.loads(pack.files["judgement/findings.json"])
    rules = json.loads(pack.files["judgement/rules-1.json"])["rules"]
    assert {f["rule"] for f in found} <= {r["id"] for r in rules}
    assert json.loads(pack.files["judgement/policy-1.json"])["policy_sha256"] == found[0]["policy"]
    # The same on the command line; envelopes are compared with their records where the content keys are given.
    path, vkey = tmp_path / "pack.zip", tmp_path / "vkey"
    path.write_bytes(zipped(pack.files))
    vkey.write_text(f"{city.vkey}\n")
    assert main(["check", str(path), "--log-key", str(vkey), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {s["step"]: s["outcome"] for s in said["steps"]}["pack.records"] == "not_checked"
    assert main(["check", str(path), "--log-key", str(vkey), "--keys", str(content_keys(city))]) == 0
    assert "records are those inside the messages as received" in capsys.readouterr().out


def test_without_the_logs_key_it_is_only_consistent_with_itself_and_another_logs_key_fails(city: PackedCity) -> None:
    data = zipped(city.pack().files)
    alone = check_pack(data, None)
    assert fails(alone) == []
    assert alone.exit_code == 2
    assert any("agrees with itself" in s.en for s in alone.steps)
    from anxin.evidence.note import Signer

    other = check_pack(data, Signer(city.packer.signer.name, bytes(32)).vkey)
    assert other.exit_code == 1


def test_a_turned_bit_in_any_file_is_named(city: PackedCity) -> None:
    files = city.pack(city.findings(limit=1)).files
    for name, content in files.items():
        for at in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
            altered = bytearray(content)
            altered[at] ^= 1 << at % 8
            named = fails(check_pack(zipped({**files, name: bytes(altered)}), city.vkey))
            assert any(name in said or name in ("log/vkey",) for said in named), (name, at, named)


@pytest.mark.long
def test_every_turned_bit_of_every_small_file_is_named(city: PackedCity) -> None:
    files = city.pack(city.findings(limit=1)).files
    small = [name for name, content in files.items() if len(content) <= 200]
    assert len(small) >= 3
    for name in small:
        for bit in range(len(files[name]) * 8):
            altered = bytearray(files[name])
            altered[bit // 8] ^= 1 << bit % 8
            named = fails(check_pack(zipped({**files, name: bytes(altered)}), city.vkey))
            assert any(name in said or name in ("log/vkey",) for said in named), (name, bit, named)


def test_a_file_taken_out_or_put_in_is_named(city: PackedCity) -> None:
    files = city.pack(city.findings(limit=1)).files
    for name in files:
        rest = {n: d for n, d in files.items() if n != name}
        assert check_pack(zipped(rest), city.vkey).exit_code == 1, name
    more = fails(check_pack(zipped({**files, "evidence/more.txt": b"?"}), city.vkey))
    assert any("evidence/more.txt" in said for said in more)


def test_a_forger_without_the_logs_key_cannot_make_a_pack_that_holds(city: PackedCity) -> None:
    """Whoever alters a record and makes sums, manifest and summary anew needs the log's key in the end."""
    from dataclasses import replace

    from anxin.evidence.note import Signer
    from anxin.flow.pack_files import sealed

    pack = city.pack(city.findings(limit=1))
    files = dict(pack.files)
    name = next(n for n in files if n.endswith("/payload"))
    files[name] = files[name] + b" "
    forger = replace(city.packer.signer, seed=bytes(32))
    assert isinstance(forger, Signer)
    del files["SHA256SUMS"], files["SHA256SUMS.sig"]
    sealed(files, "F-1", forger)
    named = fails(check_pack(zipped(files), city.vkey))
    assert any("SHA256SUMS.sig" in said for said in named)
    assert any(name in said for said in named)


def test_the_commands_of_the_readme_hold_as_they_stand(city: PackedCity, tmp_path: Path) -> None:
    files = city.pack().files
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    text = files["README.txt"].decode()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert commands == [line.strip() for line in files["README.zh-CN.txt"].decode().splitlines() if line[:4] == "    "]
    assert len(commands) == 12
    shown = set(re.findall(r"# ([0-9a-f]{64})", text))
    seen = ""
    for command in commands:
        if command.startswith("pdfsig"):
            continue
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        assert "FAILED" not in done.stdout
        seen += done.stdout
    assert len(shown) == 2
    assert all(digest in seen for digest in shown)
    assert seen.count("Signature Verified Successfully") == 3


def test_of_an_erased_message_the_receipt_alone_is_there(city: PackedCity) -> None:
    before = city.pack(city.findings(limit=1))
    index = next(line["index"] for line in before.evidence if line["kind"] == "meter.envelope")
    erase(city.platform.database, index, "officer", "PIPL 47, file 7", AS_OF_UTC_MS)
    publish(city.platform)
    pack = city.pack(city.findings(limit=1))
    (line,) = [e for e in pack.evidence if e["index"] == index]
    assert line["state"] == "erased"
    assert {n for n in pack.files if n.startswith(line["folder"])} == {
        f"{line['folder']}/receipt.json", f"{line['folder']}/proof.txt",
    }  # fmt: skip
    assert any(e["kind"] == "deed.erasure" for e in pack.evidence)
    check = check_pack(zipped(pack.files), city.vkey)
    assert check.exit_code == 0
    assert [s.outcome for s in check.steps if s.name == "pack.erased"] == ["not_checked"]


def test_a_drivers_reference_stands_in_messages_as_received_alone(city: PackedCity) -> None:
    with city.platform.database.transaction() as connection:
        rows = connection.execute(
            "select distinct user_ref from fact_record where user_ref is not null and length(user_ref) > 5"
        ).fetchall()
    assert rows
    pack = city.pack(city.findings("true", 200))
    for name, content in pack.files.items():
        if not re.fullmatch(r"evidence/\d+/(payload|envelope|record-\d+)", name):
            assert not any(str(ref).encode() in content for (ref,) in rows), name
    said = pypdfium2.PdfDocument(pack.files["summary.pdf"])
    text = "".join(page.get_textpage().get_text_range() for page in said)
    assert not any(str(ref) in text for (ref,) in rows)
    assert "F-1" in text
    assert "证据" in text


def test_what_is_beyond_a_limit_is_said_to_be_left_out(city: PackedCity, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = city.findings("true", 20)
    monkeypatch.setattr(packing, "MAX_FINDINGS", 3)
    monkeypatch.setattr(packing, "MAX_MESSAGE_BYTES", 700)
    pack = city.pack(numbers)
    assert len(pack.findings) == 3
    assert any(left["what"] == "findings" and f"{len(numbers)} findings" in left["en"] for left in pack.left_out)
    assert any(line["state"] == "left_out" for line in pack.evidence)
    check = check_pack(zipped(pack.files), city.vkey)
    assert check.exit_code == 0
    assert sum(s.name == "pack.left_out" for s in check.steps) == len(pack.left_out)


def test_what_is_not_published_yet_has_no_proof_and_the_pack_says_so(
    city: PackedCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PUBLISHED_WITHIN_S", 0.1)
    index = city.pack(city.findings(limit=1)).evidence[0]["index"]
    erase(city.platform.database, index, "officer", "PIPL 47, file 8", AS_OF_UTC_MS)
    pack = city.pack(city.findings(limit=1))
    assert [e["proof"] for e in pack.evidence if e["kind"] == "deed.erasure"] == [False]
    assert any(left["what"] == "proof.txt" for left in pack.left_out)
    assert check_pack(zipped(pack.files), city.vkey).exit_code == 2


def test_the_register_in_a_pack_is_that_of_its_meters(city: PackedCity) -> None:
    from anxin.formats.register import load_register

    pack = city.pack(city.findings(limit=1))
    found = load_register(pack.files["register/register.json"], "register.json")
    whole = parties.load_register(city.platform.database)
    senders = {e["sender"] for e in pack.evidence if e["kind"] == "meter.envelope"}
    assert senders <= {k.meter_id for k in found.keys}
    assert len(found.connectors) < len(whole.connectors)


def same(one: Pack, other: Pack) -> set[str]:
    return {n for n in one.files if one.files[n] == other.files[n]}


def test_the_same_pack_again_differs_only_in_what_has_a_time_or_a_random_part(city: PackedCity) -> None:
    one, other = city.pack(), city.pack()
    assert one.files.keys() == other.files.keys()
    assert one.files.keys() - same(one, other) <= {"manifest.json", "summary.pdf", "SHA256SUMS", "SHA256SUMS.sig"}
    assert read_pack(zipped(one.files)) == one.files
