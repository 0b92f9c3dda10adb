"""An operator's own platform, as this one asks it: real T/CEC over real HTTP, and it can be told to make mistakes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from anxin.formats import tcec102_envelope
from anxin.formats.tcec102_envelope import OperatorSecrets

#: What an administrator of the operator's would hand over: the supervisor's id there, and secrets.
OUR_ID = "SUPERVIS1"
VALUES = {
    "operator_secret": "operator-secret-of-tests",
    "data_secret": "0123456789abcdef",
    "data_secret_iv": "fedcba9876543210",
    "sig_secret": "signature-secret",
}
KEYS = OperatorSecrets(OUR_ID, *(VALUES[n].encode() for n in ("data_secret", "data_secret_iv", "sig_secret")))


@dataclass
class OperatorPlatform:
    """Its stations, states and orders; `asked` counts questions, `questions` keeps them.

    `mistakes[interface]` lists mistakes that spoil its answers, one after the other; `for_ever` the first each time.
    """

    stations: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    questions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    mistakes: dict[str, list[str]] = field(default_factory=dict)
    for_ever: bool = False
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    elsewhere: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/evcs/v1/{interface}")
        async def call(interface: str, request: Request) -> Response:
            return await self._answer(interface, request)

        @app.post("/elsewhere/{interface}")
        async def other(interface: str) -> Response:
            self.elsewhere += 1
            return sealed({})

        return app

    async def _answer(self, interface: str, request: Request) -> Response:
        self.asked[interface] += 1
        value = json.loads(await request.body())
        opened = tcec102_envelope.open_parsed(value, [KEYS])
        question = json.loads(opened.plain)
        self.questions.append((interface, question))
        if interface == "query_token":
            if question != {"OperatorID": OUR_ID, "OperatorSecret": VALUES["operator_secret"]}:
                return sealed({"OperatorID": OUR_ID, "SuccStat": 1, "AccessToken": "", "FailReason": 2})
            self.tokens.append(f"token-{len(self.tokens)}")
            return sealed({"OperatorID": OUR_ID, "SuccStat": 0, "AccessToken": self.tokens[-1],
                           "TokenAvailableTime": 7200, "FailReason": 0})  # fmt: skip
        mistake = self._mistake(interface)
        if mistake == "token" or request.headers.get("authorization") != f"Bearer {self.tokens[-1]}":
            return sealed({}, 4002, "Token错误")
        data = self._data(interface, question)
        return await spoilt(mistake, data, interface) if mistake else sealed(data)

    def _mistake(self, interface: str) -> str:
        waiting = self.mistakes.get(interface, [])
        if not waiting:
            return ""
        return waiting[0] if self.for_ever else waiting.pop(0)

    def _data(self, interface: str, question: dict[str, Any]) -> dict[str, Any]:
        if interface == "query_stations_info":
            page = question["PageNo"]
            size = question["PageSize"]
            part = self.stations[(page - 1) * size : page * size]
            count = -(-len(self.stations) // size)
            return {"PageNo": page, "PageCount": count, "ItemSize": len(self.stations), "StationInfos": part}
        if interface == "query_station_status":
            assert len(question["StationIDs"]) <= 50
            infos = [
                {"StationID": s, "ConnectorStatusInfos": self.states[s]}
                for s in question["StationIDs"]
                if s in self.states
            ]
            return {"Total": len(infos), "StationStatusInfos": infos}
        assert interface == "query_supplement_info"
        found = [self.orders[s] for s in question["StartChargeSeqs"] if s in self.orders]
        return {"PageNo": 1, "PageCount": 1, "ItemSize": len(found), "ChargeOrderInfos": found}


async def spoilt(mistake: str, data: dict[str, Any], interface: str) -> Response:
    """Return an answer with one mistake."""
    if mistake in LIES:
        return sealed(data | LIES[mistake](data))
    if mistake == "slow":
        await asyncio.sleep(3)
    good = sealed(data)
    body = json.loads(bytes(good.body))
    other = OperatorSecrets(OUR_ID, KEYS.data_secret, KEYS.data_secret_iv, b"of somebody else")
    answers: dict[str, Callable[[], Response]] = {
        "signature": lambda: answer(body | {"Sig": "0" * 32}),
        "foreign signature": lambda: answer(body | {"Sig": tcec102_envelope.sign(f"0{body['Data']}", other)}),
        "no data": lambda: answer({"Ret": 0, "Msg": ""}),
        "not json": lambda: Response(b"<html>busy</html>"),
        "http 500": lambda: Response(b"", 500),
        "http 404": lambda: Response(b"", 404),
        "busy": lambda: sealed({}, -1, "系统繁忙"),
        "refused": lambda: sealed({}, 4004, "请求的业务参数不合法"),
        "redirect": lambda: RedirectResponse(f"/elsewhere/{interface}", 307),
        "slow": lambda: good,
        "drip": lambda: StreamingResponse(drip()),
        "huge": lambda: StreamingResponse(b"x" * 65_536 for _ in range(100_000)),
        "gzip": lambda: Response(b"\x1f\x8b", headers={"content-encoding": "gzip"}),
    }
    return answers[mistake]()


#: Answers that are authentic and contradict themselves.
LIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "page number": lambda data: {"PageNo": 9},
    "page count": lambda data: {"PageCount": data["PageCount"] + 3},
    "item size": lambda data: {"ItemSize": 77},
    "endless": lambda data: {"PageCount": data["PageNo"] + 1, "StationInfos": [{"StationID": f"E{data['PageNo']}"}]},
    "same page": lambda data: {"PageCount": 99, "StationInfos": [{"StationID": "S"}]},
}


async def drip() -> Any:
    for _ in range(100):
        yield b" "
        await asyncio.sleep(0.2)


def sealed(data: dict[str, Any], code: int = 0, message: str = "") -> Response:
    plain = json.dumps(data, ensure_ascii=False).encode()
    text = tcec102_envelope.encrypt(plain, KEYS)
    signature = tcec102_envelope.sign(f"{code}{message}{text}", KEYS)
    return answer({"Ret": code, "Msg": message, "Data": text, "Sig": signature})


def answer(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False).encode(), media_type="application/json;charset=utf-8")


@contextmanager
def running(made: OperatorPlatform) -> Iterator[OperatorPlatform]:
    """The platform on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(made.app(), port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/evcs/v1"
    yield made
    server.should_exit = True
    thread.join(10)
