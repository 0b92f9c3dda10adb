"""`anxin witness`: a small witness of evidence logs, for machines that the platform's operator does not run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

DEFAULT_PORT = 8090


def add_parser(subparsers: Any) -> None:
    """Add `witness` with its commands to the program's parser."""
    witness = subparsers.add_parser("witness", help="见证人 · a witness of evidence logs")
    commands = witness.add_subparsers(dest="witness_command", required=True)
    key = commands.add_parser(
        "key",
        help="见证公钥 · the witness's verifier key",
        description="输出见证公钥；首次调用时生成。 Print the verifier key; it is made at the first call.",
    )
    serve = commands.add_parser(
        "serve",
        help="启动见证 · start the witness",
        description="启动见证：只为与已见证状态一致的检查点副署。 "
        "Start the witness: it cosigns what begins with what it cosigned before.",
    )
    for parser in (key, serve):
        parser.add_argument("--folder", type=Path, required=True, help="见证数据目录 · the witness's own folder")
        parser.add_argument("--name", help="见证名称，首次需要 · its name, needed the first time")
    serve.add_argument("--log", metavar="VKEY", action="append", required=True, help="日志公钥 · a log's verifier key")
    serve.add_argument("--host", default="127.0.0.1", help="地址 · address to listen at (%(default)s)")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT, help="端口 · port (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Print the key, or serve until stopped. Returns 0. Raises InputError, EvidenceError."""
    from anxin.flow.witnessing import open_witness, witness_signer

    if args.witness_command == "key":
        print(witness_signer(args.folder, args.name).vkey)
        return 0
    import uvicorn

    from anxin.faces.witness import create_witness_app
    from anxin.flow.serving import configure_log
    from anxin.settings import Settings

    configure_log(Settings())
    witness = open_witness(args.folder, args.name, args.log)
    try:
        print(
            f"见证 · witness {witness.signer.vkey}\n  http://{args.host}:{args.port}/add-checkpoint",
            file=sys.stderr,
            flush=True,
        )
        uvicorn.run(
            create_witness_app(witness), host=args.host, port=args.port, log_config=None, access_log=False,
            timeout_graceful_shutdown=10,
        )  # fmt: skip
    finally:
        witness.close()
    return 0
