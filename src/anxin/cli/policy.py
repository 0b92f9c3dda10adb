"""`anxin policy`: the values in force, for people, for programs, and as the page docs/policy.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from anxin.cli import markdown
from anxin.reconcile.policy import Policy, PolicyValue, load_policy

_INTRODUCTION = """\
# The policy · 规则参数

This page is written by `anxin policy --markdown`. Do not edit it: change
`src/anxin/reconcile/policies/default-2026-11.toml`, then run `make docs`. A test compares the two.

Every tolerance and limit of the [rule book](rules.md) is a value of a dated policy. None stands in code. Each value
names its source, and whether that source was read:

| status | meaning |
|---|---|
| confirmed | the source was read |
| secondary | known from press, vendors or the code of others |
| derived | computed or concluded from those; the source column says how |
| unconfirmed | nobody has read a source for it yet |

The digest of what is in force stands in `summary.json` (`policy_sha256`) and in every report: SHA-256 over the
canonical JSON (sorted keys, no blanks, UTF-8) of title, date and all values with their units, sources and statuses.
`anxin policy --policy FILE` prints it beforehand.

## Values
"""
_OWN = """\
## A policy of your own

A policy file is TOML. It needs a `title` and a date. It names the values that differ; the others keep the default. An
unknown name, another unit, another type, a negative number or a fraction is refused.

```toml
title = "Trial in one district"
dated = 2026-12-01

[late]
record_window = { value = 172800000, unit = "ms", source = "District order, 2026-11-30: 48 h", status = "confirmed" }
```

`anxin audit` and `anxin check` take it with `--policy FILE`. `examples/norway/policy.toml` is one that is in use.
"""


def add_parser(subparsers: Any) -> None:
    """Add `policy` to the program's parser."""
    policy = subparsers.add_parser(
        "policy",
        help="规则参数 · the policy in force",
        description="列出规则参数的数值、来源与摘要。 List every value in force with its unit, source and status, "
        "and the digest that stands in the reports.",
    )
    policy.add_argument("--policy", type=Path, metavar="FILE", help="规则参数 · policy overlay (TOML)")
    form = policy.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    form.add_argument("--markdown", action="store_true", help="输出文档页 · the page docs/policy.md")


def run(args: argparse.Namespace) -> int:
    """Print the values in force. Returns 0; a file that is no policy is an InputError or a PolicyError."""
    policy = load_policy(args.policy)
    if args.json:
        print(json.dumps(document_of(policy), ensure_ascii=False, indent=2))
    elif args.markdown:
        print(page_of(policy), end="")
    else:
        print(f"{policy.title} ({policy.dated})\nsha256 {policy.sha256}")
        for value in policy.values.values():
            print(f"{value.name:<34} {_figure(value):>12} {value.unit}\n    {value.status}: {value.source}")
    return 0


def document_of(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values."""
    return {
        "title": policy.title,
        "dated": policy.dated,
        "sha256": policy.sha256,
        "values": {
            v.name: {"value": v.value, "unit": v.unit, "source": v.source, "status": v.status}
            for v in policy.values.values()
        },
    }


def page_of(policy: Policy) -> str:
    """Return the page docs/policy.md."""
    table = markdown.table(
        ("value", "default", "unit", "that is", "status", "source"),
        (
            (f"`{v.name}`", _figure(v), v.unit or "–", in_words(v), _status(v.status), v.source)
            for v in policy.values.values()
        ),
    )
    head = f"{policy.title}, dated {policy.dated}.\n"
    return "\n".join([_INTRODUCTION, head, *table, _OWN.rstrip()]) + "\n"


def in_words(value: PolicyValue) -> str:
    """Return a value in the unit that people use, exactly, or a dash where it is that already."""
    if isinstance(value.value, bool) or not isinstance(value.value, int):
        return "–"
    if value.unit == "ms":
        return _duration(value.value)
    per, unit = {"mWh": (1_000_000, "kWh"), "W": (1_000, "kW"), "ppm": (10_000, "%")}.get(value.unit, (0, ""))
    if not per:
        return "–"
    whole, rest = divmod(value.value, per)
    digits = str(rest).zfill(len(str(per)) - 1).rstrip("0") if rest else ""
    return f"{whole:,}{'.' if digits else ''}{digits} {unit}"


def _duration(value_ms: int) -> str:
    for per, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if value_ms and value_ms % per == 0:
            return f"{value_ms // per} {unit}"
    return f"{value_ms} ms"


def _figure(value: PolicyValue) -> str:
    return str(value.value).lower() if isinstance(value.value, bool) else str(value.value)


def _status(status: str) -> str:
    return f"**{status}**" if status == "unconfirmed" else status
