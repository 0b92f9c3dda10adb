"""`anxin rules`: the rule book, for people, for programs, and as the page docs/rules.md."""

from __future__ import annotations

import argparse
import json
from textwrap import dedent
from typing import Any

from anxin.cli import markdown
from anxin.domain.errors import PolicyError
from anxin.domain.finding import Severity
from anxin.reconcile.book import rule_book
from anxin.reconcile.rule import Rule

_SEVERITIES_ZH = {
    Severity.NOTE: "提示",
    Severity.WARNING: "警告",
    Severity.VIOLATION: "违规",
    Severity.GRAVE: "严重",
}
_RANK = tuple(Severity)

_INTRODUCTION = """\
# The rule book · 规则

This page is written by `anxin rules --markdown`. Do not edit it: change the rule under `src/anxin/reconcile/rules`,
then run `make docs`. A test compares the two.

A rule has one or more **causes**: the ways to break it. A finding names its rule and its cause (`R04.billed_more`).

| severity | 级别 | meaning |
|---|---|---|
| note | 提示 | worth knowing, asks for nothing; no alarm |
| warning | 警告 | a duty is broken or evidence is weak; the bill itself is not contradicted |
| violation | 违规 | the bill contradicts a signed record, or the record cannot be trusted |
| grave | 严重 | signs of intent: forgery, replay, manipulation, a broken seal |

- **Disagrees**: whether the cause makes its session count as *disagree*. Other causes are findings beside the state.
- **Needs**: facts without which the rule is not run over all facts. A rule that was not run is listed as such in
  `summary.json` (`rules_not_run`) and in the report. It is never passed over in silence.
- **Looks at**: *one transaction's records* (then `anxin check` runs it too), *all facts* (an audit only), or both.
- **Basis**: where the rule comes from. *confirmed*: the source was read. *secondary*: press, vendors, code of others.
  *derived*: computed or concluded from those. *unconfirmed*: nobody has read a source for it yet.
- **Example**: a short scenario, and the rule's own test. The notation stands at the top of
  `tests/scenarios/notation.py` and, for records alone, of `tests/scenarios/record_notation.py`.
- In sentences, `{expected}`, `{found}`, `{difference}`, `{tolerance}`, `{orders}`, `{records}`, `{meter}`,
  `{connector}`, `{operator}`, `{at}` and `{detail}` are filled in for each finding. Limits and tolerances are values of
  the [policy](policy.md).
"""


def add_parser(subparsers: Any) -> None:
    """Add `rules` to the program's parser."""
    rules = subparsers.add_parser(
        "rules",
        help="规则清单 · the rule book",
        description="列出全部规则及其依据。 List every rule with its causes, sentences and basis.",
    )
    rules.add_argument("rules", nargs="*", metavar="RULE", help="规则编号，如 R04 · rule ids; none: all of them")
    form = rules.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    form.add_argument("--markdown", action="store_true", help="输出文档页 · the page docs/rules.md")


def run(args: argparse.Namespace) -> int:
    """Print the rule book, or the rules asked for. Returns 0; an unknown id is a PolicyError."""
    book = _chosen(args.rules)
    if args.json:
        print(json.dumps({"rules": [document_of(rule) for rule in book]}, ensure_ascii=False, indent=2))
    elif args.markdown:
        print(page_of(book), end="")
    else:
        print("\n".join(line for rule in book for line in _lines(rule, whole=bool(args.rules))))
    return 0


def _chosen(ids: list[str]) -> tuple[Rule, ...]:
    known = {rule.id: rule for rule in rule_book()}
    wanted = [name.upper() for name in ids] or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise PolicyError(f"没有这条规则 · no such rule: {', '.join(unknown)}; known are {', '.join(known)}")
    return tuple(known[name] for name in wanted)


def document_of(rule: Rule) -> dict[str, Any]:
    """Return a rule as JSON values."""
    return {
        "id": rule.id,
        "name": rule.name,
        "title_zh": rule.title_zh,
        "title_en": rule.title_en,
        "explain_zh": rule.explain_zh,
        "explain_en": rule.explain_en,
        "looks_at": _looks_at(rule),
        "needs": list(rule.needs),
        "basis": [{"source": basis.source, "status": basis.status} for basis in rule.basis],
        "causes": [
            {"id": c.id, "severity": c.severity.value, "disagrees": c.disagrees, "zh": c.zh, "en": c.en}
            for c in rule.causes
        ],
        "example": dedent(rule.example).strip(),
        "record_example": None if rule.record_example is None else dedent(rule.record_example).strip(),
    }


def page_of(book: tuple[Rule, ...]) -> str:
    """Return the page docs/rules.md."""
    index = markdown.table(
        ("rule", "规则", "title", "worst severity"),
        ((f"[{r.id}](#{r.id.lower()})", r.title_zh, r.title_en, worst(r).value) for r in book),
    )
    lines = [_INTRODUCTION, *index]
    for rule in book:
        lines += _section(rule)
    return "\n".join(lines).rstrip() + "\n"


def worst(rule: Rule) -> Severity:
    """Return the gravest severity among a rule's causes."""
    return max((cause.severity for cause in rule.causes), key=_RANK.index)


def _looks_at(rule: Rule) -> list[str]:
    grounds = (
        ("one transaction's records", rule.on_record),
        ("all facts", rule.on_facts),
        ("messages at a door", rule.on_conflict),
        ("events of seals", rule.on_seal),
    )
    return [name for name, check in grounds if check is not None]


def _section(rule: Rule) -> list[str]:
    needs = ", ".join(f"`{name}`" for name in rule.needs) or "nothing beyond what it looks at"
    lines = [
        # The anchor is the bare id, so that a link survives a change of title.
        f'<a id="{rule.id.lower()}"></a>',
        "",
        f"## {rule.id} · {rule.title_zh} · {rule.title_en}",
        "",
        rule.explain_zh,
        "",
        rule.explain_en,
        "",
        f"`{rule.name}` · looks at: {', '.join(_looks_at(rule))} · needs: {needs}",
        "",
        *markdown.table(
            ("cause", "severity", "disagrees", "中文", "English"),
            (
                (f"`{c.id}`", f"{_SEVERITIES_ZH[c.severity]} {c.severity.value}", "yes" if c.disagrees else "no",
                 c.zh, c.en)
                for c in rule.causes
            ),
        ),
        *(f"- Basis ({basis.status}): {basis.source}" for basis in rule.basis),
        "",
        *_example("Example", rule.example),
    ]  # fmt: skip
    if rule.record_example is not None:
        lines += _example("Example on records alone", rule.record_example)
    return lines


def _example(title: str, text: str) -> list[str]:
    return [f"{title}:", "", "```text", *dedent(text).strip().splitlines(), "```", ""]


def _lines(rule: Rule, *, whole: bool) -> list[str]:
    """Return a rule for the terminal: one line, or with everything that it says."""
    first = f"{rule.id}  {worst(rule).value:<9}  {rule.title_zh} · {rule.title_en}"
    if not whole:
        return [first]
    lines = [first, "", f"  {rule.explain_zh}", f"  {rule.explain_en}", ""]
    for cause in rule.causes:
        mark = " · 判为不一致 disagrees" if cause.disagrees else ""
        lines += [
            f"  {cause.id} · {_SEVERITIES_ZH[cause.severity]} {cause.severity.value}{mark}",
            f"    {cause.zh}",
            f"    {cause.en}",
        ]
    lines += ["", *(f"  依据 basis ({basis.status}): {basis.source}" for basis in rule.basis)]
    return [*lines, "", *(f"    {line}" for line in dedent(rule.example).strip().splitlines()), ""]
