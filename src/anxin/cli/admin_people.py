"""`anxin admin people`: people who log in, entered, changed and removed by the authority on the platform's machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from anxin.domain.party import PEOPLE, Role
from anxin.domain.person import Person

_ONCE = "以上只显示这一次，请立即交给本人 · shown this once: hand it over now; it is changed at the first login"
Leaf = Callable[[Any, str, str, Any], argparse.ArgumentParser]


def add_commands(group: Any, leaf: Leaf) -> None:
    """Add the commands to `anxin admin people`; `leaf` makes one of them."""
    roles = sorted(role.value for role in PEOPLE)
    new = leaf(group, "add", "登记人员 · enter a person", _add)
    new.add_argument("login", metavar="LOGIN", help="登录名 · login")
    new.add_argument("name", metavar="NAME", help="姓名 · name")
    new.add_argument("--role", required=True, choices=roles, help="角色 · role")
    new.add_argument("--operator", metavar="OPERATOR", help="所属运营商 · operator of an engineer or manager")
    new.add_argument("--district", action="append", default=[], help="辖区，可重复 · a district; may be repeated")
    leaf(group, "list", "列出人员 · list the people", _list)
    for word, text in (("suspend", "暂停 · suspend"), ("admit", "恢复 · admit again")):
        _login(leaf(group, word, text, _suspend)).set_defaults(suspends=word == "suspend")
    role = _login(leaf(group, "role", "更改角色 · change the role", _role))
    role.add_argument("role", metavar="ROLE", choices=roles, help="角色 · " + ", ".join(roles))
    districts = _login(leaf(group, "districts", "更改辖区 · change the districts; none: all of them", _districts))
    districts.add_argument("district", metavar="DISTRICT", nargs="*", help="辖区 · districts")
    _login(leaf(group, "reset-password", "新的初始口令 · a new first password", _reset_password))
    _login(leaf(group, "reset-totp", "取消第二因素 · take a lost second factor away", _reset_totp))
    _login(leaf(group, "remove", "移除人员 · remove a person", _remove))


def _login(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("login", metavar="LOGIN", help="登录名 · login")
    return parser


def _told(person: Person) -> tuple[dict[str, Any], str]:
    party = person.party
    document = {
        "party_id": party.party_id, "login": person.login, "name": party.name, "role": party.role.value,
        "operator_id": party.operator_id, "districts": list(party.districts), "suspended": party.suspended,
        "second_factor": person.totp_confirmed,
    }  # fmt: skip
    state = "已暂停 · suspended" if party.suspended else "有效 · admitted"
    bounds = " ".join(filter(None, (party.operator_id, *party.districts)))
    return document, f"{person.login}  {party.name}  {party.role.value}  {bounds}  {state}  {party.party_id}"


def _add(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import people

    made = people.add(
        database, vault, None, args.login, args.name, Role(args.role), args.operator, tuple(args.district)
    )
    document, line = _told(made.person)
    return document | {"password": made.password}, [line, made.password, _ONCE]


def _list(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import people

    told = [_told(person) for person in people.listed(database, None)]
    return [document for document, _ in told], [line for _, line in told] or ["尚无 · none yet"]


def _suspend(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    return _changed(args, database, suspended=args.suspends)


def _role(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    return _changed(args, database, role=Role(args.role))


def _districts(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    return _changed(args, database, districts=tuple(args.district))


def _changed(args: argparse.Namespace, database: Any, **what: Any) -> tuple[Any, list[str]]:
    from anxin.flow import people

    person = people.of_login(database, args.login)
    document, line = _told(people.change(database, None, person.party.party_id, **what))
    return document, [line]


def _reset_password(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import people

    made = people.reset_password(database, None, people.of_login(database, args.login).party.party_id)
    document, line = _told(made.person)
    return document | {"password": made.password}, [line, made.password, _ONCE]


def _reset_totp(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import people

    document, line = _told(people.reset_totp(database, None, people.of_login(database, args.login).party.party_id))
    return document, [line]


def _remove(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    from anxin.flow import people

    person = people.of_login(database, args.login)
    people.remove(database, None, person.party.party_id)
    document = {"party_id": person.party.party_id, "removed": True}
    return document, [f"{args.login}  已移除 · removed  {person.party.party_id}"]
