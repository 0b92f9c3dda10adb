"""An operator's OCPI platform: a real server for the handshake, and a client that can be told to make mistakes."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

TOKEN_B = "operators-own-token"


@contextmanager
def served(app: Any, **of: Any) -> Iterator[str]:
    """The address of an app on a real server."""
    web = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", **of))
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    finally:
        web.should_exit = True
        thread.join(10)


@dataclass
class Counterparty:
    """An operator's versions and version details; `mode` is what it does wrong."""

    mode: str = "right"
    calls: list[tuple[str, str]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request: Request) -> Response:
        sent = request.headers.get("authorization", "")
        self.calls.append((request.url.path, sent))
        if sent != "Token " + base64.b64encode(TOKEN_B.encode()).decode():
            return JSONResponse({"status_code": 2000}, 401)
        base = str(request.base_url).rstrip("/")
        wrong = {
            "redirect": RedirectResponse(f"{base}/elsewhere"),
            "large": Response(b'{"status_code":1000,"data":"' + b"x" * 400_000 + b'"}'),
            "no json": Response(b"<html>"),
            "refuses": JSONResponse({"status_code": 3000, "data": None}),
        }
        if self.mode in wrong:
            return wrong[self.mode]
        if self.mode == "slow":
            await asyncio.sleep(2)
        listed = [{"version": "2.1.1", "url": f"{base}/2.1.1"}]
        if self.mode != "old":
            listed += [{"version": v, "url": f"{base}/{v}"} for v in ("2.2.1", "2.3.0")]
        if request.url.path == "/versions":
            return JSONResponse({"status_code": 1000, "data": listed, "timestamp": "2026-10-01T00:00:00Z"})
        version = request.url.path.strip("/")
        endpoints = [{"identifier": "cdrs", "role": "SENDER", "url": f"{base}/{version}/cdrs"}]
        return JSONResponse({"status_code": 1000, "data": {"version": version, "endpoints": endpoints}})


@dataclass
class Peer:
    """The client side of an operator's platform."""

    url: str
    token: str
    party: str = "ABC"
    country: str = "CN"
    version: str = "2.2.1"
    base64: bool = True

    def headers(self) -> dict[str, str]:
        token = base64.b64encode(self.token.encode()).decode() if self.base64 else self.token
        return {
            "Authorization": f"Token {token}",
            "X-Request-ID": "request-1",
            "X-Correlation-ID": "correlation-1",
            "OCPI-from-country-code": self.country,
            "OCPI-from-party-id": self.party,
        }

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else f"{self.url}/ocpi/{path}"
        return httpx.request(method, url, content=content, headers=self.headers() | headers, timeout=30)

    def object(self, method: str, module: str, path: str, body: Any = None) -> httpx.Response:
        return self.call(method, f"{self.version}/{module}/{self.country}/{self.party}/{path}", body)

    def credentials(self, url: str, **changed: Any) -> dict[str, Any]:
        role = {
            "role": "CPO",
            "party_id": self.party,
            "country_code": self.country,
            "business_details": {"name": "Operator"},
        }
        return {"token": TOKEN_B, "url": f"{url}/versions", "roles": [role]} | changed

    def register(self, url: str) -> None:
        answer = self.call("POST", f"{self.version}/credentials", self.credentials(url))
        assert answer.json()["status_code"] == 1000, answer.text
        self.token = answer.json()["data"]["token"]


def location(**changed: Any) -> dict[str, Any]:
    """A location of two EVSEs in Shenzhen."""
    return {
        "country_code": "CN",
        "party_id": "ABC",
        "id": "LOC1",
        "publish": True,
        "name": "福田中心站",
        "address": "福中三路 1 号",
        "city": "深圳",
        "country": "CHN",
        "coordinates": {"latitude": "22.543100", "longitude": "114.057900"},
        "time_zone": "Asia/Shanghai",
        "evses": [evse("E1"), evse("E2", status="CHARGING")],
        "last_updated": "2026-10-01T08:00:00Z",
    } | changed


def evse(uid: str, **changed: Any) -> dict[str, Any]:
    plug = {
        "id": "1",
        "standard": "GBT_DC",
        "format": "CABLE",
        "power_type": "DC",
        "max_voltage": 750,
        "max_amperage": 160,
        "max_electric_power": 120_000,
        "last_updated": "2026-10-01T08:00:00Z",
    }
    return {
        "uid": uid,
        "evse_id": f"CN*ABC*{uid}",
        "status": "AVAILABLE",
        "connectors": [plug],
        "last_updated": "2026-10-01T08:00:00Z",
    } | changed


def session(**changed: Any) -> dict[str, Any]:
    return {
        "country_code": "CN",
        "party_id": "ABC",
        "id": "S-101",
        "start_date_time": "2026-10-01T09:00:00Z",
        "kwh": 0.0,
        "cdr_token": {"uid": "T1", "type": "APP_USER", "contract_id": "C1"},
        "auth_method": "WHITELIST",
        "location_id": "LOC1",
        "evse_uid": "E1",
        "connector_id": "1",
        "currency": "CNY",
        "status": "ACTIVE",
        "last_updated": "2026-10-01T09:00:00Z",
    } | changed


def tariff(**changed: Any) -> dict[str, Any]:
    return {
        "country_code": "CN",
        "party_id": "ABC",
        "id": "T1",
        "currency": "CNY",
        "elements": [{"price_components": [{"type": "ENERGY", "price": 1.2, "step_size": 1}]}],
        "last_updated": "2026-09-30T16:00:00Z",
    } | changed


def cdr(**changed: Any) -> dict[str, Any]:
    return {
        "country_code": "CN",
        "party_id": "ABC",
        "id": "CDR-1",
        "start_date_time": "2026-10-01T09:00:00Z",
        "end_date_time": "2026-10-01T10:00:00Z",
        "session_id": "S-101",
        "cdr_token": {"uid": "T1", "type": "APP_USER", "contract_id": "C1"},
        "auth_method": "WHITELIST",
        "cdr_location": {"id": "LOC1", "evse_uid": "E1", "evse_id": "CN*ABC*E1", "connector_id": "1"},
        "currency": "CNY",
        "charging_periods": [
            {"start_date_time": "2026-10-01T09:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 12.34}]}
        ],
        "total_cost": {"excl_vat": 10.0, "incl_vat": 11.3},
        "total_energy": 12.34,
        "total_time": 1.0,
        "last_updated": "2026-10-01T10:01:00Z",
    } | changed
