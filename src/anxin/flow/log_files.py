"""The files of a published log over HTTP, as any outsider gets them."""

from __future__ import annotations

import httpx

from anxin.domain.errors import InputError

TIMEOUT_S = 20.0
#: A checkpoint with its cosignatures is longer than any tile: 256 entries of 32 bytes.
MAX_FILE_BYTES = 128 * 1024


class PublishedLog:
    """A log at a platform's address. `read` gives a file by its name below the log, and raises OSError for all that
    goes wrong, as a folder would."""

    def __init__(self, url: str) -> None:
        self.url = f"{url.rstrip('/')}/log"
        try:
            self._web = httpx.Client(timeout=TIMEOUT_S, headers={"Accept-Encoding": "gzip, identity"})
            self._web.build_request("GET", self.url)
        except (httpx.InvalidURL, ValueError) as error:
            raise InputError(f"{url}: {error}") from None

    def read(self, name: str) -> bytes:
        """Return a file. Raises OSError."""
        found = b""
        try:
            with self._web.stream("GET", f"{self.url}/{name}") as answer:
                for chunk in answer.iter_bytes():
                    found += chunk
                    if len(found) > MAX_FILE_BYTES:
                        raise OSError(f"{name}: longer than any file of a log")
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OSError(f"{self.url}/{name}: {error or type(error).__name__}") from None
        if status != 200:
            raise OSError(f"{self.url}/{name}: {status}")
        return found

    def vkey(self) -> str:
        """Return the verifier key that the platform says is its own. Raises InputError."""
        try:
            return self.read("vkey").decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"no log at {self.url}: {error}") from None

    def close(self) -> None:
        """Give back connections."""
        self._web.close()
