"""`anxin surveillance`: what to inspect first, and operators' data quality, from the platform's database."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from anxin.cli.admin import settings_of

DEFAULT_LIMIT = 20


def add_parser(subparsers: Any) -> None:
    """Add `surveillance` to the program's parser."""
    parser = subparsers.add_parser(
        "surveillance",
        help="检查优先清单与数据质量 · what to inspect first, and data quality",
        description="检查优先清单（不是违法认定）与各运营商数据质量。 "
        "What to inspect first (triage, never a verdict), and the operators' data quality.",
    )
    parser.add_argument("--operator", metavar="ID", help="某一运营商 · one operator's alone")
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="清单条数 · entries of the list (%(default)s)")
    parser.add_argument("--again", action="store_true", help="全部重新统计 · count everything anew first")
    parser.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Print list and quality. Returns 0: a place on the list is no finding. Raises StoreError, InputError."""
    from anxin.assembly import open_platform
    from anxin.flow import surveillance_reading as reading
    from anxin.flow.surveillance import count_again
    from anxin.store.embedded import attached_url

    settings = settings_of(args)
    with attached_url(settings) as url:
        platform = open_platform(settings, url)
        try:
            waits = args.again and not count_again(platform)
            found = reading.listed(platform, args.operator, None, None, max(1, args.limit), 0)
            quality = reading.quality(platform, args.operator)
        finally:
            platform.database.close()
    if args.json:
        print(json.dumps({**found, "quality": quality}, ensure_ascii=False))
        return 0
    if waits:
        print("运行中的平台正在重新统计 · the running platform counts everything anew; look again in a while")
    print(f"{found['note']['zh']}\n{found['note']['en']}")
    for entry in found["entries"]:
        place = " ".join(str(v) for v in (entry["subject_id"], entry["operator_id"], entry["district"] or ""))
        print(f"\n{entry['rank']:>3}  {entry['score']:>6}  {place}")
        for reason in entry["reasons"]:
            print(f"             {reason['zh']}\n             {reason['en']}")
    print("\n数据质量 · data quality (30 d)")
    for one in quality:
        shares = "  ".join(f"{d['name']} {_percent(d['share_ppm'])}" for d in one["dimensions"])
        print(f"  {one['operator_id']}  {_percent(one['score_ppm'])}  {shares}")
    return 0


def _percent(ppm: int | None) -> str:
    return "–" if ppm is None else f"{ppm / 10_000:.2f} %"
