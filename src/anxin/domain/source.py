"""Where a value came from, what was odd about it, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The place of a value in what was read: `file` as the user named it, `row` from 1 (line, table row or item)."""

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Deviation:
    """One departure from a standard that was read all the same.

    `kind` is a stable id such as ``ocmf.rv_as_text``; `clause` cites what it departs from; `detail` is what was
    seen; `field` where. Every kind stands in docs/formats with a test case.
    """

    kind: str
    clause: str
    detail: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that could not become a value. It goes to rejects.csv; the rest is judged."""

    source: Source
    rule: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a whole file that must be said before anything else, in both languages.

    `rule` is a stable id (``table.date_order``), `count` the number of rows it rests on.
    """

    file: str
    rule: str
    count: int
    zh: str
    en: str
