"""How values become text on the page: exact figures, times of the site's zone, and untrusted words made harmless."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from anxin.domain.quantities import kwh_text, moment_of, money_text

#: The longest text from outside that the page repeats. A sentence of a rule has under 200 characters; what is longer
#: is a defect or an attack and stands whole in findings.parquet.
MAX_TEXT_CHARS = 400

#: Unicode categories that do not show, or that change how their neighbours show (bidirectional overrides are `Cf`):
#: an id that holds one could be read as another id, so each is written out as U+XXXX.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def plain(text: object, limit: int = MAX_TEXT_CHARS) -> str:
    """Return `text` with every hidden character written out and at most `limit` characters. Escaping comes after."""
    raw = str(text)
    clipped = raw[:limit]
    shown = clipped
    if not clipped.isascii() or not clipped.isprintable():
        shown = "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _HIDDEN else c for c in clipped)
    return shown + ("…" if len(raw) > limit else "")


def grouped(value: int) -> str:
    """Return an integer with a comma at each thousand and a true minus sign."""
    return f"{value:,}".replace("-", "−")


def kwh(value_milli_wh: int | None) -> str:
    """Return an energy as exact kWh with thousands grouped, an en dash where there is none."""
    return _group_decimal(kwh_text(value_milli_wh))


def money(value_e4: int | None) -> str:
    """Return an amount as exact text with thousands grouped, an en dash where there is none."""
    return _group_decimal(money_text(value_e4))


def signed(text: str) -> str:
    """Return a figure's text with a plus sign where it is above zero: a difference always shows its direction."""
    return text if text[:1] in "−–" or not text.strip("0.,") else f"+{text}"


def time_text(value_utc_ms: int | None, zone: str, *, with_offset: bool = False) -> str:
    """Return `2026-10-12 14:03:22` in `zone`, with ` +08:00` after it where asked for; an en dash for None."""
    if value_utc_ms is None:
        return "–"
    moment = moment_of(value_utc_ms, ZoneInfo(zone))
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text} {moment.isoformat()[-6:]}" if with_offset else text


def duration_text(start_utc_ms: int | None, end_utc_ms: int | None) -> str:
    """Return the time between two moments as `1:02:03` (hours unbounded), an en dash where one is missing."""
    if start_utc_ms is None or end_utc_ms is None:
        return "–"
    seconds = abs(end_utc_ms - start_utc_ms) // 1000
    sign = "−" if end_utc_ms < start_utc_ms else ""
    hours, rest = divmod(seconds, int(timedelta(hours=1).total_seconds()))
    return f"{sign}{hours}:{rest // 60:02d}:{rest % 60:02d}"


def share_text(part: int, whole: int) -> str:
    """Return a share as per cent, never rounded up to 100 % or down to 0 % while something is on the other side."""
    if whole <= 0:
        return "–"
    if part in (0, whole):
        return "0 %" if part == 0 else "100 %"
    share = max((Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.01")), Decimal("0.01"))
    return f"{min(share, Decimal('99.99')) if part < whole else share:,} %"


def rate_per_million(count: int, whole: int) -> str:
    """Return `count` per million of `whole`, to one decimal; an en dash where `whole` is zero."""
    return "–" if whole <= 0 else f"{(Decimal(count) * 1_000_000 / Decimal(whole)).quantize(Decimal('0.1')):,}"


def _group_decimal(text: str) -> str:
    if text == "–":
        return text
    sign, digits = ("−", text[1:]) if text.startswith("-") else ("", text)
    whole, _, part = digits.partition(".")
    return f"{sign}{int(whole):,}.{part}"
