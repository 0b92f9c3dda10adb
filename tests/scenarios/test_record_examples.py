"""Examples of rules about records, and the scenarios that an inspector would tell about a transaction's records."""

from __future__ import annotations

import pytest

from anxin.reconcile.book import rule_book
from anxin.reconcile.rule import Rule
from anxin.reconcile.sentences import finding_of
from tests.scenarios.record_notation import parse, run

ON_RECORD_ONLY = [(r, r.example) for r in rule_book() if r.on_record is not None and r.on_facts is None]
ON_BOTH = [(r, r.record_example) for r in rule_book() if r.on_record is not None and r.record_example]


def found(text: str) -> list[tuple[str, str]]:
    return [(f.rule, f.cause) for f in run(parse(text))]


@pytest.mark.parametrize(
    ("rule", "example"), ON_RECORD_ONLY + ON_BOTH, ids=lambda v: v.id if isinstance(v, Rule) else ""
)
def test_example_yields_what_it_says(rule: Rule, example: str) -> None:
    scenario = parse(example)
    findings = run(scenario)
    assert [(f.rule, f.cause) for f in findings] == scenario.expected
    assert any(rule_id == rule.id for rule_id, _ in scenario.expected)
    for finding in findings:
        rendered = finding_of(finding)
        for sentence in (rendered.zh, rendered.en):
            assert sentence
            assert "{" not in sentence


def test_every_cause_of_these_rules_is_told_by_some_scenario() -> None:
    """A cause that no scenario reaches is a sentence that nobody has read."""
    told = {(r, c) for text in SCENARIOS.values() for r, c in parse(text).expected}
    told |= {(r, c) for _, example in ON_RECORD_ONLY + ON_BOTH for r, c in parse(example or "").expected}
    declared = {(rule.id, cause.id) for rule, _ in ON_RECORD_ONLY for cause in rule.causes}
    declared |= {("R08", c) for c in ("page_gap_within", "page_repeated_within", "page_back_within")}
    declared |= {
        ("R10", "record_energy_impossible"),
        ("R10", "record_power_impossible"),
        ("R03", "same_record_in_file"),
    }
    declared |= {("R18", "authentic_if_read_so"), ("R18", "undecodable")}
    other = ("meter", "gateway", "place", "user", "unit", "register")
    declared |= {("R09", f"other_{what}") for what in other}
    declared |= {("R12", c) for c in ("record_not_closed", "record_not_begun", "record_overlong")}
    declared |= {("R15", c) for c in ("record_clock_unset", "record_clock_jumped", "record_time_reversed")}
    declared |= {("R15", "record_clock_not_legal"), ("R17", "forged"), ("R17", "cannot_judge")}
    assert declared <= told | {("R18", "undecodable")}  # a scenario is always decodable: see test_check_input


SCENARIOS = {
    "a good session": "record PG=T1 B=100.0@10:00 C=110.0@10:15 E=120.5@10:30",
    "a good pair": """
        record PG=T10 B=100.0@10:00
        record PG=T11 E=120.5@10:30
    """,
    "a relative clock runs on": "record PG=T1 CK=R B=100.0@10:00 E=120.5@10:30",
    "an authorised user appears only later": """
        record PG=T10 ID=- B=100.0@10:00
        record PG=T11 E=120.5@10:30
    """,
    "twice the same": """
        record PG=T10 B=100.0@10:00 E=120.5@10:30
        again
        expect R03 same_record_in_file
    """,
    "a page is missing": """
        record PG=T10 B=100.0@10:00
        record PG=T12 E=120.5@10:30
        expect R08 page_gap_within
    """,
    "the page twice": """
        record PG=T10 B=100.0@10:00
        record PG=T10 E=120.5@10:30
        expect R08 page_repeated_within
    """,
    "the page goes back": """
        record PG=T10 B=100.0@10:00
        record PG=T9 E=120.5@10:30
        expect R08 page_back_within
    """,
    "fiscal and transaction pages": """
        record PG=F10 B=100.0@10:00
        record PG=T11 E=120.5@10:30
        expect R08 page_context_mixed
    """,
    "another gateway": """
        record PG=T10 B=100.0@10:00
        record PG=T11 GS=GS-2 E=120.5@10:30
        expect R09 other_gateway
    """,
    "another place": """
        record PG=T10 CT=EVSEID CI=DE*1 B=100.0@10:00
        record PG=T11 CT=EVSEID CI=DE*2 E=120.5@10:30
        expect R09 other_place
    """,
    "another user": """
        record PG=T10 ID=AAAAAAAA B=100.0@10:00
        record PG=T11 ID=BBBBBBBB E=120.5@10:30
        expect R09 other_user
    """,
    "another unit": """
        record PG=T10 B=100.0@10:00 E=120500@10:30 RU=Wh
        expect R09 other_unit
    """,
    "another register": """
        record PG=T10 B=100.0@10:00 RI=1-0:1.8.0 E=120.5@10:30 RI=1-0:98.8.0
        expect R09 other_register
    """,
    "one register in two spellings": "record B=100.0@10:00 RI=1-0:1.8.0*255 E=120.5@10:30 RI=01-00:01.08.00.FF",
    "too much energy": """
        record B=100.0@10:00 E=2200.5@20:30
        expect R10 record_energy_impossible
    """,
    "too much power": """
        record B=100.0@10:00 E=1100.0@10:10
        expect R10 record_power_impossible
    """,
    "not closed": """
        record B=100.0@10:00
        expect R12 record_not_closed
    """,
    "not begun": """
        record E=100.0@10:00
        expect R12 record_not_begun
    """,
    "a week and an hour": """
        record B=100.0@10:00 E=120.5@2026-05-08T11:00
        expect R12 record_overlong
    """,
    "time goes back": """
        record B=100.0@10:30 E=120.5@10:00
        expect R15 record_time_reversed
    """,
    "the clock was never set": """
        record B=100.0@1970-01-01T01:00 E=100.5@1970-01-01T01:20
        expect R15 record_clock_unset
    """,
    "the clock was set on the way": """
        record B=100.0@1970-01-01T01:00 E=100.5@10:30
        expect R12 record_overlong
        expect R15 record_clock_jumped
    """,
    "the clock is not legal": """
        record CK=I B=100.0@10:00 E=120.5@10:30
        expect R15 record_clock_not_legal
    """,
    "time flagged": """
        record B=100.0@10:00 C=110.0@10:10 EF=t E=120.5@10:30 EF=
        expect R16 time_flag
    """,
    "an exception": """
        record B=100.0@10:00 X=110.0@10:10 E=120.5@10:30
        expect R16 exception
    """,
    "manipulated": """
        record B=100.0@10:00 C=110.0@10:10 ST=M E=120.5@10:30 ST=G
        expect R16 meter_manipulated
    """,
    "exchanged": """
        record B=100.0@10:00 C=110.0@10:10 ST=X E=120.5@10:30 ST=G
        expect R16 meter_exchanged
    """,
    "timeout": """
        record B=100.0@10:00 C=110.0@10:10 ST=T E=120.5@10:30 ST=G
        expect R16 meter_state
    """,
    "the register falls": """
        record B=100.0@10:00 C=150.0@10:15 E=120.5@10:30
        expect R16 value_backwards
    """,
    "no begin value": """
        record B=@10:00 E=120.5@10:30
        expect R16 value_missing
    """,
    "forged": """
        record B=100.0@10:00 E=120.5@10:30 signature=forged
        expect R17 forged
    """,
    "no key": """
        record B=100.0@10:00 E=120.5@10:30 key=none
        expect R17 cannot_judge
    """,
    "the key came along": """
        record B=100.0@10:00 E=120.5@10:30 key=record
        expect R17 key_came_with_record
    """,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    assert found(SCENARIOS[name]) == parse(SCENARIOS[name]).expected
