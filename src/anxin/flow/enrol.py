"""Entering parties as an authority does: a register, the meters' upload keys, the operators' secrets and tokens."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence

from anxin.domain.errors import InputError
from anxin.domain.party import Credential, Party, Role
from anxin.domain.register import Register
from anxin.flow.intake import now_utc_ms
from anxin.flow.ocpp_admission import secret_of
from anxin.flow.tcec102_client import checked_url
from anxin.formats.meter_envelope import SUITE_NAMES, ContentKey
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.store import parties as store
from anxin.store.database import Database
from anxin.trust.vault import Vault

_SUITES = {suite: name for name, suite in SUITE_NAMES.items()}
INSPECTOR = "inspector"
#: An OCPI invitation that nobody takes up ends after so many days.
OCPI_INVITATION_DAYS = 14
_DAY_MS = 86_400_000


def enrol_register(database: Database, vault: Vault, register: Register, content_keys: Iterable[ContentKey]) -> None:
    """Enter a register with its operators and meters as parties, and the meters' upload keys. Repeating it is safe:
    what is there keeps its suspension and its revocation."""
    now = now_utc_ms()
    suspended = {p.party_id for p in store.load_parties(database) if p.suspended}
    store.put_register(database, register)
    keys = list(content_keys)
    operators = [
        Party(o.operator_id, Role.OPERATOR, o.name, o.operator_id, o.operator_id in suspended)
        for o in register.operators
    ]
    meters = sorted({k.meter_id for k in keys if k.meter_id} | {m.meter_id for m in register.meters})
    store.put_parties(database, [*operators, *(Party(m, Role.METER, m, None, m in suspended) for m in meters)], now)
    store.put_credentials(
        database,
        [
            Credential(
                k.key_id, k.meter_id, "content_key", k.key_id,
                {"suite": _SUITES[k.suite], "meter_id": k.meter_id}, k.key, 0,
            )
            for k in keys
            if k.meter_id is not None
        ],
        vault.seal,
    )  # fmt: skip


def new_tcec_secrets(database: Database, vault: Vault, operator_id: str) -> dict[str, str]:
    """Give an operator new T/CEC secrets beside those he has; return them, to be shown once."""
    values = {
        "operator_secret": secrets.token_hex(16),
        "data_secret": secrets.token_hex(8),
        "data_secret_iv": secrets.token_hex(8),
        "sig_secret": secrets.token_hex(16),
    }
    now = now_utc_ms()
    name = f"tcec102/{operator_id}/{now}-{secrets.token_hex(3)}"
    credential = Credential(name, operator_id, "tcec102", None, {}, json.dumps(values).encode(), now)
    store.put_credentials(database, [credential], vault.seal)
    return values


def put_tcec_client(
    database: Database, vault: Vault, operator_id: str, url: str, our_operator_id: str, values: dict[str, str]
) -> str:
    """Enter what an operator gave us to ask his platform with; return the credential's id. The newest one is used.

    `values` are operator_secret, data_secret, data_secret_iv, sig_secret; `our_operator_id` is what he knows us as.
    Raises InputError for another address than plain http(s), FormatError for secrets of a wrong length.
    """
    address = checked_url(url)
    names = ("operator_secret", "data_secret", "data_secret_iv", "sig_secret")
    if any(not values.get(name) for name in names):
        raise InputError(f"all of {', '.join(names)} are needed")
    OperatorSecrets(our_operator_id, *(values[name].encode() for name in names[1:]))
    now = now_utc_ms()
    secret = json.dumps({name: values[name] for name in names}).encode()
    public = {"url": address, "operator_id": our_operator_id}
    credential = Credential(
        f"tcec102_client/{operator_id}/{now}", operator_id, "tcec102_client", None, public, secret, now
    )
    store.put_credentials(database, [credential], vault.seal)
    return credential.credential_id


def new_token(database: Database, vault: Vault, party: Party, scopes: Sequence[str] | None = None) -> str:
    """Give a party a bearer token; return it, to be shown once. Only its hash is kept.

    `scopes` are the rights (faces/rights.py) that the token is bound to; None: all that the party's role has.
    """
    token = secrets.token_urlsafe(32)
    now = now_utc_ms()
    store.put_parties(database, [party], now)
    lookup = store.token_lookup(token)
    public = {} if scopes is None else {"scopes": sorted(scopes)}
    store.put_credentials(
        database, [Credential(f"bearer/{lookup[:24]}", party.party_id, "bearer", lookup, public, None, now)], vault.seal
    )
    return token


def new_charger_password(
    database: Database, vault: Vault, register: Register, charger_id: str, connectors: dict[str, str] | None = None
) -> str:
    """Give a registered charger a password for OCPP beside those it has; return it, to be shown once.

    32 hex digits, which fits both versions of OCPP; only its digests are kept, sealed. `connectors` maps the charger's
    own numbers (`1`, or `1/2` for EVSE and connector) to connectors of the register, where the n-th is not place n.
    Raises InputError where the register does not know the charger, or one of these connectors as its own.
    """
    own = {c.connector_id: c.operator_id for c in register.connectors if c.charger_id == charger_id}
    if not own:
        raise InputError(f"the register has no connector of a charger {charger_id}")
    foreign = sorted(set((connectors or {}).values()) - own.keys())
    if foreign:
        raise InputError(f"{', '.join(foreign)}: no connector of charger {charger_id}")
    known = next((p for p in store.load_parties(database) if p.party_id == charger_id), None)
    if known is not None and known.role is not Role.CHARGER:
        raise InputError(f"{charger_id} is the id of another party")
    password = secrets.token_hex(16)
    now = now_utc_ms()
    # A charger that is suspended stays so: a new password is no pardon.
    suspended = known is not None and known.suspended
    party = Party(charger_id, Role.CHARGER, charger_id, next(iter(own.values())), suspended)
    store.put_parties(database, [party], now)
    # The random part keeps two passwords of one millisecond apart.
    name = f"basic/{charger_id}/{now}-{secrets.token_hex(3)}"
    credential = Credential(name, charger_id, "basic", None, connectors or {}, secret_of(password), now)
    store.put_credentials(database, [credential], vault.seal)
    return password


def new_ocpi_invitation(
    database: Database, vault: Vault, party: Party, hosts: Iterable[str] = (), parties: Iterable[str] = ()
) -> str:
    """Return a new CREDENTIALS_TOKEN_A for an operator, to be shown once; the operator hands it to his platform.

    `hosts` are the hosts (`name` or `name:port`) that his platform may have, none: any public one by https, if the
    setting `ocpi_hosts` allows it. `parties` (`CN*ABC`) are those that he may speak for, none: any that are free.
    """
    token = secrets.token_urlsafe(32)
    now = now_utc_ms()
    public = {"state": "invited", "hosts": ",".join(hosts).lower(), "allowed": ",".join(parties).upper()}
    lookup = store.token_lookup(token)
    credential = Credential(
        f"ocpi/a/{lookup[:24]}", party.party_id, "ocpi", lookup, public, None, now, now + OCPI_INVITATION_DAYS * _DAY_MS
    )
    store.put_parties(database, [party], now)
    store.put_credentials(database, [credential], vault.seal)
    return token
