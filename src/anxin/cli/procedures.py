"""`anxin procedures`: the procedures of verification with every number's source, and the page docs/procedures.md."""

from __future__ import annotations

import argparse
import json
from typing import Any

from anxin.cli import markdown
from anxin.domain.verification import Item, Sourced, SourcedText, SourceStatus
from anxin.verification.procedures import Place, Procedure, procedure_of, procedures

ITEMS_ZH = {
    Item.APPEARANCE: "外观及功能检查",
    Item.WORKING_ERROR: "工作误差",
    Item.CLOCK_ERROR: "时钟时刻误差",
    Item.INSULATION: "绝缘电阻",
    Item.INDICATION_ERROR: "示值误差",
    Item.AMOUNT_ERROR: "付费金额误差",
}
ITEMS_EN = {
    Item.APPEARANCE: "appearance and function",
    Item.WORKING_ERROR: "working error",
    Item.CLOCK_ERROR: "clock moment error",
    Item.INSULATION: "insulation resistance",
    Item.INDICATION_ERROR: "indication error",
    Item.AMOUNT_ERROR: "amount to pay",
}

_INTRODUCTION = """\
# Procedures of verification · 检定程序

This page is written by `anxin procedures --markdown`. Do not edit it: change the files under
`src/anxin/verification/data/procedures`, then run `make docs`. A test compares the two.

Every limit, load point, rounding and period that a verification uses stands here with its source, and whether that
source was read. **What is not confirmed is shown so in every result that rests on it, and on its certificate.** Before
such a number decides over anyone, the regulation's own text must be read and the file corrected.

| status | meaning |
|---|---|
| confirmed | the source was read and says this |
| secondary | known from press, vendors or the code of others |
| derived | computed or concluded from those |
| unconfirmed | nobody has read a source for it yet |

The form of a file: texts at the top; `[sources]` gives each source a key; every other entry is
`{ value = 10000, unit = "ppm", source = KEY, status = "..." }`, or the same without a unit where the value is a text. A
number without a source, a fraction, or a source that is not listed is refused. The SHA-256 of the file's bytes stands
in every result.
"""


def add_parser(subparsers: Any) -> None:
    """Add `procedures` to the program's parser."""
    command = subparsers.add_parser(
        "procedures",
        help="检定程序 · procedures of verification",
        description="列出检定程序的项目、限值、负载点及其依据。 List procedures of verification: "
        "items, limits, load points, each number with its source and status.",
    )
    command.add_argument("procedures", nargs="*", metavar="PROCEDURE", help="程序编号 · ids; none: one line each")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    form.add_argument("--markdown", action="store_true", help="输出文档页 · the page docs/procedures.md")


def run(args: argparse.Namespace) -> int:
    """Print the procedures, or those asked for. Returns 0; an unknown id is a PolicyError."""
    chosen = [procedure_of(name.lower()) for name in args.procedures] or list(procedures().values())
    if args.json:
        print(json.dumps({"procedures": [document_of(p) for p in chosen]}, ensure_ascii=False, indent=2))
    elif args.markdown:
        print(page_of(chosen), end="")
    else:
        for procedure in chosen:
            print(_line(procedure))
            if args.procedures:
                print("\n".join(f"    {value}" for value in values_of(procedure)))
    return 0


def values_of(procedure: Procedure) -> list[Sourced | SourcedText]:
    """Return every value of a procedure: statements, then numbers, each in the order of the file."""
    return [*procedure.file.statements.values(), *procedure.file.numbers.values()]


def document_of(procedure: Procedure) -> dict[str, Any]:
    """Return a procedure as JSON values."""
    return {
        "id": procedure.id,
        "sha256": procedure.sha256,
        **{name: procedure.file.text(name) for name in ("document", "title_zh", "title_en")},
        "currents": list(procedure.currents),
        "classes": list(procedure.classes),
        "items": {item.value: place.value for item, place in procedure.items.items()},
        "values": {
            value.name: {
                "value": value.value,
                **({"unit": value.unit} if isinstance(value, Sourced) else {}),
                "source": value.source,
                "status": value.status.value,
            }
            for value in values_of(procedure)
        },
    }


def page_of(chosen: list[Procedure]) -> str:
    """Return the page docs/procedures.md."""
    return "\n".join([_INTRODUCTION, *(line for procedure in chosen for line in _section(procedure))]).rstrip() + "\n"


def _section(procedure: Procedure) -> list[str]:
    text = procedure.file.text
    items = ", ".join(
        f"{ITEMS_ZH[item]} {ITEMS_EN[item]}" + (" (前提条件 precondition)" if place is Place.PRECONDITION else "")
        for item, place in procedure.items.items()
    )
    return [
        f"## {procedure.id}",
        "",
        f"{text('document')} {text('title_zh')} · {text('title_en')}. {', '.join(procedure.currents)}. Items: {items}.",
        "",
        *markdown.table(
            ("value", "is", "unit", "status", "source"),
            (
                (f"`{v.name}`", f"{v.value}", v.unit if isinstance(v, Sourced) else "–", _status(v.status), v.source)
                for v in values_of(procedure)
            ),
        ),
    ]


def _line(procedure: Procedure) -> str:
    values = values_of(procedure)
    judged = sum(place is Place.ITEM for place in procedure.items.values())
    confirmed = sum(v.status is SourceStatus.CONFIRMED for v in values)
    text = procedure.file.text
    return (
        f"{procedure.id:<20} {'/'.join(procedure.currents):<6} {text('document')} {text('title_zh')} · "
        f"{judged} 项 items · {confirmed}/{len(values)} 已证实 confirmed"
    )


def _status(status: SourceStatus) -> str:
    return status.value if status is SourceStatus.CONFIRMED else f"**{status.value}**"
