"""`anxin log audit`: the evidence log derived again from what is stored, by code apart from the writer's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError
from anxin.settings import load_settings


def add_parser(subparsers: Any) -> None:
    """Add `log` with its command `audit` to the program's parser."""
    log = subparsers.add_parser("log", help="存证日志 · the evidence log")
    commands = log.add_subparsers(dest="log_command", required=True)
    audit = commands.add_parser(
        "audit",
        help="重新推导并核对存证日志 · derive the log again and compare",
        description="由存储的字节重新推导存证日志并逐条核对。 Derive the log again from the stored bytes.",
    )
    audit.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    audit.add_argument("--vkey", help="验证公钥 · verifier key; default: that of the key in the data folder")
    audit.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Audit. Returns 0 where all is as it was committed, 1 where something is not. Raises InputError, StoreError."""
    import dataclasses

    from anxin.evidence.auditor import Row, audit_log
    from anxin.flow.publishing import log_folder, log_signer
    from anxin.store.database import Database
    from anxin.store.embedded import attached_url
    from anxin.store.log_rows import message_rows

    settings = load_settings()
    if args.data is not None:
        settings = dataclasses.replace(settings, data_dir=args.data)
    settings = dataclasses.replace(settings, data_dir=settings.data_dir.resolve())
    if not (log_folder(settings) / "checkpoint").is_file():
        raise InputError(f"no log was published under {settings.data_dir}")
    with attached_url(settings) as url, Database(url) as database:

        def rows() -> Iterator[Row]:
            for row in message_rows(database):
                yield Row(*row)

        audit = audit_log(log_folder(settings), args.vkey or log_signer(settings).vkey, rows())
    if args.json:
        print(json.dumps(dataclasses.asdict(audit), ensure_ascii=False))
    else:
        print(f"日志 · log: {audit.size:,}; 消息 · messages: {audit.rows:,}; 已删除 · erased: {audit.erased:,}")
        for fault in audit.faults:
            print(f"  {fault}")
        print("无误 · nothing wrong" if not audit.fault_count else f"错误 · faults: {audit.fault_count:,}")
    return 1 if audit.fault_count else 0
