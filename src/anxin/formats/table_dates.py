"""Does the date order of a table contradict the table itself?

Some exports write 3 April as if it were 4 March, and only where both readings exist (day up to 12). What cannot have
been exchanged, the dates with a day above 12, shows in which months the file really lies. A date outside these months
that would lie inside with day and month exchanged was provably exchanged.

A file may end in the first days of a month that has no day above 12 yet. Dates in the month next to the span are
therefore only counted where dates further away prove that there is an exchange at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from anxin.domain.source import Notice

#: The last day that can also be a month.
LAST_AMBIGUOUS_DAY = 12
#: Rules of the notices. The second states a repair that the user asked for: it is no finding.
DATE_ORDER, DATE_ORDER_REPAIRED = "table.date_order", "table.date_order_repaired"
_MONTHS = 12


def provably_exchanged(dates: Iterable[tuple[int, int, int]]) -> int:
    """Return how many (year, month, day) prove that day and month were exchanged, 0 where none does."""
    counted = Counter(dates)
    certain = [year * _MONTHS + month for year, month, day in counted if day > LAST_AMBIGUOUS_DAY]
    if not certain:
        return 0
    first, last = min(certain), max(certain)
    proofs = far = 0
    for (year, month, day), count in counted.items():
        if day > LAST_AMBIGUOUS_DAY or day == month:
            continue
        as_read, exchanged = year * _MONTHS + month, year * _MONTHS + day
        if not first <= as_read <= last and first <= exchanged <= last:
            proofs += count
            far += 0 if first - 1 <= as_read <= last + 1 else count
    return proofs if far else 0


def date_order_notice(file: str, count: int, rows: int, *, repaired: bool) -> Notice:
    """Return what is said before anything else about a file with `count` provably exchanged dates of `rows`."""
    if repaired:
        zh = f"{file}：映射要求日月互换，但互换后 {rows} 行中有 {count} 个开始日期落在文件自身的月份之外，请检查映射。"
        en = (
            f"{file}: the mapping exchanges day and month, but then {count} of {rows} start dates fall outside the "
            f"file's own months. Check date_order."
        )
    else:
        zh = (
            f"{file}：{rows} 行中有 {count} 个开始日期的日与月可证明被互换（日不大于 12 的日期）。未作任何猜测，"
            f'日期按原文读入；确认后请在映射中写 date_order = "day_month_exchanged_when_ambiguous"。'
        )
        en = (
            f"{file}: {count} of {rows} start dates provably have day and month exchanged (dates whose day is at most "
            f"12). Nothing was guessed, the dates were read as written; once confirmed, state "
            f'date_order = "day_month_exchanged_when_ambiguous" in the mapping.'
        )
    return Notice(file, DATE_ORDER, count, zh, en)


def repair_notice(file: str, count: int, rows: int) -> Notice:
    """Return what is said first about a file whose dates the mapping exchanged back: `count` proved the exchange."""
    return Notice(
        file,
        DATE_ORDER_REPAIRED,
        count,
        f"{file}：{rows} 行中有 {count} 个开始日期的日与月可证明被互换；已按映射将所有日不大于 12 的日期换回。",
        f"{file}: {count} of {rows} start dates provably had day and month exchanged; as the mapping says, every date "
        f"whose day is at most 12 was exchanged back.",
    )


def exchanged_back(date: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return (year, month, day) as the file wrote it, of a date that was exchanged where it could be."""
    year, month, day = date
    return (year, day, month) if day <= LAST_AMBIGUOUS_DAY else date
