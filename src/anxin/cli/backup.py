"""`anxin backup`: database, published log and keys of a platform in one folder, while it runs or not."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from anxin.cli.admin import settings_of
from anxin.domain.errors import InputError


def add_parser(subparsers: Any) -> None:
    """Add `backup` to the program's parser."""
    parser = subparsers.add_parser(
        "backup",
        help="备份 · back up",
        description="备份数据库、存证日志与密钥；平台可在运行。 Database, evidence log and keys; the platform may run.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="新目录 · a new folder")
    add_passphrase(parser)
    parser.add_argument(
        "--plain", action="store_true", help="不加密（含主密钥） · not sealed, although it holds the keys"
    )
    parser.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the passphrase's file: it never stands on a command line."""
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="口令文件 · file with the passphrase")


def passphrase_of(args: argparse.Namespace) -> bytes | None:
    """Return the passphrase in the file named, None where none is. Raises InputError."""
    if args.passphrase_file is None:
        return None
    try:
        found: bytes = args.passphrase_file.read_bytes().strip()
    except OSError as error:
        raise InputError(f"{args.passphrase_file}: {error.strerror or error}") from None
    if len(found) < 12:
        raise InputError(f"{args.passphrase_file}: a passphrase has at least 12 bytes")
    return found


def run(args: argparse.Namespace) -> int:
    """Back up. Returns 0. Raises InputError, StoreError, EvidenceError."""
    from anxin.flow.backup import make_backup
    from anxin.store.database import Database
    from anxin.store.embedded import attached_url

    passphrase = passphrase_of(args)
    if (passphrase is None) != args.plain:
        raise InputError("a backup holds the master key: give either --passphrase-file or --plain")
    settings = settings_of(args)
    with attached_url(settings) as url, Database(url, 2) as database:
        made = make_backup(settings, database, args.out.resolve(), passphrase)
    if args.json:
        print(json.dumps(dataclasses.asdict(made)))
    else:
        print(f"消息 · messages           {made.messages:,}")
        print(f"日志 · entries of the log {made.log_size:,}")
        print(f"字节 · bytes              {made.size_bytes:,}")
        print(f"用时 · seconds            {made.seconds:.1f}")
    return 0
