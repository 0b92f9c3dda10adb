"""Exchange of the master key, while the platform runs.

1  the next key is made beside the master key
2  every secret is sealed again under the next key, in one transaction
3  the master key is kept as the old one, and the next one takes its place
4  after a moment, what a running process had sealed under the old key until then is sealed again
5  the old key is deleted

At each step everything opens: a vault tries the master key, the next one and the old one. If the process dies between
two steps, the same command begins again with the next key that is there, else with a new one, and ends with one key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from anxin.domain.errors import InputError
from anxin.settings import Settings
from anxin.store import parties
from anxin.store.database import Database
from anxin.trust.vault import Vault, load_or_make_key, next_key, old_key, sync_folder, write_key

#: A running process that sealed under the old key has entered the credential long before this time is over.
GRACE_S = 5.0


def master_key_file(settings: Settings) -> Path:
    """Return where the master key stands."""
    return settings.data_dir / "secrets" / "master.key"


def rekey(database: Database, path: Path, pause: Callable[[float], None] = time.sleep) -> int:
    """Exchange the master key; return how many secrets were sealed again. Raises InputError, StoreError."""
    return sum(rekey_steps(database, path, pause))


def rekey_steps(database: Database, path: Path, pause: Callable[[float], None]) -> Iterator[int]:
    """Do step after step; yield after each how many secrets it sealed again. Whoever stops here has crashed there."""
    try:
        # 1 the next key is made beside the master key.
        current, following = load_or_make_key(path), load_or_make_key(next_key(path))
        yield 0
        # 2 every secret is sealed again under the next key, in one transaction.
        anyone, after = Vault(current, path), Vault(following)
        yield parties.reseal(database, lambda sealed, name: after.seal(anyone.open(sealed, name), name))
        # 3 the master key is kept as the old one, and the next one takes its place.
        old_key(path).unlink(missing_ok=True)
        write_key(old_key(path), current)
        yield 0
        next_key(path).replace(path)
        sync_folder(path.parent)
        yield 0
        # 4 after a moment, what a running process had sealed under the old key until then is sealed again.
        pause(GRACE_S)
        yield parties.reseal(database, lambda sealed, name: _under(after, anyone, sealed, name))
        # 5 the old key is deleted.
        old_key(path).unlink()
        sync_folder(path.parent)
        yield 0
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _under(after: Vault, anyone: Vault, sealed: bytes, name: str) -> bytes | None:
    try:
        after.open(sealed, name)
    except InputError:
        return after.seal(anyone.open(sealed, name), name)
    return None
