"""`anxin log check`: a receipt and a proof, checked offline by their holder."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError

MARKS = {"holds": "✓ 成立 · holds      ", "fails": "✗ 不成立 · fails    ", "not_checked": "– 未核对 · unchecked"}


def add_parser(commands: Any) -> None:
    """Add `check` to the commands of `log`."""
    parser = commands.add_parser(
        "check",
        help="离线核验回执与证明 · check a receipt and a proof offline",
        description="离线核验回执与证明，不需要平台。 Check a receipt and a proof without the platform.",
        epilog="退出码 exit codes: 0 全部成立 all that is needed holds · 1 有不成立 something fails · "
        "2 无法判断 could not judge",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="回执或证明 · a receipt (JSON) or a proof")
    parser.add_argument("--proof", metavar="FILE", type=Path, help="证明 · the proof of the receipt's entry")
    parser.add_argument("--record", metavar="FILE", type=Path, help="原始记录 · the record that you have")
    parser.add_argument("--entry", metavar="HEX", help="存证条目，无回执时 · the entry, where there is no receipt")
    parser.add_argument("--vkey", help="日志公钥 · the log's verifier key, from somebody you trust")
    parser.add_argument(
        "--witness-vkey", metavar="VKEY", action="append", default=[], help="见证公钥 · a witness's key"
    )
    parser.add_argument(
        "--quorum", metavar="N", type=int, help="所需副署数，默认全部 · cosignatures wanted, all if not given"
    )
    parser.add_argument("--max-age-s", metavar="N", type=int, help="副署最长时限（秒）· how old cosignatures may be")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check. Returns 0 where all that is needed holds, 1 where something fails, 2 where it could not be judged."""
    from anxin.domain.errors import EvidenceError
    from anxin.evidence.note import COSIGNATURE, parse_vkey
    from anxin.evidence.proofs import MAX_PROOF_BYTES, PROOF_HEAD
    from anxin.flow.check import MAX_FILE_BYTES, read_bytes
    from anxin.flow.check_log import Trust, check_documents

    first = read_bytes(args.file, MAX_PROOF_BYTES)
    proof = None if args.proof is None else read_bytes(args.proof, MAX_PROOF_BYTES)
    receipt: bytes | None = first
    if first.startswith(PROOF_HEAD.encode()):
        if proof is not None:
            raise InputError("two proofs and no receipt")
        receipt, proof = None, first
    elif not first.lstrip().startswith(b"{"):
        raise InputError(f"{args.file}: neither a receipt nor a proof")
    record = None if args.record is None else read_bytes(args.record, MAX_FILE_BYTES)
    try:
        log = None if args.vkey is None else parse_vkey(args.vkey)
        witnesses = [parse_vkey(text) for text in args.witness_vkey]
        entry = None if args.entry is None else bytes.fromhex(args.entry)
    except (EvidenceError, ValueError) as error:
        raise InputError(str(error)) from None
    if (log is not None and log.kind == COSIGNATURE) or any(w.kind != COSIGNATURE for w in witnesses):
        raise InputError("--vkey wants a log's key, --witness-vkey a witness's (kind 4)")
    if args.quorum is not None and not 1 <= args.quorum <= len(witnesses):
        raise InputError(f"a quorum of {args.quorum} of {len(witnesses)} witnesses")
    trust = Trust(log, witnesses, args.quorum, args.max_age_s)
    check = check_documents(receipt, proof, record, entry, trust, int(time.time()))
    if args.json:
        steps = [{"step": s.name, "outcome": s.outcome.value, "zh": s.zh, "en": s.en} for s in check.steps]
        print(json.dumps({"steps": steps, "exit_code": check.exit_code}, ensure_ascii=False))
    else:
        for s in check.steps:
            print(f"{MARKS[s.outcome.value]}  {s.zh} · {s.en}")
        words = ("全部成立 · it holds", "不成立 · it does not hold", "无法判断 · could not judge")
        print(words[check.exit_code])
    return check.exit_code
