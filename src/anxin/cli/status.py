"""`anxin status`: what the running platform has kept, judged and found."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from anxin.domain.errors import InputError
from anxin.settings import Settings

WATCH_S = 2.0
_GROUPS = (
    ("收到 · messages", "messages"),
    ("判定 · verdicts", "verdicts"),
    ("发现 · findings", "findings"),
    ("被拒 · refused", "refused"),
)


def add_parser(subparsers: Any) -> None:
    """Add `status` to the program's parser."""
    default = Settings()
    parser = subparsers.add_parser(
        "status",
        help="运行状态 · state of the running platform",
        description="运行状态。 State of the running platform.",
    )
    parser.add_argument(
        "--url", default=f"http://{default.host}:{default.port}", help="平台地址 · the platform's address (%(default)s)"
    )
    parser.add_argument("--watch", action="store_true", help="持续刷新 · go on until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the state. Returns 0. Raises InputError where no platform answers."""
    console = Console()
    while True:
        numbers = _numbers(args.url)
        if args.json:
            print(json.dumps(numbers, ensure_ascii=False))
        else:
            if args.watch:
                console.clear()
            console.print(_table(numbers))
        if not args.watch:
            return 0
        time.sleep(WATCH_S)


def _numbers(url: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url}/api/status", timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise InputError(f"no platform answers at {url}: {error}") from None
    return found


def _table(numbers: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    for label, name in (
        ("存证 · messages kept", "log_size"),
        ("已公布 · published in the log", "published"),
        ("已判定 · judged", "judged"),
        ("待判定地点 · places waiting", "places_waiting"),
        ("冲突 · conflicts", "conflicts"),
    ):
        table.add_row(label, "", f"{numbers[name]:,}")
    for label, name in _GROUPS:
        for number, (key, count) in enumerate(numbers[name].items()):
            table.add_row("" if number else label, key, f"{count:,}")
    return table
