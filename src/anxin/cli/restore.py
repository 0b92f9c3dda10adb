"""`anxin restore`: a backup becomes a platform on an empty machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from anxin.cli.admin import settings_of
from anxin.cli.backup import add_passphrase, passphrase_of


def add_parser(subparsers: Any) -> None:
    """Add `restore` to the program's parser."""
    parser = subparsers.add_parser(
        "restore",
        help="恢复备份 · restore a backup",
        description="在空目录与空数据库中恢复备份，并核对整个存证日志。 "
        "Restore a backup into an empty folder and database, and audit the whole evidence log.",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="备份目录 · folder of the backup")
    add_passphrase(parser)
    parser.add_argument("--data", type=Path, help="数据目录，须为空 · data folder, empty (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Restore. Returns 0 where everything is there, 1 where something is not. Raises InputError, StoreError."""
    from anxin.flow.restoring import restore_backup

    restored = restore_backup(settings_of(args), args.source.resolve(), passphrase_of(args))
    if args.json:
        print(json.dumps(dataclasses.asdict(restored), ensure_ascii=False))
    else:
        print(f"消息 · messages           {restored.messages:,}")
        print(f"日志 · entries of the log {restored.log_size:,}")
        print(f"用时 · seconds            {restored.seconds:.1f}")
        for sentence in restored.missing:
            print(f"  {sentence}")
        print(
            "完整，核对无误 · complete, nothing wrong"
            if not restored.missing
            else "不完整，见上 · not complete, see above"
        )
    return 1 if restored.missing else 0
