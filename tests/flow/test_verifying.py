"""A bench's run against simulated instruments on real sockets: what it finds, and that nothing passes under a fault."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from anxin.cli.main import main
from anxin.domain.coordinates import Crs, Point
from anxin.domain.errors import InstrumentError, PolicyError
from anxin.domain.verification import Item, LoadMethod, Outcome, VerificationKind, VerificationResult
from anxin.flow.certificate_grounds import grounds_of
from anxin.flow.verifying import Instruments, Task, steps_of, verify
from anxin.flow.verifying_documents import bench_document, keep, kept
from anxin.formats.bench_documents import bench_result
from anxin.instruments.bench import PulseCounter, ReferenceStandard, Source
from anxin.instruments.clock import FastClock
from anxin.instruments.dlt645 import Meter, bcd, number_of
from anxin.instruments.scpi import Scpi
from anxin.instruments.simulated import simulated
from anxin.instruments.world import FAULTS, Planted, World, planted_of
from anxin.verification.plan import Charger, bench_data, plan
from anxin.verification.procedures import procedure_of

#: Minutes on two cores: `make test-long`.
pytestmark = pytest.mark.long

BEGIN_UTC_MS = 1_790_000_000_000
PULSES = Charger("AC", 7_000, 220_000, 1, "2", 1_600, 1_000)
REGISTER = Charger("AC", 7_000, 220_000, 1, "2", None, 10_000)
DIRECT = Charger("DC", 120_000, 750_000, 0, "1", 100, 10_000)
HERE = Point(120.1536, 30.2875, Crs.WGS84)
#: A silent instrument is waited for in full; a loaded machine may be slow to answer.
TIMEOUT_MS, SILENT_MS = 5_000, 200


@contextmanager
def connected(world: World, *, by_pulses: bool = True) -> Iterator[Instruments]:
    timeout_ms = SILENT_MS if (world.planted.fault or "").endswith("_silent") else TIMEOUT_MS
    with ExitStack() as stack:
        at = stack.enter_context(simulated(world))
        lines = {n: Scpi(n, at.host, getattr(at, n), timeout_ms) for n in ("source", "reference", "counter")}
        for line in lines.values():
            stack.callback(line.close)
        meter = Meter(at.host, at.meter, at.meter_address, timeout_ms)
        stack.callback(meter.close)
        counter = PulseCounter(lines["counter"]) if by_pulses else None
        yield Instruments(Source(lines["source"]), ReferenceStandard(lines["reference"]), meter, counter)


def run(charger: Charger, planted: Planted, procedure: str = "jjg-1148-2022", **said: object) -> VerificationResult:
    clock = FastClock(BEGIN_UTC_MS)
    world = World(clock, charger.constant or 1_600, planted=planted)
    rules, bench = procedure_of(procedure), bench_data(LoadMethod.VIRTUAL)
    planned = plan(rules, charger, bench)
    task = Task(
        "RUN-1", "33010900002000001", charger, VerificationKind.PERIODIC, HERE, "张三", None, Outcome.PASS, 20_000
    )
    with connected(world, by_pulses=charger.constant is not None) as instruments:
        task = replace(task, **said)  # type: ignore[arg-type]
        result = verify(rules, planned, bench, task, instruments, clock, lambda step, *_: world.step(step))
    # Whatever happened, nothing is left under power, unless the source itself no longer hears.
    assert not world.on or planted.fault == "source_silent"
    return result


STEPS = steps_of(plan(procedure_of("jjg-1148-2022"), PULSES, bench_data(LoadMethod.VIRTUAL)))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_in_the_midst_of_measuring_passes(fault: str) -> None:
    result = run(PULSES, Planted(fault=fault, step="measure:full"))
    assert result.outcome is Outcome.INDETERMINATE
    assert (result.stopped or "").startswith("measure:full: ")


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_at_any_step_passes_and_what_was_measured_before_it_is_kept(fault: str) -> None:
    for step in STEPS:
        result = run(PULSES, Planted(fault=fault, step=step))
        assert result.outcome is Outcome.INDETERMINATE, (fault, step)
        assert result.stopped
        assert result.valid_to_utc_ms is None
        stopped = STEPS.index(result.stopped.split(": ")[0])
        assert stopped >= STEPS.index(step), (fault, step, result.stopped)
        # Kept is what was whole before: the point, where its step had ended.
        assert len(result.points) == (1 if stopped > STEPS.index("measure:full") else len(result.points))
        with pytest.raises(PolicyError):
            bench_document(result)


@pytest.mark.long
@pytest.mark.parametrize("fault", [f for f in FAULTS if not f.startswith("counter") and f != "pulses_lost"])
def test_by_the_register_no_fault_passes_either(fault: str) -> None:
    if fault == "constant_changed":
        pytest.skip("no pulses are counted: the constant is not used")
    for step in STEPS[-4:]:
        result = run(REGISTER, Planted(fault=fault, step=step))
        assert result.outcome is Outcome.INDETERMINATE, (fault, step)
        assert result.stopped


@pytest.mark.parametrize(
    ("charger", "procedure"),
    [(PULSES, "jjg-1148-2022"), (REGISTER, "jjg-1148-2022"), (DIRECT, "jjg-1149-2022")],
)
def test_the_error_that_is_planted_is_the_error_that_is_found(charger: Charger, procedure: str) -> None:
    limit = 10_000 * int(charger.accuracy_class)
    for gain in (-2 * limit, -limit // 2, 0, limit // 2, 2 * limit):
        result = run(charger, Planted(gain_ppm=gain), procedure)
        assert result.stopped is None
        assert result.outcome is (Outcome.PASS if abs(gain) <= limit else Outcome.FAIL)
        for point in result.points:
            assert abs(point.error_ppm - gain) <= point.expanded_uncertainty_ppm <= limit // 3
        assert (result.valid_to_utc_ms is not None) == (result.outcome is Outcome.PASS)


@pytest.mark.long
def test_many_honest_runs_come_to_a_conclusion_although_each_shows_another_spread() -> None:
    results = [run(replace(PULSES, accuracy_class="1"), Planted(noise_ppm=200, seed=n)) for n in range(40)]
    assert [r.outcome for r in results] == [Outcome.PASS] * 40
    assert len({r.points[0].expanded_uncertainty_ppm for r in results}) > 1


def test_a_meter_that_scatters_too_much_has_no_conclusion() -> None:
    result = run(replace(PULSES, accuracy_class="1"), Planted(noise_ppm=15_000))
    assert result.outcome is not Outcome.PASS


def test_a_clock_beyond_its_limit_fails_and_within_passes() -> None:
    for offset, outcome in ((200_000, Outcome.FAIL), (-200_000, Outcome.FAIL), (170_000, Outcome.PASS)):
        result = run(PULSES, Planted(clock_offset_ms=offset))
        found = next(i for i in result.items if i.item is Item.CLOCK_ERROR)
        assert result.outcome is outcome
        assert abs(int(found.measured or 0) - offset) <= 500


def test_what_the_person_has_not_looked_at_or_found_bad_does_not_pass() -> None:
    assert run(PULSES, Planted(), appearance=None).outcome is Outcome.INDETERMINATE
    assert run(PULSES, Planted(), appearance=Outcome.FAIL).outcome is Outcome.FAIL
    assert run(PULSES, Planted(), insulation_kohm=None).outcome is Outcome.INDETERMINATE
    assert run(PULSES, Planted(), insulation_kohm=10).outcome is Outcome.INDETERMINATE


def test_a_result_survives_its_file_and_is_a_document_that_the_door_takes(tmp_path: Path) -> None:
    for gain, passed in ((0, True), (30_000, False)):
        result = run(PULSES, Planted(gain_ppm=gain))
        keep(result, tmp_path / "run.json")
        again = kept(tmp_path / "run.json")
        assert again == result
        assert bench_document(again) == bench_document(result)
        taken = bench_result(bench_document(again))
        assert (taken.verification.passed, taken.points) == (passed, 1)


@pytest.mark.parametrize(
    ("charger", "procedure"),
    [(PULSES, "jjg-1148-2022"), (REGISTER, "jjg-1148-2022"), (DIRECT, "jjg-1149-2022")],
)
def test_a_paper_follows_from_what_a_run_says(charger: Charger, procedure: str) -> None:
    """The platform judges each result again by itself before it issues a certificate or a notice of failure."""
    for gain, passed in ((0, True), (30_000, False)):
        result = run(charger, Planted(gain_ppm=gain), procedure)
        assert grounds_of(result, "Asia/Shanghai", result.ended_utc_ms).passed is passed


def test_a_procedure_with_items_that_the_bench_cannot_measure_does_not_begin() -> None:
    with pytest.raises(PolicyError, match="cannot measure"):
        run(PULSES, Planted(), "jjg-1148-2018")


def test_the_command_goes_from_start_to_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "run", "--charger", "C1", "--power", "7kW", "--current", "AC", "--class", "2", "--simulate",
             "--json", "--out", str(tmp_path / "r.json")]  # fmt: skip
    for plants, code in (([], 0), (["gain=30000"], 1), (["fault=meter_foreign@clock"], 2)):
        assert main([*words, *(p for plant in plants for p in ("--plant", plant))]) == code
        out, err = capsys.readouterr()
        said = json.loads(out)
        assert said["simulated"]
        assert "accelerated" in err
        assert "measure:full" in err
        assert kept(tmp_path / "r.json").run_id == said["run_id"]
    assert said["stopped"].startswith("clock: ")
    assert said["points"][0]["outcome"] == "pass"


@pytest.mark.parametrize("text", ["gain=x", "fault=none", "colour=1", "gain"])
def test_what_cannot_be_planted_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        planted_of([text])


def test_a_frame_is_that_of_the_standard_and_the_meter_takes_no_other() -> None:
    """The example of a read of 00010000, address 330109000017: bytes least significant first, each data byte + 33H."""
    sent: list[bytes] = []
    good = bytearray.fromhex("fefefefe681700000901336891083333343389674533d516")
    good[-2] = sum(good[4:-2]) & 0xFF
    flipped = bytes([*good[:-2], good[-2] ^ 1, 0x16])
    wrong = [flipped, bytes(b"\x00" + good), bytes(good + good), bytes(good[:-1])]

    def answer(reply: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                sent.append(line.recv(100))
                line.sendall(reply)
                line.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        meter = Meter("127.0.0.1", listener.getsockname()[1], "330109000017", SILENT_MS)
        try:
            return meter.energy_milli_wh()
        finally:
            meter.close()
            listener.close()

    assert answer(bytes(good)) == 123456 * 10_000
    request = bytes.fromhex("681700000901336811043333343333")[:14]
    assert sent[0] == b"\xfe" * 4 + request + bytes([sum(request) & 0xFF, 0x16])
    for reply in wrong:
        with pytest.raises(InstrumentError):
            answer(reply)


def test_decimal_bytes() -> None:
    assert bcd(123456, 4) == bytes.fromhex("56341200")
    assert number_of(bytes.fromhex("56341200")) == 123456
    with pytest.raises(ValueError, match="not decimal"):
        number_of(b"\x0a")
