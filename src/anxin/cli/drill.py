"""`anxin drill`: a backup of the platform, restored elsewhere, audited, and compared with the original."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from anxin.cli.admin import settings_of


def add_parser(subparsers: Any) -> None:
    """Add `drill` to the program's parser."""
    parser = subparsers.add_parser(
        "drill",
        help="恢复演练 · a drill of backup and restore",
        description="备份平台，在别处恢复、核对并比较；不留下任何东西。 "
        "Back up the platform, restore it elsewhere, audit and compare; nothing is left behind.",
    )
    parser.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Drill. Returns 0 where the restored platform is the original, 1 where it differs. Raises AnxinError."""
    from anxin.flow.restoring import run_drill
    from anxin.store.database import Database
    from anxin.store.embedded import attached_url

    settings = settings_of(args)
    with attached_url(settings) as url, Database(url, 2) as database:
        drill = run_drill(settings, database)
    if args.json:
        print(json.dumps(dataclasses.asdict(drill), ensure_ascii=False))
    else:
        print(f"回执相同 · receipts compared  {drill.messages:,}")
        print(f"日志核对 · log audited        {drill.log_size:,}")
        print(f"判定相同 · verdicts compared  {drill.verdicts:,}")
        print(f"备份 · backup                 {drill.backup_s:.1f} s, {drill.size_bytes:,} bytes")
        print(f"恢复与核对 · restore, audit   {drill.restore_s:.1f} s")
        for sentence in drill.differences:
            print(f"  {sentence}")
        print("演练通过 · the drill passed" if not drill.differences else "演练失败 · the drill failed")
    return 1 if drill.differences else 0
