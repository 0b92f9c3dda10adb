"""Wall-clock times of a site brought to UTC: hours that do not exist or occur twice are named, never guessed silently.

PEP 495: a time in the gap of spring is read with the offset before the change, a time in the fold of autumn as its
first pass. `LocalClock.to_utc_ms` says which of the two happened, so that the caller can record it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo

from anxin.domain.errors import FormatError
from anxin.domain.quantities import MAX_YEAR, MIN_YEAR

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - counts wall-clock time, the offset is taken off apart
_MS = timedelta(milliseconds=1)
#: Offsets are kept per quarter of an hour: since 1973 every change of every zone falls on such a quarter.
_CACHE_FROM_YEAR = 1973
#: 20 years of hours; a file with dates all over the calendar must not fill the memory.
_CACHE_LIMIT = 200_000


class Doubt(StrEnum):
    """Why a wall-clock time is no single moment."""

    GAP = "gap"
    FOLD = "fold"


def zone_of(name: str) -> tzinfo:
    """Return the IANA zone `name`. Raises FormatError `time.zone_name` for any other text."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise FormatError("time.zone_name", f"not an IANA time zone: {name!r}") from None


class LocalClock:
    """The wall clock of one zone."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._offsets: dict[tuple[int, int, int], tuple[int, int, Doubt | None]] = {}

    def to_utc_ms(self, wall: datetime, *, second_pass: bool = False) -> tuple[int, Doubt | None]:
        """Return UTC milliseconds of a time without zone, and the doubt about it if any.

        `second_pass` chooses the later of two moments in a fold. Raises FormatError `time.range`.
        """
        if not MIN_YEAR <= wall.year <= MAX_YEAR:
            raise FormatError("time.range", f"a year outside {MIN_YEAR} to {MAX_YEAR}: {wall.isoformat(' ')}")
        key = (wall.toordinal(), wall.hour, wall.minute // 15)
        found = self._offsets.get(key)
        if found is None:
            found = self._offset(wall)
            if wall.year >= _CACHE_FROM_YEAR and len(self._offsets) < _CACHE_LIMIT:
                self._offsets[key] = found
        first, second, doubt = found
        return (wall - _EPOCH) // _MS - (second if second_pass and doubt is Doubt.FOLD else first), doubt

    def _offset(self, wall: datetime) -> tuple[int, int, Doubt | None]:
        first = self.zone.utcoffset(wall.replace(fold=0, tzinfo=self.zone)) or timedelta()
        second = self.zone.utcoffset(wall.replace(fold=1, tzinfo=self.zone)) or timedelta()
        doubt = None if first == second else Doubt.FOLD if first > second else Doubt.GAP
        return first // _MS, second // _MS, doubt
