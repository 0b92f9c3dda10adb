"""`anxin bench`: planning and running verifications. An action is a module with `add_parser` and `run`."""

from __future__ import annotations

import argparse
from typing import Any

from anxin.cli import bench_plan, bench_run, bench_upload

_ACTIONS: dict[str, Any] = {"plan": bench_plan, "run": bench_run, "upload": bench_upload}


def add_parser(subparsers: Any) -> None:
    """Add `bench` with its actions to the program's parser."""
    bench = subparsers.add_parser(
        "bench",
        help="检定装置 · the verification bench",
        description="检定方案与检定。 Plan and run the verification of a charger.",
    )
    actions = bench.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in _ACTIONS.values():
        module.add_parser(actions)


def run(args: argparse.Namespace) -> int:
    """Run one action and return its exit code."""
    code: int = _ACTIONS[args.action].run(args)
    return code
