"""Promise 1: a receipt means that the record is kept. The platform is killed with -9 at random instants under load.

    python -m tests.fault.kills --kills 1000 --seed 1

1  `anxin serve` runs on its embedded PostgreSQL; senders send, and keep every receipt
2  somebody is killed: a process of the platform, a process of PostgreSQL, or everything
3  what does not come back by itself is started again; senders go on where they were
4  every AUDIT_EVERY kills, and at the end, all receipts are compared with what is kept (tests.fault.auditing)

A kill -9 says nothing about the loss of power: the kernel still writes what it holds.
Exit code 0: nothing lost, nothing twice, one history. 1: something was. With --plant: 0 where the fault was found.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from anxin.assembly import open_platform
from anxin.city.build import City, build
from anxin.city.live import Events
from anxin.city.meters import make_secret
from anxin.city.options import CityOptions
from anxin.flow import enrol
from anxin.flow.make_city import content_key, seal_upload
from anxin.flow.publishing import log_signer
from anxin.settings import Settings
from anxin.store.embedded import EmbeddedServer, running_url
from tests.fault.auditing import Checkpoints, Outcome, audit
from tests.fault.load import Ledger, Post, Sender, letters
from tests.fault.planted import FAULTS
from tests.fault.running import Running, free_port

SENDERS = 6
AUDIT_EVERY = 200
#: The load counts as going on when so many answers came after a kill.
ANSWERS = 6
#: Every so many kills one comes before the load goes on again: into the recovery.
EARLY_SHARE = 0.1
#: Nothing that was killed may take longer to answer again.
PATIENCE_S = 120.0
#: Days of a city of CHARGERS for one kill: more messages than the load sends between two.
CHARGERS, DAYS_A_KILL, LEAST_DAYS = 200, 0.8, 20
#: A row that is deleted behind the platform's back, as the fourth planted fault.
DELETED = "deleted"
#: The figures that must be nought.
FAULT_FIGURES = (
    "lost", "altered", "duplicated", "unknown", "changed_receipts", "log_faults", "forked_checkpoints",
)  # fmt: skip


class Run:
    """One run: a platform, its senders, and the figures."""

    def __init__(self, folder: Path, kills: int, seed: int, fault: str) -> None:
        self.data = folder / "data"
        self.kills, self.fault = kills, fault
        self.rng = random.Random(seed)
        self.settings = Settings(data_dir=self.data)
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.checkpoints = Checkpoints(self.data / "log")
        self.killed: Counter[str] = Counter()
        self.in_flight: list[int] = []
        self.recovery_s: list[float] = []
        city = build(CityOptions(seed, CHARGERS, max(LEAST_DAYS, int(kills * DAYS_A_KILL)), start=date(2026, 1, 1)))
        secrets = self._enrol(city)
        self.running = Running(self.data, free_port(), "" if fault == DELETED else fault)
        post = Post(letters(Events(city, seal_upload)), random.Random(seed + 1))
        self.senders = [Sender(n, self.running.port, post, self.ledger, secrets) for n in range(SENDERS)]
        self._over = threading.Event()

    def run(self) -> Outcome:
        """Kill, and audit; return what the last audit found."""
        self.running.start()
        watch = threading.Thread(target=self._watch_checkpoints, daemon=True)
        watch.start()
        for sender in self.senders:
            sender.start()
        try:
            self._until_answers(ANSWERS)
            for number in range(1, self.kills + 1):
                self._kill()
                if number % AUDIT_EVERY == 0 and number < self.kills:
                    found = self._audit()
                    self._tell(number, found)
                    if found.faults:
                        return found
                elif number % 20 == 0:
                    self._tell(number, None)
            if self.fault == DELETED:
                self._delete_one()
            return self._audit()
        finally:
            self._over.set()
            for sender in self.senders:
                sender.stop.set()
            for sender in self.senders:
                sender.join(30)
            self.running.end()
            self.ledger.close()

    def report(self, found: Outcome, seconds: float) -> dict[str, Any]:
        """Return the figures as JSON values."""
        waits = sorted(self.recovery_s)
        return {
            "fault_planted": self.fault or None,
            "kills": sum(self.killed.values()),
            "killed": dict(self.killed),
            "kills_with_requests_in_flight": sum(n > 0 for n in self.in_flight),
            "seconds": round(seconds),
            "answers": self.ledger.answers,
            "answers_that_repeat_a_receipt": self.ledger.repeated,
            **dataclasses.asdict(found),
            "upper_bound_95_of_losing_kills": None if found.lost else f"{3 / max(1, sum(self.killed.values())):.6f}",
            "upper_bound_95_of_lost_receipts": None if found.lost else f"{3 / max(1, found.receipts):.8f}",
            "recovery_s_median": round(waits[len(waits) // 2], 2) if waits else None,
            "recovery_s_longest": round(waits[-1], 2) if waits else None,
        }

    def _enrol(self, city: City) -> dict[str, dict[str, str]]:
        """Enter the city as the authority does, before the platform starts."""
        server = EmbeddedServer(self.data / "postgres").start()
        platform = open_platform(self.settings, server.url)
        try:
            keys = [content_key(make_secret(city.options.seed, n, m)) for n, m in enumerate(city.world.meter_code)]
            enrol.enrol_register(platform.database, platform.vault, city.register, keys)
            if self.fault == "twice":
                with platform.database.transaction() as connection:
                    connection.execute("drop index message_identity")
            return {
                o.operator_id: enrol.new_tcec_secrets(platform.database, platform.vault, o.operator_id)
                for o in city.register.operators
            }
        finally:
            platform.database.close()
            server.stop()

    def _kill(self) -> None:
        time.sleep(self.rng.uniform(0.02, 0.4))
        self.in_flight.append(sum(s.waiting for s in self.senders))
        answers = self.ledger.answers
        self.killed[self.running.kill(self.rng)] += 1
        self.running.keep_running()
        if self.rng.random() < EARLY_SHARE:
            time.sleep(self.rng.uniform(0.0, 1.5))
            return
        self.recovery_s.append(self._until_answers(answers + ANSWERS))

    def _until_answers(self, wanted: int) -> float:
        """Wait until so many answers came in all; return how long that was, seconds."""
        began = time.monotonic()
        while self.ledger.answers < wanted:
            failures = [s.failure for s in self.senders if s.failure]
            if failures or time.monotonic() - began > PATIENCE_S:
                raise AssertionError(failures[0] if failures else f"no answer for {PATIENCE_S} s: {self._last_words()}")
            self.running.keep_running()
            time.sleep(0.01)
        return time.monotonic() - began

    def _audit(self) -> Outcome:
        self._until_answers(self.ledger.answers + ANSWERS)
        for sender in self.senders:
            sender.hold.set()
        for sender in self.senders:
            if not sender.held.wait(PATIENCE_S):
                raise AssertionError(f"a sender has no answer: {self._last_words()}")
        found = audit(self.data, log_signer(self.settings).vkey, self.ledger, self.checkpoints)
        for sender in self.senders:
            sender.hold.clear()
        return found

    def _delete_one(self) -> None:
        """Delete a message that somebody has a receipt for."""
        self._until_answers(self.ledger.answers + ANSWERS)
        published = self.checkpoints.look()
        index = self.rng.choice([k.index for k in self.ledger.receipts.values() if k.index < published])
        with psycopg.connect(running_url(self.data / "postgres") or "", autocommit=True) as connection:
            connection.execute("set session_replication_role = replica")
            connection.execute("delete from message where index = %s", (index,))

    def _watch_checkpoints(self) -> None:
        while not self._over.wait(0.1):
            self.checkpoints.look()

    def _tell(self, number: int, found: Outcome | None) -> None:
        text = f"{number} kills, {len(self.ledger.receipts):,} receipts"
        if found is not None:
            text += f"; audit: {found.lost} lost, {found.duplicated} duplicated, {found.faults} faults in all"
        print(text, file=sys.stderr, flush=True)

    def _last_words(self) -> str:
        said = [self.running.output, self.data / "postgres" / "log"]
        return "\n".join(p.read_text(errors="replace")[-3_000:] for p in said if p.is_file())


def make_run(kills: int, seed: int = 1, fault: str = "") -> dict[str, Any]:
    """Return the report of one run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="anxin-kills-") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as another user where root starts it
        run = Run(Path(name).resolve(), kills, seed, fault)
        began = time.monotonic()
        return run.report(run.run(), time.monotonic() - began)


def main() -> int:
    """Make the runs that were asked for; print their reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=(*FAULTS, DELETED, "all"), help="plant a fault, which must be found")
    args = parser.parse_args()
    wrong = 0
    for fault in (*FAULTS, DELETED) if args.plant == "all" else (args.plant or "",):
        report = make_run(args.kills, args.seed, fault)
        faults = sum(report[n] for n in FAULT_FIGURES)
        print(json.dumps(report, indent=1), flush=True)
        wrong += (faults == 0) if fault else (faults > 0)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
