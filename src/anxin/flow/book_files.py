"""What was prepared of the rule book, kept on disk: a judge that starts again is at work at once.

A file is named by the digest of all that it depends on: policy, rules, facts that are there, the code of the rule book
and the libraries that compile it. Whatever changes, another file is looked for; one that cannot be read is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from anxin.reconcile.prepared import PreparedBook

_LIBRARIES = ("duckdb", "ibis-framework", "pyarrow", "sqlglot")
_CODE = ("domain", "reconcile")


def load_book(book: PreparedBook, folder: Path, present: frozenset[str]) -> bool:
    """Let a book take over what was prepared for the same; return whether there was such a file."""
    try:
        book.load((folder / _name(book, present)).read_bytes())
    except (OSError, ValueError):
        return False
    return True


def keep_book(book: PreparedBook, folder: Path, present: frozenset[str]) -> None:
    """Keep what was prepared. A folder that cannot be written costs the next start some seconds, nothing else."""
    path = folder / _name(book, present)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_bytes(book.dump())
        draft.replace(path)


def _name(book: PreparedBook, present: frozenset[str]) -> str:
    parts = [_code(), book.policy.sha256, sorted(present), None if book.only is None else sorted(book.only)]
    return f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}.json"


@cache
def _code() -> list[str]:
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for part in _CODE:
        for path in sorted((package / part).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return [digest.hexdigest(), *(version(name) for name in _LIBRARIES)]
