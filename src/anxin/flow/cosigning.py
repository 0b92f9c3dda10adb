"""Witnesses of the log: each new checkpoint is brought to them, and their cosignatures are published with it.

    1  a checkpoint is published at once, without waiting for anybody
    2  each witness is asked, at the same time, with the proof from the size that it has
    3  what holds is published with the checkpoint; a quorum makes it the witnessed one
    4  who did not answer is asked less and less often, and said to be behind

A witness that shows a checkpoint which we signed and do not have is the proof that an older copy of the log runs here:
then nothing is signed any more.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from anxin.domain.errors import EvidenceError, PolicyError
from anxin.evidence.note import (
    COSIGNATURE,
    MAX_NOTE_BYTES,
    Checkpoint,
    Verifier,
    open_checkpoint,
    parse_note,
    parse_vkey,
)
from anxin.evidence.publisher import LogPublisher
from anxin.evidence.tiles import Tiles
from anxin.evidence.tree import consistency_proof, root
from anxin.evidence.witness import origin_hash, request_text

LOG = logging.getLogger("anxin.log")
#: A witness that has not answered by then is behind.
TIMEOUT_S = 3.0
#: A witness that failed is left alone so long, twice as long each time, up to the second.
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 60.0
#: A log that stands still is witnessed again so often, so that its cosignatures say that it still stands.
RENEW_S = 60.0
#: Witnesses of one log: each cosignature makes the checkpoint longer, and sixteen signatures must be readable by all.
MAX_WITNESSES = 15


@dataclass(slots=True)
class Standing:
    """One witness, and how it stands: the size that it has, when it last cosigned, what went wrong since."""

    verifier: Verifier
    url: str
    size: int | None = None
    cosigned_utc_ms: int | None = None
    error: str | None = None
    pause_s: float = 0.0
    not_before: float = 0.0


def load_witnesses(path: str, quorum: int) -> list[Standing]:
    """Return the witnesses of a file; none where there is no file's name. Raises PolicyError."""
    if not path:
        return []
    try:
        lines = [line.split("#")[0].split() for line in Path(path).read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"ANXIN_WITNESSES: {path}: {error}") from None
    found = []
    for number, words in enumerate(lines, 1):
        if not words:
            continue
        try:
            vkey, url = words
            verifier = parse_vkey(vkey)
        except (ValueError, EvidenceError) as error:
            raise PolicyError(f"{path}, line {number}: a verifier key and a URL are wanted ({error})") from None
        if verifier.kind != COSIGNATURE or not url.startswith(("http://", "https://")):
            raise PolicyError(f"{path}, line {number}: a witness's key (kind 4) and its URL are wanted")
        found.append(Standing(verifier, url.rstrip("/")))
    if len({(s.verifier.name, s.verifier.public_key) for s in found}) != len(found):
        raise PolicyError(f"{path}: a witness stands there twice")
    if not quorum <= len(found) <= MAX_WITNESSES:
        raise PolicyError(
            f"{path}: {len(found)} witnesses; a quorum is {quorum}, and at most {MAX_WITNESSES} are asked"
        )
    return found


class Cosigner:
    """Brings checkpoints to witnesses. `run` does so until it is stopped; `failure` says why nothing may be signed."""

    def __init__(self, publisher: LogPublisher, witnesses: Sequence[Standing], quorum: int, report: Path) -> None:
        self.publisher = publisher
        self.witnesses = witnesses
        self.quorum = quorum
        self.failure: EvidenceError | None = None
        self._report = report
        self._web = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)
        self._pool = ThreadPoolExecutor(max(len(witnesses), 1), "witness")
        self._log_key = parse_vkey(publisher.signer.vkey)

    def close(self) -> None:
        """Give back threads and connections."""
        self._pool.shutdown(cancel_futures=True)
        self._web.close()

    def refuse_if_older(self) -> None:
        """Raise EvidenceError where a witness has a checkpoint of ours that the log in our folder does not continue.

        Witnesses that do not answer are passed over: they can say so later.
        """
        for standing in self.witnesses:
            self._compare(standing)
        if self.failure is not None:
            raise self.failure

    def run(self, stop: threading.Event) -> None:
        """Ask for cosignatures on each new checkpoint until `stop` is set, or the log was found to be an older one."""
        done: bytes = b""
        asked = 0.0
        while not stop.wait(0.05) and self.failure is None:
            now = time.monotonic()
            new = self.publisher.signed != done
            waiting = any(s.error is not None and s.not_before <= now for s in self.witnesses)
            if self.publisher.signed and (new or waiting or now - asked >= RENEW_S):
                done, asked = self.publisher.signed, now
                try:
                    self.round()
                except (OSError, EvidenceError) as error:
                    LOG.error("witnesses: %s", error)
                    stop.wait(1)

    def round(self) -> None:
        """Ask each witness that is not left alone about the newest checkpoint; publish what they cosign."""
        signed = self.publisher.signed
        checkpoint = open_checkpoint(signed, self._log_key)
        tiles = Tiles(self.publisher.folder, checkpoint.size)
        now = time.monotonic()
        asked = {
            self._pool.submit(self._ask, s, signed, checkpoint, tiles) for s in self.witnesses if s.not_before <= now
        }
        lines: list[str] = []
        reached = False
        for future in as_completed(asked):
            if (line := future.result()) is not None:
                lines.append(line)
                if len(lines) == self.quorum:
                    self.publisher.add_cosignatures(checkpoint, signed, lines, True)
                    reached = True
        if lines and not (reached and len(lines) == self.quorum):
            self.publisher.add_cosignatures(checkpoint, signed, lines, reached)
        self._write_report()

    def _ask(self, standing: Standing, signed: bytes, checkpoint: Checkpoint, tiles: Tiles) -> str | None:
        try:
            line = self._cosignature(standing, signed, checkpoint, tiles)
        except (httpx.HTTPError, EvidenceError, ValueError) as error:
            if standing.error is None:
                LOG.warning("witness %s: %s", standing.verifier.name, error)
            standing.error = str(error) or type(error).__name__
            standing.pause_s = min(max(standing.pause_s * 2, FIRST_PAUSE_S), LAST_PAUSE_S)
            standing.not_before = time.monotonic() + standing.pause_s
            return None
        if standing.error is not None:
            LOG.info("witness %s answers again", standing.verifier.name)
        standing.error, standing.pause_s, standing.not_before = None, 0.0, 0.0
        return line

    def _cosignature(self, standing: Standing, signed: bytes, checkpoint: Checkpoint, tiles: Tiles) -> str:
        """Return the cosignature line. Raises EvidenceError, httpx.HTTPError."""
        for _ in range(2):
            old = standing.size or 0
            if old > checkpoint.size:
                self._compare(standing)
                raise EvidenceError(f"it has {old} entries, this log {checkpoint.size}")
            proof = consistency_proof(old, checkpoint.size, tiles.node)
            status, body = self._send("POST", f"{standing.url}/add-checkpoint", request_text(old, proof, signed))
            if status == 409:
                standing.size = _size(body)
                continue
            if status == 422:
                self._compare(standing)
            if status != 200:
                raise EvidenceError(f"it answers {status}: {body[:200].decode('utf-8', 'replace').strip()}")
            note = parse_note(signed + body)
            at_s = note.cosigned_at_s(standing.verifier)
            if at_s is None:
                raise EvidenceError("its answer holds no cosignature by its key")
            standing.size, standing.cosigned_utc_ms = checkpoint.size, at_s * 1_000
            # Of what it sent, its own line alone is published.
            return next(
                line
                for line in body.decode().splitlines(keepends=True)
                if parse_note(signed + line.encode()).cosigned_at_s(standing.verifier) is not None
            )
        raise EvidenceError("its size is another each time it is asked")

    def _compare(self, standing: Standing) -> None:
        """Look at the checkpoint that a witness keeps; note a failure where we signed it and do not continue it."""
        try:
            status, body = self._send("GET", f"{standing.url}/{origin_hash(self.publisher.signer.name)}/checkpoint")
            if status != 200:
                return
            theirs = open_checkpoint(body, self._log_key)
        except (httpx.HTTPError, EvidenceError) as error:
            LOG.warning("witness %s shows no checkpoint of this log: %s", standing.verifier.name, error)
            return
        ours = self.publisher.checkpoint
        name = standing.verifier.name
        if theirs.size > ours.size:
            self.failure = EvidenceError(
                f"witness {name} has a checkpoint of {theirs.size} entries that this log's key signed; here are"
                f" {ours.size}: an older copy of the log runs here"
            )
        elif root(theirs.size, Tiles(self.publisher.folder, ours.size).node) != theirs.root:
            self.failure = EvidenceError(f"witness {name} has another history of this log at {theirs.size} entries")

    def _send(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        with self._web.stream(method, url, content=body) as answer:
            found = b""
            for chunk in answer.iter_bytes():
                found += chunk
                if len(found) > MAX_NOTE_BYTES:
                    raise EvidenceError("its answer is too long")
            return answer.status_code, found

    def _write_report(self) -> None:
        size = self.publisher.checkpoint.size
        document = [
            {"name": s.verifier.name, "size": s.size, "cosigned_utc_ms": s.cosigned_utc_ms, "error": s.error}
            for s in self.witnesses
        ]
        draft = self._report.with_suffix(".new")
        draft.write_text(json.dumps({"size": size, "witnesses": document}), "utf-8")
        draft.replace(self._report)


def witness_states(report: Path, published: int) -> list[dict[str, Any]]:
    """Return how the witnesses stand, as the publisher last wrote it down: name, size, how many published entries each
    is behind, when it last cosigned, what went wrong since. None where there are no witnesses."""
    try:
        document = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [
        {**w, "size": w["size"] or 0, "behind": max(0, published - (w["size"] or 0))} for w in document["witnesses"]
    ]


def _size(body: bytes) -> int:
    text = body.decode("ascii", "replace")
    if not text.endswith("\n") or not text[:-1].isdecimal() or len(text) > 20:
        raise EvidenceError("its size cannot be read")
    return int(text)
