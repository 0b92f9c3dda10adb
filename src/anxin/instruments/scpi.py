"""SCPI over TCP through PyVISA (docs/decisions/0024-instruments.md): one question, one line, within a time.

A command is followed by `SYST:ERR?`, so that an instrument which did not take it, or is gone, is seen at once.
"""

from __future__ import annotations

from typing import Any

from anxin.domain.errors import InstrumentError

TIMEOUT_MS = 3_000
#: Longer than any reply that is asked for here.
MAX_REPLY_BYTES = 512


class Scpi:
    """A connection to one instrument. `name` stands in messages. Every failure is an InstrumentError."""

    def __init__(self, name: str, host: str, port: int, timeout_ms: int = TIMEOUT_MS) -> None:
        import pyvisa

        self.name = name
        self._errors: tuple[type[Exception], ...] = (pyvisa.errors.Error, OSError, UnicodeDecodeError)
        try:
            self._manager = pyvisa.ResourceManager("@py")
            self._resource: Any = self._manager.open_resource(
                f"TCPIP0::{host}::{port}::SOCKET",
                read_termination="\n",
                write_termination="\n",
                timeout=timeout_ms,
                open_timeout=timeout_ms,
            )
        except self._errors as error:
            raise InstrumentError("no_reply", name, f"cannot be reached at {host}:{port}: {error}") from None

    def ask(self, question: str) -> str:
        """Return the reply to a question, one line of printable ASCII."""
        try:
            self._resource.write(question)
            raw: bytes = self._resource.read_raw(MAX_REPLY_BYTES)
        except self._errors as error:
            raise InstrumentError("no_reply", self.name, f"{question}: {error}") from None
        if not raw.endswith(b"\n") or len(raw) > MAX_REPLY_BYTES:
            raise InstrumentError("broken_reply", self.name, f"{question}: no whole line")
        reply = raw.decode("ascii", "replace").rstrip("\r\n")
        if not reply or not reply.isascii() or not reply.isprintable():
            raise InstrumentError("broken_reply", self.name, f"{question}: {reply[:60]!r}")
        return reply

    def whole(self, question: str, parts: int = 1) -> tuple[int, ...]:
        """Return a reply of exactly `parts` whole numbers, separated by commas."""
        reply = self.ask(question)
        texts = reply.split(",")
        if len(texts) != parts or not all(t.lstrip("-").isdigit() and len(t) <= 20 for t in texts):
            raise InstrumentError("broken_reply", self.name, f"{question}: {reply[:60]!r}")
        return tuple(int(t) for t in texts)

    def tell(self, command: str) -> None:
        """Give a command, and see that the instrument took it."""
        try:
            self._resource.write(command)
        except self._errors as error:
            raise InstrumentError("no_reply", self.name, f"{command}: {error}") from None
        reply = self.ask("SYST:ERR?")
        if not reply.startswith("0,"):
            raise InstrumentError("refused", self.name, f"{command}: {reply[:80]}")

    def close(self) -> None:
        """Give the connection back; what fails in it no longer matters."""
        try:
            self._resource.close()
        except self._errors:
            return
