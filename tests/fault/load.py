"""Senders that keep a ledger of every receipt they got, on disk, before they go on.

A city without cheats gives the messages. Each sender has one message, or one batch, under way; what has no answer is
sent again until it has one. Some that have a receipt are sent again all the same: their receipt must be the first one.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from anxin.city.live import Events, What
from anxin.domain.message import Kind
from anxin.formats import meter_envelope, tcec102_envelope
from anxin.formats.tcec102_envelope import OperatorSecrets

ZONE = ZoneInfo("Asia/Shanghai")
TIMEOUT_S = 20.0
BATCH = 12
#: Share of what is sent that has its receipt already, and how many messages are kept for that.
AGAIN, KEPT = 0.12, 400

Identity = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: what identifies it, the bytes that must be kept, and the text that goes out."""

    identity: Identity
    payload: bytes
    text: str
    what: What


@dataclass(frozen=True, slots=True)
class Kept:
    """What a sender remembers of a receipt."""

    index: int
    payload_sha256: bytes
    document_sha256: bytes


class Ledger:
    """All receipts that were got, in memory and line by line on disk."""

    def __init__(self, path: Path) -> None:
        self.receipts: dict[Identity, Kept] = {}
        self.answers = self.repeated = self.changed = 0
        self.complaints: list[str] = []
        self._file: IO[str] = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def note(self, letter: Letter, accepted: dict[str, Any]) -> None:
        """Keep a receipt; compare it with the one that the same message got before."""
        document = accepted["receipt"]
        text = json.dumps(document, sort_keys=True)
        digest = hashlib.sha256(letter.payload).digest()
        kept = Kept(document["index"], digest, hashlib.sha256(text.encode()).digest())
        with self._lock:
            self._file.write(f"{text}\n")
            self.answers += 1
            self.repeated += accepted["repeated"]
            first = self.receipts.setdefault(letter.identity, kept)
            if first != kept or document["payload_sha256"] != digest.hex():
                self.changed += 1
                self.complaints.append(f"another receipt for {letter.identity}: {first.index}, then {kept.index}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def letters(events: Events) -> Iterator[Letter]:
    """Yield everything that a city sends, once; records of meters that sign by SM2 are left out, for their slowness."""
    seen: set[Identity] = set()
    for number in range(len(events)):
        what, sender, texts = events.texts(number) if _wanted(events, number) else (None, "", [])
        for text in texts:
            if what is What.RECORD:
                binary = meter_envelope.from_line(text.encode())
                envelope = meter_envelope.parse(binary)
                name = f"{envelope.key_id}/{envelope.counter}"
                letter = Letter((Kind.METER_ENVELOPE.value, envelope.meter_id, name), binary, text, what)
            elif what is What.ORDER:
                name = json.loads(text)["StartChargeSeq"]
                letter = Letter((Kind.TCEC_ORDER.value, sender, name), text.encode(), text, what)
            else:
                continue
            if letter.identity not in seen:
                seen.add(letter.identity)
                yield letter


def _wanted(events: Events, number: int) -> bool:
    what, row = int(events._what[number]), int(events._row[number])
    if what == 0:
        return True
    return what == 1 and int(events.span.records.meter[int(events.span.records.payload[row])]) % 2 == 0


@dataclass
class Post:
    """Where senders take their letters from. Letters of a batch are all records."""

    source: Iterator[Letter]
    rng: random.Random
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _records: list[Letter] = field(default_factory=list)
    _orders: list[Letter] = field(default_factory=list)
    _sent: list[Letter] = field(default_factory=list)
    given: int = 0

    def take(self) -> list[Letter]:
        """Return one order, or a batch of records; now and then what was taken before."""
        with self._lock:
            if self._sent and self.rng.random() < AGAIN:
                return [self.rng.choice(self._sent)]
            while len(self._records) < BATCH and not self._orders:
                letter = next(self.source)
                (self._records if letter.what is What.RECORD else self._orders).append(letter)
            taken = [self._orders.pop()] if self._orders else self._records
            if taken is self._records:
                self._records = []
            self.given += len(taken)
            return taken

    def done(self, taken: list[Letter]) -> None:
        """Remember some of what has its receipt, to be sent again."""
        with self._lock:
            for letter in taken:
                if len(self._sent) < KEPT:
                    self._sent.append(letter)
                elif self.rng.random() < 0.05:
                    self._sent[self.rng.randrange(KEPT)] = letter


class Sender(threading.Thread):
    """One keep-alive connection. `waiting` says whether an answer is awaited now."""

    def __init__(self, number: int, port: int, post: Post, ledger: Ledger, secrets: dict[str, dict[str, str]]) -> None:
        super().__init__(daemon=True, name=f"sender-{number}")
        self.port, self.post, self.ledger = port, post, ledger
        self.values = secrets
        parts = ("data_secret", "data_secret_iv", "sig_secret")
        self.keys = {o: OperatorSecrets(o, *(v[n].encode() for n in parts)) for o, v in secrets.items()}
        self.waiting = False
        self.stop, self.hold, self.held = threading.Event(), threading.Event(), threading.Event()
        self.failure = ""
        self._tokens: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None
        self._seq = number * 1_000

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                if self.hold.is_set():
                    self.held.set()
                    time.sleep(0.02)
                    continue
                self.held.clear()
                taken = self.post.take()
                self._deliver(taken)
                self.post.done(taken)
        except StopIteration:
            self.failure = "the letters are used up: give the run more days"
        except _StoppedError:
            pass
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            raise

    def _deliver(self, taken: list[Letter]) -> None:
        if taken[0].what is What.RECORD:
            body = "\n".join(letter.text for letter in taken).encode()
            outcomes = json.loads(self._until_heard("/meter/v1/records/batch", body, {}))
            for letter, outcome in zip(taken, outcomes, strict=True):
                self.ledger.note(letter, outcome)
            return
        (letter,) = taken
        operator = letter.identity[1]
        while True:
            token = self._tokens.get(operator) or self._token(operator)
            answer = self._tcec("notification_charge_order_info", operator, letter.payload, token)
            if answer["Ret"] == 0:
                data = json.loads(tcec102_envelope.open_parsed(answer, [self.keys[operator]]).plain)
                self.ledger.note(letter, data["Receipt"])
                return
            if answer["Ret"] not in (-1, 500, 4002):
                raise ValueError(f"{letter.identity}: {answer}")
            self._tokens.pop(operator, None)
            time.sleep(0.05)

    def _token(self, operator: str) -> str:
        plain = json.dumps({"OperatorID": operator, "OperatorSecret": self.values[operator]["operator_secret"]})
        while True:
            answer = self._tcec("query_token", operator, plain.encode(), "")
            if answer["Ret"] == 0:
                data = json.loads(tcec102_envelope.open_parsed(answer, [self.keys[operator]]).plain)
                self._tokens[operator] = data["AccessToken"]
                return self._tokens[operator]
            self._pause()

    def _tcec(self, interface: str, operator: str, plain: bytes, token: str) -> Any:
        self._seq = self._seq % 9_999 + 1
        stamp = datetime.now(UTC).astimezone(ZONE).strftime("%Y%m%d%H%M%S")
        body = tcec102_envelope.seal_envelope(plain, self.keys[operator], stamp, f"{self._seq:04d}")
        return json.loads(self._until_heard(f"/evcs/v1/{interface}", body, {"Authorization": f"Bearer {token}"}))

    def _until_heard(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
                self.waiting = True
                self._connection.request("POST", path, body, headers)
                answer = self._connection.getresponse()
                data = answer.read()
                if answer.status == 200:
                    return data
                if answer.status not in (429, 500, 502, 503):
                    raise ValueError(f"{path}: {answer.status} {data[:200]!r}")
            except (OSError, http.client.HTTPException):
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
            finally:
                self.waiting = False
            self._pause()

    def _pause(self) -> None:
        if self.stop.wait(0.05):
            raise _StoppedError


class _StoppedError(Exception):
    """The load ends while something is under way."""
