"""Joins the parts: settings -> database -> platform. The one place that knows them all."""

from __future__ import annotations

from anxin.flow.platform import Platform
from anxin.flow.rekey import master_key_file
from anxin.settings import Settings
from anxin.store import messages
from anxin.store.database import Database, migrate
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


def open_platform(settings: Settings, url: str) -> Platform:
    """Return a platform on a database that is brought up to date and safe to acknowledge on.

    Raises StoreError, or InputError where the master key is not the database's.
    """
    database = open_database(url)
    try:
        vault = Vault.at(master_key_file(settings))
        platform = Platform(settings, database, vault)
        platform.refresh()
    except BaseException:
        database.close()
        raise
    return platform
