"""R08: pages of one meter: none missing, none twice, none backwards, never another context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.links import LEAST_TRUSTED
from anxin.reconcile.raising import raised
from anxin.reconcile.record_checks import r08
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Pages missing where the register goes on all the same, and pages used again or backwards.

    A missing page whose register moved is energy that R07 speaks of; one that a lost record accounts for is R20.
    """
    links = ground.links.filter(ground.links.answer_rank <= LEAST_TRUSTED)
    overdue = ground.facts.as_of_utc_ms - policy.int("late.record_window")
    held = ground.brackets.select(record_no="gap_record_no").distinct()
    still = links.register_gap.abs() <= links.tolerance
    missing = links.filter((links.page_gap > 0) & still & (links.to_utc_ms < overdue)).anti_join(held, "record_no")
    rests_on = {"record_no": "record_no", "other_record_no": "next_record_no", "at_utc_ms": "to_utc_ms"}
    return [
        raised(missing, "R08", "page_missing", quantity="count", found="page_gap", **rests_on),
        raised(links.filter(links.page_gap == -1), "R08", "page_repeated", **rests_on),
        raised(links.filter(links.page_gap < -1), "R08", "page_back", **rests_on),
    ]


RULE = Rule(
    id="R08",
    name="pagination",
    title_zh="记录页码不连续",
    title_en="Pagination broken",
    explain_zh="签名记录的页码每次加一：缺页、重页、倒页或换用另一类页码均须说明。",
    explain_en="A signed record's page grows by one: a missing, repeated or earlier page must be explained.",
    basis=(
        Basis("OCMF 1.4.1, PG: one counter per context, +1 per signed record", "confirmed"),
        Basis("9 of 11 real begin/end pairs: end page = begin page + 1; the others repeat it", "confirmed"),
    ),
    causes=(
        Cause(
            "page_missing",
            Severity.WARNING,
            False,
            "电能表 {meter} 的记录之间缺 {found} 页，表底数未变。",
            "Meter {meter}: {found} page(s) are missing between two records; the register did not move.",
        ),
        Cause(
            "page_repeated",
            Severity.WARNING,
            False,
            "电能表 {meter} 的两份记录使用同一页码。",
            "Meter {meter} used one page number for two records.",
        ),
        Cause(
            "page_back",
            Severity.GRAVE,
            False,
            "电能表 {meter} 的记录页码倒退。",
            "Meter {meter}: the page number went back.",
        ),
        *r08.CAUSES,
    ),
    example="""
        record R1 C1 10:00-11:00 100.000-120.000 page=7
        record R2 C1 12:00-13:00 120.000-140.000 page=7
        expect R08 page_repeated R1 R2
    """,
    needs=("records",),
    on_facts=on_facts,
    on_record=r08.on_record,
)
