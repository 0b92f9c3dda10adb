"""The prepared book says what the judge says, on facts that it was not prepared with."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from anxin.flow.book_files import keep_book, load_book
from anxin.reconcile import prepared
from anxin.reconcile.engine import DuckDBEngine
from anxin.reconcile.facts import Facts
from anxin.reconcile.judge import judge
from anxin.reconcile.policy import load_policy
from anxin.reconcile.prepared import PreparedBook
from tests.scenarios.together import facts_on, merged_values
from tests.unit.reconcile_worlds import AS_OF, random_world


def said(sessions: pa.Table, findings: pa.Table) -> tuple[list[Any], list[Any]]:
    def plain(table: pa.Table) -> list[Any]:
        return sorted((sorted(row.items()) for row in table.to_pylist()), key=repr)

    return plain(sessions), plain(findings)


def test_a_book_says_the_same_before_and_after_its_tables_were_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "RENEW_AFTER", 3)
    engine, plain = DuckDBEngine(tmp_path / "a", optimise=False), DuckDBEngine(tmp_path / "b")
    book = PreparedBook(load_policy(), engine)
    try:
        for number in range(8):
            values = merged_values([random_world(Random(f"renewed/{number}/{n}")).values for n in range(12)])
            moment = engine.load_arrow("moment", pa.table({"as_of_utc_ms": pa.array([AS_OF], pa.int64())}))
            loaded = facts_on(engine, values, None)
            verdicts = judge(facts_on(plain, values, AS_OF), load_policy(), plain)
            expected = said(plain.rows(verdicts.sessions), plain.rows(verdicts.findings))
            facts = Facts(loaded.tables, loaded.present, moment.as_of_utc_ms.as_scalar())
            assert said(*book.judge(facts)) == expected, number
    finally:
        engine.close()
        plain.close()


def test_statements_made_on_some_worlds_serve_for_others(tmp_path: Path) -> None:
    batches = [[random_world(Random(f"prepared/{b}/{n}")).values for n in range(40)] for b in range(3)]
    engine, plain = DuckDBEngine(tmp_path / "a", optimise=False), DuckDBEngine(tmp_path / "b")
    book = PreparedBook(load_policy(), engine)
    try:
        for batch in batches:
            merged = merged_values(batch)
            moment = engine.load_arrow("moment", pa.table({"as_of_utc_ms": pa.array([AS_OF], pa.int64())}))
            loaded = facts_on(engine, merged, None)
            facts = Facts(loaded.tables, loaded.present, moment.as_of_utc_ms.as_scalar())
            verdicts = judge(facts_on(plain, merged, AS_OF), load_policy(), plain)
            expected = said(plain.rows(verdicts.sessions), plain.rows(verdicts.findings))
            assert expected[1]
            assert said(*book.judge(facts)) == expected
        # One way through the book, whatever the worlds were: compiling it anew would keep a live judge waiting.
        assert book.ways == 1
        # What was prepared serves another book, on another engine, in the same words.
        again = PreparedBook(load_policy(), plain)
        assert not load_book(again, tmp_path, facts.present)
        keep_book(book, tmp_path, facts.present)
        assert load_book(again, tmp_path, facts.present)
        moment = plain.load_arrow("moment", pa.table({"as_of_utc_ms": pa.array([AS_OF], pa.int64())}))
        loaded = facts_on(plain, merged, None)
        assert said(*again.judge(Facts(loaded.tables, loaded.present, moment.as_of_utc_ms.as_scalar()))) == expected
        assert again.ways == 1
        (kept,) = tmp_path.glob("*.json")
        kept.write_bytes(kept.read_bytes()[:-9])
        assert not load_book(PreparedBook(load_policy(), plain), tmp_path, facts.present)
        assert not load_book(PreparedBook(load_policy(), plain), tmp_path, facts.present - {"seals"})
    finally:
        engine.close()
        plain.close()
