"""A witness as tlog-witness says: it follows a log that grows, and nobody brings it to sign a fork."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from anxin.cli.main import main
from anxin.domain.errors import EvidenceError, InputError
from anxin.evidence import witness as module
from anxin.evidence.note import Signer, parse_checkpoint, parse_note, parse_vkey
from anxin.evidence.tiles import write_file
from anxin.evidence.tree import consistency_proof
from anxin.evidence.witness import Witness, origin_hash, request_text
from anxin.flow.witnessing import open_witness
from tests.evidence.trees import ENTRIES, FORKED, LOG, WITNESSES, node_of, signed
from tests.platform.test_serve import free_port

OWN = WITNESSES[0]
MIXED = [*ENTRIES[:100], *FORKED[100:]]


def ask(old: int, size: int, entries: list[bytes] = ENTRIES, signer: Signer = LOG) -> bytes:
    """A right request from `old` to `size`."""
    proof = consistency_proof(old, size, node_of(entries)) if old <= size else []
    return request_text(old, proof, signed(entries, size, signer))


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness(tmp_path / "w", OWN, [parse_vkey(LOG.vkey)])
    yield made
    made.close()


def test_it_cosigns_a_log_that_grows_and_says_since_when(witness: Witness) -> None:
    old = 0
    for number, size in enumerate((0, 1, 2, 100, 100, 256, 257, 700)):
        answer = witness.add_checkpoint(ask(old, size), 1_000 + 10 * number)
        assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8")
        note = parse_note(signed(ENTRIES, size) + answer.body.encode())
        assert note.cosigned_at_s(parse_vkey(OWN.vkey)) == 1_000 + 10 * number
        kept = witness.latest(origin_hash(LOG.name))
        assert kept is not None
        assert parse_note(kept).signed_by(parse_vkey(LOG.vkey))
        assert parse_checkpoint(parse_note(kept).text).size == size
        old = size
    assert witness.latest(origin_hash("example.org/other")) is None


def test_each_wrong_request_has_its_answer(witness: Witness) -> None:
    assert witness.add_checkpoint(ask(0, 100), 1).status == 200
    stranger = Signer("example.org/log", bytes(32))
    good = ask(100, 200)
    many = request_text(100, [bytes(32)] * 64, signed(ENTRIES, 200))
    most = request_text(100, [bytes(32)] * 63, signed(ENTRIES, 200))
    forged = bytearray(good)
    forged[-8] ^= 1
    wrong = {
        "another log": (ask(100, 200, signer=Signer("example.org/other", bytes(32))), 404),
        "another key": (ask(100, 200, signer=stranger), 403),
        "a signature that does not hold": (bytes(forged), 403),
        "beside a good signature one that does not hold": (good + LOG.line("something else\n").encode(), 403),
        "no old size": (good.replace(b"old 100", b"new 100"), 400),
        "a leading zero": (good.replace(b"old 100", b"old 0100"), 400),
        "a sign": (good.replace(b"old 100", b"old +100"), 400),
        "no blank line": (good.replace(b"\n\n", b"\n"), 400),
        "64 lines": (many, 400),
        "63 lines that prove nothing": (most, 422),
        "a line that is no hash": (request_text(100, [b"short"], signed(ENTRIES, 200)), 400),
        "stray bits in a hash": (good.replace(b"=\n", b"\n", 1), 400),
        "nothing": (b"", 400),
        "no UTF-8": (good + b"\xff", 400),
        "old beyond new": (request_text(300, [], signed(ENTRIES, 200)), 400),
        "the proof of another size": (
            request_text(100, consistency_proof(99, 200, node_of(ENTRIES)), signed(ENTRIES, 200)), 422,
        ),
        "no proof": (request_text(100, [], signed(ENTRIES, 200)), 422),
        "a fork": (ask(100, 200, FORKED), 422),
        "another root at the same size": (ask(100, 100, FORKED), 422),
    }  # fmt: skip
    for name, (body, status) in wrong.items():
        answer = witness.add_checkpoint(body, 2)
        assert (answer.status, "—" in answer.body) == (status, False), name
    for old in (0, 99, 101):
        answer = witness.add_checkpoint(ask(old, 200), 2)
        assert (answer.status, answer.body, answer.content_type) == (409, "100\n", "text/x.tlog.size")
    assert witness.add_checkpoint(good, 2).status == 200


def test_from_nothing_no_proof_is_taken_and_an_empty_tree_has_its_root(witness: Witness) -> None:
    assert witness.add_checkpoint(request_text(0, [bytes(32)], signed(ENTRIES, 5)), 1).status == 422
    false = signed(ENTRIES, 0).split(b"\n")[2]
    text = f"{LOG.name}\n0\n{'A' * 43}=\n"
    assert false != b"A" * 43 + b"="
    assert witness.add_checkpoint(request_text(0, [], f"{text}\n{LOG.line(text)}".encode()), 1).status == 422


def test_extension_lines_are_cosigned_and_signatures_of_strangers_ignored(witness: Witness) -> None:
    text = f"{signed(ENTRIES, 5).decode().partition(chr(10) * 2)[0]}\nan extension\n"
    lines = "".join(s.line(text, 5) for s in WITNESSES[1:]) + "— stranger AAAAAAAA\n"
    body = request_text(0, [], f"{text}\n{lines}{LOG.line(text)}".encode())
    answer = witness.add_checkpoint(body, 7)
    assert answer.status == 200
    assert parse_note(f"{text}\n{answer.body}".encode()).cosigned_at_s(parse_vkey(OWN.vkey)) == 7


def test_a_second_process_is_refused_and_the_next_one_goes_on_where_it_stopped(tmp_path: Path) -> None:
    log = [parse_vkey(LOG.vkey)]
    first = Witness(tmp_path, OWN, log)
    assert first.add_checkpoint(ask(0, 100), 1).status == 200
    with pytest.raises(EvidenceError, match="another witness"):
        Witness(tmp_path, OWN, log)
    first.close()
    second = Witness(tmp_path, OWN, log)
    assert second.add_checkpoint(ask(0, 50, FORKED), 2).status == 409
    second.close()
    path = tmp_path / origin_hash(LOG.name) / "checkpoint"
    path.write_bytes(signed(ENTRIES, 50))  # a state that this witness never signed
    with pytest.raises(EvidenceError, match="not cosigned by this witness"):
        Witness(tmp_path, OWN, log)


@pytest.mark.parametrize("landed", [False, True])
def test_what_cannot_be_persisted_is_not_answered(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    assert witness.add_checkpoint(ask(0, 100), 1).status == 200
    real = write_file

    def failing(path: Path, data: bytes) -> None:
        if landed:
            real(path, data)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_file", failing)
    with pytest.raises(OSError, match="space"):
        witness.add_checkpoint(ask(100, 200), 2)
    monkeypatch.setattr(module, "write_file", real)
    # Landed or not: the fork is refused, and the log goes on from what the witness says it has.
    answer = witness.add_checkpoint(ask(100, 300, MIXED), 3)
    assert answer.status == (409 if landed else 200)
    if landed:
        assert answer.body == "200\n"
        assert witness.add_checkpoint(ask(200, 300), 4).status == 200


def test_the_same_checkpoint_again_at_once_costs_no_fsync(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    first = witness.add_checkpoint(ask(0, 100), 1)
    written: list[Path] = []

    def counting(path: Path, data: bytes) -> None:
        written.append(path)
        write_file(path, data)

    monkeypatch.setattr(module, "write_file", counting)
    assert witness.add_checkpoint(ask(100, 100), 1) == first
    assert not written
    assert witness.add_checkpoint(ask(100, 100), 60) != first
    assert len(written) == 1


def test_however_requests_race_one_history_is_cosigned(witness: Witness) -> None:
    """Two histories that part at entry 100, asked for from many threads; each thread follows the answers it gets."""
    cosigned: list[tuple[int, bytes]] = []
    lock = threading.Lock()

    def push(seed: int) -> None:
        draw = random.Random(seed)
        entries = ENTRIES if seed % 2 else MIXED
        for _ in range(25):
            kept = witness.latest(origin_hash(LOG.name))
            old = parse_checkpoint(parse_note(kept).text).size if kept else 0
            size = min(700, old + draw.randrange(40))
            answer = witness.add_checkpoint(ask(old, size, entries), seed)
            if answer.status == 200:
                checkpoint = parse_checkpoint(parse_note(signed(entries, size)).text)
                with lock:
                    cosigned.append((checkpoint.size, checkpoint.root))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(8)))
    roots: dict[int, set[bytes]] = {}
    for size, root in cosigned:
        roots.setdefault(size, set()).add(root)
    assert max(roots) > 200
    assert all(len(found) == 1 for found in roots.values())
    # One history: what was cosigned beyond the parting is all of one log.
    ours = {parse_checkpoint(parse_note(signed(ENTRIES, s)).text).root in r for s, r in roots.items() if s > 100}
    assert len(ours) == 1


def test_its_name_and_key_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "w")
    assert main(["witness", "key", "--folder", folder]) == 2
    assert main(["witness", "key", "--folder", folder, "--name", "wit ness"]) == 2
    assert main(["witness", "key", "--folder", folder, "--name", "witness.example/w1"]) == 0
    assert main(["witness", "key", "--folder", folder]) == 0
    first, second = capsys.readouterr().out.split()
    assert first == second
    assert parse_vkey(first).kind == 4
    assert (tmp_path / "w" / "witness.key").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="another name"):
        open_witness(tmp_path / "w", "witness.example/w2", [LOG.vkey])
    with pytest.raises(InputError, match="a log's key"):
        open_witness(tmp_path / "w", None, [first])


def test_over_http_as_its_operator_starts_it(tmp_path: Path) -> None:
    port, folder = free_port(), str(tmp_path / "w")
    words = ["witness", "serve", "--folder", folder, "--name", "witness.example/w1", "--log", LOG.vkey]
    command = [sys.executable, "-m", "anxin.cli.main", *words, "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=dict(os.environ), text=True)
    try:
        assert process.stderr is not None
        vkey = process.stderr.readline().split()[-1]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=8), timeout=20
        ) as web:
            for _ in range(100):
                try:
                    assert web.get(f"/{origin_hash(LOG.name)}/checkpoint").status_code == 404
                    break
                except httpx.TransportError:
                    threading.Event().wait(0.1)
            answer = web.post("/add-checkpoint", content=ask(0, 100))
            assert answer.status_code == 200
            assert parse_note(signed(ENTRIES, 100) + answer.content).signed_by(parse_vkey(vkey))
            refused = web.post("/add-checkpoint", content=ask(50, 200))
            assert (refused.status_code, refused.text) == (409, "100\n")
            assert refused.headers["content-type"] == "text/x.tlog.size"
            assert web.post("/add-checkpoint", content=ask(100, 200, FORKED)).status_code == 422
            assert web.post("/add-checkpoint", content=b"x" * 200_000).status_code == 413
            kept = web.get(f"/{origin_hash(LOG.name)}/checkpoint")
            assert parse_note(kept.content).signed_by(parse_vkey(vkey))
            assert parse_note(kept.content).signed_by(parse_vkey(LOG.vkey))
    finally:
        process.terminate()
        process.wait(20)
