"""DL/T 645-2007 over TCP: reading a charger's meter. Frames are those of the library `dlt645`; the judgement is ours.

The library's own client skips noise, takes any meter's answer and hides a time-out; a verification may do none of it.
So only its frame codec is used: a reply must be one whole frame, of the meter asked, to the question asked.
"""

from __future__ import annotations

import socket
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from anxin.domain.errors import InstrumentError
from anxin.domain.quantities import utc_ms

TIMEOUT_MS = 3_000
MAX_FRAME_BYTES = 300
READ, READ_REPLY, READ_REFUSED = 0x11, 0x91, 0xD1

#: Data identifiers (DL/T 645-2007, Annex A), each with the length of its value in bytes.
ENERGY, DATE, CLOCK = (0x00010000, 4), (0x04000101, 4), (0x04000102, 3)
CONSTANT, STATE_1 = (0x04000409, 3), (0x04000501, 2)
PROGRAMMED, CLOCK_SET = (0x03300000, 3), (0x03300400, 3)
#: Forward active energy is told in hundredths of a kWh.
ENERGY_DIGIT_MILLI_WH = 10_000
#: Bit of state word 1: direction of active power, 1 backward.
BACKWARD = 1 << 4
#: Meters keep local time.
ZONE = ZoneInfo("Asia/Shanghai")


def bcd(number: int, length: int) -> bytes:
    """Return a number as BCD, least significant byte first."""
    return bytes.fromhex(f"{number:0{2 * length}d}")[::-1]


def number_of(data: bytes) -> int:
    """Return the number that BCD bytes say, least significant first. ValueError where a digit is none."""
    text = data[::-1].hex()
    if not text.isdigit():
        raise ValueError(f"not decimal: {text}")
    return int(text)


class Meter:
    """A meter with a 12-digit address behind a TCP socket. Every failure is an InstrumentError."""

    def __init__(self, host: str, port: int, address: str, timeout_ms: int = TIMEOUT_MS) -> None:
        self._address, self._timeout_s = bcd(int(address), 6), timeout_ms / 1000
        try:
            self._socket = socket.create_connection((host, port), self._timeout_s)
        except OSError as error:
            raise InstrumentError("no_reply", "meter", f"cannot be reached at {host}:{port}: {error}") from None

    def energy_milli_wh(self) -> int:
        """Return the forward active energy register; its digit is 0.01 kWh."""
        return self._number(ENERGY) * ENERGY_DIGIT_MILLI_WH

    def constant(self) -> int:
        """Return the pulses per kWh that it has been set to."""
        return self._number(CONSTANT)

    def counters(self) -> tuple[int, int]:
        """Return how often it was programmed and how often its clock was set."""
        return self._number(PROGRAMMED), self._number(CLOCK_SET)

    def is_backward(self) -> bool:
        """Whether it sees active power flow backward."""
        return bool(int.from_bytes(self._read(*STATE_1), "little") & BACKWARD)

    def clock_utc_ms(self) -> int:
        """Return the time that it shows, in whole seconds. The date is read on both sides of a midnight."""
        before = self._read(*DATE)
        clock = self._read(*CLOCK)
        if self._read(*DATE) != before:
            before, clock = self._read(*DATE), self._read(*CLOCK)
        text = before[:0:-1].hex() + clock[::-1].hex()
        try:
            return utc_ms(datetime.strptime(text, "%y%m%d%H%M%S").replace(tzinfo=ZONE))
        except ValueError:
            raise InstrumentError("broken_reply", "meter", f"no time: {text}") from None

    def close(self) -> None:
        """Give the connection back."""
        self._socket.close()

    def _number(self, item: tuple[int, int]) -> int:
        data = self._read(*item)
        try:
            return number_of(data)
        except ValueError as error:
            raise InstrumentError("broken_reply", "meter", f"{item[0]:08X}: {error}") from None

    def _read(self, identifier: int, length: int) -> bytes:
        """Return the value of an identifier, of exactly its length."""
        from dlt645.protocol.protocol import DLT645Protocol

        asked = identifier.to_bytes(4, "little")
        frame = self._exchange(bytes(DLT645Protocol.build_frame(self._address, READ, asked)))
        if frame.ctrl_code == READ_REFUSED:
            raise InstrumentError("refused", "meter", f"{identifier:08X} is not told: {bytes(frame.data).hex()}")
        data = bytes(frame.data)
        if frame.ctrl_code != READ_REPLY or data[:4] != asked or len(data) != 4 + length:
            raise InstrumentError("broken_reply", "meter", f"{identifier:08X}: an answer to something else")
        return data[4:]

    def _exchange(self, request: bytes) -> Any:
        from dlt645.protocol.protocol import DLT645Protocol

        deadline = time.monotonic() + self._timeout_s
        raw = b""
        try:
            self._socket.sendall(request)
            while True:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                got = self._socket.recv(MAX_FRAME_BYTES)
                raw += got
                rest, frame = DLT645Protocol.deserialize_with_remaining(raw)
                if frame is not None or not got or len(raw) > MAX_FRAME_BYTES:
                    break
        except OSError as error:
            rule = "broken_reply" if raw else "no_reply"
            raise InstrumentError(rule, "meter", f"{len(raw)} bytes, then {error or 'nothing'}") from None
        if frame is None or rest or bytes(frame.addr) != self._address or _noise(raw):
            raise InstrumentError("broken_reply" if raw else "no_reply", "meter", "not one whole frame of this meter")
        return frame


def _noise(raw: bytes) -> bool:
    """Whether something else than the preamble stood before the frame."""
    return not raw.lstrip(b"\xfe").startswith(b"\x68") or len(raw.lstrip(b"\xfe")) != 12 + raw.lstrip(b"\xfe")[9]
