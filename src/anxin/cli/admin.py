"""`anxin admin`: parties, credentials, register and keys of a platform, on its machine, while it runs or not."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from anxin.cli import admin_charger, admin_people
from anxin.domain.errors import InputError
from anxin.domain.party import REGULATOR, Party, Role
from anxin.domain.quantities import iso_of, utc_ms
from anxin.settings import Settings, load_settings

Deed = Callable[[argparse.Namespace, Any, Any], tuple[Any, list[str]]]
_ONCE = "以上只显示这一次，请立即交给对方 · shown this once: hand it over now"


def add_parser(subparsers: Any) -> None:
    """Add `admin` with its commands to the program's parser."""
    groups = _group(subparsers, "admin", "管理：运营商、凭证、登记册、密钥 · parties, credentials, register, keys")
    operator = _group(groups, "operator", "运营商 · operators")
    add = _leaf(operator, "add", "登记运营商 · enter an operator", _add_operator)
    add.add_argument("operator_id", metavar="OPERATOR", help="运营商编号 · operator id")
    add.add_argument("name", metavar="NAME", help="名称 · name")
    _leaf(operator, "list", "列出运营商 · list the operators", _list_operators)
    for word, text in (("suspend", "暂停 · suspend"), ("resume", "恢复 · admit again")):
        one = _leaf(operator, word, f"{text} (operator, meter, charger)", _suspend)
        one.set_defaults(suspends=word == "suspend")
        one.add_argument("party_id", metavar="PARTY", help="编号 · id of the party")
    new = _leaf(_group(groups, "secrets", "T/CEC 密钥 · T/CEC secrets"), "new", "新的 T/CEC 密钥 · new ones", _secrets)
    new.add_argument("--operator", required=True, metavar="OPERATOR", help="运营商编号 · operator id")
    token = _leaf(_group(groups, "token", "令牌 · bearer tokens"), "new", "新的访问令牌 · a new bearer token", _token)
    token.add_argument("--party", required=True, metavar="PARTY", help="编号 · id of the party")
    roles = sorted(role.value for role in REGULATOR | {Role.BENCH, Role.OPERATOR})
    token.add_argument("--role", choices=roles, help="角色 · role of a party that is not there yet")
    token.add_argument("--scope", action="append", metavar="RIGHT", help="仅限此权限，可多次 · bind it to this right")
    admin_people.add_commands(_group(groups, "people", "人员 · people who log in"), _leaf)
    charger = _group(groups, "charger", "充电桩 · chargers")
    admin_charger.add_arguments(
        _leaf(charger, "password", "新的 OCPP 口令 · a new password for OCPP", admin_charger.password)
    )
    _add_credentials(_group(groups, "credentials", "凭证 · credentials"))
    load = _leaf(
        _group(groups, "register", "登记册 · the register"), "import", "导入登记册或密钥文件 · import a file", _import
    )
    load.add_argument("file", type=Path, metavar="FILE", help="register.json 或 keys.json · either file")
    _add_meter_keys(_group(groups, "meter-key", "电能表签名密钥 · meters' signing keys"))
    _add_doors(groups)
    faces = _leaf(groups, "database-roles", "两个应用的数据库角色 · the apps' database roles", _database_roles)
    faces.add_argument("--apply", action="store_true", help="以所有者身份授予权限 · give the rights as the owner")
    _leaf(groups, "rekey", "更换主密钥 · exchange the master key", _rekey)


def _add_credentials(group: Any) -> None:
    listed = _leaf(group, "list", "列出凭证（不含密钥） · list credentials, without secrets", _credentials)
    listed.add_argument("--party", metavar="PARTY", help="只列此方 · of this party alone")
    revoke = _leaf(group, "revoke", "吊销凭证 · revoke a credential", _revoke)
    revoke.add_argument("credential_id", metavar="ID", help="凭证编号 · id of the credential")
    _since(revoke)


def _add_meter_keys(group: Any) -> None:
    revoke = _leaf(group, "revoke", "吊销电能表密钥 · revoke a meter's key", _revoke_meter_key)
    revoke.add_argument("key_id", metavar="KEY", help="密钥编号 · id of the key")
    _since(revoke)
    rotate = _leaf(group, "rotate", "更换电能表密钥 · let a new key follow", _rotate_meter_key)
    rotate.add_argument("key_id", metavar="KEY", help="旧密钥编号 · id of the old key")
    rotate.add_argument("file", type=Path, metavar="FILE", help="含新密钥的 keys.json · keys file with the new key")
    _since(rotate)


def _add_doors(groups: Any) -> None:
    invite = _leaf(_group(groups, "ocpi", "OCPI"), "token-a", "OCPI 邀请令牌 · a CREDENTIALS_TOKEN_A", _token_a)
    invite.add_argument("--operator", required=True, metavar="OPERATOR", help="运营商编号 · operator id")
    invite.add_argument("--host", action="append", default=[], help="其平台的主机 · a host of his platform")
    invite.add_argument("--party", action="append", default=[], help="可代表的 OCPI 方 · a party, such as CN*ABC")
    client = _leaf(groups, "tcec-client", "平台主动查询用的密钥 · what we ask a platform with", _tcec_client)
    client.add_argument("--operator", required=True, metavar="OPERATOR", help="运营商编号 · operator id")
    client.add_argument("--url", required=True, help="其平台地址 · address of his platform, up to the version")
    client.add_argument("--as", dest="own_id", required=True, metavar="ID", help="我方编号 · the id he knows us by")
    client.add_argument("file", type=Path, metavar="FILE", help="密钥 JSON · the four secrets as JSON")


def run(args: argparse.Namespace) -> int:
    """Do one deed and tell its outcome. Returns 0. Raises InputError, PolicyError, StoreError."""
    with opened(settings_of(args)) as (database, vault):
        document, lines = args.deed(args, database, vault)
    if args.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print("\n".join(lines))
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the settings with the data folder of the command line."""
    settings = load_settings()
    folder = settings.data_dir if args.data is None else args.data
    return dataclasses.replace(settings, data_dir=folder.resolve())


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Any, Any]]:
    """The platform's database, brought up to date, and its vault."""
    from anxin.flow.rekey import master_key_file
    from anxin.store.database import Database, migrate
    from anxin.store.embedded import attached_url
    from anxin.trust.vault import Vault

    with attached_url(settings) as url, Database(url, 2) as database:
        migrate(database)
        yield database, Vault.at(master_key_file(settings))


def moment(text: str) -> int:
    """Return a moment given as ISO 8601 with its zone, in UTC milliseconds."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no time such as 2026-11-25T08:00:00+08:00") from None
    if found.tzinfo is None:
        raise InputError(f"{text!r} names no zone: write 2026-11-25T08:00:00+08:00")
    return utc_ms(found)


def _group(subparsers: Any, name: str, text: str) -> Any:
    return subparsers.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")


def _leaf(group: Any, name: str, text: str, deed: Deed) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(name, help=text, description=text)
    parser.set_defaults(deed=deed)
    parser.add_argument("--data", type=Path, help="数据目录 · data folder (ANXIN_DATA_DIR, else data)")
    parser.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")
    return parser


def _since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="自何时起，ISO 8601 带时区，默认现在 · since when, default now")


def _moment_of(args: argparse.Namespace) -> int | None:
    return None if args.since is None else moment(args.since)


def _told(party: Party) -> str:
    state = "已暂停 · suspended" if party.suspended else "有效 · admitted"
    return f"{party.party_id}  {party.name}  {state}"


def _add_operator(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    party = administration.add_operator(database, args.operator_id, args.name)
    return dataclasses.asdict(party), [_told(party)]


def _list_operators(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    found = administration.operators(database)
    return [dataclasses.asdict(p) for p in found], [_told(p) for p in found] or ["尚无 · none yet"]


def _suspend(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    party = administration.suspend(database, args.party_id, args.suspends)
    return dataclasses.asdict(party), [_told(party)]


def _secrets(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    values = administration.new_secrets(database, vault, args.operator)
    lines = [f"{name:16} {value}" for name, value in values.items()]
    return {"operator_id": args.operator, **values}, [f"{'operator_id':16} {args.operator}", *lines, _ONCE]


def _token(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.faces.rights import Right
    from anxin.flow import administration

    unknown = sorted(set(args.scope or []) - set(Right))
    if unknown:
        raise InputError(f"{unknown[0]}: 没有这种权限 · no such right; there are {', '.join(sorted(Right))}")
    role = None if args.role is None else Role(args.role)
    token = administration.new_token(database, vault, args.party, role, args.scope)
    return {"party_id": args.party, "token": token}, [token, _ONCE]


def _credentials(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    found = administration.credentials(database, args.party)
    document = [
        {
            "credential_id": c.credential_id, "party_id": c.party_id, "kind": c.kind,
            "valid_from": iso_of(c.valid_from_utc_ms), "valid_to": iso_of(c.valid_to_utc_ms),
            "revoked": iso_of(c.revoked_utc_ms),
        }
        for c in found
    ]  # fmt: skip
    lines = [
        f"{c['party_id']}  {c['kind']}  {c['credential_id']}  {c['valid_from']}"
        + (f"  至 · to {c['valid_to']}" if c["valid_to"] else "")
        + (f"  已吊销 · revoked {c['revoked']}" if c["revoked"] else "")
        for c in document
    ]
    return document, lines or ["尚无 · none yet"]


def _revoke(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    at = iso_of(administration.revoke(database, args.credential_id, _moment_of(args)))
    return {"credential_id": args.credential_id, "revoked": at}, [f"{args.credential_id}  已吊销 · revoked {at}"]


def _import(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    found = administration.import_file(database, vault, args.file)
    return dataclasses.asdict(found), [
        f"登记 · entries of the register  {found.entries:,}",
        f"新的或变更的签名密钥 · signing keys that are new or changed  {found.keys:,}",
        f"上传密钥 · upload keys  {found.content_keys:,}",
        f"将重新判定的消息 · messages judged again  {found.judged_again:,}",
    ]


def _revoke_meter_key(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    key, again = administration.revoke_meter_key(database, args.key_id, _moment_of(args))
    at = iso_of(key.revoked_utc_ms)
    return {"key_id": key.key_id, "revoked": at, "judged_again": again}, [
        f"{key.key_id}  已吊销 · revoked {at}",
        f"将重新判定的消息 · messages judged again  {again:,}",
    ]


def _rotate_meter_key(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration

    key, again = administration.rotate_meter_key(database, args.key_id, args.file, _moment_of(args))
    at = iso_of(key.valid_from_utc_ms)
    return {"key_id": key.key_id, "follows": args.key_id, "valid_from": at, "judged_again": again}, [
        f"{key.key_id}  自 · from {at}（接替 · follows {args.key_id}）",
        f"将重新判定的消息 · messages judged again  {again:,}",
    ]


def _database_roles(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import face_roles

    settings = settings_of(args)
    text = face_roles.statements(database, settings)
    if not args.apply:
        return {"sql": text}, [text]
    face_roles.give(database, settings)
    return {"applied": True}, ["已授权 · rights given"]


def _rekey(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow.rekey import master_key_file, rekey

    count = rekey(database, master_key_file(settings_of(args)))
    return {"sealed_again": count}, [
        f"主密钥已更换，重新加密 {count:,} 项 · master key exchanged, {count:,} sealed again"
    ]


def _tcec_client(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration, enrol

    operator = administration.operator_of(database, args.operator)
    try:
        values = json.loads(args.file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{args.file}: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise InputError(f"{args.file}: an object of texts is needed: operator_secret, data_secret, ...")
    name = enrol.put_tcec_client(database, vault, operator.party_id, args.url, args.own_id, values)
    return {"operator_id": operator.party_id, "credential": name}, [f"{name}  {args.url}"]


def _token_a(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import administration, enrol

    operator = administration.operator_of(database, args.operator)
    token = enrol.new_ocpi_invitation(database, vault, operator, args.host, args.party)
    return {"operator_id": operator.party_id, "token": token}, [token, _ONCE]
