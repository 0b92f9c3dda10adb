"""The one exception tree.

    AnxinError
    ├── InputError            a file cannot be used at all (absent, a directory, unreadable, wrong encoding)
    ├── FormatError           bytes are not what their dialect says; names field and rule
    ├── KeyTextError          a public key's text cannot be read
    ├── PolicyError           a policy, mapping or register file is wrong; names the entry
    ├── EngineError           the rule engine cannot run what it was asked
    ├── StoreError            the database is absent, too old, too new, unsafe, or failed
    ├── EvidenceError         the log contradicts itself or an earlier checkpoint: nothing is signed any more
    ├── CaseError             an act on an alarm that is not done: not his, not now, not this version
    ├── InstrumentError      an instrument of a test bench is silent, or says what cannot be; the verification stops
    ├── PeerError             a platform that we ask does not answer as it should
    └── BusyError             too much is waiting; the sender keeps his message and comes again
        └── LimitError        this sender sends too much

A wrong *record* is a value (`Reject`, `Deviation`, `Finding`); these exceptions are for what cannot become a value.
A decoder lets no other exception escape: a raw ValueError that escapes is a bug with a test.
"""

from __future__ import annotations


class AnxinError(Exception):
    """Root of every error that this package declares. `str()` is one sentence that a user can act on."""


class InputError(AnxinError):
    """A file cannot be used at all: it is absent, a directory, not readable, or of no known dialect."""


class FormatError(AnxinError):
    """Bytes depart from their dialect so far that no value can be made of them.

    Attributes: `rule` a short stable id such as ``ocmf.header``; `field` the field at fault or None.
    """

    def __init__(self, rule: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.field = field


class KeyTextError(AnxinError):
    """The text of a public key cannot be read as a key of any known encoding. `rule` is a stable id (``key.*``)."""

    def __init__(self, message: str, rule: str = "key.unreadable") -> None:
        super().__init__(message)
        self.rule = rule


class PolicyError(AnxinError):
    """A policy, mapping or register file contradicts its own format; the message names file and entry."""


class EngineError(AnxinError):
    """The engine asked for does not exist, or failed while it ran the rule book."""


class InstrumentError(AnxinError):
    """An instrument of a bench failed. `fault` is a stable id (`no_reply`, `broken_reply`, `refused`)."""

    def __init__(self, fault: str, instrument: str, detail: str) -> None:
        super().__init__(f"仪器故障 · {instrument}: {fault}: {detail}")
        self.fault, self.instrument, self.detail = fault, instrument, detail


class StoreError(AnxinError):
    """The database cannot be used: no server, too old, made by a later version, unsafe settings, or it failed."""


class EvidenceError(AnxinError):
    """The evidence log, a checkpoint, a proof or a receipt contradicts what it should agree with."""


class CaseError(AnxinError):
    """An act on an alarm that is not done. `rule` is a stable id (``case.*``); `more` goes into the answer."""

    def __init__(self, rule: str, message: str, more: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.more = more or {}


class PeerError(AnxinError):
    """A platform that we ask does not answer as it should. `rule` is a stable id (``peer.*``); no secret is in it.

    `passing`: it may pass by itself, so that asking again later makes sense.
    """

    def __init__(self, rule: str, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.rule = rule
        self.passing = passing


class BusyError(AnxinError):
    """Too much is waiting to be made durable. The sender keeps his message and sends it again later."""


class LimitError(BusyError):
    """One caller does more than his rate allows; the others are served. `wait_s`: when he may come again."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s
