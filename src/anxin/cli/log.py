"""`anxin log`: the evidence log audited, watched, checked offline, and a message erased from behind it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anxin.cli import log_check
from anxin.domain.errors import InputError
from anxin.settings import Settings, load_settings

if TYPE_CHECKING:
    from anxin.flow.log_files import PublishedLog

_URL_HELP = "平台地址，作为外人核对 · a platform's address: as an outsider"


def add_parser(subparsers: Any) -> None:
    """Add `log` with its commands to the program's parser."""
    log = subparsers.add_parser("log", help="存证日志 · the evidence log")
    commands = log.add_subparsers(dest="log_command", required=True)
    audit = commands.add_parser(
        "audit",
        help="重新推导并核对存证日志 · derive the log again and compare",
        description="由存储的字节重新推导存证日志并逐条核对。 Derive the log again from the stored bytes.",
    )
    audit.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    audit.add_argument("--url", help=_URL_HELP)
    audit.add_argument("--vkey", help="验证公钥 · verifier key; default: that of the key in the data folder")
    audit.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    audit.set_defaults(run=_audit)
    monitor = commands.add_parser(
        "monitor",
        help="与上次所见比对 · compare with what was seen last",
        description="记住检查点，下次核对日志只增未改。 Remember the checkpoint; see later that the log only grew.",
    )
    monitor.add_argument("--url", required=True, help="平台地址 · the platform's address")
    monitor.add_argument("--state", type=Path, required=True, help="记住检查点的文件 · file that remembers")
    monitor.add_argument("--vkey", help="验证公钥 · verifier key; needed the first time, then remembered")
    monitor.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    monitor.set_defaults(run=_monitor)
    log_check.add_parser(commands)
    erase = commands.add_parser(
        "erase",
        help="删除一条消息的内容 · erase what a message said",
        description="删除一条消息的内容与盐值，日志条目与判定保留；删除本身记入日志。 "
        "Erase a message's bytes and salt; its entry and verdict stay, and the deed enters the log.",
    )
    erase.add_argument("index", metavar="INDEX", type=int, help="消息序号 · number of the message in the log")
    erase.add_argument("--by", required=True, help="执行人或机关 · who erases")
    erase.add_argument("--reason", required=True, help="理由，勿含当事人信息 · why; names no person concerned")
    erase.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    erase.set_defaults(run=_erase)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands. Returns 0 where all is as it was committed, 1 where something is not. Raises InputError,
    StoreError, EvidenceError."""
    command: Callable[[argparse.Namespace], int] = args.run
    return command(args)


def settings_of(data: Path | None) -> Settings:
    """Return the settings with the data folder that was given, as an absolute path."""
    settings = load_settings()
    return dataclasses.replace(settings, data_dir=(data or settings.data_dir).resolve())


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The address of the platform's database, as `attached_url`; a folder without a platform is not made into one."""
    from anxin.store.embedded import attached_url

    if not settings.database_url and not (settings.data_dir / "postgres").is_dir():
        raise InputError(f"no platform keeps its data under {settings.data_dir}")
    with attached_url(settings) as url:
        yield url


def _audit(args: argparse.Namespace) -> int:
    from anxin.cli.progress import Steps
    from anxin.evidence.auditor import Read, Row, audit_log, folder_of
    from anxin.flow.log_files import PublishedLog
    from anxin.flow.publishing import log_folder, log_signer
    from anxin.store.database import Database
    from anxin.store.log_rows import message_rows

    started = time.monotonic()
    with ExitStack() as stack:
        rows: Iterator[Row] | None = None
        if args.url:
            log = PublishedLog(args.url)
            stack.callback(log.close)
            read: Read = log.read
            vkey = args.vkey or log.vkey()
            _answers(log)
        else:
            settings = settings_of(args.data)
            folder = log_folder(settings)
            if not (folder / "checkpoint").is_file():
                raise InputError(f"no log was published under {settings.data_dir}")
            read, vkey = folder_of(folder), args.vkey or log_signer(settings).vkey
            # Read later than the checkpoint, in one snapshot: what came in since is there as well, and is checked.
            database = stack.enter_context(Database(stack.enter_context(database_url(settings)), 2))
            rows = (Row(*row) for row in message_rows(database))
        bar = stack.enter_context(Steps())
        audit = audit_log(read, vkey, rows, lambda done, total: bar.show("log audit", done, total))
    seconds = time.monotonic() - started
    rate = round(audit.size / seconds) if seconds else 0
    if args.url and not args.vkey:
        print(
            "公钥取自平台本身，未经独立确认 · the key was taken from the platform itself: pin it with --vkey",
            file=sys.stderr,
        )
    if args.json:
        document = dataclasses.asdict(audit) | {"seconds": round(seconds, 3), "entries_per_second": rate}
        print(json.dumps(document, ensure_ascii=False))
    else:
        looked = f"{audit.rows:,}" if rows is not None else "未核对 · not looked at"
        print(f"日志 · log: {audit.size:,}; 消息 · messages: {looked}; 已删除 · erased: {audit.erased:,}")
        for fault in audit.faults:
            print(f"  {fault}")
        print("无误 · nothing wrong" if not audit.fault_count else f"错误 · faults: {audit.fault_count:,}")
        print(f"{seconds:.1f} s; {rate:,} /s", file=sys.stderr)
    return 1 if audit.fault_count else 0


def _erase(args: argparse.Namespace) -> int:
    from anxin.flow.erasing import erase
    from anxin.flow.intake import now_utc_ms
    from anxin.store.database import Database, migrate

    settings = settings_of(args.data)
    with database_url(settings) as url, Database(url, 2) as database:
        migrate(database)
        deed = erase(database, args.index, args.by, args.reason, now_utc_ms())
    print(f"已删除 · erased: {args.index}; 记录 · deed: {deed.index}")
    return 0


def _answers(log: PublishedLog) -> None:
    """Raise InputError where there is no checkpoint to begin with: that is no fault of the log."""
    try:
        log.read("checkpoint")
    except OSError as error:
        raise InputError(str(error)) from None


def _monitor(args: argparse.Namespace) -> int:
    from anxin.evidence.monitor import look
    from anxin.flow.log_files import PublishedLog

    log = PublishedLog(args.url)
    vkey, kept = _remembered(args.state, args.vkey)
    try:
        seen = look(log.read, vkey, kept)
    except (OSError, ValueError) as error:
        raise InputError(f"{args.url}: {error}") from None
    finally:
        log.close()
    if seen.fault is None:
        _remember(args.state, vkey, seen.signed)
    else:
        # Both signed checkpoints together are the proof; the one remembered is kept.
        _remember(args.state.with_name(f"{args.state.name}.against"), vkey, seen.signed)
    if args.json:
        document = {"size": seen.size, "remembered": seen.old, "fault": seen.fault}
        print(json.dumps(document, ensure_ascii=False))
    else:
        before = "–" if seen.old is None else f"{seen.old:,}"
        print(f"上次 · before: {before}; 现在 · now: {seen.size:,}")
        print(f"错误 · fault: {seen.fault}" if seen.fault else "只增未改 · only grew")
    return 1 if seen.fault else 0


def _remembered(state: Path, given: str | None) -> tuple[str, bytes | None]:
    """Return the key and the checkpoint remembered. Raises InputError."""
    try:
        vkey, _, signed = state.read_bytes().partition(b"\n")
    except FileNotFoundError:
        if given is None:
            raise InputError("the first time --vkey is needed: the log's key, from somebody you trust") from None
        return given, None
    except OSError as error:
        raise InputError(f"{state}: {error.strerror or error}") from None
    kept = vkey.decode("ascii", "replace")
    if given not in (None, kept):
        raise InputError(f"{state} remembers a log with another key")
    return kept, signed


def _remember(state: Path, vkey: str, signed: bytes) -> None:
    from anxin.evidence.tiles import write_file

    try:
        write_file(state.absolute(), f"{vkey}\n".encode() + signed)
    except OSError as error:
        raise InputError(f"{state}: {error.strerror or error}") from None
