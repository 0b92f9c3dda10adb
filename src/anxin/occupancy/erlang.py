"""Blocked demand from what was carried: drivers who found every connector taken and left no trace.

Loss system (A. K. Erlang 1917), A erlangs offered to c connectors, who finds none free drives on:

    B(0, A) = 1,  B(n, A) = A B(n-1, A) / (n + A B(n-1, A))      share of drivers that find all taken
    carried  = A (1 - B(c, A))                                    mean number of connectors taken

Seen is only what was carried; what was offered is the A that carries as much (the estimate of ITU-T E.501: offered =
carried / (1 - B)). Near saturation nothing can be told any more: carried comes close to c however many drive on. So B
is never taken to be above MAX_BLOCKING, and the estimate is a low one there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: No more are estimated to have driven on than were served.
MAX_BLOCKING = 0.5
#: Loads between none and MAX_BLOCKING at which a curve is computed; between them it is straight.
_POINTS = 400


def blocking(connectors: int, offered: Any) -> Floats:
    """Return Erlang's B for a number of connectors and offered loads (erlangs)."""
    load = np.asarray(offered, np.float64)
    share = np.ones_like(load)
    for n in range(1, connectors + 1):
        share = load * share / (n + load * share)
    return share


def offered_load(connectors: int, carried: Any) -> Floats:
    """Return the load (erlangs) of which `connectors` carry so much; at most that at which MAX_BLOCKING is reached."""
    offered, as_carried = _curve(connectors)
    return np.asarray(np.interp(np.asarray(carried, np.float64), as_carried, offered))


@lru_cache(maxsize=4_096)
def _curve(connectors: int) -> tuple[Floats, Floats]:
    high = 2.0 * connectors + 2.0  # B is above a half there: c / A < 1 / 2
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(blocking(connectors, middle)) < MAX_BLOCKING else (low, middle)
    offered = np.linspace(0.0, low, _POINTS)
    return offered, offered * (1.0 - blocking(connectors, offered))
