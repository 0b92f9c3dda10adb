"""Receipts and proofs as their holders check them: ours and a second verifier accept the real, refuse every altered."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anxin.cli.main import main
from anxin.domain.message import Kind, Message, Receipt
from anxin.evidence.note import parse_vkey
from anxin.evidence.proofs import Proofs
from anxin.evidence.publisher import LogPublisher
from anxin.flow.check_log import Trust, check_documents
from anxin.flow.intake import committed_entry
from anxin.flow.receipts import receipt_document
from tests.evidence import second_verifier
from tests.evidence.trees import ENTRIES, LOG, WITNESSES, take

NOW = int(time.time())
INDEX, SIZE = 123, 300
WITNESS_KEYS = [w.vkey for w in WITNESSES]
MESSAGE = Message(Kind.OCPP_RECORD, "CP-0042", "tx-9", b"OCMF|{...}|{...}", b'[2,"1"]')


@dataclass(frozen=True)
class Papers:
    """What a driver holds, and where."""

    folder: Path
    receipt: bytes
    proof: bytes

    @property
    def words(self) -> list[str]:
        return ["log", "check", str(self.folder / "receipt.json"), "--proof", str(self.folder / "proof.txt"),
                "--vkey", LOG.vkey]  # fmt: skip


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    salt = bytes(range(100, 132))
    entry = committed_entry(salt, MESSAGE, NOW * 1_000)
    receipt = Receipt(INDEX, MESSAGE.kind.value, MESSAGE.sender, MESSAGE.message_id, NOW * 1_000,
                      MESSAGE.payload_sha256, MESSAGE.envelope_sha256, salt, entry)  # fmt: skip
    publisher = LogPublisher(tmp_path / "log", LOG)
    checkpoint = publisher.publish(take([*ENTRIES[:INDEX], entry, *ENTRIES[INDEX + 1 :]]), SIZE)
    lines = [w.line(checkpoint.text, NOW - 10 * i) for i, w in enumerate(WITNESSES)]
    publisher.add_cosignatures(checkpoint, publisher.signed, lines, True)
    found = Proofs(tmp_path / "log", parse_vkey(LOG.vkey)).inclusion(INDEX)
    assert found is not None
    made = Papers(tmp_path, json.dumps(receipt_document(LOG, receipt), indent=1).encode(), found[0].encode())
    (tmp_path / "receipt.json").write_bytes(made.receipt)
    (tmp_path / "proof.txt").write_bytes(made.proof)
    (tmp_path / "record").write_bytes(MESSAGE.payload)
    return made


def trusting(count: int) -> Trust:
    return Trust(parse_vkey(LOG.vkey), [parse_vkey(k) for k in WITNESS_KEYS[:count]])


def test_the_second_verifier_shares_nothing_with_the_first() -> None:
    tree = ast.parse(Path(second_verifier.__file__).read_text("utf-8"))
    names = [n.module or "" if isinstance(n, ast.ImportFrom) else n.names[0].name for n in ast.walk(tree)
             if isinstance(n, ast.Import | ast.ImportFrom)]  # fmt: skip
    assert names
    assert not [n for n in names if n.startswith(("anxin", "tests"))]


@pytest.mark.parametrize("which", ["receipt", "proof"])
def test_every_turned_bit_is_refused_by_both_verifiers(papers: Papers, which: str) -> None:
    def ours(receipt: bytes, proof: bytes) -> int:
        return check_documents(receipt, proof, None, None, trusting(1), NOW).exit_code

    one = WITNESS_KEYS[:1]
    # Of the three cosignatures those of strangers may be altered: nobody who names one witness relies on them.
    head, dash, _ = papers.proof.decode().rpartition(f"\u2014 {WITNESSES[1].name} ")
    proof = head.encode()
    assert dash
    assert ours(papers.receipt, proof) == 0
    assert second_verifier.accepts(papers.receipt, proof, LOG.vkey, one)
    good = papers.receipt if which == "receipt" else proof
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        pair = (bytes(bad), proof) if which == "receipt" else (papers.receipt, bytes(bad))
        assert ours(*pair) == 1, (bit, bytes(bad[max(0, bit // 8 - 20) : bit // 8 + 5]))
        assert not second_verifier.accepts(*pair, LOG.vkey, one), bit


def steps(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {s["step"]: s["outcome"] for s in json.loads(capsys.readouterr().out)["steps"]}


def test_it_says_what_holds_and_what_was_not_checked(papers: Papers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*papers.words, "--json"]) == 0
    assert steps(capsys) == {
        "receipt.signature": "holds", "receipt.entry": "holds", "record": "not_checked", "proof.same": "holds",
        "proof.inclusion": "holds", "proof.log": "holds", "proof.witnesses": "not_checked",
    }  # fmt: skip
    witnesses = [w for key in WITNESS_KEYS for w in ("--witness-vkey", key)]
    record = ["--record", str(papers.folder / "record")]
    assert main([*papers.words, *record, *witnesses, "--max-age-s", "3600", "--json"]) == 0
    assert set(steps(capsys).values()) == {"holds"}
    assert main([*papers.words[:3], "--json"]) == 2  # a receipt and no key: nothing is known
    assert steps(capsys)["receipt.signature"] == "not_checked"
    assert main(["log", "check", str(papers.folder / "proof.txt"), "--vkey", LOG.vkey, "--json"]) == 2
    assert steps(capsys) == {
        "proof.inclusion": "not_checked", "proof.log": "holds", "proof.witnesses": "not_checked"
    }  # fmt: skip
    entry = json.loads(papers.receipt)["entry"]
    alone = ["log", "check", str(papers.folder / "proof.txt"), "--vkey", LOG.vkey, "--entry"]
    assert main([*alone, entry]) == 0
    assert main([*alone, "00" * 32]) == 1
    assert "不成立 · it does not hold" in capsys.readouterr().out


def altered(papers: Papers, **fields: Any) -> None:
    (papers.folder / "receipt.json").write_text(json.dumps(json.loads(papers.receipt) | fields), "utf-8")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda p: altered(p, received_utc_ms=NOW * 1_000 + 1), 1),
        (lambda p: altered(p, index=INDEX + 1), 1),
        (lambda p: altered(p, origin="example.org/other"), 1),
        (lambda p: altered(p, salt=None), 2),  # erased: the entry cannot be recomputed
        (lambda p: altered(p, note="more"), 1),
        (lambda p: altered(p, index=True), 1),
        (lambda p: altered(p, index=-1), 1),
        (lambda p: altered(p, entry=json.loads(p.receipt)["entry"].upper()), 1),
        (lambda p: (p.folder / "record").write_bytes(b"another record"), 1),
        (lambda p: (p.folder / "record").write_bytes(MESSAGE.envelope or b""), 0),
        (lambda p: (p.folder / "receipt.json").write_bytes(b'{"receipt":' + p.receipt + b',"repeated":false}'), 0),
        (lambda p: (p.folder / "receipt.json").write_bytes(b'{"index":1,' + p.receipt.lstrip()[1:]), 1),
        (lambda p: (p.folder / "receipt.json").write_bytes(b"no receipt"), 2),
        (lambda p: (p.folder / "receipt.json").write_bytes(b"[" * 100_000), 2),
        (lambda p: (p.folder / "receipt.json").write_bytes(b'{"a":' + b"[" * 90_000), 1),
        (lambda p: (p.folder / "receipt.json").unlink(), 2),
        (lambda p: (p.folder / "proof.txt").write_bytes(p.proof.replace(b"index 123", b"index 124")), 1),
        (lambda p: (p.folder / "proof.txt").write_bytes(p.proof.replace(b"@v1\n", b"@v1\nextra AAAA\n")), 0),
        (lambda p: (p.folder / "proof.txt").write_bytes(p.proof.replace(b"@v1\n", b"@v1\nextra A\n")), 1),
        (lambda p: (p.folder / "proof.txt").write_bytes(p.proof.replace(b"\n\n", b"\nAAAA\n\n", 1)), 1),
        (lambda p: (p.folder / "proof.txt").write_bytes(b""), 1),
    ],
)
def test_what_was_altered_is_told_from_what_cannot_be_judged(
    papers: Papers, change: Callable[[Papers], Any], code: int
) -> None:
    change(papers)
    assert main([*papers.words, "--record", str(papers.folder / "record")]) == code


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--witness-vkey", WITNESS_KEYS[0]], 0),
        (["--witness-vkey", WITNESS_KEYS[0], "--max-age-s", "3600"], 0),
        (["--witness-vkey", WITNESS_KEYS[2], "--max-age-s", "5"], 1),  # it cosigned 20 s ago
        (["--witness-vkey", WITNESS_KEYS[0], "--witness-vkey", LOG.vkey], 2),
        (["--quorum", "1"], 2),
        (["--witness-vkey", WITNESS_KEYS[0], "--quorum", "2"], 2),
    ],
)
def test_a_quorum_of_witnesses_and_how_old_its_word_may_be(papers: Papers, words: list[str], code: int) -> None:
    assert main([*papers.words, *words]) == code


def test_a_witness_counts_once_and_its_false_signature_or_future_time_counts_against(papers: Papers) -> None:
    keys = [parse_vkey(k) for k in WITNESS_KEYS]
    head, _, rest = papers.proof.partition(b"\n\n")
    text = rest.partition(b"\n\n")[0].decode() + "\n"

    def code(lines: str, quorum: int) -> int:
        proof = head + f"\n\n{text}\n{LOG.line(text)}{lines}".encode()
        trust = Trust(parse_vkey(LOG.vkey), [*keys, keys[0]], quorum)
        return check_documents(papers.receipt, proof, None, None, trust, NOW).exit_code

    own = [w.line(text, NOW) for w in WITNESSES]
    assert code(own[0] + own[1], 2) == 0
    assert code(own[0] + own[0], 2) == 1
    assert code(own[0] + WITNESSES[1].line(text + "x", NOW), 1) == 1
    assert code(WITNESSES[0].line(text, NOW + 10_000), 1) == 1
    assert code(WITNESSES[0].line(text, 0), 1) == 1
