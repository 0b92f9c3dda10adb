"""R30: what is not in order about an event of a seal, as soon as it is reported and whether anyone charged or not."""

from __future__ import annotations

from anxin.domain.finding import Severity
from anxin.domain.seal_event import SealStep
from anxin.reconcile.rule import Basis, Cause, RawFinding, Rule


def on_seal(step: SealStep) -> list[RawFinding]:
    """Return the one finding on a step that the machine of seals does not allow, or on a break without an order."""
    if step.irregular is None:
        return []
    return [
        RawFinding(
            "R30",
            step.irregular.value,
            quantity="time",
            expected=step.whole_utc_ms,
            found=step.event.at_utc_ms,
            detail=f"{step.event.seal_id}（{step.event.charger_id}）",
            at_utc_ms=step.event.at_utc_ms,
        )
    ]


RULE = Rule(
    id="R30",
    name="seal_event",
    title_zh="封印状态不符合程序",
    title_en="A seal's state does not follow the procedure",
    explain_zh="封印未经指令被破坏，或其报告与此前的状态不符：未施加便被查见，破坏后又被报完好。",
    explain_en="A seal went without an order, or what is reported of it does not follow from its state before.",
    basis=(
        Basis(
            "Hangzhou market regulator, description of its platform (2022): double seals, physical and electronic",
            "confirmed",
        ),
        Basis("docs/seals.md: the states of a seal, and who may do what", "derived"),
        Basis("WELMEC 7.2 P6, P7: changes are inadmissible, and where they happen they are evident", "confirmed"),
    ),
    causes=(
        Cause(
            "seal_broken_unordered",
            Severity.GRAVE,
            False,
            "封印 {detail} 于 {found} 被报破坏，没有拆封指令；最后一次查见完好：{expected}。其后的计量存疑。",
            "Seal {detail} was reported broken at {found}, without an order to remove it; last seen whole: {expected}. "
            "What was measured since then is in doubt.",
        ),
        Cause(
            "seal_seen_whole",
            Severity.VIOLATION,
            False,
            "封印 {detail} 已破坏或已拆除，{found} 却被报完好；破坏的封印不会复原，须说明。",
            "Seal {detail} had been broken or removed, and was reported whole at {found}; a broken seal does not heal.",
        ),
        Cause(
            "seal_not_applied",
            Severity.NOTE,
            False,
            "封印 {detail} 于 {found} 首次出现，此前没有施封记录。",
            "Seal {detail} was first heard of at {found}; nobody had reported that it was applied.",
        ),
        Cause(
            "seal_applied_twice",
            Severity.NOTE,
            False,
            "封印 {detail} 完好时于 {found} 又报施封。",
            "Seal {detail} was whole and was reported applied again at {found}.",
        ),
    ),
    example="""
        seal S1 applied 1000
        seal S1 checked 2000
        seal S1 broken  3000
        seal S1 checked 4000
        seal S2 checked 1500
        expect R30 seal_broken_unordered 3000
        expect R30 seal_seen_whole       4000
        expect R30 seal_not_applied      1500
    """,
    needs=("seal_events",),
    on_seal=on_seal,
)
