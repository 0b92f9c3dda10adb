"""The second factor: time-based codes (RFC 6238), and recovery codes for who lost his device."""

from __future__ import annotations

import hashlib
import secrets

import pyotp
from pyotp.utils import strings_equal

STEP_S, DIGITS = 30, 6
#: Steps before and after ours that count: clocks of phones differ, and people type slowly (RFC 6238 section 5.2).
WINDOW_STEPS = 1
SECRET_CHARS = 32  # base32: 160 bits, as RFC 4226 recommends
RECOVERY_CODES, RECOVERY_CHARS = 10, 16  # base32: 80 bits each
MAX_CODE_CHARS = 32
ISSUER = "安心充电 Anxin Charging"


def new_secret() -> str:
    """Return a new secret in base32."""
    return pyotp.random_base32(SECRET_CHARS)


def enrolment_uri(secret: str, login: str) -> str:
    """Return what an authenticator app reads, as text or QR code."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).provisioning_uri(name=login, issuer_name=ISSUER)


def step_of(secret: str, code: str, now_utc_ms: int) -> int | None:
    """Return the time step whose code this is, around now; None for a wrong one."""
    totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S)
    now = now_utc_ms // 1000 // STEP_S
    given = code.replace(" ", "")
    found = None
    for step in range(now - WINDOW_STEPS, now + WINDOW_STEPS + 1):
        if strings_equal(given, totp.generate_otp(step)):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Return codes that each stand in for the second factor once, to be shown once."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    made = ("".join(secrets.choice(letters) for _ in range(RECOVERY_CHARS)) for _ in range(RECOVERY_CODES))
    return ["-".join(code[i : i + 4] for i in range(0, RECOVERY_CHARS, 4)) for code in made]


def recovery_digest(code: str) -> bytes:
    """Return what a recovery code is found by. It has 80 random bits: no slow hash is due."""
    folded = "".join(c for c in code.upper() if c.isalnum())
    return hashlib.sha256(folded.encode("utf-8", "replace")).digest()
