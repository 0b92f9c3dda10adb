"""Joins the parts: settings -> database -> platform. The one place that knows them all."""

from __future__ import annotations

from anxin.flow.platform import Platform
from anxin.flow.rekey import master_key_file
from anxin.settings import Settings
from anxin.store import messages
from anxin.store.database import Database, migrate, require_migrated
from anxin.trust.vault import Vault


def open_database(url: str) -> Database:
    """Return a database that is brought up to date and safe to acknowledge on. Raises StoreError."""
    database = Database(url)
    database.open()
    try:
        migrate(database)
        messages.refuse_unsafe(database)
    except BaseException:
        database.close()
        raise
    return database


def open_platform(settings: Settings, url: str, *, credentials: bool = True) -> Platform:
    """Return a platform on a database that is brought up to date and safe to acknowledge on; without the parties'
    credentials for who needs none.

    Raises StoreError, or InputError where the master key is not the database's.
    """
    return _platform(settings, open_database(url), credentials=credentials)


def open_face(settings: Settings, url: str) -> Platform:
    """Return a platform that works as a face's own role on a database that its owner has brought up to date.

    Raises as open_platform, and StoreError where the database is of another version.
    """
    database = Database(url)
    database.open()
    try:
        require_migrated(database)
        messages.refuse_unsafe(database)
    except BaseException:
        database.close()
        raise
    return _platform(settings, database)


def _platform(settings: Settings, database: Database, *, credentials: bool = True) -> Platform:
    try:
        vault = Vault.at(master_key_file(settings))
        platform = Platform(settings, database, vault, credentials=credentials)
        platform.refresh()
    except BaseException:
        database.close()
        raise
    return platform
