"""Collects what a file does differently, once per kind and field, with the number of rows it was met in.

A file of a million orders that spells one field its own way departs from the standard once, not a million times.
"""

from __future__ import annotations

from dataclasses import replace

from anxin.domain.source import Deviation, Source

#: Kinds times fields one file can fill; a file of junk field names must not fill the memory.
MAX_KINDS = 200


class DeviationLog:
    """Deviations of one file or chunk, keyed by kind and field; the first occurrence gives place and detail."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str | None], tuple[Source, Deviation]] = {}
        self._count: dict[tuple[str, str | None], int] = {}

    def add(self, source: Source, deviation: Deviation) -> None:
        """Note one occurrence. After MAX_KINDS different ones further new ones are dropped."""
        key = (deviation.kind, deviation.field)
        if key not in self._first:
            if len(self._first) >= MAX_KINDS:
                return
            self._first[key] = (source, deviation)
            self._count[key] = 0
        self._count[key] += 1

    def result(self) -> list[tuple[Source, Deviation]]:
        """Return each deviation with its first place; the detail tells how many rows show it."""
        found = []
        for key, (source, deviation) in self._first.items():
            count = self._count[key]
            detail = deviation.detail if count == 1 else f"{deviation.detail} (in {count} rows, first here)"
            found.append((source, replace(deviation, detail=detail)))
        return found
