"""Which of a session's readings the bill rests on: first and last of one energy register, and whether both may be used.

Source: OCMF 1.4.1, "Readings", tables 7, 10 and 25. Shared by the joining of records and by the rules, so that both
mean the same register.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from anxin.domain.meter_record import Reading

BEGIN = "B"
#: E, or why it ended: locally, remotely, aborted, power failure (table 7, TX).
ENDS = frozenset("ELRAP")
EXCEPTION = "X"
TARIFF_CHANGE = "T"
GOOD = "G"

#: Registers in the order in which a bill prefers them: what reached the vehicle before what left the mains, energy of
#: the transaction before the running total (table 25); 98 is the compensated register of makers before table 25.
_PREFERRED = ("b3", "b2", "b1", "b0", "98", "1")
_SEPARATORS = re.compile(r"[.*&]")
#: OBIS group C of exported energy (IEC 62056-6-1: 2; OCMF table 25: C0 to C7). Nobody pays a charger for it here.
_EXPORT = frozenset({"2", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"})


@dataclass(frozen=True, slots=True)
class Billable:
    """The register that a bill rests on. `begin`, `end` None where there is no such reading.

    usable   whether the energy between them may be billed: no fatal flag, state or exception on the way
    """

    register: str
    begin: Reading | None
    end: Reading | None
    readings: tuple[Reading, ...]
    usable: bool

    @property
    def energy_milli_wh(self) -> int | None:
        """Energy between begin and end in mWh, None where it is not usable."""
        if not self.usable or self.begin is None or self.end is None:
            return None
        first, last = self.begin.register_milli_wh, self.end.register_milli_wh
        return last - first if first is not None and last is not None else None


def register_of(obis: str | None) -> str:
    """Return one spelling of an OBIS code's register, `C.D.E` in lower case without leading zeros ('' for none).

    `1-b:1.8.0`, `1-0:1.8.0*255` and `01-00:01.08.00.FF` are one register, `1.8.0`; what is no OBIS code stays as it is.
    """
    if not obis:
        return ""
    body = obis.rpartition(":")[2].lower()
    parts = [part.lstrip("0") or "0" for part in _SEPARATORS.split(body)]
    return ".".join(parts[:3]) if len(parts) >= 2 else obis.lower()


def billable_of(readings: Sequence[Reading]) -> Billable:
    """Return the billable register among a transaction's readings, in their order."""
    energies = [r for r in readings if r.register_milli_wh is not None]
    registers = list(dict.fromkeys(register_of(r.obis) for r in energies))
    complete = [name for name in registers if _has_both([r for r in energies if register_of(r.obis) == name])]
    register = min(complete or registers, key=_rank, default="")
    own = tuple(r for r in energies if register_of(r.obis) == register)
    begin = next((r for r in own if r.context == BEGIN), None)
    end = next((r for r in reversed(own) if r.context in ENDS), None)
    return Billable(register, begin, end, own, not any(_spoils_energy(r) for r in readings))


def _has_both(readings: Sequence[Reading]) -> bool:
    contexts = {r.context for r in readings}
    return BEGIN in contexts and not contexts.isdisjoint(ENDS)


def _rank(register: str) -> int:
    group = register.partition(".")[0]
    if group in _EXPORT:
        return len(_PREFERRED) + 1
    return _PREFERRED.index(group) if group in _PREFERRED else len(_PREFERRED)


def _spoils_energy(reading: Reading) -> bool:
    """From an exception on, what EF names is unusable, and everything where it names nothing (table 7, TX = X)."""
    if "E" in reading.error_flags or reading.status not in (GOOD, None):
        return True
    return reading.context == EXCEPTION and reading.error_flags == ""
