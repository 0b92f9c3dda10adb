"""Simulated instruments on real sockets of this machine: SCPI by lines, DL/T 645 by frames, one world behind them."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from anxin.domain.quantities import moment_of
from anxin.instruments import dlt645
from anxin.instruments.world import REFERENCE_CONSTANT, World

NO_ERROR = '0,"No error"'


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports of the instruments on this machine, and the meter's address."""

    source: int
    reference: int
    counter: int
    meter: int
    meter_address: str
    host: str = "127.0.0.1"


@contextmanager
def simulated(world: World) -> Iterator[Addresses]:
    """Serve the four instruments of a world on free ports, until the block ends."""
    with ExitStack() as stack:
        source, reference, counter = (
            stack.enter_context(_served(_lines(partial(answer, world)))) for answer in (_source, _reference, _counter)
        )
        meter = stack.enter_context(_served(_frames(world)))
        yield Addresses(source, reference, counter, meter, world.address)


def _source(world: World, text: str) -> str | None:
    """Answer as a source: SOUR:VOLT mV, SOUR:CURR mA, SOUR:PHAS n, OUTP 0|1, OUTP?"""
    if world.has("source_silent"):
        return None
    if text == "OUTP?":
        return str(int(world.output))
    names = {"SOUR:VOLT": "voltage_mv", "SOUR:CURR": "current_ma", "SOUR:PHAS": "phases", "OUTP": "on"}
    return _common(text, "SOURCE", {command: partial(world.set, name) for command, name in names.items()})


def _reference(world: World, text: str) -> str | None:
    """Answer as a reference standard."""
    if world.has("reference_silent"):
        return None
    if world.has("reference_broken"):
        return "####"
    found = world.calibration()
    away = 50_000 if world.has("elsewhere") else 0
    answers: dict[str, Callable[[], object]] = {
        "CAL:CERT?": lambda: ",".join(
            (
                found.serial,
                found.accuracy_class,
                found.certificate_no,
                str(found.expanded_uncertainty_ppm),
                str(found.valid_to_utc_ms),
            )
        ),
        "CAL:DRIF?": lambda: 900 if world.has("reference_drift") else 20,
        "MEAS:POW?": world.power_mw,
        "MEAS:PHAS?": world.phase_millidegrees,
        "MEAS:ENER?": world.energy_milli_wh,
        "PULS:CONS?": lambda: REFERENCE_CONSTANT,
        "SENS:AIR?": lambda: "23100,520",
        "SENS:POS?": lambda: f"{world.longitude_e6 + away},{world.latitude_e6}",
    }
    return str(answers[text]()) if text in answers else _common(text, "REFERENCE", {})


def _counter(world: World, text: str) -> str | None:
    """Answer as a pulse counter: COUN:BEG n, COUN:DONE?, COUN:DATA?"""
    if world.has("counter_silent"):
        return None
    if world.has("counter_broken"):
        return "1,2,3,4"
    if text == "COUN:DONE?":
        return str(int(world.is_counted()))
    if text == "COUN:DATA?":
        return ",".join(str(n) for n in world.counted())
    return _common(text, "COUNTER", {"COUN:BEG": world.begin_count})


def _common(text: str, model: str, commands: dict[str, Callable[[int], None]]) -> str | None:
    """Answer what every instrument knows; a command has no answer."""
    if text == "*IDN?":
        return f"Anxin,SIMULATED-{model},0,1"
    if text == "SYST:ERR?":
        return NO_ERROR
    name, _, value = text.partition(" ")
    if name in commands and value.isdigit():
        commands[name](int(value))
        return None
    return '-113,"Undefined header"' if text.endswith("?") else None


def _lines(answer: Callable[[str], str | None]) -> type[socketserver.StreamRequestHandler]:
    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                self._answer()

        def _answer(self) -> None:
            while line := self.rfile.readline(512):
                reply = answer(line.decode("ascii", "replace").strip())
                if reply is not None:
                    self.wfile.write(reply.encode() + b"\n")

    return Lines


def _frames(world: World) -> type[socketserver.BaseRequestHandler]:
    from dlt645.protocol.protocol import DLT645Protocol

    class Frames(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                self._answer()

        def _answer(self) -> None:
            held = b""
            while got := self.request.recv(dlt645.MAX_FRAME_BYTES):
                held, frame = DLT645Protocol.deserialize_with_remaining(held + got)
                if frame is None or world.has("meter_silent"):
                    continue
                value = _value(world, int.from_bytes(frame.data[:4], "little"))
                address = dlt645.bcd(int(world.address) + world.has("meter_foreign"), 6)
                if value is None:
                    reply = DLT645Protocol.build_frame(address, dlt645.READ_REFUSED, b"\x02")
                else:
                    reply = DLT645Protocol.build_frame(address, dlt645.READ_REPLY, bytes(frame.data[:4]) + value)
                if world.has("meter_broken"):
                    reply[-2] ^= 0x5A
                self.request.sendall(bytes(reply))

    return Frames


def _value(world: World, identifier: int) -> bytes | None:
    """Return what the meter says under an identifier, None where it knows none."""
    shown = _shown(world)
    values: dict[tuple[int, int], Callable[[], int]] = {
        dlt645.ENERGY: world.register,
        dlt645.DATE: lambda: int(f"{shown:%y%m%d}0{shown.isoweekday() % 7}"),
        dlt645.CLOCK: lambda: int(f"{shown:%H%M%S}"),
        dlt645.CONSTANT: lambda: world.constant + (100 if world.has("constant_changed") else 0),
        dlt645.PROGRAMMED: lambda: 3 + world.changed("programmed"),
        dlt645.CLOCK_SET: lambda: 1 + world.changed("clock_set"),
    }
    if identifier == dlt645.STATE_1[0]:
        backward = world.output and (world.has("wired_reverse") or world.has("meter_reverse"))
        return (dlt645.BACKWARD if backward else 0).to_bytes(2, "little")
    for (known, length), value in values.items():
        if known == identifier:
            return dlt645.bcd(value(), length)
    return None


def _shown(world: World) -> datetime:
    """The meter's clock in its zone, whose digits cut it off at whole seconds."""
    return moment_of(world.meter_clock_ms(), dlt645.ZONE)


@contextmanager
def _served(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        # A driver that is stopped in a fault may leave its line open: do not wait for it.
        server.block_on_close = False
        thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(5)
