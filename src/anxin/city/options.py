"""What a city is made from: the options of `anxin city make`, the kinds of cheat, the rates of honest mess."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from anxin.domain.errors import PolicyError

#: Limits on what may be asked for; beyond them a city no longer fits the memory of one machine or a serial number.
MAX_CHARGERS = 200_000
MAX_DAYS = 1_096
MAX_SESSIONS = 50_000_000
#: Sessions a charger and day that the mix of connectors can serve without queues that last for days.
MAX_SESSIONS_PER_CHARGER_DAY = 8.0
#: Orders per charger and day where nobody says otherwise (Hangzhou 2022: 1,030 orders a pile in about a year).
DEFAULT_SESSIONS_PER_CHARGER_DAY = 2.8


class Kind(StrEnum):
    """The kinds of cheat. docs/formats/city.md says for each what is done and what its size means."""

    INFLATED_ENERGY = "inflated_energy"
    INFLATED_AMOUNT = "inflated_amount"
    LOSS_RATIO = "loss_ratio"
    HIDDEN_SESSION = "hidden_session"
    WITHHELD_RECORD = "withheld_record"
    REPLAY = "replay"
    SPLICE = "splice"
    SWAPPED_METER = "swapped_meter"
    REGISTER_ROLLBACK = "register_rollback"
    FORGED_SIGNATURE = "forged_signature"
    BROKEN_SEAL = "broken_seal"
    EXPIRED_VERIFICATION = "expired_verification"
    LEAN_WITHIN_TOLERANCE = "lean_within_tolerance"
    SLOW_REGISTER_DRAIN = "slow_register_drain"


#: Kinds that only many sessions together show: planted where they are named, not with "each".
SLOW_KINDS = (Kind.LEAN_WITHIN_TOLERANCE, Kind.SLOW_REGISTER_DRAIN)
#: Kinds that the rules can find in one session or its neighbours.
KINDS = tuple(kind for kind in Kind if kind not in SLOW_KINDS)


@dataclass(frozen=True, slots=True)
class MessRates:
    """How often honest things go wrong, in millionths of sessions; none of these is a cheat.

    late            uploads that come hours late, up to `late_max_hours`
    again           uploads sent a second time, byte for byte
    power_failure   sessions that a power failure cuts into two meter records
    lost_record     records that never arrive (the meter's page counter has counted them)
    clock_wide      meters whose clock is off by more than 5 s, up to `clock_max_s`
    """

    late_ppm: int = 20_000
    late_max_hours: int = 72
    again_ppm: int = 5_000
    power_failure_ppm: int = 2_000
    lost_record_ppm: int = 200
    clock_wide_ppm: int = 300_000
    clock_max_s: int = 175

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0 or (name.endswith("_ppm") and value > 1_000_000):
                raise PolicyError(f"city option {name} is out of range: {value}")
        if self.late_max_hours > 72 or self.clock_max_s > 175:
            raise PolicyError("city options: honest uploads are at most 72 h late, honest clocks at most 175 s off")


@dataclass(frozen=True, slots=True)
class CityOptions:
    """One city. The same options give the same bytes, whatever the number of workers.

    sessions    None: DEFAULT_SESSIONS_PER_CHARGER_DAY for each charger and day
    districts   names of districts of Hangzhou, with or without 区 / 市 / 县; ("all",) for the thirteen
    cheats      number of cheats of each kind
    """

    seed: int = 1
    chargers: int = 120
    days: int = 30
    sessions: int | None = None
    start: date = date(2026, 10, 1)
    districts: tuple[str, ...] = ("all",)
    cheats: dict[Kind, int] = field(default_factory=dict)
    rates: MessRates = field(default_factory=MessRates)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise PolicyError("city option seed must be between 0 and 2^63 - 1")
        if not 1 <= self.chargers <= MAX_CHARGERS:
            raise PolicyError(f"city option chargers must be between 1 and {MAX_CHARGERS}")
        if not 1 <= self.days <= MAX_DAYS:
            raise PolicyError(f"city option days must be between 1 and {MAX_DAYS}")
        most = min(MAX_SESSIONS, int(self.chargers * self.days * MAX_SESSIONS_PER_CHARGER_DAY))
        if not 1 <= self.session_count <= most:
            raise PolicyError(f"city option sessions must be between 1 and {most} for these chargers and days")
        if any(count < 0 for count in self.cheats.values()):
            raise PolicyError("city option cheats: a count must not be negative")

    @property
    def session_count(self) -> int:
        """The number of sessions that really take place, honest and cheated."""
        if self.sessions is not None:
            return self.sessions
        return max(1, round(self.chargers * self.days * DEFAULT_SESSIONS_PER_CHARGER_DAY))

    def as_json(self) -> dict[str, Any]:
        """The options as they stand in honest.json, enough to make the same city again."""
        return {
            "seed": self.seed,
            "chargers": self.chargers,
            "days": self.days,
            "sessions": self.session_count,
            "start": self.start.isoformat(),
            "districts": list(self.districts),
            "cheats": {k.value: self.cheats.get(k, 0) for k in Kind if k in KINDS or self.cheats.get(k)},
            "rates": asdict(self.rates),
        }


def parse_cheats(texts: list[str] | None, each: int | None) -> dict[Kind, int]:
    """Return counts per kind from `KIND=COUNT` texts over `each` of every kind of KINDS. Raises PolicyError."""
    counts = dict.fromkeys(KINDS, each or 0)
    for text in texts or []:
        name, _, number = text.partition("=")
        if name not in tuple(Kind) or not number.isdecimal():
            raise PolicyError(f"--cheats takes KIND=COUNT with a kind out of {', '.join(Kind)}; not {text!r}")
        counts[Kind(name)] = int(number)
    return counts
