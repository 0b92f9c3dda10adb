"""The page: what an inspector must find on it, and what nobody may smuggle into it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import fields, is_dataclass, replace
from importlib import resources
from typing import Any

import pytest
from lxml import html

from anxin.report import page
from anxin.report.page import render
from anxin.report.view import MAX_CASES, MAX_REJECTS, CaseRow, PolicyView, RejectRow, ReportView
from tests.unit.report_sample import sample_view

HOSTILE = (
    '"><script>window.hit=1</script>',
    "' onmouseover='window.hit=1",
    "</style></title></script><svg onload=window.hit=1>",
    "<img src=https://evil.example/x onerror=window.hit=1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.hit=1",
    "]]><!--\x00\u202e\ud800",
)


def hostile(value: Any, text: str) -> Any:
    """`value` with `text` put before every string in it, but for the zone, which no file can set."""
    if isinstance(value, str):
        return text + value
    if isinstance(value, tuple):
        return tuple(hostile(item, text) for item in value)
    if isinstance(value, dict):
        return {**value, **{text + key: number for key, number in value.items()}}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: hostile(getattr(value, f.name), text) for f in fields(value) if f.name != "zone"}
        return replace(value, **changed)
    return value


def bare(**changes: Any) -> ReportView:
    policy = PolicyView("policy", "2026-11-01", "0" * 64)
    return replace(ReportView("空", "Empty", 0, "anxin", policy, {}), **changes)


@pytest.fixture(scope="module")
def sample() -> str:
    return render(sample_view())


def tree_of(text: str) -> Any:
    """The page as a tree; typed loosely, since what an XPath yields depends on the XPath."""
    return html.fromstring(text)


def words_of(text: str) -> str:
    return " ".join(tree_of(text).text_content().split())


def test_the_same_view_gives_the_same_bytes(sample: str) -> None:
    assert render(sample_view()) == sample


def test_the_verdict_is_a_sentence_in_both_languages(sample: str) -> None:
    words = words_of(sample)
    assert "10,312 次充电中，10,210 次一致，41 次不一致，17 次有订单而无计量记录，14 次有计量记录而无订单" in words
    assert "Of 10,312 charging sessions, 10,210 agree and 41 disagree; 17 have an order but no meter record" in words


def test_notices_stand_before_every_figure(sample: str) -> None:
    assert sample.index("日期的日与月可能颠倒") < sample.index("10,312 次充电中") < sample.index("账单电量")


def test_totals_are_compared_like_with_like(sample: str) -> None:
    words = words_of(sample)
    for figure in ("266,411.630kWh", "+113.518kWh", "+1,362.216CNY"):
        assert figure in words


def test_every_case_shows_its_evidence_sentence_and_source(sample: str) -> None:
    tree = tree_of(sample)
    cases = tree.xpath("//details[@class='case']")
    view = sample_view()
    assert len(cases) == len(view.cases)
    shown = {one.xpath("string(.//dd/a)"): one for one in cases}
    for case in view.cases:
        text = " ".join(shown[case.session_id].text_content().split())
        for finding in case.findings:
            assert finding.zh in text
            assert " ".join(finding.en.split()) in text
        for source in case.sources:
            assert f"{source.file} 第row {source.row}" in text
        assert all(one in text for one in (*case.order_ids, *case.record_ids))
        assert len(shown[case.session_id].xpath(".//tr[@class='differs']")) == sum(e.differs for e in case.evidence)


def test_cases_stand_by_severity_then_by_difference(sample: str) -> None:
    shown = re.findall(r">(s-\d{6})</a>", sample)
    cases = {case.session_id: case for case in sample_view().cases}
    order = ["grave", "violation", "warning", "note"]
    ranks = [
        (order.index(cases[one].severity), -abs(cases[one].difference_milli_wh or 0))
        for one in shown
        if cases[one].difference_milli_wh is not None
    ]
    assert ranks == sorted(ranks)
    assert len(shown) == len(cases)


def test_both_languages_stand_side_by_side_throughout(sample: str) -> None:
    tree = tree_of(sample)
    chinese, english = tree.xpath("//body//*[@lang='zh']"), tree.xpath("//body//*[@lang='en']")
    # "row 12" against "第 12 行" is the one place where Chinese needs a word more.
    trailing = [one for one in chinese if one.text == " 行"]
    assert len(chinese) - len(trailing) == len(english) > 500


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_from_outside_becomes_markup(text: str, sample: str) -> None:
    rendered = render(hostile(sample_view(12), text))
    rendered.encode("utf-8")
    tree, honest = tree_of(rendered), tree_of(render(sample_view(12)))
    assert len(tree.xpath("//script")) == 1
    assert "window.hit" not in tree.xpath("string(//script)")
    assert not tree.xpath("//@*[starts-with(name(), 'on')]")
    for attribute in ("href", "src", "xlink:href", "action", "style"):
        values = {str(v) for v in tree.xpath(f"//@*[name()='{attribute}']")}
        assert not [v for v in values if "hit" in v or "evil" in v], attribute
    tags = {element.tag for element in tree.iter() if isinstance(element.tag, str)}
    assert tags <= {element.tag for element in honest.iter() if isinstance(element.tag, str)} | {"p"}
    assert not set(rendered) & set("\x00\u202e\ud800")


def test_only_the_pages_own_script_may_run(sample: str) -> None:
    script = re.search(r"<script>(.*?)</script>", sample, re.S)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', sample)
    assert script
    assert policy
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]


def test_nothing_is_loaded_from_outside(sample: str) -> None:
    tree = tree_of(sample)
    links = {str(v) for name in ("href", "src", "srcset", "data", "poster") for v in tree.xpath(f"//@{name}")}
    assert [link for link in links if not link.startswith(("#", "data:,"))] == []
    assert not re.search(r"@import|url\((?!#)", sample)


def test_an_audit_of_nothing_still_makes_a_page() -> None:
    words = words_of(render(bare()))
    assert "0 次充电中，0 次一致，0 次不一致。" in words
    assert "没有需要查看的充电。" in words


def test_an_unknown_word_is_shown_as_it_is() -> None:
    case = CaseRow("s-1", "half_agreed", "catastrophic", answer="perhaps", operator_id="X")
    words = words_of(render(bare(cases=(case,))))
    assert all(word in words for word in ("half_agreed", "catastrophic", "perhaps"))


def test_more_cases_than_a_page_holds_are_named_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_CASES", 5)
    rendered = render(replace(sample_view(20), cases_total=31_000))
    assert rendered.count("<details class=case") == 5
    assert "本页收录最要紧的 5 次，其余见 verdicts.parquet 与 findings.parquet" in rendered
    assert "31,000" in rendered


def test_two_thousand_cases_stay_within_fifteen_megabytes() -> None:
    rendered = render(sample_view(MAX_CASES + 1))
    assert rendered.count("<details class=case") == MAX_CASES
    assert len(rendered.encode()) < 15_000_000


def test_cases_stuffed_with_text_still_stay_within_bounds() -> None:
    view = sample_view(400)
    stuffed = tuple(
        replace(hostile(case, "字" * 2_000), findings=case.findings * 300, evidence=case.evidence * 300,
                order_ids=case.order_ids * 500, sources=case.sources * 500, registers=case.registers * 200)
        for case in view.cases
    )  # fmt: skip
    rendered = render(replace(view, cases=stuffed * 4))
    assert len(rendered.encode()) < 15_000_000
    assert 0 < rendered.count("<details class=case") < 1_600, "the bound was reached"


def test_rejects_are_bounded_and_counted() -> None:
    rejects = tuple(RejectRow("a.csv", n, "number.syntax", "not a number") for n in range(MAX_REJECTS + 5))
    words = words_of(render(bare(rejects=rejects, rejects_total=9_000)))
    assert "共 9,000 行无法读成数据" in words
    assert "另有 8,800 行未列出" in words


def test_unconfirmed_limits_carry_a_sign_and_a_word(sample: str) -> None:
    row = tree_of(sample).xpath("//tr[td[.='late.record_window']]")[0]
    assert "尚未核实" in row.text_content()
    assert row.xpath(".//*[local-name()='use'][@href='#i-triangle']")


def test_rules_that_were_not_run_say_what_was_missing(sample: str) -> None:
    words = words_of(sample)
    assert "检定记录" in words
    assert "不等于通过" in words


def test_the_command_can_be_pasted_into_a_shell() -> None:
    words = words_of(render(bare(command=("anxin", "audit", "--orders", "十月 订单.csv; rm -rf x"))))
    assert "anxin audit --orders '十月 订单.csv; rm -rf x'" in words


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _themes() -> list[dict[str, str]]:
    css = resources.files("anxin.report").joinpath("templates", "theme.css").read_text("utf-8")
    printed = resources.files("anxin.report").joinpath("templates", "print.css").read_text("utf-8")
    blocks = re.findall(r"\{(color-scheme:[^}]+)\}", css + printed)
    return [dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})(?=[;}]|$)", block)) for block in blocks]


def test_text_has_the_contrast_of_wcag_aa_in_every_theme() -> None:
    themes = _themes()
    assert len(themes) == 4, "light, dark by preference, dark by switch, print"
    for theme in themes:
        for ink in ("ink", "muted", "accent", "agree", "disagree", "order", "record", "pending"):
            for ground in ("paper", "card", "tint-accent", "tint-disagree", "tint-warn"):
                if ground.startswith("tint") and ink in ("agree", "record", "pending", "order"):
                    continue  # those words never stand on a tint
                assert _contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground, theme[ink], theme[ground])


def test_the_dark_theme_is_the_same_by_preference_and_by_switch() -> None:
    _, preferred, switched, _ = _themes()
    assert preferred == switched
