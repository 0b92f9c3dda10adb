"""`anxin status`: what the running platform has kept, judged and found, how fast, and how far behind it is."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from anxin.domain.errors import InputError
from anxin.settings import Settings

WATCH_S = 2.0
#: Two looks so far apart give the rates of a single answer.
RATE_S = 1.0
_GROUPS = (
    ("收到 · messages", "messages"),
    ("判定 · verdicts", "verdicts"),
    ("发现 · findings", "findings"),
    ("严重程度 · severities", "severities"),
    ("告警 · alarms", "alarms"),
    ("充电接口 · connectors", "connectors"),
    ("被拒 · refused", "refused"),
)
_WORDS = {
    "agree": "一致 agree", "disagree": "不一致 disagree", "order_only": "只有订单 order only",
    "record_only": "只有计量记录 record only", "pending": "待补 pending", "unjudged": "无法判断 cannot judge",
    "grave": "严重 grave", "violation": "违规 violation", "warning": "警告 warning", "note": "提示 note",
    "open": "待处理 open", "sent": "已发运营商 sent to operator", "answered": "已答复 answered",
    "review": "审核中 under review",
    "proposed": "待复核 waiting for a second officer", "closed": "已结案 closed",
    "idle": "空闲 idle", "occupied": "占用 occupied", "charging": "充电中 charging", "fault": "故障 fault",
    "offline": "离线 off line", "reserved": "预约 reserved", "unknown": "未知 unknown",
    "tcec102.order": "订单 orders", "tcec102.check": "日对账 daily totals", "tcec102.status": "接口状态 statuses",
    "tcec102.station": "充电站信息 stations", "meter.envelope": "电能表记录 meter records",
}  # fmt: skip


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
    if args.json:
        while True:
            print(json.dumps(_numbers(args.url), ensure_ascii=False), flush=True)
            if not args.watch:
                return 0
            time.sleep(WATCH_S)
    before, since = _numbers(args.url), time.monotonic()
    if not args.watch:
        time.sleep(RATE_S)
        numbers = _numbers(args.url)
        Console().print(_table(numbers, before, time.monotonic() - since))
        return 0
    with Live(_table(before, before, 1.0), auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_S)
            numbers, now = _numbers(args.url), time.monotonic()
            live.update(_table(numbers, before, now - since), refresh=True)
            before, since = numbers, now


def _numbers(url: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url}/api/status", timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise InputError(f"此处没有平台应答 · no platform answers at {url}: {error}") from None
    return found


def _table(numbers: dict[str, Any], before: dict[str, Any], seconds: float) -> Table:
    """Return the state, with what grew since an earlier look."""
    table = Table(show_header=False, box=None)
    for label, name, note in (
        ("已存证 · messages kept", "log_size", ""),
        ("已公布 · published in the log", "published", _behind(numbers["log_size"] - numbers["published"], 0)),
        ("已判定 · judged", "judged", _behind(numbers["log_size"] - numbers["judged"], numbers["judge_lag_s"])),
        ("待判定地点 · places waiting", "places_waiting", ""),
        ("冲突 · conflicts", "conflicts", ""),
    ):
        grew = (numbers[name] - before[name]) / seconds
        rate = f"{grew:+.1f} /s" if name in ("log_size", "published", "judged") else ""
        table.add_row(label, note, f"{numbers[name]:,}", rate)
    for label, name in _GROUPS:
        for number, (key, count) in enumerate(numbers[name].items()):
            grown = count - before[name].get(key, 0)
            table.add_row("" if number else label, _WORDS.get(key, key), f"{count:,}", f"{grown:+,}" if grown else "")
    return table


def _behind(messages: int, seconds: int) -> str:
    if messages <= 0:
        return "已跟上 up to date"
    return f"落后 behind {messages:,}" + (f", {seconds:,} s" if seconds else "")
