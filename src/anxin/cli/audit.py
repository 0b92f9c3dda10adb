"""`anxin audit`: orders against signed meter records."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from anxin.domain.errors import PolicyError
from anxin.domain.quantities import utc_ms


def add_parser(subparsers: Any) -> None:
    """Add `audit` to the program's parser."""
    audit = subparsers.add_parser(
        "audit",
        help="核对订单与计量记录 · orders against meter records",
        description="逐笔核对订单与电能表签名记录，给出结论与证据。 "
        "Compare orders with signed meter records, session by session; leaves verdicts.parquet, findings.parquet, "
        "rejects.csv, summary.json and report.html in --out.",
        epilog="退出码 exit codes: 0 全部一致 everything agrees · 1 有发现 findings · 2 无法判断 could not judge",
    )
    many: dict[str, Any] = {"nargs": "+", "type": Path, "action": "extend", "default": [], "metavar": "FILE"}
    audit.add_argument("--orders", **many, help="订单文件 · T/CEC 102, OCPI CDRs, CSV, XLSX, Parquet")
    audit.add_argument("--records", **many, help="计量记录 · OCMF, SAFE XML, AXE1 envelopes, tables")
    audit.add_argument("--mapping", **many, help="表格映射（TOML） · mapping of a table, one per kind")
    audit.add_argument("--register", type=Path, metavar="FILE", help="登记册 · register.json")
    audit.add_argument("--keys", type=Path, metavar="FILE", help="密钥 · keys.json")
    audit.add_argument("--policy", type=Path, metavar="FILE", help="规则参数 · policy overlay (TOML)")
    audit.add_argument("--truth", type=Path, metavar="FILE", help="虚拟城市的真相，用于评分 · truth.jsonl of a city")
    audit.add_argument("--engine", default="duckdb", help="规则引擎 · engine (%(default)s)")
    audit.add_argument("--memory", default="8GB", metavar="SIZE", help="引擎内存上限 · engine's memory (%(default)s)")
    audit.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="基准时刻，含时区 · reference moment, with its zone"
    )
    audit.add_argument(
        "--zone", default="Asia/Shanghai", help="无时区时间的时区 · zone of times without one (%(default)s)"
    )
    audit.add_argument("--out", type=Path, required=True, metavar="DIR", help="输出目录 · where the results go")
    audit.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Run the audit. Returns its exit code; declared errors pass to the caller."""
    from anxin.cli.progress import Steps
    from anxin.flow.audit import AuditRequest, run_audit

    if not args.orders and not args.records:
        raise PolicyError("给出 --orders 或 --records · give --orders or --records")
    request = AuditRequest(
        orders=tuple(args.orders),
        records=tuple(args.records),
        out=args.out,
        register=args.register,
        keys=args.keys,
        policy=args.policy,
        mappings=tuple(args.mapping),
        truth=args.truth,
        engine=args.engine,
        as_of_utc_ms=args.as_of,
        zone=args.zone,
        memory_limit=args.memory,
        command=_command(args),
    )
    with Steps() as steps:
        result = run_audit(request, steps.show)
    if args.json:
        print(json.dumps(result.summary, ensure_ascii=False))
    else:
        from anxin.cli.audit_summary import show

        show(result.summary, args.out)
    return result.exit_code


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a time (2026-05-01T00:00:00+08:00): {text!r}") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"a time without a zone: {text!r}")
    return utc_ms(moment)


def _command(args: argparse.Namespace) -> tuple[str, ...]:
    """The words that make this audit again, for the report."""
    words = ["anxin", "audit"]
    for name in ("orders", "records", "mapping"):
        paths = getattr(args, name)
        if paths:
            words += [f"--{name}", *(str(p) for p in paths)]
    for name in ("register", "keys", "policy", "truth", "out"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    if "--as-of" in sys.argv:
        words += ["--as-of", sys.argv[sys.argv.index("--as-of") + 1]]
    if args.zone != "Asia/Shanghai":
        words += ["--zone", args.zone]
    return tuple(words)
