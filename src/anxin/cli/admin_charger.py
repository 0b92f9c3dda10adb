"""`anxin admin charger`: passwords of chargers for the OCPP door."""

from __future__ import annotations

import argparse
from typing import Any

from anxin.domain.errors import InputError

_ONCE = "以上只显示这一次，请立即配置到充电桩 · shown this once: enter it into the charger now"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `anxin admin charger password` takes."""
    parser.add_argument("charger_id", metavar="CHARGER", help="登记册中的充电桩编号 · charger id of the register")
    parser.add_argument(
        "--place", action="append", default=[], metavar="PLACE=CONNECTOR",
        help="充电桩自己的接口号与登记册接口的对应，可重复 · its own number (1, or 1/2 for EVSE and connector) and the "
        "register's connector; may be repeated",
    )  # fmt: skip


def password(args: argparse.Namespace, database: Any, vault: Any) -> tuple[Any, list[str]]:
    """Give a charger a password beside those it has. Raises InputError."""
    from anxin.flow import enrol
    from anxin.store import parties

    places = dict(_place(text) for text in args.place)
    register = parties.load_register(database)
    made = enrol.new_charger_password(database, vault, register, args.charger_id, places)
    document = {"charger_id": args.charger_id, "password": made, "places": places}
    return document, [f"user      {args.charger_id}", f"password  {made}", _ONCE]


def _place(text: str) -> tuple[str, str]:
    place, equals, connector = text.partition("=")
    if not equals or not connector or not all(part.isdecimal() for part in place.split("/")):
        raise InputError(f"{text!r} is not such as 1=CONNECTOR or 1/2=CONNECTOR")
    return place, connector
