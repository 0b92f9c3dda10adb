"""`anxin bench upload`: results of runs without a connection, sent later; each counts once."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(actions: Any) -> None:
    """Add `upload` to the group `bench`."""
    command = actions.add_parser(
        "upload",
        help="上传结果 · send kept results",
        description="上传离线检定的结果，重复上传只计一次。 Send results of offline runs; sent twice, they count once.",
    )
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="结果文件 · files of results")
    command.add_argument("--platform", required=True, metavar="URL", help="平台地址 · the platform")
    command.add_argument(
        "--token-file", required=True, type=Path, metavar="FILE", help="令牌文件 · file with the bench's bearer token"
    )
    command.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Send each file and return 0. The first that is not taken is an error; what went before it is taken."""
    from anxin.flow.verifying_documents import kept, upload

    for path in args.files:
        result = kept(path)
        receipt = upload(result, args.platform, args.token_file)
        if args.json:
            print(json.dumps({"run_id": result.run_id, "receipt": receipt}, ensure_ascii=False))
        else:
            print(f"{result.run_id}: 平台已收下 · the platform has taken it")
    return 0
