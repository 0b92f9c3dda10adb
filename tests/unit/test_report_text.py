"""Figures and words on the page: exact, signed, and without anything hidden."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.report.text import MAX_TEXT_CHARS, duration_text, kwh, money, plain, rate_per_million, share_text, signed
from anxin.report.text import time_text as time_of


@given(st.integers(-(10**15), 10**15))
def test_an_energy_on_the_page_is_the_exact_energy(energy_milli_wh: int) -> None:
    assert Decimal(kwh(energy_milli_wh).replace(",", "").replace("−", "-")) * 1_000_000 == energy_milli_wh


@given(st.integers(-(10**12), 10**12))
def test_money_on_the_page_is_the_exact_money(amount_e4: int) -> None:
    assert Decimal(money(amount_e4).replace(",", "").replace("−", "-")) * 10_000 == amount_e4


@pytest.mark.parametrize(
    ("energy_milli_wh", "text"),
    [(113_518_000, "+113.518"), (-1, "−0.000001"), (0, "0.000"), (None, "–"), (1_234_567_000_000, "+1,234,567.000")],
)
def test_a_difference_shows_its_direction(energy_milli_wh: int | None, text: str) -> None:
    assert signed(kwh(energy_milli_wh)) == text


@given(st.text(max_size=2 * MAX_TEXT_CHARS))
def test_no_hidden_character_reaches_the_page(text: str) -> None:
    shown = plain(text)
    shown.encode("utf-8")  # a lone surrogate would not encode
    assert all(character.isprintable() or character == "\u3000" or character.isspace() for character in shown)
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u200e\u200f\ufeff\x00\x1b\n")


def test_an_id_that_turns_round_is_written_out() -> None:
    assert plain("A\u202e1B") == "A⟨U+202E⟩1B"


def test_a_text_from_outside_is_bounded() -> None:
    assert plain("x" * (MAX_TEXT_CHARS + 1)) == "x" * MAX_TEXT_CHARS + "…"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 10**9, "0.01 %"),
        (10**9 - 1, 10**9, "99.99 %"),
        (3, 0, "–"),
        (5, 2, "250.00 %"),
    ],
)
def test_a_share_never_claims_all_or_nothing_falsely(part: int, whole: int, text: str) -> None:
    assert share_text(part, whole) == text


def test_times_are_written_in_the_zone_of_the_site() -> None:
    assert time_of(1_792_800_000_000, "Asia/Shanghai", with_offset=True) == "2026-10-24 08:00:00 +08:00"
    assert time_of(1_792_800_000_000, "Europe/London", with_offset=True) == "2026-10-24 01:00:00 +01:00"
    assert time_of(None, "Asia/Shanghai") == "–"


def test_a_duration_may_go_back_and_beyond_a_day() -> None:
    assert duration_text(0, 90_061_000) == "25:01:01"
    assert duration_text(61_000, 0) == "−0:01:01"


def test_a_rate_is_per_million() -> None:
    assert rate_per_million(3, 2_000_000) == "1.5"
    assert rate_per_million(0, 0) == "–"
