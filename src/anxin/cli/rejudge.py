"""`anxin rejudge`: what is kept is decoded and judged again, and it is said whether any verdict changed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from anxin.cli.admin import moment, settings_of


def add_parser(subparsers: Any) -> None:
    """Add `rejudge` to the program's parser."""
    parser = subparsers.add_parser(
        "rejudge",
        help="重新判定 · judge again",
        description="重新解析并判定已存的消息，报告判定是否改变。 "
        "Decode and judge again what is kept, and say whether any verdict changed.",
    )
    parser.add_argument("--since", metavar="TIME", help="自何时收到 · received since, ISO 8601 with its zone")
    parser.add_argument("--until", metavar="TIME", help="至何时收到 · received before, ISO 8601 with its zone")
    parser.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Judge again. Returns 0 where the same verdicts stand, 1 where not. Raises StoreError, InputError."""
    from anxin.assembly import open_platform
    from anxin.flow.rejudge import replay
    from anxin.store.embedded import attached_url

    since, until = (None if text is None else moment(text) for text in (args.since, args.until))
    settings = settings_of(args)

    def told(left: int) -> None:
        if sys.stderr.isatty():
            print(f"\r剩余 · left {left:,}        ", end="", file=sys.stderr)

    with attached_url(settings) as url:
        platform = open_platform(settings, url)
        try:
            found = replay(platform, since, until, told=told)
        finally:
            platform.database.close()
    if args.json:
        print(json.dumps(dataclasses.asdict(found)))
    else:
        print(f"重新判定的消息 · messages judged again  {found.messages:,}  ({found.seconds:.1f} s)")
        print(f"判定 · verdicts  {found.verdicts:,}    发现 · findings  {found.findings:,}")
        print(f"期间收到 · arrived meanwhile  {found.arrived:,}")
        print(f"之前 · before  {found.before}\n之后 · after   {found.after}")
        print("判定有变 · verdicts changed" if found.changed else "判定相同 · the same verdicts")
    return 1 if found.changed else 0
