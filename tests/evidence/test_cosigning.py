"""The log and its witnesses, each a process of its own on a real socket: cosigned, away, behind, ahead, false."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn

from anxin.domain.errors import EvidenceError, PolicyError
from anxin.evidence.note import parse_note, parse_vkey
from anxin.evidence.publisher import LogPublisher
from anxin.evidence.witness import Witness
from anxin.faces.witness import create_witness_app
from anxin.flow.cosigning import Cosigner, Standing, load_witnesses, witness_states
from tests.evidence.trees import ENTRIES, FORKED, LOG, WITNESSES, take
from tests.platform.test_serve import free_port


@contextmanager
def served(folder: Path, number: int, port: int) -> Iterator[str]:
    """A witness at a port."""
    witness = Witness(folder, WITNESSES[number], [parse_vkey(LOG.vkey)])
    server = uvicorn.Server(uvicorn.Config(create_witness_app(witness), port=port, log_config=None))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        witness.close()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Standing]]:
    with ExitStack() as stack:
        urls = [stack.enter_context(served(tmp_path / f"w{i}", i, free_port())) for i in range(3)]
        yield [Standing(parse_vkey(WITNESSES[i].vkey), url) for i, url in enumerate(urls)]


def cosigners(folder: Path, name: str) -> set[str]:
    note = parse_note((folder / name).read_bytes())
    return {w.name for w in WITNESSES if note.cosigned_at_s(parse_vkey(w.vkey)) is not None}


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_each_checkpoint_is_cosigned_by_all_and_witnessed_by_a_quorum(tmp_path: Path, three: list[Standing]) -> None:
    publisher = LogPublisher(tmp_path / "log", LOG)
    cosigner = Cosigner(publisher, three, 2, tmp_path / "witnesses.json")
    for size in (0, 1, 300, 301, 700):
        publisher.publish(take(ENTRIES), size)
        cosigner.round()
        assert cosigners(tmp_path / "log", "checkpoint") == {w.name for w in WITNESSES}
        assert len(cosigners(tmp_path / "log", "witnessed")) >= 2
    # Started anew it does not know what they have: each says so, and is asked again.
    again = Cosigner(publisher, [Standing(s.verifier, s.url) for s in three], 2, tmp_path / "witnesses.json")
    again.refuse_if_older()
    again.round()
    states = witness_states(tmp_path / "witnesses.json", 705)
    assert [(s["size"], s["behind"], s["error"]) for s in states] == [(700, 5, None)] * 3


def test_a_witness_that_is_away_stops_nothing_is_named_and_catches_up(tmp_path: Path) -> None:
    port = free_port()
    publisher = LogPublisher(tmp_path / "log", LOG)
    with served(tmp_path / "w0", 0, free_port()) as url:
        standings = [
            Standing(parse_vkey(WITNESSES[0].vkey), url),
            Standing(parse_vkey(WITNESSES[1].vkey), f"http://127.0.0.1:{port}"),
        ]
        cosigner = Cosigner(publisher, standings, 2, tmp_path / "witnesses.json")
        cosigner.refuse_if_older()  # who is away cannot say anything
        stop = threading.Event()
        thread = threading.Thread(target=cosigner.run, args=(stop,))
        thread.start()
        try:
            publisher.publish(take(ENTRIES), 300)
            wait_until(lambda: cosigners(tmp_path / "log", "checkpoint") == {WITNESSES[0].name})
            wait_until((tmp_path / "witnesses.json").is_file)
            assert not (tmp_path / "log" / "witnessed").exists()
            here, away = witness_states(tmp_path / "witnesses.json", 300)
            assert (here["behind"], here["error"]) == (0, None)
            assert away["behind"] == 300
            assert away["error"]
            with served(tmp_path / "w1", 1, port):
                publisher.publish(take(ENTRIES), 400)
                wait_until((tmp_path / "log" / "witnessed").exists)
                assert cosigners(tmp_path / "log", "witnessed") == {WITNESSES[0].name, WITNESSES[1].name}
        finally:
            stop.set()
            thread.join()
            cosigner.close()


def test_an_older_copy_of_the_log_is_found_out_and_signs_nothing(tmp_path: Path, three: list[Standing]) -> None:
    publisher = LogPublisher(tmp_path / "log", LOG)
    publisher.publish(take(ENTRIES), 500)
    Cosigner(publisher, three, 1, tmp_path / "r").round()
    # A backup was restored: log and database are older, and agree with one another.
    restored = LogPublisher(tmp_path / "restored", LOG)
    restored.publish(take(ENTRIES), 300)
    with pytest.raises(EvidenceError, match=r"500 entries.*an older copy"):
        Cosigner(restored, three, 1, tmp_path / "r").refuse_if_older()
    # It went on and took other messages in: now it is a fork.
    restored.publish(take([*ENTRIES[:300], *FORKED[300:]]), 600)
    with pytest.raises(EvidenceError, match="another history"):
        Cosigner(restored, three, 1, tmp_path / "r").refuse_if_older()
    # Found as well where the witness was away at the start: it answers 422, and shows what it has.
    late = Cosigner(restored, three, 1, tmp_path / "r")
    late.round()
    assert late.failure is not None
    assert not (tmp_path / "restored" / "witnessed").exists()


def test_a_cosignature_by_another_key_is_none(tmp_path: Path, three: list[Standing]) -> None:
    publisher = LogPublisher(tmp_path / "log", LOG)
    publisher.publish(take(ENTRIES), 300)
    false = [Standing(parse_vkey(WITNESSES[1].vkey), three[0].url)]
    Cosigner(publisher, false, 1, tmp_path / "r").round()
    assert false[0].error == "its answer holds no cosignature by its key"
    assert cosigners(tmp_path / "log", "checkpoint") == set()


@pytest.mark.parametrize(
    ("text", "quorum", "said"),
    [
        (f"{WITNESSES[0].vkey}\n", 1, "line 1"),
        (f"{LOG.vkey} http://localhost\n", 1, "kind 4"),
        (f"{WITNESSES[0].vkey} ftp://localhost\n", 1, "kind 4"),
        (f"{WITNESSES[0].vkey} http://a\n{WITNESSES[0].vkey} http://b\n", 1, "twice"),
        (f"# a remark\n\n{WITNESSES[0].vkey} http://a # here\n", 2, "1 witnesses; a quorum is 2"),
    ],
)
def test_a_wrong_file_of_witnesses_refuses_to_start(tmp_path: Path, text: str, quorum: int, said: str) -> None:
    (tmp_path / "witnesses").write_text(text, "utf-8")
    with pytest.raises(PolicyError, match=said):
        load_witnesses(str(tmp_path / "witnesses"), quorum)
    assert load_witnesses("", quorum) == []
