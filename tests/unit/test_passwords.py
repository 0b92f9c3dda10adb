"""Which passwords are refused, codes of the published vectors, recovery codes."""

from __future__ import annotations

import pytest

from anxin.domain.errors import FormatError
from anxin.trust import passwords, totp

GOOD = [
    "correct horse battery",
    "vier lange Woerter 42",
    "hangzhou-xihu-longjing-cha",
    "杭州西湖龙井茶叶很好喝真的",
    "8372-9918-2736-0451",
]


@pytest.mark.parametrize("password", GOOD)
def test_a_long_password_of_any_characters_is_taken(password: str) -> None:
    passwords.require_good(password, "chen.wei", "陈伟")


@pytest.mark.parametrize(
    "password",
    [
        "short", "x" * 129, "password1234", "Password123!!", "aaaaaaaaaaaa", "abcabcabcabc", "123456789012",
        "qwertyuiop12", "passwordpassword", "chen.wei2026!", "anxin2026!!!!", "anxincharging1", "abcdefghijklm",
        "1qaz2wsx3edc", "987654321098", "ｐａｓｓｗｏｒｄ１２３４",
    ],
)  # fmt: skip
def test_what_is_short_common_running_repeating_or_names_somebody_is_refused(password: str) -> None:
    with pytest.raises(FormatError) as refused:
        passwords.require_good(password, "chen.wei", "陈伟")
    assert password not in str(refused.value)


def test_a_password_typed_in_another_composition_is_the_same() -> None:
    stored = passwords.password_hash("Übergrößenträger\u0041\u030a")
    assert stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert passwords.password_holds(stored, "Ubergrößenträger\u00c5".replace("U", "U\u0308", 1))
    assert not passwords.password_holds(stored, "Übergrößenträger")
    assert not passwords.password_holds("no hash at all", "x")


def test_codes_are_those_of_rfc_6238_and_count_one_step_around() -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890"; RFC 6238 appendix B, its last six digits
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert totp.step_of(secret, code, seconds * 1000) == seconds // 30
        assert totp.step_of(secret, code, (seconds + 30) * 1000) == seconds // 30
        assert totp.step_of(secret, code, (seconds + 90) * 1000) is None
    assert totp.step_of(secret, "", 59_000) is None
    assert totp.step_of(secret, "８１８０４０", 59_000) is None


def test_recovery_codes_differ_and_are_found_however_they_are_typed() -> None:
    codes = totp.new_recovery_codes()
    assert len({totp.recovery_digest(c) for c in codes}) == totp.RECOVERY_CODES
    assert totp.recovery_digest(codes[0].lower().replace("-", " ")) == totp.recovery_digest(codes[0])
