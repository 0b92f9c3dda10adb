"""The forms in which T/CEC 102 platforms write a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from anxin.domain.errors import FormatError
from anxin.domain.quantities import utc_ms
from anxin.formats.local_time import LocalClock

#: Fourteen digits without separators, as the standard itself writes TimeStamp.
_COMPACT_TIME = "%Y%m%d%H%M%S"


def iso_time(text: str, name: str) -> datetime:
    """Return an ISO 8601 time, with or without zone. Raises FormatError `time.syntax`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise FormatError("time.syntax", f"not a time: {text[:40]!r}", name) from None


def other_time(value: object, name: str) -> datetime:
    """Read fourteen digits, ISO forms with or without zone, and epoch seconds or milliseconds.

    Raises FormatError `time.syntax`.
    """
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 40:
            raise FormatError("time.syntax", "a time has more than 40 characters", name)
        if not text.isdigit() or not text.isascii():
            return iso_time(text.replace("/", "-"), name)
        if len(text) == 14:
            try:
                return datetime.strptime(text, _COMPACT_TIME)  # noqa: DTZ007 - wall clock, zoned by the caller
            except ValueError:
                raise FormatError("time.syntax", f"not a time: {text!r}", name) from None
        value = int(text)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < 10**10:  # seconds until the year 2286
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
        if 10**11 <= value < 10**13:  # milliseconds from 1973 to 2286
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    raise FormatError("time.syntax", f"not a time: {str(value)[:40]!r}", name)


def stamp_utc_ms(stamp: str, clock: LocalClock) -> int:
    """Return an envelope's TimeStamp as UTC ms: yyyyMMddHHmmss, or the yyMMddHHmmss and epoch seconds of simulators.

    Raises FormatError `time.syntax`, `time.range`.
    """
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) not in {10, 12, 14}:
        raise FormatError("time.syntax", "TimeStamp is not yyyyMMddHHmmss", "TimeStamp")
    if len(stamp) == 10:
        return utc_ms(datetime.fromtimestamp(int(stamp), UTC))
    try:
        wall = datetime.strptime(stamp, _COMPACT_TIME if len(stamp) == 14 else "%y%m%d%H%M%S")  # noqa: DTZ007
    except ValueError:
        raise FormatError("time.syntax", "TimeStamp is not yyyyMMddHHmmss", "TimeStamp") from None
    return clock.to_utc_ms(wall)[0]
