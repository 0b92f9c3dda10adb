"""A few kills of the real platform, and the planted faults that the same instrument must find."""

from __future__ import annotations

import pytest

from tests.fault.kills import DELETED, FAULT_FIGURES, make_run
from tests.fault.planted import FAULTS

pytestmark = pytest.mark.long


def test_after_five_kills_every_receipt_is_kept_once_with_its_bytes() -> None:
    report = make_run(kills=5, seed=11)
    assert {name: report[name] for name in FAULT_FIGURES} == dict.fromkeys(FAULT_FIGURES, 0)
    assert report["receipts"] > 20
    assert report["kills"] == 5


@pytest.mark.parametrize(
    ("fault", "figure"),
    [("early", "lost"), ("twice", "duplicated"), ("leaf", "log_faults"), (DELETED, "lost")],
)
def test_a_planted_fault_is_found(fault: str, figure: str) -> None:
    assert {*FAULTS, DELETED} == {"early", "twice", "leaf", DELETED}
    report = make_run(kills=8, seed=3, fault=fault)
    assert report[figure] > 0
