"""Sessions: a person logs in, shows his second factor, and is known by his cookie until the session is over.

    1  the attempt is counted as failed before it is looked at
    2  a hash is computed, for whoever it is: a login that is not there, that waits, that belongs to the other app
    3  where all holds a session begins under a new random cookie; the one that was shown before ends
    4  its stage says what is due: a code, a new password, a second factor. Until it is open it gives nothing else
    5  each step upward begins a new session: a cookie that somebody planted or saw before is worth nothing after

Whoever reads the database takes up no session: only hashes of cookies stand there. The second factor's code is accepted
once, and none older than the last one.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from anxin.domain.errors import AnxinError, FormatError, LimitError
from anxin.domain.party import REGULATOR, Party
from anxin.domain.person import LOGIN, Person, Session, Side, Stage, side_of
from anxin.flow.intake import now_utc_ms
from anxin.flow.people import totp_context
from anxin.flow.platform import Platform
from anxin.flow.rates import guessed
from anxin.store import people
from anxin.store import sessions as store
from anxin.trust import passwords, totp

COOKIE_BYTES = 32
#: A session's last use is written down so often at most, or a quarter of its idle time where that is shorter.
SEEN_STEP_MS = 10_000
_CSRF = b"anxin csrf 1"


class LoginRefusedError(AnxinError):
    """Login, password or code do not hold, or the account waits: which one, the answer never tells."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that just began: its cookie, to be handed over once, and itself. `recovery_codes`: shown once."""

    cookie: str
    session: Session
    recovery_codes: tuple[str, ...] = ()


def log_in(platform: Platform, side: Side, login: str, password: str, shown: str | None) -> Opened:
    """Begin a session for a login and its password; `shown` is the cookie that came with it, whose session ends.

    Raises LoginRefusedError, BusyError, StoreError.
    """
    now = now_utc_ms()
    login = login.strip().casefold()
    login = login if LOGIN.fullmatch(login) else ""  # nobody's
    # 1 the attempt is counted as failed before it is looked at
    with platform.database.transaction() as connection:
        may = people.begin_attempt(connection, login, now)
        person = people.by_login(connection, login)
    # 2 a hash is computed, for whoever it is
    platform.measures.password_hashes.inc()
    holds = passwords.password_holds(passwords.nobodys_hash() if person is None else person.password_hash, password)
    if person is None or not (holds and may and _admitted(platform, side, person.party)):
        guessed()
        raise LoginRefusedError(
            "登录名或口令不对，或尝试过多 · login or password is wrong, or there were too many attempts"
        )
    # 3 a session begins under a new random cookie
    fresh = passwords.password_hash(password) if passwords.outdated(person.password_hash) else None
    session = Session(person, side, False, now, now)
    with platform.database.transaction() as connection:
        people.end_attempt(connection, person.party.party_id, now, whole=not person.totp_confirmed)
        if fresh is not None:
            people.rehash(connection, person.party.party_id, person.password_hash, fresh)
        return _begin(platform, connection, session, shown)


def begin_known(platform: Platform, side: Side, person: Person, second_factor: bool, shown: str | None) -> Opened:
    """Begin a session for a person whom a single sign-on has named. Raises LoginRefusedError, StoreError."""
    if not _admitted(platform, side, person.party):
        raise LoginRefusedError("此处没有这样的人员 · nobody of this name may log in here")
    now = now_utc_ms()
    with platform.database.transaction() as connection:
        return _begin(platform, connection, Session(person, side, second_factor, now, now), shown)


def session_of(platform: Platform, side: Side, cookie: str | None) -> Session | None:
    """Return the session of a cookie, with its person as he stands now; None for one that is over, foreign or none.

    Raises LimitError where its person asks too much.
    """
    if not cookie or len(cookie) > 2 * COOKIE_BYTES:
        return None
    now, settings, digest = now_utc_ms(), platform.settings, _digest(cookie)
    idle_ms = settings.session_idle_s * 1000
    with platform.database.transaction() as connection:
        found = store.find(connection, digest, side, now - settings.session_absolute_s * 1000, now - idle_ms)
        if found is not None and now - found.seen_utc_ms >= min(SEEN_STEP_MS, idle_ms // 4):
            store.seen(connection, digest, now)
            found = dataclasses.replace(found, seen_utc_ms=now)
    if found is not None:
        wait_s = platform.people.wait_s(found.person.party.party_id)
        if wait_s > 0:
            raise LimitError("too many requests: wait before the next one", wait_s)
        platform.people.take(found.person.party.party_id)
    return found


def stage_of(platform: Platform, session: Session) -> Stage:
    """Return what a session may do next."""
    return session.stage(factor_due(platform, session.person.party))


def factor_due(platform: Platform, party: Party) -> bool:
    """Return whether a person of this role has to have a second factor."""
    whose = platform.settings.second_factor
    return whose != "nobody" and (whose != "regulator" or party.role in REGULATOR)


def show_code(platform: Platform, session: Session, cookie: str, code: str) -> Opened:
    """Take a code of the second factor, or a recovery code; the session goes on under a new cookie.

    Raises LoginRefusedError for a wrong one, one that was used, and an account that waits; FormatError where none is
    due.
    """
    person, now = session.person, now_utc_ms()
    if not person.totp_confirmed or person.totp_sealed is None:
        raise FormatError("session.code", "没有待验证的第二因素 · no second factor is set up")
    with platform.database.transaction() as connection:
        may = people.begin_attempt(connection, person.login, now)
    secret = platform.vault.open(person.totp_sealed, totp_context(person.party.party_id)).decode()
    step = totp.step_of(secret, code, now)
    with platform.database.transaction() as connection:
        right = may and (
            people.use_step(connection, person.party.party_id, step)
            if step is not None
            else people.use_recovery_code(connection, person.party.party_id, totp.recovery_digest(code))
        )
        if right:
            people.end_attempt(connection, person.party.party_id, now, whole=True)
            return _go_on(platform, connection, dataclasses.replace(session, second_factor=True), cookie)
    guessed()
    raise LoginRefusedError(
        "验证码不对、已用过，或尝试过多 · the code is wrong, was used, or there were too many attempts"
    )


def new_factor(platform: Platform, session: Session) -> tuple[str, str]:
    """Return secret and otpauth address of a second factor that is to be set up. Raises FormatError where one is."""
    person = session.person
    if person.totp_confirmed:
        raise FormatError(
            "session.enrolled", "已有第二因素，请由管理员重置 · one is set up: an administrator resets it"
        )
    secret = totp.new_secret()
    sealed = platform.vault.seal(secret.encode(), totp_context(person.party.party_id))
    with platform.database.transaction() as connection:
        people.set_totp(connection, person.party.party_id, sealed)
    return secret, totp.enrolment_uri(secret, person.login)


def confirm_factor(platform: Platform, session: Session, cookie: str, code: str) -> Opened:
    """Let a second factor count once a code of it was seen; all other sessions of the person end.

    Raises FormatError where none waits, LoginRefusedError for a wrong code.
    """
    person, now = session.person, now_utc_ms()
    if person.totp_confirmed or person.totp_sealed is None:
        raise FormatError("session.enrol", "没有待确认的第二因素 · no second factor waits to be confirmed")
    secret = platform.vault.open(person.totp_sealed, totp_context(person.party.party_id)).decode()
    step = totp.step_of(secret, code, now)
    if step is None:
        guessed()
        raise LoginRefusedError("验证码不对 · the code is wrong")
    codes = tuple(totp.new_recovery_codes())
    with platform.database.transaction() as connection:
        if not people.use_step(connection, person.party.party_id, step):
            raise LoginRefusedError("验证码已用过 · the code was used")
        people.confirm_totp(connection, person.party.party_id, [totp.recovery_digest(c) for c in codes])
        confirmed = dataclasses.replace(person, totp_confirmed=True)
        raised = dataclasses.replace(session, person=confirmed, second_factor=True)
        opened = _go_on(platform, connection, raised, cookie, alone=True)
        return dataclasses.replace(opened, recovery_codes=codes)


def change_password(platform: Platform, session: Session, cookie: str, old: str, new: str) -> Opened:
    """Change one's own password; every session of the person ends, and this one goes on under a new cookie.

    Raises LoginRefusedError where the old one is wrong, FormatError where the new one is refused.
    """
    person, now = session.person, now_utc_ms()
    with platform.database.transaction() as connection:
        may = people.begin_attempt(connection, person.login, now)
    platform.measures.password_hashes.inc()
    if not (passwords.password_holds(person.password_hash, old) and may):
        guessed()
        raise LoginRefusedError("原口令不对，或尝试过多 · the old password is wrong, or there were too many attempts")
    with platform.database.transaction() as connection:
        people.end_attempt(connection, person.party.party_id, now, whole=False)
    if old == new:
        raise FormatError("password.same", "新口令须与原口令不同 · the new password is the old one", "password")
    passwords.require_good(new, person.login, person.party.name)
    hashed = passwords.password_hash(new)
    changed = dataclasses.replace(person, password_hash=hashed, must_change=False)
    with platform.database.transaction() as connection:
        people.set_password(connection, person.party.party_id, hashed, must_change=False)
        return _go_on(platform, connection, dataclasses.replace(session, person=changed), cookie, alone=True)


def log_out(platform: Platform, cookie: str) -> None:
    """End a session."""
    with platform.database.transaction() as connection:
        store.end(connection, _digest(cookie))


def csrf_token(cookie: str) -> str:
    """Return what an unsafe request has to bring beside this cookie. It is derived from the cookie, which no script
    and no other site can read: whoever has it was given it by GET /api/session."""
    digest = hmac.digest(cookie.encode("utf-8", "replace"), _CSRF, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def csrf_holds(cookie: str, shown: str) -> bool:
    """Return whether this is the token of the cookie."""
    return hmac.compare_digest(csrf_token(cookie).encode(), shown.encode("utf-8", "replace"))


def _admitted(platform: Platform, side: Side, party: Party) -> bool:
    operator = platform.directory.parties.get(party.operator_id or "")
    return not party.suspended and side_of(party.role) is side and not (operator is not None and operator.suspended)


def _begin(platform: Platform, connection: object, session: Session, shown: str | None) -> Opened:
    now, settings = now_utc_ms(), platform.settings
    if shown:
        store.end(connection, _digest(shown))
    store.sweep(connection, now - settings.session_absolute_s * 1000, now - settings.session_idle_s * 1000)
    cookie = secrets.token_urlsafe(COOKIE_BYTES)
    store.begin(connection, _digest(cookie), session)
    return Opened(cookie, session)


def _go_on(platform: Platform, connection: object, session: Session, cookie: str, alone: bool = False) -> Opened:
    """Let a session go on under a new cookie; `alone`: every other one of the person ends. It began when it began.

    Raises LoginRefusedError where it has ended meanwhile, by a deed on its person or by himself elsewhere.
    """
    if not store.end(connection, _digest(cookie)):
        raise LoginRefusedError("会话已结束，请重新登录 · the session has ended: log in again")
    if alone:
        store.end_all(connection, session.person.party.party_id)
    return _begin(platform, connection, dataclasses.replace(session, seen_utc_ms=now_utc_ms()), None)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
