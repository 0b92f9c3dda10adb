"""The program `anxin`: parses, calls one use case, prints. Exit codes: 0 all is well, 1 findings, 2 could not judge."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from anxin import __version__
from anxin.cli import (
    admin,
    alarms,
    audit,
    backup,
    bench,
    check,
    city,
    drill,
    log,
    policy,
    procedures,
    rejudge,
    restore,
    rules,
    serve,
    status,
    surveillance,
    witness,
)
from anxin.domain.errors import AnxinError

EXIT_CANNOT = 2
_COMMANDS: dict[str, Any] = {
    "run": serve,
    "serve": serve,
    "status": status,
    "admin": admin,
    "backup": backup,
    "restore": restore,
    "drill": drill,
    "rejudge": rejudge,
    "surveillance": surveillance,
    "log": log,
    "witness": witness,
    "audit": audit,
    "check": check,
    "city": city,
    "rules": rules,
    "policy": policy,
    "alarms": alarms,
    "procedures": procedures,
    "bench": bench,
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="anxin",
        description="安心充电：逐笔核对充电账单与电能表签名记录。 "
        "Anxin Charging: bills against signed meter records, session by session.",
    )
    top.add_argument("--version", action="version", version=f"anxin {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve.add_run_parser(commands)
    for name, module in _COMMANDS.items():
        if name != "run":
            module.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = _COMMANDS[args.command].run(args)
        return code
    except AnxinError as error:
        print(f"anxin {args.command}: 无法判断 · could not judge: {error}", file=sys.stderr)
        return EXIT_CANNOT
    except BrokenPipeError:
        # The reader of our output has gone (`anxin ... | head`); that is his right.
        sys.stderr.close()
        return EXIT_CANNOT
    except KeyboardInterrupt:
        print("", file=sys.stderr)
        return 130


def entry() -> None:
    """Entry point of the installed command."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
