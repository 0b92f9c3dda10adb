"""Somebody's endpoint: a real HTTP server that does what it is told, and the process that tells it of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anxin.assembly import open_platform
from anxin.flow.notices import tell_for_ever
from anxin.flow.platform import Platform


class Endpoint:
    """Keeps (headers, body) of what came; answers what `answer` says of the n-th call and its body."""

    def __init__(self, answer: Callable[[int, bytes], tuple[int, dict[str, str]]] | None = None) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer = answer or (lambda _, __: (204, {}))
        self.url = ""

    def wait(self, count: int, within_s: float = 30) -> list[tuple[dict[str, str], bytes]]:
        """What came, once there are so many."""
        end = time.monotonic() + within_s
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.got) >= count, len(self.got)
        return self.got


@contextmanager
def endpoint(*made: Endpoint) -> Iterator[str]:
    """Serve endpoints, each on a port of its own; the value is the setting that names them."""
    servers = []
    for one in made:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(one))
        one.url = f"http://127.0.0.1:{server.server_address[1]}/hook?token=t"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    yield ",".join(f"127.0.0.1:{s.server_address[1]}" for s in servers)
    for server in servers:
        server.shutdown()
        server.server_close()


def _handler(one: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            body = self.rfile.read(size)
            if len(body) < size:
                return  # its sender died in the middle: nothing was received
            one.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = one.answer(len(one.got), body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def telling(platform: Platform) -> Iterator[None]:
    """Let notices be told of, in a platform of its own as the child process has it."""
    stop = threading.Event()
    own = open_platform(platform.settings, platform.database.url)
    thread = threading.Thread(target=tell_for_ever, args=(own, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        own.database.close()
