"""The platform's two apps on real servers, and callers with a bearer token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from anxin.assembly import open_face
from anxin.domain.party import REGULATOR, Party, Role
from anxin.faces import outer, regulator
from anxin.faces.connection import guarded_protocol
from anxin.flow import enrol
from anxin.flow.face_roles import prepare_roles
from anxin.flow.platform import Platform


class Served(str):
    """The outer app's address, and beside it the regulator's, which is served from when it is first asked for: to make
    an app of some hundred routes takes a second or two, and most tests speak to one."""

    serve_regulator: Callable[[], str]

    @cached_property
    def regulator(self) -> str:
        """Where the regulator's app answers."""
        return self.serve_regulator()

    def of(self, role: Role) -> str:
        """Return where a role calls."""
        return self.regulator if role in REGULATOR else str(self)


@contextmanager
def listening(app: FastAPI, **options: Any) -> Iterator[str]:
    """Serve one app with uvicorn on a free port; the value is its address."""
    web = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", **{"http": guarded_protocol(30), **options}))
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    finally:
        web.should_exit = True
        thread.join(10)


@contextmanager
def serving(platform: Platform, **options: Any) -> Iterator[Served]:
    """Serve both apps, each as its own database role, over the database of a platform that works as the owner.

    A refresh of the platform reaches both apps at once, and not at their next look.
    """
    urls = prepare_roles(platform.database, platform.settings)
    faces = [open_face(platform.settings, url) for url in (urls.outer, urls.regulator)]
    for face in faces:
        face.measures = platform.measures  # tests read what both count
    refresh = platform.refresh

    def every() -> None:
        refresh()
        for face in faces:
            face.refresh()

    platform.__dict__["refresh"] = every
    try:
        with ExitStack() as stack:
            found = Served(stack.enter_context(listening(outer.create_app(faces[0]), **options)))
            found.serve_regulator = lambda: stack.enter_context(listening(regulator.create_app(faces[1]), **options))
            yield found
    finally:
        del platform.__dict__["refresh"]
        for face in faces:
            face.database.close()


class Caller:
    """One party with a new token, at the app of its side. `post` and `get` answer (status, JSON)."""

    def __init__(self, platform: Platform, url: str, party: Party) -> None:
        self.party, self.url = party, url
        self.base = url.of(party.role) if isinstance(url, Served) else url
        token = enrol.new_token(platform.database, platform.vault, party)
        platform.refresh()
        self.headers = {"authorization": f"Bearer {token}"}

    def get(self, path: str) -> tuple[int, Any]:
        answer = httpx.get(f"{self.base}{path}", headers=self.headers, timeout=30)
        return answer.status_code, answer.json()

    def post(self, path: str, body: bytes = b"", **more: Any) -> tuple[int, Any]:
        given = more if {"files", "json"} & more.keys() else {"content": body, **more}
        answer = httpx.post(f"{self.base}{path}", headers=self.headers, timeout=60, **given)
        return answer.status_code, answer.json()


def operators(platform: Platform) -> list[Party]:
    """Return the operators that the platform knows."""
    return [p for p in platform.directory.parties.values() if p.role is Role.OPERATOR]
