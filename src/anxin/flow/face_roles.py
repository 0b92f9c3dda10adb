"""Which database role each face works as: named by the settings, or made here with a random password of its own."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from anxin.domain.errors import InputError
from anxin.settings import Settings
from anxin.store import roles
from anxin.store.database import Database


@dataclass(frozen=True, slots=True)
class FaceUrls:
    """Where the outer app and the regulator's find the database, each as its own role."""

    outer: str = field(repr=False)
    regulator: str = field(repr=False)


def named_roles(settings: Settings) -> tuple[str, str] | None:
    """Return the roles that the settings name, None where they name none. Raises InputError where one is missing."""
    urls = (settings.outer_database_url, settings.regulator_database_url)
    if not any(urls):
        return None
    try:
        outer, regulator = (str(conninfo_to_dict(url).get("user") or "") for url in urls)
    except psycopg.ProgrammingError:
        raise InputError("ANXIN_OUTER_DATABASE_URL, ANXIN_REGULATOR_DATABASE_URL: no address of a database") from None
    if not outer or not regulator or outer == regulator:
        raise InputError(
            "ANXIN_OUTER_DATABASE_URL 与 ANXIN_REGULATOR_DATABASE_URL 须同时设置，用户须不同"
            " · set both, each with a user of its own"
        )
    return outer, regulator


def statements(database: Database, settings: Settings) -> str:
    """Return the SQL that makes the roles and gives them their rights. Passwords are left to who runs it."""
    names = named_roles(settings) or roles.role_names(database)
    made = "".join(f"-- create role {roles.quoted(name)} login password '...';\n" for name in names)
    return made + roles.rights_text(*names)


def give(database: Database, settings: Settings) -> None:
    """Give roles that are there their rights. Raises InputError, StoreError."""
    roles.give_rights(database, *(named_roles(settings) or roles.role_names(database)))


def prepare_roles(database: Database, settings: Settings) -> FaceUrls:
    """Give the faces' roles their rights, made first where the settings name none; return how each connects.

    Raises InputError where the owner may not make roles and none are named, StoreError.
    """
    named = named_roles(settings)
    if named is not None:
        roles.give_rights(database, *named)
        return FaceUrls(settings.outer_database_url, settings.regulator_database_url)
    if not roles.may_make_roles(database):
        raise InputError(
            "数据库所有者不能建立角色：anxin admin database-roles 打印所需语句，由管理员执行后在设置中指明两个角色"
            " · the database's owner may not make roles: `anxin admin database-roles` prints what an administrator has"
            " to run; then name both roles in the settings"
        )
    names = roles.role_names(database)
    passwords = _passwords(settings.data_dir / "secrets" / "database-roles.json", names)
    roles.make_roles(database, passwords)
    roles.give_rights(database, *names)
    return FaceUrls(*(make_conninfo(database.url, user=name, password=passwords[name]) for name in names))


def _passwords(path: Path, names: tuple[str, str]) -> dict[str, str]:
    """The roles' passwords as they are kept, made where one is missing. Raises InputError."""
    try:
        kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if kept.keys() >= set(names):
            return {name: str(kept[name]) for name in names}
        kept |= {name: secrets.token_urlsafe(32) for name in names if name not in kept}
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(kept, file)
        new.replace(path)
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: {error}") from None
    return {name: kept[name] for name in names}
