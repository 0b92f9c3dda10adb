"""What an authority does on the machine, beside the running platform: parties, credentials, register, meters' keys.

The web process, the judge and the log see a change within half a second: they look at the register's version. Nothing
here ends what is in use: old and new credentials hold side by side until the old one is revoked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anxin.domain.errors import InputError
from anxin.domain.party import REGULATOR, Credential, Party, Role
from anxin.domain.register import MeterKey, Operator, Register
from anxin.flow import enrol
from anxin.flow.intake import now_utc_ms
from anxin.formats.meter_envelope import ContentKey
from anxin.formats.register import load_keys, load_register
from anxin.formats.values import MAX_ID_CHARS
from anxin.store import parties as store
from anxin.store import people
from anxin.store.database import Database
from anxin.trust.vault import Vault

#: Bytes of a register or keys file that is imported: a large city's has some tens of MB.
MAX_IMPORT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import entered: entries of the register, keys of meters, upload keys, messages to be judged again."""

    entries: int
    keys: int
    content_keys: int
    judged_again: int


def add_operator(database: Database, operator_id: str, name: str) -> Party:
    """Enter an operator as party and in the register; return it. Raises InputError where the id is another party's."""
    if not operator_id.strip() or len(operator_id) > MAX_ID_CHARS or not name.strip() or len(name) > MAX_ID_CHARS:
        raise InputError(f"id and name of an operator have 1 to {MAX_ID_CHARS} characters")
    known = _known(database).get(operator_id)
    if known is not None and known.role is not Role.OPERATOR:
        raise InputError(f"{operator_id} is the id of another party")
    party = Party(operator_id, Role.OPERATOR, name, operator_id, known is not None and known.suspended)
    store.put_parties(database, [party], now_utc_ms())
    store.put_register(database, Register(operators=(Operator(operator_id, name),)))
    return party


def suspend(database: Database, party_id: str, suspended: bool) -> Party:
    """Suspend a party, or admit it again; return it. All its credentials are refused while it is suspended."""
    party = dataclasses.replace(party_of(database, party_id), suspended=suspended)
    with database.transaction() as connection:
        person = people.by_id(connection, party_id)
    if person is not None:
        raise InputError("人员请用 anxin admin people suspend · for a person use anxin admin people suspend")
    store.put_parties(database, [party], now_utc_ms())
    return party


def party_of(database: Database, party_id: str) -> Party:
    """Return a party. Raises InputError where there is none."""
    found = _known(database).get(party_id)
    if found is None:
        raise InputError(f"no party {party_id}")
    return found


def operator_of(database: Database, operator_id: str) -> Party:
    """Return an operator. Raises InputError where there is none, or the party is none."""
    party = party_of(database, operator_id)
    if party.role is not Role.OPERATOR:
        raise InputError(f"{operator_id} is no operator")
    return party


def operators(database: Database) -> list[Party]:
    """Return all operators."""
    return [p for p in _known(database).values() if p.role is Role.OPERATOR]


def new_secrets(database: Database, vault: Vault, operator_id: str) -> dict[str, str]:
    """Give an operator new T/CEC secrets beside those he has; return them, to be shown once."""
    operator_of(database, operator_id)
    return enrol.new_tcec_secrets(database, vault, operator_id)


def new_token(
    database: Database, vault: Vault, party_id: str, role: Role | None, scopes: Sequence[str] | None = None
) -> str:
    """Give a party a bearer token, bound to scopes where some are given; return it, to be shown once.

    One of the regulator or a bench that is not there yet is entered with the role named. Raises InputError where
    another role is named than the party has.
    """
    known = _known(database).get(party_id)
    if known is None:
        if role is None or role not in REGULATOR | {Role.BENCH}:
            raise InputError(f"no party {party_id}: operators, meters and chargers are entered with the register")
        known = Party(party_id, role, party_id)
    elif role not in (None, known.role):
        raise InputError(f"{party_id} is {known.role.value}, not {role.value if role else ''}")
    return enrol.new_token(database, vault, known, scopes)


def credentials(database: Database, party_id: str | None) -> list[Credential]:
    """Return the credentials of a party, or of all, without their secrets."""
    return [c for c in store.list_credentials(database) if party_id in (None, c.party_id)]


def revoke(database: Database, credential_id: str, since_utc_ms: int | None) -> int:
    """End a credential now or since a moment; return that moment. Raises InputError where there is no such one."""
    at = now_utc_ms() if since_utc_ms is None else since_utc_ms
    if not store.revoke_credential(database, credential_id, at):
        raise InputError(f"no credential {credential_id}")
    return at


def import_file(database: Database, vault: Vault, path: Path) -> Imported:
    """Enter a register or a keys file. Nothing is deleted, no revocation is undone. Raises InputError, PolicyError."""
    data = _bytes(path)
    register, content_keys = Register(), tuple[ContentKey, ...]()
    if b'"anxin-keys-1"' in data[:4_096]:
        keys, content_keys = load_keys(data, path.name)
    else:
        register = load_register(data, path.name)
        keys = register.keys
    changed = _changed_keys(database, keys)
    without_owner = [k.key_id for k in content_keys if k.meter_id is None]
    if without_owner:
        raise InputError(f"{path.name}: upload key {without_owner[0]} names no meter")
    again = store.change_keys(database, changed)
    enrol.enrol_register(database, vault, dataclasses.replace(register, keys=()), content_keys)
    entries = sum(len(getattr(register, field)) for _, field, _ in store.ENTRIES.values())
    return Imported(entries, len(changed), len(content_keys), again)


def revoke_meter_key(database: Database, key_id: str, since_utc_ms: int | None) -> tuple[MeterKey, int]:
    """Revoke a meter's signing key, also dated back to a theft; return it and how many messages are judged again."""
    at = now_utc_ms() if since_utc_ms is None else since_utc_ms
    key = _meter_key(database, key_id)
    revoked = dataclasses.replace(key, revoked_utc_ms=min(at, key.revoked_utc_ms or at))
    return revoked, store.change_keys(database, [revoked])


def rotate_meter_key(database: Database, key_id: str, path: Path, since_utc_ms: int | None) -> tuple[MeterKey, int]:
    """Let a meter's new key, from a keys file, follow its old one at a moment; return the new key and how many messages
    are judged again. Raises InputError where the file has not one new key of that meter."""
    at = now_utc_ms() if since_utc_ms is None else since_utc_ms
    old = _meter_key(database, key_id)
    keys, _ = load_keys(_bytes(path), path.name)
    fresh = [k for k in keys if k.meter_id == old.meter_id and k.key_id != key_id]
    if len(fresh) != 1:
        raise InputError(f"{path.name}: {len(fresh)} new keys of meter {old.meter_id}; one is needed")
    ended = dataclasses.replace(old, valid_to_utc_ms=min(at, old.valid_to_utc_ms or at))
    begun = dataclasses.replace(fresh[0], valid_from_utc_ms=max(at, fresh[0].valid_from_utc_ms))
    return begun, store.change_keys(database, [ended, begun])


def _changed_keys(database: Database, keys: tuple[MeterKey, ...]) -> list[MeterKey]:
    """Return the keys that are new or differ from those in the register; a revocation there is kept."""
    known = {k.key_id: k for k in store.load_register(database).keys}
    changed = []
    for key in keys:
        old = known.get(key.key_id)
        ends = [k.revoked_utc_ms for k in (key, old) if k is not None and k.revoked_utc_ms is not None]
        merged = dataclasses.replace(key, revoked_utc_ms=min(ends, default=None))
        if merged != old:
            changed.append(merged)
    return changed


def _meter_key(database: Database, key_id: str) -> MeterKey:
    found = next((k for k in store.load_register(database).keys if k.key_id == key_id), None)
    if found is None:
        raise InputError(f"the register has no key {key_id}")
    return found


def _known(database: Database) -> dict[str, Party]:
    return {p.party_id: p for p in store.load_parties(database)}


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_IMPORT_BYTES:
            raise InputError(f"{path}: larger than {MAX_IMPORT_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
