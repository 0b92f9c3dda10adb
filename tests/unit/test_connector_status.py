"""The page of states says what the code reads."""

from __future__ import annotations

import re

from anxin.domain import connector_status as words
from tests.vectors.shared import ROOT


def test_the_page_of_states_is_the_tables_of_the_code() -> None:
    told: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "formats" / "status.md").read_text("utf-8").splitlines():
        if match := re.match(r"\| `(\w+)` \|", line):
            told[match[1]] = [cell.strip() for cell in line.strip("|").split("|")][2:]
    assert told.keys() == {state.value for state in words.State}
    tables: list[list[tuple[object, words.State]]] = [
        list(t.items()) for t in (words.TCEC102, words.OCPI, words.OCPP16, words.OCPP201)
    ]
    for column, table in enumerate(tables):
        for state in words.State:
            said = {str(word) for word, meant in table if meant is state}
            cell = {word for word in told[state.value][column].split(", ") if word not in {"–", "any other"}}
            assert cell == said, (state, column)
