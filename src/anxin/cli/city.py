"""`anxin city make`: the virtual city."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from anxin.domain.errors import AnxinError, PolicyError

EXIT_OK, EXIT_CANNOT = 0, 2
#: Cheats of each kind where nobody says otherwise: enough to see each rule at work in one month of one district.
DEFAULT_CHEATS_EACH = 3


def add_parser(subparsers: Any) -> None:
    """Add `city` with its command `make` to the program's parser."""
    from anxin.city.options import CityOptions, Kind

    default = CityOptions()
    city = subparsers.add_parser("city", help="虚拟城市 · the virtual city")
    commands = city.add_subparsers(dest="city_command", required=True)
    make = commands.add_parser(
        "make",
        help="生成虚拟城市 · make a virtual city",
        description="生成一座虚拟城市：登记、密钥、订单、计量记录与真相。 "
        "Make a virtual city: register, keys, orders, meter records, and the truth about them.",
    )
    make.add_argument("--out", type=Path, required=True, help="空目录或旧城市 · empty, or an earlier city's")
    make.add_argument("--seed", type=int, default=default.seed, help="种子 · same seed, same bytes (%(default)s)")
    make.add_argument("--chargers", type=int, default=default.chargers, help="充电桩数 · chargers (%(default)s)")
    make.add_argument("--days", type=int, default=default.days, help="天数 · days (%(default)s)")
    make.add_argument("--sessions", type=int, help="充电次数 · sessions (2.8 a charger and day)")
    make.add_argument("--start", type=_date, default=default.start, help="首日 · first day (%(default)s)")
    make.add_argument(
        "--districts", default=",".join(default.districts), help="区县，逗号分隔，或 all · names or all (%(default)s)"
    )
    make.add_argument(
        "--cheats",
        nargs="+",
        action="extend",
        metavar="KIND=COUNT",
        help=f"作弊种类与数量 · cheats of a kind, out of {', '.join(Kind)}",
    )
    make.add_argument(
        "--cheats-each",
        type=int,
        metavar="N",
        help=f"每种作弊的数量 · cheats of every kind not named ({DEFAULT_CHEATS_EACH}; 0 where --cheats names some)",
    )
    make.add_argument("--format", choices=("wire", "columns"), default="wire", help="文件方言或列 · (%(default)s)")
    make.add_argument("--workers", type=int, default=2, help="进程数 · processes (%(default)s)")
    make.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    urbanev = commands.add_parser(
        "urbanev",
        help="深圳真实站点 · the real stations of Shenzhen",
        description="由 UrbanEV 公开数据生成深圳充电站登记。 Make a register of Shenzhen's stations from UrbanEV.",
    )
    urbanev.add_argument("file", type=Path, metavar="FILE", help="inf.csv 或 inf_raw.csv · either file")
    urbanev.add_argument("--out", type=Path, required=True, help="登记文件 · register.json to write")


def run(args: argparse.Namespace) -> int:
    """Make the city. Returns 0, or 2 where it could not be made."""
    if args.city_command == "urbanev":
        return _urbanev(args)
    from anxin.city.options import CityOptions, parse_cheats
    from anxin.flow.make_city import make_city

    try:
        each = args.cheats_each
        if each is None:
            each = 0 if args.cheats else DEFAULT_CHEATS_EACH
        if args.workers < 1:
            raise PolicyError("--workers must be at least 1")
        options = CityOptions(
            seed=args.seed,
            chargers=args.chargers,
            days=args.days,
            sessions=args.sessions,
            start=args.start,
            districts=tuple(name.strip() for name in args.districts.split(",") if name.strip()),
            cheats=parse_cheats(args.cheats, each),
        )
        with _Bar() as bar:
            document = make_city(options, args.out, args.format, args.workers, bar.show)
    except AnxinError as error:
        print(f"anxin city make: {error}", file=sys.stderr)
        return EXIT_CANNOT
    print(json.dumps(document, ensure_ascii=False) if args.json else _summary(document, args.out))
    return EXIT_OK


def _urbanev(args: argparse.Namespace) -> int:
    from anxin.city.urbanev import read_register
    from anxin.formats.register import dump_register

    try:
        register = read_register(args.file)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(dump_register(register))
    except (AnxinError, OSError) as error:
        print(f"anxin city urbanev: {error}", file=sys.stderr)
        return EXIT_CANNOT
    stations, connectors = len(register.stations), len(register.connectors)
    print(f"登记已生成 · register made: {args.out}\n  站 stations {stations} · 桩 piles {connectors}")
    return EXIT_OK


class _Bar:
    """A progress bar on stderr, silent where that is no terminal. It has no thread of its own: workers are forked."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import Progress

        self.progress = Progress(console=Console(stderr=True), auto_refresh=False, transient=True)
        self.task = self.progress.add_task("生成城市 · making the city", total=None)
        self.progress.start()
        return self

    def show(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total, refresh=True)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a date (YYYY-MM-DD): {text!r}") from None


def _summary(document: dict[str, Any], out: Path) -> str:
    counts, options = document["counts"], document["options"]
    cheats = sum(options["cheats"].values())
    return "\n".join(
        (
            f"虚拟城市已生成 · virtual city made: {out}",
            f"  充电桩 chargers {options['chargers']} · 天 days {options['days']} · 种子 seed {options['seed']}",
            f"  充电 sessions {counts['sessions']} · 订单 orders {counts['orders']} · 记录 records {counts['records']}",
            f"  作弊 cheats {cheats} · 丢失记录 lost records {counts['lost_records']} · "
            f"迟到 late {counts['late_orders'] + counts['late_records']} · "
            f"断电 power failures {counts['power_failures']}",
        )
    )
