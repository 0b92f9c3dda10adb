"""`anxin bench run`: one verification on a bench, from start to result, which is kept as a file and sent."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anxin.cli.bench_plan import STEPS_ZH, USUAL, add_charger_options, charger_of
from anxin.domain.coordinates import Crs, Point
from anxin.domain.errors import InputError, PeerError, PolicyError
from anxin.domain.verification import LoadMethod, Outcome, VerificationKind, VerificationResult
from anxin.instruments.bench import PulseCounter, ReferenceStandard, Source
from anxin.instruments.clock import BenchClock, FastClock, WallClock
from anxin.instruments.dlt645 import ENERGY_DIGIT_MILLI_WH, Meter
from anxin.instruments.scpi import Scpi
from anxin.instruments.world import World, planted_of
from anxin.verification.plan import Charger, Plan, bench_data, plan
from anxin.verification.procedures import procedure_of

if TYPE_CHECKING:
    from anxin.flow.verifying_papers import Papers

EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INDETERMINATE: 2}
WORDS = {Outcome.PASS: "合格 passed", Outcome.FAIL: "不合格 failed", Outcome.INDETERMINATE: "无结论 no conclusion"}
#: Where the simulated charger stands, and what a person would have found of it.
SIMULATED_PLACE, SIMULATED_KOHM, SIMULATED_PERSON = "120.1536,30.2875", 20_000, "模拟 simulated"


def add_parser(actions: Any) -> None:
    """Add `run` to the group `bench`."""
    command = actions.add_parser(
        "run",
        help="检定 · verify a charger",
        description="虚负荷检定，结果存档并上传。 Verify a charger with virtual load; keep and send the result.",
    )
    command.add_argument("--charger", required=True, metavar="CHARGER", help="充电桩编号 · id of the charger")
    add_charger_options(command)
    command.add_argument(
        "--simulate", action="store_true", help="模拟仪器与加速时钟 · simulated instruments, accelerated clock"
    )
    command.add_argument(
        "--plant",
        action="append",
        default=[],
        metavar="FAULT",
        help="植入误差或故障，可多次 · what is wrong, simulated",
    )
    for name in ("source", "reference", "counter", "meter"):
        command.add_argument(f"--{name}", metavar="HOST:PORT", help=f"仪器地址 · address of the {name}")
    command.add_argument("--meter-address", metavar="DIGITS", help="表地址 · the meter's 12 digits")
    command.add_argument("--place", metavar="LON,LAT", help="登记位置 WGS-84 · where the charger stands")
    command.add_argument("--appearance", choices=("pass", "fail"), help="外观及功能 · what the person found")
    command.add_argument("--insulation", type=int, metavar="KOHM", help="绝缘电阻 · insulation measured, in kOhm")
    command.add_argument("--verified-by", metavar="NAME", help="检定员 · who verifies")
    command.add_argument("--checked-by", metavar="NAME", help="核验员 · who checks")
    command.add_argument("--out", type=Path, metavar="FILE", help="结果文件 · the result's file")
    command.add_argument("--platform", metavar="URL", help="平台地址 · the platform to send it to")
    command.add_argument(
        "--token-file", type=Path, metavar="FILE", help="令牌文件 · file with the bench's bearer token"
    )
    command.add_argument(
        "--regulator", metavar="URL", help="监管端地址，出证并打标签 · the regulator's app, to issue the certificate"
    )
    command.add_argument(
        "--officer-token-file",
        type=Path,
        metavar="FILE",
        help="出证人员的令牌文件 · the officer's token",
    )
    command.add_argument(
        "--accept-unconfirmed",
        action="store_true",
        help="知悉所依据的限值未经确认 · the officer knows that limits are not confirmed",
    )
    command.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    command.set_defaults(uncertainty=None)


def run(args: argparse.Namespace) -> int:
    """Verify, keep, send. Returns 0 passed, 1 failed, 2 without a conclusion or not taken by the platform."""
    from anxin.flow.verifying import Task, verify
    from anxin.flow.verifying_documents import keep

    if (args.platform is None) != (args.token_file is None):
        raise PolicyError("--platform 与 --token-file 须同时给出 · go together")
    if (args.regulator is None) != (args.officer_token_file is None):
        raise PolicyError("--regulator 与 --officer-token-file 须同时给出 · go together")
    charger = charger_of(args)
    if charger.constant is None and charger.register_milli_wh != ENERGY_DIGIT_MILLI_WH:
        raise PolicyError("DL/T 645 电能示值为 0.01 kWh · a register over DL/T 645 has 0.01 kWh: give --register 0.01")
    if args.plant and not args.simulate:
        raise PolicyError("--plant 须与 --simulate 同用 · needs --simulate")
    procedure = procedure_of(args.procedure or USUAL[args.current][2])
    if args.current not in procedure.currents:
        raise PolicyError(f"{procedure.id} 不适用于 · is not for {args.current}")
    kind, bench = VerificationKind(args.kind), bench_data(LoadMethod.VIRTUAL)
    planned = plan(procedure, charger, bench, kind)
    appearance, insulation, person = args.appearance, args.insulation, args.verified_by
    if args.simulate:
        appearance, person = appearance or "pass", person or SIMULATED_PERSON
        insulation = SIMULATED_KOHM if insulation is None else insulation
        print("模拟仪器，加速时钟 · simulated instruments, accelerated clock", file=sys.stderr)
    if not person:
        raise PolicyError("须给出检定员 · --verified-by is needed")
    with _connected(args, charger, planned) as (instruments, clock, world):
        run_id = f"RUN-{clock.now_utc_ms()}-{secrets.token_hex(8)}"
        task = Task(
            run_id, args.charger, charger, kind, _place(args.place or (SIMULATED_PLACE if args.simulate else "")),
            person, args.checked_by, Outcome(appearance) if appearance else None, insulation,
        )  # fmt: skip
        begun = clock.now_utc_ms()

        def progress(step: str, done: int, steps: int) -> None:
            if world is not None:
                world.step(step)
            at_s = (clock.now_utc_ms() - begun) / 1000
            print(f"[{done:2}/{steps}] {at_s:8.1f} s  {STEPS_ZH[step.partition(':')[0]]} {step}", file=sys.stderr)

        result = verify(procedure, planned, bench, task, instruments, clock, progress)
    path = args.out or Path(f"{run_id}.json")
    keep(result, path)
    print(f"结果已存 · kept in {path}", file=sys.stderr)
    receipt, code = _sent(args, result), EXIT[result.outcome]
    papers = _papers(args, result, path)
    _print(args, result, receipt, path, papers)
    missing = (args.platform is not None and receipt is None) or (args.regulator is not None and papers is None)
    return 2 if missing else code


def _sent(args: argparse.Namespace, result: VerificationResult) -> dict[str, Any] | None:
    """Send the result where a platform is named. What is not taken is said; the file stays."""
    from anxin.flow.verifying_documents import upload

    if args.platform is None:
        return None
    try:
        return upload(result, args.platform, args.token_file)
    except (PolicyError, PeerError, InputError) as error:
        print(str(error), file=sys.stderr)
        return None


def _papers(args: argparse.Namespace, result: VerificationResult, path: Path) -> Papers | None:
    """Have the certificate, or the notice of failure, issued where the regulator's app is named."""
    from anxin.flow.verifying_papers import issue

    if args.regulator is None or result.outcome is Outcome.INDETERMINATE:
        return None
    try:
        found = issue(result, args.regulator, args.officer_token_file, path, accept_unconfirmed=args.accept_unconfirmed)
    except (PolicyError, PeerError, InputError) as error:
        print(str(error), file=sys.stderr)
        return None
    print(f"已出证 · issued {found.number}: {found.certificate}, {found.label}", file=sys.stderr)
    return found


@contextmanager
def _connected(
    args: argparse.Namespace, charger: Charger, planned: Plan
) -> Iterator[tuple[Any, BenchClock, World | None]]:
    """Connect the instruments named, or simulated ones on sockets of this machine."""
    from anxin.flow.verifying import Instruments
    from anxin.instruments.simulated import simulated

    clock: BenchClock = WallClock()
    world: World | None = None
    with ExitStack() as stack:
        if args.simulate:
            # The simulated run lies in the past, so that it has ended when its result is sent.
            clock = FastClock(clock.now_utc_ms() - 2 * planned.total_ms)
            world = World(clock, charger.constant or 1_600, planted=planted_of(args.plant))
            ports = stack.enter_context(simulated(world))
            places = {n: f"{ports.host}:{getattr(ports, n)}" for n in ("source", "reference", "counter", "meter")}
            address = ports.meter_address
        else:
            places = {n: getattr(args, n) or "" for n in ("source", "reference", "counter", "meter")}
            address = args.meter_address or ""
        if not (address.isdigit() and address.isascii() and len(address) == 12):
            raise PolicyError("须给出 12 位表地址 · --meter-address is 12 digits")

        def scpi(name: str) -> Scpi:
            found = Scpi(name, *_host_port(name, places[name]))
            stack.callback(found.close)
            return found

        meter = Meter(*_host_port("meter", places["meter"]), address)
        stack.callback(meter.close)
        counter = PulseCounter(scpi("counter")) if charger.constant is not None else None
        yield Instruments(Source(scpi("source")), ReferenceStandard(scpi("reference")), meter, counter), clock, world


def _host_port(name: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise PolicyError(f"须给出仪器地址 · --{name} is HOST:PORT, or --simulate")
    return host, int(port)


def _place(text: str) -> Point:
    try:
        longitude, latitude = (float(part) for part in text.split(","))
    except ValueError:
        raise PolicyError("须给出登记位置 · --place is LON,LAT in degrees (WGS-84)") from None
    return Point(longitude, latitude, Crs.WGS84)


def _print(
    args: argparse.Namespace, result: VerificationResult, receipt: dict[str, Any] | None, path: Path,
    papers: Papers | None,
) -> None:  # fmt: skip
    if args.json:
        said = {
            "run_id": result.run_id, "outcome": result.outcome.value, "stopped": result.stopped, "file": str(path),
            "simulated": result.simulated, "duration_ms": result.ended_utc_ms - result.begun_utc_ms,
            "points": [{"error_ppm": p.error_ppm, "rounded_ppm": p.rounded_ppm, "limit_ppm": p.limit_ppm,
                        "expanded_uncertainty_ppm": p.expanded_uncertainty_ppm, "readings": len(p.readings),
                        "outcome": p.outcome.value} for p in result.points],
            "items": [{"item": i.item.value, "outcome": i.outcome.value, "measured": i.measured, "limit": i.limit,
                       "unit": i.unit} for i in result.items],
            "receipt": receipt, "certificate": papers and papers.number,
            "papers": papers and [str(papers.certificate), str(papers.label)],
        }  # fmt: skip
        print(json.dumps(said, ensure_ascii=False, indent=2))
        return
    for point in result.points:
        print(
            f"{point.point.current_ma / 1000:g} A: 误差 error {point.error_ppm / 10_000:+.4f} %, 修约 rounded "
            f"{point.rounded_ppm / 10_000:+.2f} %, 限 limit ±{point.limit_ppm / 10_000:g} %, U "
            f"{point.expanded_uncertainty_ppm / 10_000:.3f} %, {len(point.readings)} 次 readings"
        )
    for item in result.items:
        print(f"{item.item.value}: {WORDS[item.outcome]} {item.measured or ''} {item.unit or ''}".rstrip())
    if result.stopped is not None:
        print(f"中止 stopped: {result.stopped}")
    minutes = (result.ended_utc_ms - result.begun_utc_ms) / 60_000
    print(f"{WORDS[result.outcome]} · {minutes:.1f} min{' (模拟 simulated)' if args.simulate else ''}")
    print(
        f"未证实或假定的数值 {len(result.unconfirmed)} 个 · values not confirmed or assumed: {len(result.unconfirmed)}"
    )
    if receipt is not None:
        print("平台已收下 · the platform has taken it")
