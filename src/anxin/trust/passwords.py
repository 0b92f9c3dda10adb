"""Passwords: Argon2id over them, and which ones are refused.

Source of the rules: NIST SP 800-63B (3.1.1.2 of revision 4, 5.1.1.2 of revision 3): length, a list of common ones, what
repeats or runs, what names the account; no rule of composition and no expiry.
Source of the parameters: OWASP Password Storage Cheat Sheet, first of its equal settings of Argon2id (46 MiB, 1 pass,
1 lane). RFC 9106's 64 MiB with 3 passes take five times as long: on a small machine a few guesses would be an attack.
"""

from __future__ import annotations

import functools
import re
import secrets
import threading
import unicodedata
from importlib import resources

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from anxin.domain.errors import BusyError, FormatError

ARGON2_TIME_COST, ARGON2_MEMORY_KIB, ARGON2_PARALLELISM = 1, 47_104, 1
ARGON2_HASH_BYTES, ARGON2_SALT_BYTES = 32, 16
MIN_PASSWORD_CHARS = 12
#: NIST asks for at least 64; beyond this nobody types, and normalising costs.
MAX_PASSWORD_CHARS = 128
#: Each hash takes 46 MiB: whoever sends many logins at once must wait, not fill the memory.
MAX_HASHES_AT_ONCE = 2
HASH_WAIT_S = 10.0
#: Runs that people type: of digits, of letters, of the keyboard's rows.
_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb",
)
_LONGEST_UNIT, _LEAST_LEFT = 6, 4
#: Words that name this service: a password made of one is guessed first.
_OWN_WORDS = ("anxin", "charging", "anxincharging", "安心充电", "充电", "监管")

_HASHER = PasswordHasher(
    ARGON2_TIME_COST, ARGON2_MEMORY_KIB, ARGON2_PARALLELISM, ARGON2_HASH_BYTES, ARGON2_SALT_BYTES, type=Type.ID
)
_TURNS = threading.BoundedSemaphore(MAX_HASHES_AT_ONCE)


def password_hash(password: str) -> str:
    """Return the hash of a password with its parameters and salt. Raises BusyError where too many wait."""
    with _turn():
        return _HASHER.hash(_bytes(password))


def password_holds(stored: str, password: str) -> bool:
    """Return whether a password is the one of a hash; the work is the same either way. Raises BusyError."""
    with _turn():
        try:
            return _HASHER.verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def outdated(stored: str) -> bool:
    """Return whether a hash was made under other parameters than those of now."""
    return _HASHER.check_needs_rehash(stored)


@functools.cache
def nobodys_hash() -> str:
    """Return a hash whose password nobody knows: looked at for a login that is not there, so that it costs as much."""
    return password_hash(secrets.token_urlsafe(32))


def require_good(password: str, login: str, name: str = "") -> None:
    """Raise FormatError (`password.*`) where a password is too short, too long, or among the first to be guessed."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    if len(folded) < MIN_PASSWORD_CHARS or len(password) > MAX_PASSWORD_CHARS:
        detail = f"口令须有 {MIN_PASSWORD_CHARS} 至 {MAX_PASSWORD_CHARS} 个字符 · {MIN_PASSWORD_CHARS} to"
        raise FormatError("password.length", f"{detail} {MAX_PASSWORD_CHARS} characters are needed", "password")
    if _guessable(folded, (login.casefold(), login.partition("@")[0].casefold(), name.casefold(), *_OWN_WORDS)):
        raise FormatError(
            "password.common",
            "该口令常见或易猜，请另选 · this password is common or easily guessed: choose another, such as four words",
            "password",
        )


def _guessable(folded: str, names: tuple[str, ...]) -> bool:
    """Common as a whole or but for digits and signs at its ends; one unit again and again; runs; names."""
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    if folded in _common() or bare in _common():
        return True
    if any(folded == (folded[:n] * len(folded))[: len(folded)] for n in range(1, _LONGEST_UNIT + 1)):
        return True
    if _half_repeats(folded):
        return True
    left = folded
    for word in sorted((w for w in names if len(w) >= 2), key=len, reverse=True):
        left = left.replace(word, "")
    if left != folded:  # a name with a year behind it is still the name
        left = re.sub(r"[\W\d_]", "", left)
    return len(_without_runs(left)) < _LEAST_LEFT


def _half_repeats(folded: str) -> bool:
    half, odd = divmod(len(folded), 2)
    return not odd and folded[:half] == folded[half:] and folded[:half] in _common()


def _without_runs(text: str) -> str:
    for run in _RUNS:
        for row in (run, run[::-1]):
            for size in range(min(len(text), len(row)), 3, -1):
                for start in range(len(row) - size + 1):
                    text = text.replace(row[start : start + size], "")
    return text


@functools.cache
def _common() -> frozenset[str]:
    lines = resources.files("anxin.trust").joinpath("common_passwords.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))


def _bytes(password: str) -> bytes:
    # The same characters may be typed in two ways (NIST: normalise before hashing).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")


class _turn:  # noqa: N801
    """One of the hashes at once. Raises BusyError where none is free for long."""

    def __enter__(self) -> None:
        if not _TURNS.acquire(timeout=HASH_WAIT_S):
            raise BusyError("too many people log in at this moment: try again")

    def __exit__(self, *_: object) -> None:
        _TURNS.release()
