"""A small city enrolled on a platform, and everything that it sends as messages."""

from __future__ import annotations

import dataclasses
import json
import random
from dataclasses import dataclass
from datetime import date

from anxin.city.build import City, build
from anxin.city.live import Events, What
from anxin.city.meters import make_secret
from anxin.city.options import KINDS, SLOW_KINDS, CityOptions
from anxin.domain.message import Kind, Message
from anxin.domain.register import Register
from anxin.flow.drive_city import texts_of
from anxin.flow.enrol import enrol_register
from anxin.flow.make_city import content_key, seal_upload
from anxin.flow.platform import Platform
from anxin.formats import meter_envelope
from anxin.store.parties import put_register

#: A moment after everything that the city sends has come.
AS_OF_UTC_MS = 1_791_500_000_000


@dataclass
class LiveCity:
    city: City
    messages: list[Message]


def enrolled(
    platform: Platform,
    chargers: int = 40,
    days: int = 4,
    seed: int = 3,
    cheats: int = 1,
    slow: int = 0,
    start: date = date(2026, 10, 1),
) -> LiveCity:
    """Return a city whose register and keys the platform knows."""
    planted = dict.fromkeys(KINDS, cheats) | dict.fromkeys(SLOW_KINDS, slow)
    city = build(CityOptions(seed, chargers, days, start=start, cheats=planted))
    keys = [content_key(make_secret(seed, n, m)) for n, m in enumerate(city.world.meter_code)]
    enrol_register(platform.database, platform.vault, city.register, keys)
    platform.refresh()
    messages = []
    for kind, operator, texts in texts_of(Events(city, seal_upload)):
        for text in texts:
            if kind is What.RECORD:
                binary = meter_envelope.from_line(text.encode())
                envelope = meter_envelope.parse(binary)
                name = f"{envelope.key_id}/{envelope.counter}"
                messages.append(Message(Kind.METER_ENVELOPE, envelope.meter_id, name, binary))
            else:
                field = "StartChargeSeq" if kind is What.ORDER else "CheckOrderSeq"
                what = Kind.TCEC_ORDER if kind is What.ORDER else Kind.TCEC_CHECK
                messages.append(Message(what, operator, json.loads(text)[field], text.encode()))
    return LiveCity(city, messages)


def made_real(platform: Platform) -> None:
    """Let the register say of the city's operators that they are real ones, as those of an authority are."""
    operators = tuple(dataclasses.replace(o, virtual=False) for o in platform.directory.register.operators)
    put_register(platform.database, Register(operators=operators))
    platform.refresh()


def shuffled(messages: list[Message], seed: int) -> list[Message]:
    """Return the messages in another order."""
    mixed = list(messages)
    random.Random(seed).shuffle(mixed)
    return mixed
