"""The rule book prepared: judged once with Ibis, then again and again as the SQL that came out.

Building and compiling the book's expressions takes longer than running them on the facts of a few seconds. The facts
change from slice to slice, the expressions hardly ever: shortcuts are never taken here, and all that the judge still
asks the engine is whether a repeated step has settled. So the statements are remembered by the answers so far; an
answer that was not met before runs the book in full, and is remembered too.

A way that is gone a second time is prepared in the engine: its statements fill the tables that stand there. After
RENEW_AFTER slices all of it is made anew, so that the room of rows long deleted is given back.

    answers so far ─▶ statements to run, and the next question (none: sessions and findings are there)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from anxin.reconcile.engine import DuckDBEngine
from anxin.reconcile.facts import Facts
from anxin.reconcile.judge import judge
from anxin.reconcile.policy import Policy

#: Ways through the book that are remembered; nearly always there is one.
MAX_WAYS = 1_000
#: Rounds of a repeated step before the judge asks whether it has settled: a group of more than a few orders and records
#: is rare, and a round on a slice costs a few milliseconds.
ROUNDS = 4
#: Slices until the tables are made anew: 500 slices leave some megabytes behind, and to prepare takes a second.
RENEW_AFTER = 500
Answers = tuple[Any, ...]


@dataclass(slots=True)
class _Segment:
    """Statements up to the next question; `results` instead of a question at the end."""

    statements: list[str] = field(default_factory=list)
    question: str | None = None
    results: tuple[str, str] | None = None
    prepared: list[tuple[str, str]] = field(default_factory=list)


class PreparedBook:
    """The rule book for one policy, one set of rules and one set of facts that are there, on one engine.

    The tables of the facts MUST have the same names and columns each time; only their rows may differ.
    """

    def __init__(self, policy: Policy, engine: DuckDBEngine, only: frozenset[str] | None = None) -> None:
        self.policy = policy
        self.engine = engine
        self.only = only
        self.ways = 0
        self._segments: dict[Answers, _Segment] = {}
        self._tables: dict[str, pa.Table] = {}
        self._slices = 0

    def judge(self, facts: Facts) -> tuple[pa.Table, pa.Table]:
        """Return sessions (by session_no) and findings, as `judge` would leave them."""
        answers: Answers = ()
        self._slices += 1
        if self._slices % RENEW_AFTER == 0:
            self._unprepare()
            self.engine.forget_loaded()
            for name, table in self._tables.items():
                self.engine.load_arrow(name, table)
        while (segment := self._segments.get(answers)) is not None:
            self._run(segment)
            if segment.results is not None:
                return self.engine.ask(segment.results[0]), self.engine.ask(segment.results[1])
            if segment.question is None:
                break
            answers = (*answers, _answer(self.engine.ask(segment.question)))
        return self._learn(facts)

    def _run(self, segment: _Segment) -> None:
        """Run a segment's statements. Only where all of its tables stand can they be prepared for the next time."""
        if segment.prepared:
            for one in segment.prepared:
                self.engine.run_again(one)
            return
        for statement in segment.statements:
            self.engine.run(statement)
        segment.prepared = [self.engine.prepare(statement) for statement in segment.statements]

    def _unprepare(self) -> None:
        for segment in self._segments.values():
            for one in segment.prepared:
                self.engine.unprepare(one)
            segment.prepared = []

    def dump(self) -> bytes:
        """Return what was prepared as JSON, for a book of the same policy, rules, facts and code."""
        segments = [[a, s.statements, s.question, s.results] for a, s in self._segments.items()]
        tables = {name: table.to_pydict() for name, table in self._tables.items()}
        return json.dumps({"segments": segments, "tables": tables}).encode()

    def load(self, data: bytes) -> None:
        """Take over what `dump` gave. Raises ValueError where it is something else."""
        document = json.loads(data)
        try:
            segments = {_hashable(a): _Segment(s, q, r and (r[0], r[1])) for a, s, q, r in document["segments"]}
            self._tables = {name: pa.table(columns) for name, columns in document["tables"].items()}
        except (KeyError, TypeError, pa.ArrowException) as error:
            raise ValueError(f"not a prepared book: {error}") from None
        for name, table in self._tables.items():
            self.engine.load_arrow(name, table)
        self._segments = segments
        self.ways = sum(s.results is not None for s in segments.values())

    def _learn(self, facts: Facts) -> tuple[pa.Table, pa.Table]:
        # It makes the book's tables anew, and what was prepared on the old ones is bound to them.
        self._unprepare()
        if self.ways >= MAX_WAYS:
            self._segments.clear()
            self.ways = 0
        recorder = _Recorder(self.engine)
        verdicts = judge(facts, self.policy, recorder, only=self.only)
        results = (
            self.engine.query_sql(verdicts.sessions.order_by("session_no")),
            self.engine.query_sql(verdicts.findings),
        )
        recorder.segment.results = results
        self._segments |= recorder.segments
        self._tables |= recorder.tables
        self.ways += 1
        return self.engine.ask(results[0]), self.engine.ask(results[1])


class _Recorder:
    """An engine that writes down what it is asked."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        self._answers: Answers = ()
        self.segment = _Segment()
        self.segments: dict[Answers, _Segment] = {(): self.segment}
        self.tables: dict[str, pa.Table] = {}

    def load_arrow(self, name: str, table: pa.Table) -> Any:
        # A table of the book's own (its causes): the same each time, so it stays.
        self.tables[name] = table
        return self._engine.load_arrow(name, table)

    def load_parquet(self, name: str, paths: Sequence[Path], number: str | None) -> Any:
        return self._engine.load_parquet(name, paths, number)

    def stage(self, name: str, expression: Any) -> Any:
        self.segment.statements.append(self._engine.stage_sql(name, expression))
        return self._engine.stage(name, expression)

    def rows(self, expression: Any) -> pa.Table:
        table = self._engine.rows(expression)
        self.segment.question = self._engine.query_sql(expression)
        self._answers = (*self._answers, _answer(table))
        self.segment = self.segments[self._answers] = _Segment()
        return table

    rounds_at_once = ROUNDS

    def shortcut(self, table: Any) -> bool:
        """Never: whatever the facts are, the same statements serve."""
        return False

    def write_parquet(self, expression: Any, path: Path, order_by: Sequence[str]) -> int:
        return self._engine.write_parquet(expression, path, order_by)

    def close(self) -> None:
        self._engine.close()


def _hashable(value: Any) -> Any:
    return tuple(_hashable(v) for v in value) if isinstance(value, list) else value


def _answer(table: pa.Table) -> tuple[Any, ...]:
    return tuple(tuple(row.values()) for row in table.to_pylist())
