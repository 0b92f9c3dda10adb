"""The platform's doors on a real server, and callers with a bearer token."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from anxin.domain.party import Party, Role
from anxin.faces.app import create_app
from anxin.flow import enrol
from anxin.flow.platform import Platform


@contextmanager
def serving(platform: Platform) -> Iterator[str]:
    """Serve a platform with uvicorn on a free port; the value is its address."""
    web = uvicorn.Server(uvicorn.Config(create_app(platform), port=0, log_level="error"))
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    web.should_exit = True
    thread.join(10)


class Caller:
    """One party with a new token. `post` and `get` answer (status, JSON)."""

    def __init__(self, platform: Platform, url: str, party: Party) -> None:
        self.party, self.url = party, url
        token = enrol.new_token(platform.database, platform.vault, party)
        platform.refresh()
        self.headers = {"authorization": f"Bearer {token}"}

    def get(self, path: str) -> tuple[int, Any]:
        answer = httpx.get(f"{self.url}{path}", headers=self.headers, timeout=30)
        return answer.status_code, answer.json()

    def post(self, path: str, body: bytes = b"", **more: Any) -> tuple[int, Any]:
        given = more if "files" in more else {"content": body, **more}
        answer = httpx.post(f"{self.url}{path}", headers=self.headers, timeout=60, **given)
        return answer.status_code, answer.json()


def operators(platform: Platform) -> list[Party]:
    """Return the operators that the platform knows."""
    return [p for p in platform.directory.parties.values() if p.role is Role.OPERATOR]
