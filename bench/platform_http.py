"""A plain HTTP client for load: one connection, one request at a time, as little work as possible beside the server."""

from __future__ import annotations

import asyncio


class Connection:
    """A keep-alive connection that posts bodies and reads answers with a stated length."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        """Return (status, body) of an answer. Raises OSError or IncompleteReadError where the connection ends.

        A connection that the server has closed while it was idle is opened once more.
        """
        idle = self._writer is not None
        try:
            return await self._exchange(method, path, body, headers)
        except (OSError, asyncio.IncompleteReadError):
            if not idle:
                raise
            return await self._exchange(method, path, body, headers)

    async def _exchange(self, method: str, path: str, body: bytes, headers: str) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self._writer.write(head.encode() + body)
        try:
            await self._writer.drain()
            answer = await self._reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:] if b": " in line)
            found = await self._reader.readexactly(int(fields[b"content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        return int(answer.split(b" ", 2)[1]), found

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
