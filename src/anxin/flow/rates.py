"""How much of one thing one caller may do: token buckets in the process, bounded in number.

    party     messages, and requests with a valid token, of each authenticated party
    address   requests that turn out to be nobody's, by the address they come from
    guess     credentials that do not hold, by address and door: far fewer

A message is counted where every door hands it in (flow/intake.py), under the party that the door authenticated. Whoever
is authenticated there gets the request back that his address was charged with: a thousand meters behind one address are
a thousand parties, not one.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from anxin.domain.errors import LimitError

#: Callers remembered; the one that was silent longest is forgotten, and begins anew with a full bucket.
MAX_CALLERS = 65_536


@dataclass(slots=True)
class Caller:
    """Who makes the request in hand: its address, the party once a door knows it, and whether it guessed."""

    address: str
    party: str | None = None
    guessed: bool = False


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def known(party_id: str) -> None:
    """Note that the caller in hand is this party."""
    caller = CALLER.get()
    if caller is not None:
        caller.party = party_id


def guessed() -> None:
    """Note that the caller in hand has shown a credential that does not hold."""
    caller = CALLER.get()
    if caller is not None:
        caller.guessed = True


class Buckets:
    """One bucket for each key: `burst` at first, `rate_per_s` more each second, never above `burst`."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._clock = clock
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._filled)

    def wait_s(self, key: str, count: int = 1) -> float:
        """Return after how many seconds `count` may be taken: 0.0 for now. More than a burst needs a full bucket."""
        return max(0.0, (min(count, self.burst) - self._level(key)) / self.rate_per_s)

    def take(self, key: str, count: int = 1) -> None:
        """Take, whatever is there; what was too much is waited for later. A negative count gives back."""
        self._filled[key] = (min(float(self.burst), self._level(key) - count), self._clock())
        self._filled.move_to_end(key)
        while len(self._filled) > MAX_CALLERS:
            self._filled.popitem(last=False)

    def take_all(self, counts: Mapping[str, int]) -> None:
        """Take for several keys, or nothing at all. Raises LimitError naming the one that has to wait."""
        for key, count in counts.items():
            wait_s = self.wait_s(key, count)
            if wait_s > 0:
                raise LimitError(f"{key}: more than {self.rate_per_s:g} a second", wait_s)
        for key, count in counts.items():
            self.take(key, count)

    def _level(self, key: str) -> float:
        level, at = self._filled.get(key, (float(self.burst), 0.0))
        return min(float(self.burst), level + (self._clock() - at) * self.rate_per_s)


def address_key(address: str) -> str:
    """Return what an address is counted under: itself, or the /64 network of an IPv6 one, which one caller owns."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
