"""Sessions of the trade, one short text each: exactly these findings, exactly these states."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from anxin.domain.quantities import utc_ms
from tests.scenarios.notation import Scenario, parse
from tests.scenarios.together import Heard, judge_together, present_in

TRADE = sorted((Path(__file__).parent / "trade").glob("*.scenario"))
#: Facts whose mere presence changes what a rule or a state means: they are never lent to a neighbour.
_DECISIVE = ("orders", "records", "keys")


@cache
def told() -> dict[str, tuple[Scenario, Heard]]:
    """Every scenario with what the judge says of it; those that may share one run of the judge do."""
    alike: dict[object, list[tuple[str, Scenario]]] = defaultdict(list)
    for path in TRADE:
        scenario = parse(path.read_text(encoding="utf-8"))
        present = present_in([scenario.values])
        alike[scenario.as_of, *(name in present for name in _DECISIVE)].append((path.stem, scenario))
    found: dict[str, tuple[Scenario, Heard]] = {}
    for group in alike.values():
        with TemporaryDirectory() as scratch:
            values = [scenario.values for _, scenario in group]
            heard = judge_together(values, utc_ms(group[0][1].as_of), Path(scratch))
        found |= {name: (scenario, said) for (name, scenario), said in zip(group, heard, strict=True)}
    return found


@pytest.mark.parametrize("name", [path.stem for path in TRADE])
def test_exactly_what_it_says(name: str) -> None:
    scenario, heard = told()[name]
    found = [
        (row["rule"], row["cause"], frozenset(f"{row['order_ids'] or ''} {row['record_ids'] or ''}".split()))
        for row in heard.findings
    ]
    assert set(found) == scenario.expected
    assert len(found) == len(scenario.expected)
    assert Counter(session["state"] for session in heard.sessions) == scenario.states
